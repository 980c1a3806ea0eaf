"""How is a connector check reported: to a program, to a person, to CloudWatch?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from responsys_activation.connector_check.findings import CheckedConnector, Level
from responsys_activation.connector_check.limits import limits_document, limits_lines
from responsys_activation.observability import InvocationMetrics, logger
from responsys_activation.responsys.events import MAXIMUM_RECIPIENTS

__all__ = ["all_ok", "count_failures", "log_checked", "report_document", "report_text"]

_AUDIENCES_SHOWN = 10  # in the text of a connector


def all_ok(checked: Sequence[CheckedConnector]) -> bool:
    """Return whether every connector would deliver; without a connector nothing would."""
    return bool(checked) and all(each.ok for each in checked)


def report_document(checked: Sequence[CheckedConnector]) -> dict[str, Any]:
    """Return the function's answer: JSON for programs, with the text for a person in ``report``."""
    return {
        "ok": all_ok(checked),
        "connectors": [
            {
                "connector": each.name,
                "ok": each.ok,
                "findings": [
                    {"level": finding.level, "check": finding.check, "message": finding.message}
                    for finding in each.findings
                ],
                "requestsPerMinute": each.requests_per_minute,
                "accountRequestsPerMinute": each.account_requests_per_minute,
                "accountLimits": limits_document(each.limits),
                "recipientsPerRequest": MAXIMUM_RECIPIENTS,
                "audiences": each.audiences,
                "otherAudiences": each.other_audiences,
            }
            for each in checked
        ],
        "report": report_text(checked),
    }


def report_text(checked: Sequence[CheckedConnector]) -> str:
    """Return the report that a person reads."""
    if not checked:
        return "There is no connector: create one, or nothing can be delivered."
    good = sum(each.ok for each in checked)
    lines = [f"{good} of {len(checked)} connector{'s' * (len(checked) > 1)} would deliver."]
    for each in checked:
        lines += ["", f"{each.name}: {'ok' if each.ok else 'NOT ok'}, {_pace(each)}"]
        lines += [f"  {line}" for line in limits_lines(each.limits)] if any(each.limits) else []
        lines += [f"  takes {_audiences(each)}"] if each.audiences or each.other_audiences else []
        lines += [f"  {finding.level} ({finding.check}): {finding.message}." for finding in each.findings]
    return "\n".join(lines)


def log_checked(checked: Sequence[CheckedConnector]) -> None:
    """Write one log line per connector."""
    for each in checked:
        log = logger.info if each.ok else logger.error
        log(
            "connector checked",
            extra={
                "connector": each.name,
                "ok": each.ok,
                "findings": [f"{finding.level}: {finding.message}" for finding in each.findings],
                "requestsPerMinute": each.requests_per_minute,
            },
        )


def count_failures(
    metrics: InvocationMetrics, checked: Sequence[CheckedConnector], *, all_of_service: str | None
) -> None:
    """Count what keeps connectors from delivering; zeros too, so that an alarm can end.

    Parameters
    ----------
    all_of_service : str or None
        The service whose connectors these all are; ``None``: some were chosen, and say nothing about the others.
    """
    total = 0 if checked else 1
    for each in checked:
        errors = sum(finding.level is Level.ERROR for finding in each.findings)
        total += errors
        if each.exists:  # a name that somebody asked for in vain is no connector, and must not become a dimension
            metrics.count("ConnectorCheckFailures", errors, connector=each.name)
    if all_of_service is not None:
        metrics.count("ConnectorCheckFailures", total, service=all_of_service)


def _audiences(each: CheckedConnector) -> str:
    shown = [f"{audience} as {event}" for audience, event in list(each.audiences.items())[:_AUDIENCES_SHOWN]]
    if len(each.audiences) > _AUDIENCES_SHOWN:
        shown.append(f"{len(each.audiences) - _AUDIENCES_SHOWN} more")
    if each.other_audiences:
        shown.append(f"{'others' if each.audiences else 'all audiences'} as {each.other_audiences}")
    return ", ".join(shown)


def _pace(each: CheckedConnector) -> str:
    if each.requests_per_minute is None:
        return "requests per minute unknown"
    limit = each.account_requests_per_minute
    of_account = f" (the account allows {limit})" if limit else ""
    return f"{each.requests_per_minute} requests per minute{of_account} of up to {MAXIMUM_RECIPIENTS} recipients"
