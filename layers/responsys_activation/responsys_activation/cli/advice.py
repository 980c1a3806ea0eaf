"""What should a person do about an error code?"""

from __future__ import annotations

__all__ = ["advice"]


def advice(code: str) -> str:
    """Say what to do, or where it is said."""
    return f"see {code} in docs/runbook.md#error-codes"
