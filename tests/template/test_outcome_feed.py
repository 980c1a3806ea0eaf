"""Do the templates on the page of the outcome feed deploy, catch our events, and do with them what they say?"""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.request
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from cfnlint.api import ManualArgs, lint  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from responsys_activation.delivery.outcome_feed import DETAIL_TYPE, SOURCE
from tests.fakes.account import Account, record
from tests.fakes.responsys import UNKNOWN_RECIPIENT
from tests.template.conftest import REPOSITORY
from tests.unit.json_schemas import DOCS

PAGE = REPOSITORY / "docs" / "outcome-feed.md"
RECIPES = dict(re.findall(r"^<!-- recipe: (\S+) -->\n```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
STACK = "stack"
# What Segment takes: of one call in a batch, and of all of it.
SEGMENTS_CALL_BYTES, SEGMENTS_BATCH_BYTES = 32 * 1024, 500 * 1024


def fed(*records: Any) -> list[dict[str, Any]]:
    """Return the events of a batch, as EventBridge hands them to targets."""
    account = Account()
    account.deliver(records, OUTCOME_FEED="On")
    return [
        {"id": "e", "source": SOURCE, "detail-type": DETAIL_TYPE, "detail": detail}
        for detail in account.surroundings.events.taken
    ]


def matches(pattern: dict[str, Any], event: dict[str, Any], parameters: dict[str, str]) -> bool:
    """Return whether an event pattern of names and values matches, as EventBridge documents it."""
    return all(
        matches(wanted, event[name], parameters)
        if isinstance(wanted, dict)
        else event[name] in [parameters[each["Ref"]] if isinstance(each, dict) else each for each in wanted]
        for name, wanted in pattern.items()
    )


def test_the_page_has_both_recipes() -> None:
    assert set(RECIPES) == {"outcomes-to-s3", "outcomes-to-segment"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_template_without_findings(name: str) -> None:
    findings = lint(RECIPES[name], config=ManualArgs(regions=["us-east-1", "eu-west-1"], include_checks=["I"]))
    assert [str(finding) for finding in findings] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipes_rule_catches_the_events_of_its_stack_and_no_others(name: str) -> None:
    # Given an event of the feed, and a recipe's rule
    (event,) = fed(record(1))
    (rule,) = [each for each in yaml_parse(RECIPES[name])["Resources"].values() if each["Type"] == "AWS::Events::Rule"]
    pattern = rule["Properties"]["EventPattern"]

    # When they are held against each other / Then it is caught, for that stack alone
    assert matches(pattern, event, {"ActivationStack": STACK})
    assert not matches(pattern, event, {"ActivationStack": "another"})
    assert not matches(pattern, event | {"source": "aws.events"}, {"ActivationStack": STACK})


def test_the_pattern_that_the_page_shows_is_that_of_the_recipes() -> None:
    (shown,) = re.findall(r'^(\{"source".*\})$', PAGE.read_text(), re.MULTILINE)
    (event,) = fed(record(1))
    assert matches(json.loads(shown), event | {"detail": {"stack": "responsys-activation"}}, {})


def test_the_event_that_the_page_shows_has_every_field_of_the_schema() -> None:
    # Given the page's sample, and the schema
    (shown,) = re.findall(r"^```json\n(\{\n.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    detail, schema = json.loads(shown), json.loads((DOCS / "outcome.schema.json").read_text())

    # When their fields are listed / Then they are the same, and the page explains each
    assert detail.keys() == schema["properties"].keys()
    told = {name for outcome in detail["outcomes"] for name in outcome}
    assert told == schema["$defs"]["SettledOutcome"]["properties"].keys()
    explained = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE))))
    assert explained == (detail.keys() | told) - {"outcomes"}


def test_segment_gets_one_track_call_for_each_outcome_within_its_limits() -> None:
    # Given the function of the recipe, and the largest events of the feed
    code = yaml_parse(RECIPES["outcomes-to-segment"])["Resources"]["Function"]["Properties"]["Code"]["ZipFile"]
    assert len(code) <= 4096  # what CloudFormation takes inline
    long = "m" * 5_000
    records = [record(number, messageId=f"{number}-{long}") for number in range(1, 201)]
    events = fed(*records, record(404, identifiers={"27": str(UNKNOWN_RECIPIENT)}), record(999, body="{"))
    sent: list[urllib.request.Request] = []

    def urlopen(request: urllib.request.Request, timeout: float) -> Any:
        assert 0 < timeout < 30
        sent.append(request)
        return SimpleNamespace(close=lambda: None)

    # When they are handed to it
    secrets = SimpleNamespace(get_secret_value=lambda SecretId: {"SecretString": f"key of {SecretId}\n"})  # noqa: N803
    variables = {"WRITE_KEY_SECRET": "arn", "ENDPOINT": "https://api.segment.io/v1/batch"}
    with (
        patch.object(boto3, "client", lambda _service: secrets),
        patch.object(urllib.request, "urlopen", urlopen),
        patch.dict(os.environ, variables),
    ):
        function: dict[str, Any] = {}
        exec(code, function)  # noqa: S102 - it is what the page gives to people
        for event in events:
            function["handler"](event, None)

    # Then each outcome is a call of its own, each id is its own, and the request is one that Segment takes
    batches = [json.loads(request.data) for request in sent]  # type: ignore[arg-type]
    calls = [call for batch in batches for call in batch["batch"]]
    assert len(calls) == len({call["messageId"] for call in calls}) == 202
    assert max(len(json.dumps(call)) for call in calls) < SEGMENTS_CALL_BYTES
    assert max(len(request.data) for request in sent) < SEGMENTS_BATCH_BYTES  # type: ignore[arg-type]
    assert {call["type"] for call in calls} == {"track"}
    assert {(call["event"], call["userId"]) for call in calls} == {("Responsys Outcome", STACK)}
    found = {call["properties"]["outcome"]: call["properties"]["error_code"] for call in calls}
    assert found.keys() == {"delivered", "rejected"}
    assert found["delivered"] is None
    for request in sent:
        assert request.get_header("Authorization") == "Basic " + base64.b64encode(b"key of arn:").decode()
        assert (request.get_method(), request.full_url) == ("POST", variables["ENDPOINT"])
