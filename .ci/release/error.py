"""Why is there no release?"""

__all__ = ["ReleaseError"]


class ReleaseError(Exception):
    """A release cannot be made; the message says what to do."""
