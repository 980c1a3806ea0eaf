"""Is each login told to those who watch, and one that is held back no more than once?"""

from __future__ import annotations

from responsys_activation.login_report import LoginReport
from responsys_activation.observability import InvocationMetrics
from tests.fakes.function_output import captured_output


def test_a_login_held_back_counts_once_per_invocation_and_connector() -> None:
    # Given two connectors, many requests of which need a login that may not be tried
    metrics = InvocationMetrics("stack")
    reports = {name: LoginReport(metrics, service="segment_events", connector=name) for name in ("loyalty", "travel")}
    for _ in range(2):
        # When an invocation is reported, and the next one
        with captured_output() as written:
            for connector in ("loyalty", "loyalty", "travel", "loyalty"):
                reports[connector].login_held_back(code="INVALID_PASSWORD", reason="refused before")
            metrics.flush()
        # Then each connector counts once, for itself and for the function, and has one line
        assert written.total("LoginsHeldBack", connector="loyalty") == 1
        assert written.total("LoginsHeldBack", connector="travel") == 1
        assert written.total("LoginsHeldBack", service="segment_events") == 2
        assert [line["connector"] for line in written.lines("login held back")] == ["loyalty", "travel"]
