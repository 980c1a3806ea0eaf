"""Is a time read as ISO 8601 and those who copy it mean it, and nothing else taken for one?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.moment import as_iso_8601, read_moment
from tests.hostile.moments import no_moments, written_moments

HALF_PAST_EIGHT = datetime(2024, 1, 31, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2024-01-31T08:30:00Z", id="as nearly all write it"),
        pytest.param("2024-01-31T08:30:00", id="without a zone"),
        pytest.param("2024-01-31 08:30:00", id="a blank for T, as databases have it"),
        pytest.param("2024-01-31 08:30:00.000+00", id="PostgreSQL"),
        pytest.param("2024-01-31 08:30:00.0", id="Java's Timestamp"),
        pytest.param("2024-01-31 08:30:00 +0000 UTC", id="Go"),
        pytest.param("2024-01-31 08:30:00 UTC", id="Ruby"),
        pytest.param("2024-01-31T09:30:00+01:00[Europe/Berlin]", id="Java's ZonedDateTime"),
        pytest.param("2024-01-31T08:30:00,000+00:00", id="a comma"),
        pytest.param("2024-01-31t08:30:00z", id="lower case"),
        pytest.param("2024-01-31T08:30Z", id="to the minute"),
        pytest.param("2024-01-31T08.5Z", id="hours and a half"),
        pytest.param("2024-01-31T05:30:00-03", id="an offset of hours"),
        pytest.param("2024-01-31T05:30:00\N{MINUS SIGN}03:00", id="a minus sign that is none of ASCII"),
        pytest.param("2024-01-31T14:00:00+0530", id="an offset without colon"),
        pytest.param("20240131T083000Z", id="basic"),
        pytest.param("20240131T0830Z", id="basic to the minute"),
        pytest.param("20240131T093000+0100", id="basic with an offset"),
        pytest.param("2024-W05-3T08:30:00Z", id="a week date"),
        pytest.param("2024W053T083000Z", id="a basic week date"),
        pytest.param("2024-031T08:30:00Z", id="a day of the year"),
        pytest.param("2024031T083000Z", id="a basic day of the year"),
        pytest.param(" 2024-01-31T08:30:00Z\n", id="blanks around it"),
    ],
)
def test_a_moment_is_read_however_it_is_written(text: str) -> None:
    assert read_moment(text) == HALF_PAST_EIGHT


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31T08:30:00.123456789Z", HALF_PAST_EIGHT.replace(microsecond=123_456)),
        ("2024-01-31 08:30:00.123+00", HALF_PAST_EIGHT.replace(microsecond=123_000)),
        ("20240131T083000,5Z", HALF_PAST_EIGHT.replace(microsecond=500_000)),
        ("2024-01-31T08:30.5Z", HALF_PAST_EIGHT.replace(second=30)),
        ("2024-01-31", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-W05-3", datetime(2024, 1, 31, tzinfo=UTC)),
        ("2024-W05", datetime(2024, 1, 29, tzinfo=UTC)),
        ("2024-366", datetime(2024, 12, 31, tzinfo=UTC)),
        ("2024-01-31+01:00", datetime(2024, 1, 30, 23, tzinfo=UTC)),
        ("2024-01-31T24:00:00Z", datetime(2024, 2, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T05:29:60.25+05:30", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_what_goes_beyond_the_clock_or_stops_before_it_is_read_as_iso_8601_says(text: str, moment: datetime) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "yesterday",
            "T",
            "Z",
            "2024",
            "2024-01",
            "31.01.2024",
            "01/31/2024",
            "Wed, 31 Jan 2024 08:30:00 GMT",
        ),
        *("1706689800", "1706689800000", "20240131", "2024031", "20240131083000", "202401311123000", "-1", "1.5"),
        *("2024-13-01", "2024-02-30", "2023-366", "2024-000", "2024-W54", "0000-01-01"),
        *(
            "2024-01-31T25:00Z",
            "2024-01-31T24:01Z",
            "2024-01-31T08:60Z",
            "2024-01-31T08:30:61Z",
            "2024-01-31T08:30:00+24",
        ),
        *("2024-01-31T", "2024-01-31T08:30:00.", "2024-01-31T08:30:00[Europe/Berlin]"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T24:00:00Z"),
        *("\uff12\uff10\uff12\uff14-01-31", "2024-01-31T08:30:00Z junk", "2024-01-31\n08:30:00"),
    ],
)
def test_what_is_no_time_or_no_certain_one_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 time") as refused:
        read_moment(text)

    assert refused.value.__suppress_context__, "what it comes from would quote the text"


@given(written_moments())
def test_every_combination_of_date_time_and_zone_is_read_as_the_moment_that_it_names(
    written: tuple[str, datetime],
) -> None:
    text, moment = written

    read = read_moment(text)

    assert read == moment
    assert read.tzinfo is UTC


@given(no_moments())
def test_a_number_or_a_date_or_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 time"):
        read_moment(text)


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS).filter(lambda moment: 1 < moment.year < 9999)


@given(MOMENTS, st.sampled_from("T "))
def test_what_python_writes_is_read_as_the_same_moment(moment: datetime, separator: str) -> None:
    assert read_moment(moment.isoformat(sep=separator)) == moment


@given(MOMENTS.filter(lambda moment: 1900 < moment.year < 2100))  # beyond it a float has no microseconds
def test_a_moment_is_written_to_the_millisecond_in_utc(moment: datetime) -> None:
    written = as_iso_8601(moment.timestamp())

    assert written.endswith("Z")
    assert len(written) == len("2024-01-31T08:30:00.000Z")
    assert read_moment(written) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_moment_can_be_written(text: str) -> None:
    assert as_iso_8601(read_moment(text).timestamp()).startswith(text[:19])
