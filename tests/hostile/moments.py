"""In how many ways can a moment be written, and what only looks like one?"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from hypothesis import strategies as st


@st.composite
def written_moments(draw: st.DrawFn) -> tuple[str, datetime]:
    """Draw a moment's text, and the moment."""
    day = draw(st.dates(date(1970, 1, 1), date(2100, 12, 31)))
    is_basic = draw(st.booleans())
    into_day, time = draw(_times(is_basic=is_basic))
    offset, zone = draw(_zones())
    if not time and is_basic and not zone:
        time = "T00"  # digits alone are none
    text = _date(day, draw(st.sampled_from(["calendar", "week", "ordinal"])), is_basic=is_basic) + time + zone
    text = draw(st.sampled_from(["", " ", "\n", "\t"])) + draw(st.sampled_from([text, text.lower()]))
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + into_day - timedelta(minutes=offset)
    return text + draw(st.sampled_from(["", " ", "\r\n"])), moment


def _date(day: date, kind: str, *, is_basic: bool) -> str:
    hyphen = "" if is_basic else "-"
    match kind:
        case "calendar":
            return f"{day.year}{hyphen}{day.month:02}{hyphen}{day.day:02}"
        case "week":
            year, week, weekday = day.isocalendar()
            return f"{year}{hyphen}W{week:02}{hyphen}{weekday}"
        case _:
            return f"{day.year}{hyphen}{day.timetuple().tm_yday:03}"


@st.composite
def _times(draw: st.DrawFn, *, is_basic: bool) -> tuple[timedelta, str]:
    units = draw(st.integers(0, 3))
    if units == 0:
        return timedelta(), ""
    hours, minutes, seconds = draw(
        st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 60)) | st.just((24, 0, 0))
    )
    given = [hours, minutes, seconds][:units]
    into_day = timedelta(**dict(zip(("hours", "minutes", "seconds"), given, strict=False)))
    text = ("" if is_basic else ":").join(f"{unit:02}" for unit in given)
    if hours < 24 and (decimals := draw(st.text("0123456789", max_size=15))):
        text += draw(st.sampled_from(".,")) + decimals
        share = Fraction(int(decimals), 10 ** len(decimals)) * (3600, 60, 1)[units - 1]
        into_day += timedelta(microseconds=int(share * 1_000_000))
    return into_day, draw(st.sampled_from(["T", " "])) + text


@st.composite
def _zones(draw: st.DrawFn) -> tuple[int, str]:
    """Draw an offset in minutes, and its text."""
    if draw(st.booleans()):
        return 0, draw(st.sampled_from(["", "Z", " UTC", "GMT", "+00", "-00:00", " +0000", "+00:00[Etc/UTC]"]))
    hours, minutes = draw(st.integers(0, 14)), draw(st.sampled_from([0, 30, 45]))
    sign = draw(st.sampled_from("+-\N{MINUS SIGN}"))
    forms = [f"{hours:02}:{minutes:02}", f"{hours:02}{minutes:02}", *([f"{hours:02}"] if minutes == 0 else [])]
    offset = (hours * 60 + minutes) * (1 if sign == "+" else -1)
    return offset, sign + draw(st.sampled_from(forms))


def no_moments() -> st.SearchStrategy[str]:
    """Return texts that count seconds, and dates and times that do not exist."""
    wrong_dates = [
        "2024-13-01",
        "2023-02-29",
        "2024-04-31",
        "2024-00-10",
        "2024-W54-1",
        "2023-366",
        "2024-000",
        "24-1-1",
    ]
    wrong_times = ["25:00", "24:00:01", "08:60", "08:30:61", "8:30", "08:30:00+24:00", "08:30pm"]
    return st.one_of(
        st.text("0123456789", min_size=1, max_size=20),
        st.builds("{}{}".format, st.sampled_from(wrong_dates), st.sampled_from(["", "T08:30:00Z", " 08:30"])),
        st.builds("2024-01-31T{}".format, st.sampled_from(wrong_times)),
        st.sampled_from(["now", "0", "-1", "2024", "2024-01", "1.7e9", "31.01.2024", "01/31/2024", "Jan 31 2024"]),
    )
