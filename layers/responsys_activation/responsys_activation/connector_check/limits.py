"""What does the account allow per minute, and would asynchronous events carry more? Pure."""

from __future__ import annotations

from responsys_activation.responsys.catalogue import Limits

__all__ = ["asynchronous_pays", "limits_document", "limits_lines"]

_WORTH_IT = 2  # times the limit of events, at least: an answer must be fetched with further requests, and comes later


def asynchronous_pays(limits: Limits) -> bool:
    """Return whether the account would take so many more asynchronous events that it pays to wait for their results."""
    events, asynchronous = limits.events, limits.asynchronous_events
    return bool(events and asynchronous and asynchronous >= _WORTH_IT * events)


def limits_document(limits: Limits) -> dict[str, int | bool | None]:
    """Return the limits for a program; ``None`` where the account names none."""
    return {
        "events": limits.events,
        "asynchronousEvents": limits.asynchronous_events,
        "listMerges": limits.list_merges,
        "asynchronousPays": asynchronous_pays(limits),
    }


def limits_lines(limits: Limits) -> list[str]:
    """Return what a person reads of them, side by side."""
    named = (
        ("events", limits.events),
        ("asynchronous events", limits.asynchronous_events),
        ("list merges", limits.list_merges),
    )
    side_by_side = ", ".join(f"{name} {'not named' if limit is None else limit}" for name, limit in named)
    lines = [f"limits per minute: {side_by_side}"]
    if asynchronous_pays(limits):
        times = (limits.asynchronous_events or 0) / (limits.events or 1)
        lines.append(
            f"asynchronous delivery would pay: the account takes {times:.1f} times as many of its requests. This stack "
            "only delivers synchronously"
        )
    return lines
