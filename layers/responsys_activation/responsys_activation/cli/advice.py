"""What should a person do about an error code?"""

from __future__ import annotations

from responsys_activation import error_code

__all__ = ["advice"]


def advice(code: str) -> str:
    """Say what to do about a code of ours or of Responsys's, and where to read on."""
    return error_code.advice(code) or f"look up what {code} means (docs/runbook.md#error-codes)"
