"""Which moment does a text name, and how is a moment written?

Upstream writes ISO 8601 in the spelling of its language, database or queue. What Python can read is left to Python; the
rest is read here, in the same way on every version of Python.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

__all__ = ["as_iso_8601", "read_moment"]

_LAST = 253_402_300_799.0  # epoch seconds of the last second that a datetime can hold

_FORM = re.compile(
    r"""
    (?![0-9]+$)                            # digits alone are a number, perhaps of seconds
    (?P<year>[0-9]{4})
    (?: -?(?P<day_of_year>[0-9]{3}) | (?P<rest>-?W[0-9]{2}(?:-?[1-7])? | -[0-9]{2}-[0-9]{2} | [0-9]{4}) )
    (?:
        (?: T | [ ]+ )
        (?P<hours>[0-9]{2}) (?: :?(?P<minutes>[0-9]{2}) (?: :?(?P<seconds>[0-9]{2}) )? )?
        (?: [.,](?P<fraction>[0-9]+) )?    # of the last unit that is there
    )?
    (?:
        [ ]*
        (?: Z | UTC | GMT
          | (?P<sign>[-+])(?P<off_hours>[0-9]{2}) (?: :?(?P<off_minutes>[0-9]{2}) )? (?: [ ][A-Z]{3,5} )? )
        (?: \[[^][]*\] )*                  # the zone's name, now that its offset is known
    )?
    """,
    re.VERBOSE,
)


def read_moment(text: str) -> datetime:
    """Read an ISO 8601 time, or one of its common variants.

    Calendar, week and ordinal dates, basic and extended; a date alone is the start of its day. The time of day follows
    after ``T`` or a blank, to the hour, minute or second; the last of these may have decimals after a dot or a comma,
    which are cut at microseconds. ``24:00`` is the start of the next day, second 60 that of the next minute. Letters
    may be in any case.

    Returns
    -------
    datetime
        In UTC, which is also assumed if the text has no zone.

    Raises
    ------
    ValueError
        Any other text, including digits alone: they may count seconds.
    """
    # What nearly all producers write. Shorter ones Python reads differently from ISO 8601: 08:30.5 as half a second.
    if text[10:11] in "T " and text[16:17] == ":":
        try:
            return _in_utc(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
    try:
        return _in_utc(_read_form(text.strip().upper().replace("\N{MINUS SIGN}", "-")))
    except (ValueError, OverflowError):
        raise ValueError("not an ISO 8601 time") from None  # the cause would quote the text


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_form(text: str) -> datetime:
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError
    return datetime.combine(_day(form), time(), _zone(form)) + _into_day(form)


def _day(form: re.Match[str]) -> date:
    if form["rest"]:
        return date.fromisoformat(form["year"] + form["rest"])
    day = date(int(form["year"]), 1, 1) + timedelta(days=int(form["day_of_year"]) - 1)
    if day.year != int(form["year"]):
        raise ValueError
    return day


def _into_day(form: re.Match[str]) -> timedelta:
    hours, minutes, seconds = (int(form[unit] or 0) for unit in ("hours", "minutes", "seconds"))
    decimals = (form["fraction"] or "")[:18]  # more do not change the microsecond
    last_unit = 1 if form["seconds"] else 60 if form["minutes"] else 3600
    microseconds = int(decimals or 0) * last_unit * 1_000_000 // 10 ** len(decimals)
    into_day = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)
    if minutes > 59 or seconds > 60 or (hours > 23 and into_day != timedelta(days=1)):
        raise ValueError
    return into_day


def _zone(form: re.Match[str]) -> timezone:
    hours, minutes = (int(form[unit] or 0) for unit in ("off_hours", "off_minutes"))
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if form["sign"] == "-" else offset)  # which is less than a day, or refused


def as_iso_8601(epoch_seconds: float) -> str:
    """Write a moment as ISO 8601 in UTC with milliseconds, such as ``2024-01-31T08:30:00.000Z``."""
    moment = datetime.fromtimestamp(min(epoch_seconds, _LAST), UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
