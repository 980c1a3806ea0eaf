"""Does the delivery code withstand bodies that mean harm? A short look; ``make fuzz`` takes a long one."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.account import REJECTED, Account, record
from tests.fakes.memberships import document
from tests.fakes.responsys import Fault
from tests.hostile.attack import FAULTS, attack
from tests.hostile.bodies import CONNECTOR_NAMES, CUSTOM_EVENT_NAMES, HOSTILE_TEXTS, bodies
from tests.hostile.platforms import mutated
from tests.hostile.spellings import Spelling, look_at_reading, spellings

_MOST_CPU_SECONDS = 4.0  # ours, a second at most, and that of fakes and law; what is quadratic takes minutes
_LARGEST = 1_000_000  # characters, and bytes where they are ASCII; SQS takes 1 MiB

# ---- many small ones


def test_whatever_the_bodies_say_each_ends_in_one_outcome_and_no_request_goes_astray() -> None:
    came_to: Counter[str] = Counter()

    # The same bodies every time: a change is judged by what it changes. `make fuzz` looks for new ones.
    @settings(max_examples=30, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(bodies(), min_size=10, max_size=14), st.sampled_from([None, None, *FAULTS]))
    def deliver(batch: list[str], fault: Fault | None) -> None:
        came_to.update(attack(batch, fault))

    deliver()

    # And the bodies were of all kinds, or the law would hold for little
    assert came_to.keys() >= {"delivered", "throttled", "rejected", "retried"}
    assert came_to.keys() >= {"INVALID_MESSAGE", "NO_IDENTIFIER", "UNKNOWN_CONNECTOR"}
    assert came_to["delivered"] >= 30


def test_whatever_becomes_of_what_platforms_write_each_membership_ends_in_one_outcome() -> None:
    came_to: Counter[str] = Counter()
    for batch in range(10):
        came_to.update(attack([mutated(1_000 * batch + number) for number in range(40)]))

    assert came_to.keys() >= {"delivered", "ignored", "rejected", "INVALID_MESSAGE", "NO_IDENTIFIER"}


@settings(max_examples=300, derandomize=True, suppress_health_check=list(HealthCheck))
@given(spellings())
def test_what_can_be_written_in_many_ways_is_read_right_or_refused_by_its_name(spelling: Spelling) -> None:
    look_at_reading(spelling)


def valid(**changes: object) -> str:
    return json.dumps(document(**changes))


def test_no_name_leads_to_another_parameter_path_or_host() -> None:
    # Given messages that are right but for a connector's or an event's name
    connectors = [valid(connector=name) for name in (*CONNECTOR_NAMES, *HOSTILE_TEXTS)]
    events = [
        valid(eventName=name, profileId=f"p-{number}", identifiers={"27": str(number)})
        for number, name in enumerate([*HOSTILE_TEXTS, *CUSTOM_EVENT_NAMES])
    ]

    # When they are delivered / Then none asks SSM or Responsys for anything else, or the fakes would not stand it
    assert attack(connectors)["delivered"] == 0
    came_to = attack(events)
    # And what a path segment may hold is a name like another
    assert came_to["delivered"] + came_to["INVALID_MESSAGE"] == len(events)
    assert came_to["delivered"] > len(events) / 3


# ---- single large ones


def with_variable(raw: str) -> str:
    return valid(variables={"A": "here"}).replace('"here"', raw)


LARGE = {
    "a number of a million digits": with_variable("9" * _LARGEST),
    "a number with an exponent of a million digits": with_variable("1e" + "9" * _LARGEST),
    "a RIID of a million digits": valid(identifiers={"27": "9" * _LARGEST}),
    "an e-mail address of nothing but at signs": valid(connector="email", identifiers={"EMAIL": "@" * _LARGEST}),
    "an e-mail address of a million letters": valid(connector="email", identifiers={"EMAIL": "a" * _LARGEST}),
    "a CRM id of a million blanks": valid(connector="crm_id", identifiers={"2001": " " * _LARGEST}),
    "a mobile number of a million hyphens": valid(
        connector="mobile_number", identifiers={"MOBILE_NUMBER": "1" + "-" * _LARGEST}
    ),
    "a hash of a million digits": valid(connector="hashed_email", identifiers={"7001": "a" * _LARGEST}),
    "a profile id of a million blanks": valid(profileId=" " * _LARGEST),
    "a message id of a million letters": valid(messageId="m" * _LARGEST),
    "an event name of a million letters": valid(eventName="e" * _LARGEST),
    "a connector name of a million letters": valid(connector="c" * _LARGEST),
    "a time of a million digits": valid(occurredAt="1" * _LARGEST),
    "a time with a million decimals": valid(occurredAt="2024-01-31T08:30:00." + "0" * _LARGEST),
    "a time with a million blanks": valid(occurredAt="2024-01-31" + " " * _LARGEST + "x"),
    "a time with a million brackets": valid(occurredAt="2024-01-31T08:30:00Z" + "[]" * (_LARGEST // 2) + "["),
    "a RIID of a million zeros": valid(identifiers={"27": "0" * _LARGEST}),
    "a RIID with a million decimals": valid(identifiers={"27": "5." + "0" * _LARGEST}),
    "an address to hash of nothing but at signs": valid(connector="email_md5", identifiers={"EMAIL": "@" * _LARGEST}),
    "an identifier that comes eighty thousand times": valid(identifiers={"@": 1}).replace(
        '"@": 1', ",".join(['"27":"5"'] * 90_000)
    ),
    "an envelope's time of a million digits": json.dumps(
        {"approximateArrivalTimestamp": "9" * _LARGEST, "data": json.loads(valid())}
    ),
    "an envelope's id of a million characters": json.dumps(
        {"specversion": "1.0", "id": "\u00e9" * (_LARGEST // 6), "source": "s", "data": json.loads(valid())}
    ),
    "byte order marks": "\ufeff" * _LARGEST,
    "ninety thousand variables": valid(variables={f"{number:x}": 1 for number in range(90_000)}),
    "a hundred and fifty thousand variables of one name": with_variable(
        "1," + ",".join(['"a":1'] * 150_000) + ',"b":1'
    ),
    "eighty thousand identifiers that are none": valid(identifiers={f"{number:x}": [] for number in range(80_000)}),
    "sixty thousand fields that nobody knows": valid(**{f"x{number}": 1 for number in range(60_000)}),
    "a million brackets": "[" * _LARGEST,
    "two hundred thousand objects, one in the other": '{"a":' * 200_000,
    "three hundred thousand lists, side by side": with_variable(f"[{','.join(['[]'] * 333_000)}]"),
    "a thousand lists of four hundred, one in the other": with_variable(
        f"[{','.join(['[' * 400 + ']' * 400] * 1_200)}]"
    ),
    "halves of surrogate pairs": with_variable('"' + r"\ud800" * (_LARGEST // 6) + '"'),
    "characters that take six bytes to send": with_variable('["' + "\x7f" * _LARGEST + '"]'),
    "backslashes": with_variable('["' + "\\\\" * (_LARGEST // 2) + '"]'),
    "base64 of nothing": json.dumps({"data_base64": "A" * _LARGEST}),
    "blanks": " " * _LARGEST,
}


@pytest.mark.parametrize("what", LARGE)
def test_a_body_of_a_megabyte_takes_no_more_than_its_length_and_keeps_the_law(what: str) -> None:
    body = LARGE[what]
    assert 0.6 * _LARGEST < len(body) < 1_048_576

    before = time.process_time()
    came_to = attack([body])

    assert time.process_time() - before < _MOST_CPU_SECONDS
    assert came_to["delivered"] + came_to["rejected"] == 1


def test_a_megabyte_of_memberships_is_delivered() -> None:
    account = Account()
    numbers = range(1_000, 6_000)
    body = json.dumps(
        [
            document(profileId=f"profile-{number}", identifiers={"27": str(number)}, variables={"total": number})
            for number in numbers
        ]
    )
    assert 700_000 < len(body) < 1_048_576

    assert account.deliver([record(1, body=body)], pairs=5_000).outcomes == {"delivered": 5_000}


def test_a_large_profile_with_thousands_of_segments_makes_no_gigabytes() -> None:
    # Given a body of a megabyte that would be a letter of half a megabyte for each of its segments
    account = Account(eventNames={f"seg-{number}": "E" for number in range(20)})
    profile = {
        "segmentMembership": {"ups": {f"seg-{number}": {"status": "exited"} for number in range(11_000)}},
        "identityMap": {"riid": [{"id": "7"}]},
    }
    body = json.dumps(profile | {f"a{number}": "x" * 40 for number in range(10_200)})
    assert 900_000 < len(body) < 1_048_576

    # When it is delivered
    began = time.process_time()
    delivered = account.deliver([record(1, body=body)])

    # Then it is rejected as a whole, and says why
    assert delivered.outcomes == {"rejected": 1}
    (letter,) = account.sqs.sent[REJECTED]
    assert letter["MessageBody"] == body
    assert "16 MiB" in letter["MessageAttributes"]["reason"]["StringValue"]
    # And took a second, not the minutes that so many letters take
    assert time.process_time() - began < 5
