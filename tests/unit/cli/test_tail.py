"""Are outcomes told as they come, each once, and nothing that is not for an operator?"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from responsys_activation.aws.deployed_stack import DeployedStack
from responsys_activation.cli import tail
from responsys_activation.cli.log_line import read_log_line, told
from responsys_activation.cli.options import since
from tests.fakes.account import Account, record
from tests.fakes.clock import Clock
from tests.fakes.responsys import UNKNOWN_RECIPIENT, Fault
from tests.fakes.stack import FakeStack
from tests.unit.cli.commands import command


def lines_of(*records: dict[str, Any], fault: Fault | None = None) -> list[dict[str, Any]]:
    """Return every line that the function writes when it gets these records."""
    account = Account()
    if fault:
        account.responsys["default"].fault = lambda kind: fault if kind == "event" else None
    ended = account.deliver([{**each, "messageId": str(uuid.uuid4())} for each in records])
    return ended.output.documents()


def read(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    read_lines = (read_log_line({"message": json.dumps(line)}) for line in lines)
    return [line for line in read_lines if line is not None]


def test_a_list_merge_is_told_in_a_line() -> None:
    line = {"level": "INFO", "connector": "loyalty", "eventName": "-", "recipients": 2, "milliseconds": 120}
    answered = line | {"message": "list merge answered", "results": {"merged": 1, "MERGEFAILED": 1}}
    failed = line | {"message": "list merge failed", "errorCode": "API_LIMIT_EXCEEDED", "status": 429}

    assert [told(each) for each in read([answered, failed])] == [
        "loyalty · merge of 2 recipients: 1 merged, 1 MERGEFAILED · 120 ms",
        "loyalty · merge of 2 recipients: failed, API_LIMIT_EXCEEDED · HTTP 429 · 120 ms",
    ]


def test_each_line_of_the_function_is_told_in_a_line() -> None:
    # Given what the function writes about a batch in which much is wrong
    lines = lines_of(record(1), record(2, body="{"), record(3, identifiers={"27": str(UNKNOWN_RECIPIENT)}))
    # When an operator reads it
    by_kind = {(line["kind"], line.get("errorCode")): told(line) for line in read(lines)}
    # Then logins, requests, what was not delivered and the batch are told, and no metrics
    assert by_kind["login", None] == "logged in · default"
    request = by_kind["request", None]
    assert request.startswith("default SEGMENT_CHANGED · 2 recipients: ")
    assert "1 delivered" in request
    assert "1 NO_RECIPIENT_FOUND" in request
    assert by_kind["message", "NO_RECIPIENT_FOUND"].startswith(
        "rejected, NO_RECIPIENT_FOUND · default SEGMENT_CHANGED · "
    )
    assert by_kind["message", "INVALID_MESSAGE"].startswith("rejected, INVALID_MESSAGE · body: not valid JSON")
    batch = by_kind["batch", None]
    assert batch.startswith("3 received: 1 delivered, 2 rejected (1 INVALID_MESSAGE, 1 NO_RECIPIENT_FOUND) · ")
    assert len(by_kind) == 5


def test_a_request_that_failed_is_told_with_its_code() -> None:
    lines = read(lines_of(record(1), fault=Fault.API_LIMIT))
    (request,) = [line for line in lines if line["kind"] == "request"]
    assert told(request).startswith("default SEGMENT_CHANGED · 1 recipient: failed, API_LIMIT_EXCEEDED · HTTP 429 · ")


@pytest.mark.parametrize(
    "text",
    [
        "START RequestId: 1",
        "[]",
        '{"message": {"a": 1}}',
        '{"type": "platform.report", "record": {}}',
        '{"level": "INFO", "message": "replay goes on"}',
        '{"level": "DEBUG", "message": "message"}',
    ],
)
def test_what_is_not_for_an_operator_is_left_out(text: str) -> None:
    assert read_log_line({"message": text}) is None


def test_a_warning_is_told_whatever_it_says_and_without_fields_that_nobody_expects() -> None:
    line = {"level": "WARNING", "message": "connectors not listed", "fault": "SSM list: X", "body": "ada@example.com"}
    (read_line,) = read([line])
    assert told(read_line) == "connectors not listed · SSM list: X"
    assert "body" not in read_line


def test_an_address_in_a_line_is_masked() -> None:
    (line,) = read([{"level": "ERROR", "message": "login refused", "reason": "no ada@example.com here"}])
    assert line["reason"] == "no ad…om (15 characters) here"


def settled(number: int) -> dict[str, Any]:
    return {
        "level": "INFO",
        "message": "message settled",
        "timestamp": f"2026-11-23T17:00:{number:02}.000Z",
        "outcome": "retried",
        "errorCode": "TIMEOUT",
    }


def test_each_line_is_told_once_however_often_the_log_is_looked_at() -> None:
    # Given a log that is found a line later at each look
    looks = [[settled(number) for number in range(count)] for count in (1, 2, 2, 4)]
    stack = cast("DeployedStack", FakeStack(logged=looks))
    # When it is followed
    followed = itertools.islice(tail.follow(stack, 0.0, clock=lambda: 0.0, sleep=lambda _seconds: None), 4)
    # Then each line comes once, in order
    assert [line["time"][17:19] for line in followed] == ["00", "01", "02", "03"]


def test_no_more_of_the_log_is_read_again_than_may_have_come_late() -> None:
    # Given a log in which nothing happens for an hour
    asked: list[float] = []

    class Quiet(FakeStack):
        def log_events(self, since: float, term: str) -> Iterator[dict[str, Any]]:
            asked.append(since)
            return super().log_events(since, term)

    clock = Clock()
    begin = clock() - 60.0

    def an_hour_at_most(_seconds: float) -> None:
        clock.sleep(600.0)
        if clock() > begin + 3600.0:
            raise KeyboardInterrupt

    # When it is followed / Then each look begins two minutes back, and none before what was asked for
    stack = cast("DeployedStack", Quiet())
    with pytest.raises(KeyboardInterrupt):
        list(tail.follow(stack, begin, clock=clock, sleep=an_hour_at_most))
    assert asked[:3] == [begin, begin, begin + 540.0]


def test_the_command_prints_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a person who ends it after the first look
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tail.follow, "__kwdefaults__", {"clock": time.time, "sleep": interrupted})
    # When she follows / Then she sees a line with time and kind, and a program reads the same
    ended = command("tail", "--since", "1h", stack=FakeStack(logged=[[settled(1)]]))
    assert ended.out == "17:00:01  message  retried, TIMEOUT\n"
    assert "Following prod (local) since " in ended.err
    as_json = command("tail", "--json", stack=FakeStack(logged=[[settled(1), settled(2)]]))
    assert [json.loads(line)["errorCode"] for line in as_json.out.splitlines()] == ["TIMEOUT", "TIMEOUT"]


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
    ],
)
def test_since_is_how_long_ago_or_a_time(text: str, ago: timedelta) -> None:
    assert abs(datetime.now(UTC) - ago - since(text)) < timedelta(seconds=5)
    assert since("2026-11-23T17:00:00Z") == datetime(2026, 11, 23, 17, tzinfo=UTC)
