"""Where do tests get their browser from?"""

from collections.abc import Iterator

import pytest

from tests.browser.browser import Browser, BrowserError, browser

# What Chromium needs of the system, and a machine with a desktop has; Debian's names.
LIBRARIES = (
    "libasound2 libdbus-1-3 libegl1 libfontconfig1 libgl1 libglib2.0-0 libnss3 libxcomposite1 libxdamage1 "
    "libxkbcommon0 libxkbfile1 libxrandr2 libxtst6"
)


@pytest.fixture(scope="module")
def running_browser() -> Iterator[Browser]:
    """Skip where the system lacks a library, and say which."""
    try:
        with browser() as running:
            yield running
    except BrowserError as exc:
        if "cannot open shared object file" not in str(exc):
            raise
        pytest.skip(f"{exc} (Debian: apt install {LIBRARIES})")
