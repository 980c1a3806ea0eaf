"""How does an operator's call on AWS fail? In AWS's own words: they name a missing permission, and quote no message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["StackError", "stack_call"]


class StackError(Exception):
    """AWS or a function of the stack did not do what was asked; the text says what, in one line."""


@contextmanager
def stack_call(what: str) -> Iterator[None]:
    """Say what was tried, and what AWS answered.

    Raises
    ------
    StackError
        AWS refused or did not answer.
    """
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        raise StackError(f"{what}: {error.get('Message') or error.get('Code')}") from exc
    except BotoCoreError as exc:
        raise StackError(f"{what}: {exc}") from exc
