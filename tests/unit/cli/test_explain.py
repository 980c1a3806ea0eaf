"""Does the explanation of a message say what the delivery would do, and hide whom it concerns?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from responsys_activation import error_code
from responsys_activation.cli.advice import advice
from responsys_activation.cli.exit_code import ExitCode
from responsys_activation.cli.explain import UNDEPLOYED
from responsys_activation.cli.masking import masked, without_personal_data
from responsys_activation.cli.message_file import read_records
from responsys_activation.delivery import receiving
from tests.fakes.memberships import ABSENT, connector_document, document
from tests.fakes.platform_events import ARRIVING, SETTINGS
from tests.fakes.stack import FakeStack
from tests.hostile.platforms import SAMPLES as PLATFORM_BODIES
from tests.unit.cli.commands import Ended, command

REPOSITORY = Path(__file__).parents[3]
EVENTS = REPOSITORY / "events"


def explain(path: Path, *arguments: str) -> Ended:
    return command("explain", str(path), "--connector-settings", str(EVENTS / "connectors"), *arguments)


def parts(ended: Ended) -> list[dict[str, Any]]:
    """Return what is told of each message's parts, in the order of the messages."""
    return [part for file in ended.document() for message in file["messages"] for part in message["parts"]]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


PLATFORM_SAMPLES = {story: PLATFORM_BODIES[story] for story in ARRIVING}

CREATES = {"identifierType": "HASHED_EMAIL", "missingRecipients": {"action": "CREATE", "permission": "OPTOUT"}}

GOLDEN = """\
body.json: 1 of 2 messages would be sent, in 1 request

1  message 1: would be sent
   membership  ADD of profile pr…-1 (9 characters), audience aud-42
   connector   default
   event       SEGMENT_CHANGED
   recipient   recipientId 36…25 (9 characters), list CONTACTS_LIST in !MasterData
   properties  CART_VALUE  99.90
               NOTE        ""
               MAIL        write to ad…om (15 characters) soon
               profileId   pr…-1 (9 characters)
               callType    ADD
   left out    1 variable whose name is taken
   request     1

2  message 2: rejected, INVALID_MESSAGE
   reason      callType: must be ADD, UPDATE or REMOVE, in capitals
   what to do  ADVICE

Request 1, connector default: 1 recipient, 445 bytes
   POST {endPoint}/rest/api/v1.3/events/SEGMENT_CHANGED
   {"customEvent": {"eventNumberDataMapping": null, "eventDateDataMapping": null, "eventStringDataMapping": null},
    "recipientData": [
      {"recipient": {"recipientId": "36…25 (9 characters)", "listName": {"objectName": "CONTACTS_LIST", \
"folderName": "!MasterData"}}, "optionalData": [{"name": "CART_VALUE", "value": "99.90"}, {"name": "NOTE", \
"value": ""}, {"name": "MAIL", "value": "write to ad…om (15 characters) soon"}, {"name": "profileId", \
"value": "pr…-1 (9 characters)"}, {"name": "callType", "value": "ADD"}]}
    ]}

"""


def test_an_array_is_explained_message_by_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two messages as they are written, one of them wrong
    monkeypatch.chdir(tmp_path)
    good = json.dumps(document(variables={"CART_VALUE": 0, "NOTE": "", "profileid": "x"}))
    good = good.replace('"CART_VALUE": 0', '"CART_VALUE": 99.90')
    good = good.replace('"profileid"', '"MAIL": "write to ada@example.com soon", "profileid"')
    write(Path("body.json"), f"[{good}, {json.dumps(document(callType='JOIN'))}]")
    # When they are explained
    ended = explain(Path("body.json"))
    # Then it is told what is sent, to the digit, and why not
    assert ended.out == GOLDEN.replace("ADVICE", advice("INVALID_MESSAGE"))
    assert (ended.code, ended.err) == (ExitCode.NOT_DONE, "")


# By sample, message by message: event and call type of what would be sent, outcome and code of the rest.
SAMPLES: dict[str, list[tuple[str, str]]] = {
    "add_to_audience": [("SEGMENT_CHANGED", "ADD")],
    "update_in_journey": [("CART_ABANDONED", "UPDATE")],
    "remove_from_audience": [("SEGMENT_CHANGED", "REMOVE")],
    "changes_of_one_profile": [
        ("SEGMENT_CHANGED", "UPDATE"),
        ("SEGMENT_CHANGED", "ADD"),
        ("SEGMENT_CHANGED", "REMOVE"),
    ],
    "sns_notification": [("SEGMENT_CHANGED", "ADD")],
    "eventbridge_event": [("SEGMENT_CHANGED", "ADD")],
    "cloudevent": [("SEGMENT_CHANGED", "ADD")],
    "invalid_message": [("rejected", "INVALID_MESSAGE")],
    "mixed_batch": [
        ("SEGMENT_CHANGED", "ADD"),
        ("CART_ABANDONED", "ADD"),
        ("duplicate", ""),
        ("rejected", "INVALID_MESSAGE"),
        ("rejected", "NO_IDENTIFIER"),
        ("rejected", "UNKNOWN_CONNECTOR"),
    ],
    "back_from_throttled_dlq": [("SEGMENT_CHANGED", "ADD")],
    "too_old": [("rejected", "EXPIRED")],
}


def test_every_sample_event_is_explained_here() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == SAMPLES.keys()


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_event_is_explained_as_its_story_says(sample: str) -> None:
    # Given a sample / When it is explained
    ended = explain(EVENTS / f"{sample}.json", "--json")
    # Then each message is told as the deployed function would end it
    told = [
        (part["eventName"], next(each["value"] for each in part["optionalData"] if each["name"] == "callType"))
        if "request" in part
        else (part["outcome"], part.get("errorCode", ""))
        for part in parts(ended)
    ]
    assert told == SAMPLES[sample]
    all_sent = all(verdict.isupper() for verdict, _ in told)
    assert ended.code == (ExitCode.DONE if all_sent else ExitCode.NOT_DONE)
    # And neither recipient nor profile is recognisable
    assert "3644708" not in ended.out
    assert "p-10" not in ended.out


@pytest.mark.parametrize("story", PLATFORM_SAMPLES)
def test_what_a_platform_writes_is_explained_without_telling_who_it_is(tmp_path: Path, story: str) -> None:
    # Given what a platform writes, and a connector that maps it
    body = write(tmp_path / "body.json", json.loads(PLATFORM_SAMPLES[story]))
    settings = SETTINGS["mail"] | {"variables": {}}
    path = write(tmp_path / "mail.json", connector_document(defaultEventName=ABSENT, **settings))
    # When it is explained
    ended = command("explain", str(body), "--connector-settings", f"mail={path}", "--json")
    # Then as many events are told as are sent, each with the platform's name
    told = parts(ended)
    sent = [part for part in told if "request" in part]
    assert len(sent) == sum(event.connector == "mail" for event in ARRIVING[story])
    assert all(part["platform"].lower() == story.partition("_")[0] for part in sent)
    # And nobody is recognisable
    for personal in ("nora@", "olav@", "cust-47", "812345", "9912007"):
        assert personal not in ended.out


def test_a_message_of_which_the_rest_is_ignored_would_be_sent(tmp_path: Path) -> None:
    body = write(tmp_path / "body.json", json.loads(PLATFORM_SAMPLES["lytics_many"]))
    path = write(tmp_path / "mail.json", connector_document(defaultEventName=ABSENT, **SETTINGS["mail"]))

    ended = command("explain", str(body), "--connector-settings", f"mail={path}")

    assert ended.code == ExitCode.DONE
    assert "platform    Lytics" in ended.out
    assert "membership  ADD of profile" in ended.out
    assert "ignored, LYTICS_SEGMENT_NOT_MAPPED" in ended.out


@pytest.mark.parametrize(
    ("settings", "message", "told"),
    [
        ({}, {}, None),
        ({"missingRecipients": {"action": "WAIT"}}, {}, "tried again every 15 minutes"),
        (CREATES, {"identifiers": {"EMAIL": "nora@example.org"}}, "created by EMAIL_ADDRESS_, OPTOUT"),
        (CREATES, {"identifiers": {"EMAIL": "nora@example.org"}, "callType": "REMOVE"}, "rejected: a REMOVE creates"),
        (CREATES, {"identifiers": {"7001": "0" * 64}}, "rejected, RECIPIENT_NOT_CREATED: needs EMAIL beside"),
    ],
)
def test_it_is_told_what_becomes_of_a_recipient_who_is_not_in_the_list(
    tmp_path: Path, settings: dict[str, Any], message: dict[str, Any], told: str | None
) -> None:
    body = write(tmp_path / "body.json", document(**message))
    connector = write(tmp_path / "settings.json", connector_document(**settings))

    ended = command("explain", str(body), "--connector-settings", f"default={connector}")

    assert ("if missing" in ended.out) == (told is not None)
    assert told is None or f"if missing  {told}" in ended.out
    assert "nora@" not in ended.out


def test_the_changes_of_one_profile_are_told_in_the_requests_that_keep_their_order() -> None:
    requests = explain(EVENTS / "changes_of_one_profile.json", "--json").document()[0]["requests"]
    sent = [each["body"]["recipientData"][0]["optionalData"][-1]["value"] for each in requests]
    assert sent == ["ADD", "UPDATE", "REMOVE"]


@pytest.mark.parametrize("identifier_type", ["EMAIL", "HASHED_EMAIL", "CRM_ID", "MOBILE_NUMBER"])
def test_an_identifier_is_masked_wherever_it_stands(tmp_path: Path, identifier_type: str) -> None:
    # Given a message that repeats its identifier and the profile's id among the variables
    identifier = {"EMAIL": "ada@lovelace.example", "HASHED_EMAIL": "a0" * 32, "MOBILE_NUMBER": "+49 7700 770077"}
    value = identifier.get(identifier_type, "CRM-LOVELACE-1")
    message = document(
        profileId="profile-of-ada",
        identifiers={identifier_type: value},
        variables={"COPY": value, "TEXT": f"call {value} now", "OBJECT": {"who": "profile-of-ada"}},
    )
    # When it is explained, to a person and to a program
    path = write(tmp_path / "body.json", message)
    settings = write(tmp_path / "settings.json", connector_document(identifierType=identifier_type))
    for arguments in ((), ("--json",)):
        ended = command("explain", str(path), "--connector-settings", f"default={settings}", *arguments)
        # Then neither is there
        assert ended.code == ExitCode.DONE
        assert value not in ended.out
        assert "profile-of-ada" not in ended.out


@pytest.mark.parametrize(
    ("content", "bodies"),
    [
        ('{"a": 1.10}', ['{"a": 1.10}']),
        ("not JSON", ["not JSON"]),
        ('[{"a": 1.10}, {"b": 1e3}]', ['{"a": 1.10}', '{"b": 1e3}']),
        ('  [\n "{\\"a\\": 1.10}" ]', ['{"a": 1.10}']),
        ("[]", ["[]"]),
        ('{"Records": [{"kinesis": {}}]}', ['{"Records": [{"kinesis": {}}]}']),
        ('{"Records": [{"messageId": "1", "body": "x"}]}', ["x"]),
    ],
)
def test_a_file_holds_an_event_an_array_or_a_body(content: str, bodies: list[str]) -> None:
    assert [record["body"] for record in read_records(content)] == bodies


def test_the_advice_is_the_tables_or_says_where_to_look() -> None:
    assert advice("NO_RECIPIENT_FOUND") == error_code.advice("NO_RECIPIENT_FOUND")
    assert advice("NEWLY_INVENTED") == "look up what NEWLY_INVENTED means (docs/runbook.md#error-codes)"


def test_settings_come_from_a_stack_where_none_are_given(tmp_path: Path) -> None:
    # Given a stack with a connector of its own, and trust in its endpoint
    stack = FakeStack(connectors={"loyalty": connector_document(authEndpoint="https://login.example.com")})
    path = write(tmp_path / "body.json", document(connector="loyalty"))
    # When a message for it is explained / Then the stack's parameters decide
    (part,) = parts(command("explain", str(path), "--json", stack=stack))
    assert (part["errorCode"], "login.example.com" in part["reason"]) == ("UNTRUSTED_ENDPOINT", True)
    stack.parameters["TrustedEndpointDomains"] = "responsys.net,example.com"
    assert command("explain", str(path), stack=stack).code == ExitCode.DONE


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["no-such-file.json", "--connector-settings", str(EVENTS / "connectors")], "no-such-file.json"),
        (["body.json", "--connector-settings", "settings.json"], "--connector-settings"),
        (["body.json", "--connector-settings", "default=no-such-file.json"], "no-such-file.json"),
        (["body.json", "--connector-settings", "."], "settings.txt"),
        (["body.json", "--connector-settings", str(EVENTS / "connectors"), "--stack", "prod"], "--stack"),
        (["body.json"], "--connector-settings"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    arguments: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a body, and a mistake in what else is given
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "body.json", document())
    if named == "settings.txt":
        named = "no *.json file in empty"
        (tmp_path / "empty").mkdir()
        arguments = ["body.json", "--connector-settings", "empty"]
    # When it is explained / Then the mistake is named
    ended = command("explain", *arguments)
    assert ended.code == ExitCode.USAGE
    assert named in ended.err


def test_undeployed_settings_are_judged_by_the_templates_defaults() -> None:
    # Given the template
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda *_: None)
    parameters = yaml.load((REPOSITORY / "template.yaml").read_text(), Loader)["Parameters"]  # noqa: S506
    # Then what explain assumes is what a deployment would have
    assert parameters["TrustedEndpointDomains"]["Default"] == UNDEPLOYED.trusted_endpoint_domains
    assert str(parameters["MaximumEventAgeHours"]["Default"]) == UNDEPLOYED.maximum_event_age_hours


@pytest.mark.parametrize(
    ("value", "shown"),
    [("364470825", "36…25 (9 characters)"), ("1234567", "… (7 characters)"), ("", "… (0 characters)")],
)
def test_a_masked_value_shows_its_length_and_ends(value: str, shown: str) -> None:
    assert masked(value) == shown


def test_a_short_identifier_hides_only_what_is_equal_to_it() -> None:
    assert without_personal_data(["12", "2012", "ADD"], {"12"}) == ["… (2 characters)", "2012", "ADD"]


def test_a_message_that_is_rejected_as_a_whole_is_explained_as_none_of_its_memberships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a cohort of more users than one message may hold
    monkeypatch.setattr(receiving, "_MOST_PAIRS", 1)
    cohort = {"cohort_id": "c", "in_cohort": True, "users": [{"user_id": "a"}, {"user_id": "b"}]}

    # When it is explained
    ended = explain(write(tmp_path / "body.json", cohort), "--json")

    # Then its one outcome is not told of the first user
    (part,) = parts(ended)
    assert part["errorCode"] == "INVALID_MESSAGE"
    assert "membership" not in part
