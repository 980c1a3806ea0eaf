"""Is what becomes of memberships judged rightly, and does each of the compared subjects deliver?"""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from tests.benchmarks.alternatives.__main__ import COMMAND, PART, RESULTS
from tests.benchmarks.alternatives.fast_clock import scaled
from tests.benchmarks.alternatives.judging import Evidence, Verdict, judge
from tests.benchmarks.alternatives.report import page_table, readme_table
from tests.benchmarks.alternatives.running import Course, run
from tests.benchmarks.alternatives.subjects import SUBJECTS, message_ids
from tests.benchmarks.alternatives.world import Kind, Membership, make_world
from tests.benchmarks.stack_defaults import read_stack_defaults
from tests.local_stack.environments import REPOSITORY


def change(order: int, call_type: str = "UPDATE", *, person: str = "ann", kind: Kind = "known") -> Membership:
    return Membership(f"m-{order}", "default", person, "aud-1", call_type, order, kind, "{}")


def verdict(
    memberships: list[Membership], accepted: str = "", kept: str = "", counted: str = "", unanswered: str = ""
) -> Verdict:
    told = ([f"m-{number}" for number in numbers.split()] for numbers in (accepted, kept, counted, unanswered))
    return judge(memberships, Evidence(*told))


def test_what_was_taken_is_delivered_and_what_was_taken_again_is_twice() -> None:
    # Given three people / When the messages of two are taken, one of them three times
    people = [change(number, "ADD", person=f"p{number}") for number in range(3)]
    found = verdict(people, accepted="0 1 1 1", kept="2")

    # Then two are delivered, with two acceptances too many, and the third is kept
    assert (found.deliverable, found.delivered, found.twice, found.kept, found.lost) == (3, 2, 2, 1, 0)


def test_what_was_taken_again_after_its_reply_was_lost_is_told_apart() -> None:
    # Given messages taken twice, of which one had no reply, and one without a reply that was not sent again
    people = [change(number, "ADD", person=f"p{number}") for number in range(3)]
    found = verdict(people, accepted="0 1 2 0 1", unanswered="1 2")

    # Then both doubles count, and one of them had a reason
    assert (found.twice, found.twice_after_lost_reply) == (2, 1)


@pytest.mark.parametrize("kind", ["known", "unknown", "invalid"])
def test_what_is_nowhere_is_lost_whatever_was_wrong_with_it(kind: Kind) -> None:
    assert verdict([change(0, kind=kind)]).lost == 1
    assert verdict([change(0, kind=kind)], kept="0").lost == 0


def test_what_is_counted_as_delivered_must_have_been_taken() -> None:
    found = verdict([change(0), change(1)], accepted="0", kept="1", counted="0 1")

    assert (found.counted_only, found.delivered) == (1, 1)


@pytest.mark.parametrize(
    ("accepted", "wrong"),
    [("0 1", 0), ("1 0", 1), ("1 0 1", 0), ("0 1 0", 1), ("0", 0), ("", 0)],
)
def test_the_last_state_is_wrong_where_an_older_change_came_after_the_newest(accepted: str, wrong: int) -> None:
    # Given two changes of one person, and the newest of another one
    changes = [change(0), change(1), change(2, person="bob")]
    # When they are taken in some order / Then only the order of the same person's counts
    assert verdict(changes, accepted=f"2 {accepted}", kept="0 1").last_state_wrong == wrong


@pytest.mark.parametrize(
    ("older", "newer", "left_out"),
    [
        ("UPDATE", "REMOVE", 1),
        ("ADD", "REMOVE", 1),
        ("REMOVE", "ADD", 1),
        ("UPDATE", "UPDATE", 1),
        ("ADD", "UPDATE", 0),
    ],
)
def test_an_older_change_may_be_left_out_unless_it_is_the_entering_itself(
    older: str, newer: str, left_out: int
) -> None:
    found = verdict([change(0, older), change(1, newer)], accepted="1")

    assert (found.left_out, found.lost) == (left_out, 1 - left_out)


@pytest.mark.parametrize(("older", "wrong"), [("ADD", 0), ("UPDATE", 1), ("REMOVE", 1)])
def test_an_entering_told_after_an_update_leaves_no_wrong_state(older: str, wrong: int) -> None:
    assert verdict([change(0, older), change(1, "UPDATE")], accepted="1 0").last_state_wrong == wrong


def test_a_newer_change_that_was_not_taken_excuses_nothing() -> None:
    assert verdict([change(0), change(1)], kept="1").lost == 1


def test_the_world_is_the_same_each_time_with_the_shares_that_the_page_tells() -> None:
    # Given a world / When it is made again
    world = make_world(5_000)
    assert make_world(5_000) == world

    # Then one in a hundred is unknown, one invalid, and three come twice
    kinds = Counter(membership.kind for membership in world.memberships)
    assert (kinds["unknown"], kinds["invalid"], len(world.sent)) == (50, 50, 5_150)
    assert len({membership.connector for membership in world.memberships}) == 2
    # And changes of the same membership follow each other as they can in life
    last: dict[tuple[str, str, str], str] = {}
    followed = 0
    for membership in world.memberships:
        if membership.kind == "known":
            before = last.get(membership.subject)
            followed += before is not None
            assert (before, membership.call_type) not in {("ADD", "ADD"), ("REMOVE", "UPDATE"), ("REMOVE", "REMOVE")}
            last[membership.subject] = membership.call_type
    assert followed > 1_000
    assert all(older.order <= newer.order for older, newer in pairwise(world.memberships))


def test_messages_are_found_in_a_body_as_it_was_sent_and_as_celery_wraps_it() -> None:
    # Given a message that was cut off, and one of celery's: base64 of JSON with a body in base64
    from base64 import b64encode

    inner = b64encode(json.dumps([["default", [{"messageId": "m-000007"}]], {}, {}]).encode()).decode()

    # When they are read / Then their ids are found
    assert message_ids('{"messageId": "m-000001", "profil') == {"m-000001"}
    assert message_ids(b64encode(json.dumps({"body": inner}).encode()).decode()) == {"m-000007"}


def test_a_template_on_a_fast_clock_has_shorter_times_and_nothing_else() -> None:
    template = {"Queue": {"VisibilityTimeout": 540, "MessageRetentionPeriod": 1_209_600}, "Function": [{"Timeout": 5}]}

    assert scaled(template, 10) == {
        "Queue": {"VisibilityTimeout": 54, "MessageRetentionPeriod": 1_209_600},
        "Function": [{"Timeout": 1}],
    }


def test_what_is_written_by_hand_has_no_more_lines_than_the_page_says() -> None:
    code = [path for path in SUBJECTS["by_hand"].written if path.suffix == ".py"]
    lines = [line.strip() for path in code for line in path.read_text().splitlines()]

    assert sum(bool(line) and not line.startswith("#") for line in lines) <= 150


def test_the_pages_say_what_was_measured_with_the_templates_defaults() -> None:
    # Given the results / When they are told / Then this stands on the pages
    result = json.loads(RESULTS.read_text())
    for page, report in (("docs/performance.md", page_table(result)), ("README.md", readme_table(result))):
        begin = f"<!-- {PART}: {COMMAND} -->\n"
        assert (REPOSITORY / page).read_text().partition(begin)[2].startswith(report), f"stale: {COMMAND}"
    # And the settings are still the defaults, the lines still those of the files
    assert result["settings"].items() <= read_stack_defaults().settings.items(), f"stale: {COMMAND}"
    lines = {name: subject["lines"] for name, subject in result["subjects"].items()}
    assert lines == {name: subject.lines for name, subject in SUBJECTS.items()}, f"stale: {COMMAND}"


@pytest.mark.alternatives
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_delivers_what_it_is_given_and_keeps_the_rest(name: str) -> None:
    # Given 300 memberships, three unknown and three invalid, and no fault
    world = make_world(300)

    # When a subject gets them
    found = run(SUBJECTS[name], world, Course(time_scale=60, sending_minutes=6, most_minutes=120, faults=False))

    # Then every other one is delivered, and those six are where a person finds them
    assert (found["delivered"], found["kept"], found["lost"]) == (294, 6, 0)
    assert found["counted_only"] == found["wrong_passwords"] == 0
    assert found["cpu_seconds_per_1000"] > 0
    assert not found["cut_off"]
