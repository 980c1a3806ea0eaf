"""How is the comparison told? One table for the performance page, and a short one for the README."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.generated_part import markdown_table

__all__ = ["page_table", "readme_table"]

_OURS = "this_stack"
_AS_ONE = "cpu_over_ours"

# By their key in the results. Of each the least is best, but for the first three: what is delivered and left out belong
# together, and 400 must wait for a person.
_ROWS: Mapping[str, str] = {
    "delivered": "delivered",
    "left_out": "left out: a newer change was there first",
    "kept": "on a queue, for a person",
    "lost": "lost",
    "twice": "delivered twice",
    "twice_after_lost_reply": "… after a lost reply",
    "counted_only": "counted as delivered, but not",
    "last_state_wrong": "last state wrong",
    "requests": "requests sent",
    "throttled": "… refused by the throttle",
    "wrong_passwords": "wrong-password tries",
    "drain_minutes": "minutes to drain",
    "cpu_seconds_per_1000": "s of CPU per 1,000 messages",
    _AS_ONE: "… this stack's as 1",
    "lines": "lines that a user writes",
}
_NOT_COMPARED = frozenset({"delivered", "left_out", "kept", "twice_after_lost_reply"})
_README_ROWS: Mapping[str, str] = {
    **{
        key: _ROWS[key]
        for key in ("lost", "twice", "twice_after_lost_reply", "last_state_wrong", "requests", "drain_minutes")
    },
    _AS_ONE: "CPU, this stack's as 1",
    "lines": _ROWS["lines"],
}


def page_table(result: dict[str, Any]) -> str:
    """Return the whole comparison."""
    course, subjects = result["course"], result["subjects"]
    locked = [run["title"] for run in subjects.values() if run["locked"]]
    return (
        f"{_table(subjects, _ROWS)}\n\n"
        f"{result['memberships']:,} memberships in {result['messages']:,} messages, {subjects[_OURS]['deliverable']:,} "
        f"of them deliverable, sent over {course['sending_minutes']:g} minutes; all minutes are the account's, whose "
        f"clock runs {course['time_scale']:g} times as fast. The best of a row is bold. {_cut_off(result)} Account "
        f"locked: {', '.join(locked) or 'none'}."
    )


def readme_table(result: dict[str, Any]) -> str:
    """Return what a reader wants to know first."""
    return f"{_table(result['subjects'], _README_ROWS)}\n\n{_cut_off(result)}"


def _cut_off(result: dict[str, Any]) -> str:
    cut_off = [f"{run['title']} ({run['waiting']:,} waiting)" for run in result["subjects"].values() if run["cut_off"]]
    return f"Cut off after {result['course']['most_minutes']:g} minutes: {', '.join(cut_off) or 'none'}."


def _table(subjects: Mapping[str, dict[str, Any]], rows: Mapping[str, str]) -> str:
    ours = subjects[_OURS]["cpu_seconds_per_1000"]
    runs = [run | {_AS_ONE: round(run["cpu_seconds_per_1000"] / ours, 1)} for run in subjects.values()]
    return markdown_table(
        ("", *(run["title"] for run in runs)),
        [(name, *_cells([run[key] for run in runs], compared=key not in _NOT_COMPARED)) for key, name in rows.items()],
    )


def _cells(values: Sequence[float], *, compared: bool) -> list[str]:
    """Write numbers, the least in bold unless all are the same."""
    best = min(values) if compared and len(set(values)) > 1 else None
    return [f"**{value:,}**" if value == best else f"{value:,}" for value in values]
