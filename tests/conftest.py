"""What does every test start from? No real AWS account, no proxy, no network beyond loopback."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import xdist  # type: ignore[import-untyped]

_TESTS = Path(__file__).parent
_LOOPBACK = ["127.0.0.1", "::1", "localhost"]

_CLEARED_PREFIXES = ("AWS_", "POWERTOOLS_")
_CLEARED_SUFFIXES = ("_CA_BUNDLE", "_PROXY")
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_SERVICE_NAME": "segment_events",
    "STACK_NAME": "stack",
    "POWERTOOLS_LOG_LEVEL": "INFO",
}


def pytest_configure(config: pytest.Config) -> None:
    """Replace the environment before any module under test is imported."""
    environment = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.upper().startswith(_CLEARED_PREFIXES) or name.upper().endswith(_CLEARED_SUFFIXES):
            environment.delenv(name)
    for name, value in _ENVIRONMENT.items():
        environment.setenv(name, value)
    config.add_cleanup(environment.undo)
    if interval := os.environ.get("SWITCH_INTERVAL"):  # seconds; threads that alternate as often as they can find races
        sys.setswitchinterval(float(interval))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Set what Hypothesis does, where tests run: the process that only hands them out need not wait for its import."""
    if xdist.is_xdist_controller(session):
        return
    import hypothesis

    hypothesis.settings.register_profile("local", deadline=None, max_examples=60)
    hypothesis.settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from what lives as long as the run: imported modules, and the tests themselves."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(7_000)  # ten times Python's, and a tenth of its full collections, of 0.2 s each


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests open no socket at all; the others reach loopback only."""
    for item in items:
        if item.path.is_relative_to(_TESTS / "unit"):
            item.add_marker(pytest.mark.disable_socket)
        else:
            item.add_marker(pytest.mark.allow_hosts(_LOOPBACK))
