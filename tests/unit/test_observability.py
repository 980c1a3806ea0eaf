"""Do the libraries that we use keep to themselves what they are told?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import responsys_activation

# As Lambda's runtime does it before it loads the function, when LogLevel is DEBUG.
_COLD_START = """
import logging
logging.getLogger().setLevel("DEBUG")
from responsys_activation.observability import logger
print([logging.getLogger(name).isEnabledFor(logging.INFO) for name in ("botocore", "boto3", "urllib3", "requests")])
print(logger.log_level)
"""


def test_at_debug_we_write_more_and_libraries_do_not_write_passwords_and_bodies() -> None:
    # Given a cold start at LogLevel DEBUG
    environment = {
        "PYTHONPATH": str(Path(responsys_activation.__file__).parents[1]),
        "POWERTOOLS_SERVICE_NAME": "segment_events",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
    }

    # When our logger is made
    started = subprocess.run(
        [sys.executable, "-c", _COLD_START], env=environment, capture_output=True, text=True, check=True
    )

    # Then DEBUG is its level, and no library's
    assert started.stdout.splitlines() == ["[False, False, False, False]", "10"]
