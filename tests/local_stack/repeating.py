"""How is something done again and again: in the background until the local stack ends, or until it comes true?"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError

Value = TypeVar("Value")

_logger = logging.getLogger(__name__)


@contextlib.contextmanager
def repeating(name: str, seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Repeat an action in a thread of its own for as long as the context lasts, and once more at its end.

    Parameters
    ----------
    name
        Name of the thread.
    seconds
        Time between two times.
    action
        What to do; when AWS refuses a call of it, that is logged and the next time comes.
    """
    ending = threading.Event()

    def repeat() -> None:
        is_last = False
        while not is_last:
            is_last = ending.wait(seconds)
            try:
                action()
            except (BotoCoreError, ClientError):
                _logger.exception("%s failed", name)

    thread = threading.Thread(target=repeat, name=name)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def eventually(look: Callable[[], Value], seconds: float = 20.0) -> Value:
    """Return the first true value of a look, or the last value when the time is over."""
    deadline = time.monotonic() + seconds
    while not (value := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value
