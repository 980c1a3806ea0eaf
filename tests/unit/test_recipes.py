"""Does what a recipe tells people to write give what the recipe says?"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from responsys_activation.connector import read_connector
from tests.unit.recipes import PAGES, Block, arrives, blocks, connectors, pairs, rendered

INDEX = PAGES[0].parent / "README.md"
NORA = 'Nora "the cat"'
# What a platform would put into the templates of its page; a quote where the page promises that it is escaped.
VALUES: dict[str, dict[str, Any]] = {
    "braze": {
        "campaign.${dispatch_id}": "d-1",
        "${user_id}": "cust-4711",
        "${email_address}": "nora@example.org",
        "${first_name}": NORA,
        "custom_attribute.${cart_value}": 99.9,
    },
    "bloomreach": {
        "customer_ids.registered": "cust-4711",
        "customer.email": "nora@example.org",
        "customer.cart_value": 99.9,
    },
    "customer-io": {
        "customer.id": "cust-4711",
        "customer.email": "nora@example.org",
        "customer.first_name": NORA,
    },
    "hightouch": {
        "row.customer_id": "cust-4711",
        "row.cart_value": 99.9,
        "row.updated_at": "2026-11-20T08:15:02Z",
    },
    "tealium": {"visitor_id": "v-4711", "email": "nora@example.org", "cart_value": 99.9},
}
MESSAGES = [
    pytest.param(page, message, said, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, (message, said) in enumerate(pairs(page))
]
# All that a recipe may let somebody else do.
ACTIONS = {
    "events:PutEvents",
    "firehose:PutRecord",
    "firehose:PutRecordBatch",
    "kinesis:ListStreams",
    "kinesis:PutRecord",
    "kinesis:PutRecords",
    "sns:Publish",
    "sqs:SendMessage",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_what_every_recipe_has(page: Path) -> None:
    # Given a page / When its parts are listed / Then settings, a message and what it cannot do are among them
    assert connectors(page)
    assert list(pairs(page))
    assert "\n## What it cannot do\n" in page.read_text()


@pytest.mark.parametrize(("page", "message", "said"), MESSAGES)
def test_a_message_becomes_what_its_page_says(page: Path, message: Block, said: Block) -> None:
    # Given a message of a page, or a template with values, and the page's connector
    body = message.text if message.kind == "message" else rendered(message.text, VALUES[page.stem])
    assert said.kind == "arrives"
    # When it is explained / Then it is what the page says below it
    assert arrives(body, connectors(page)) == said.text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_pages_connector_is_one_that_the_stack_takes(page: Path) -> None:
    # Given the settings on a page / When they are read / Then they are valid, and two new names are never one
    for text in connectors(page).values():
        connector = read_connector(text)
        assert connector.colliding_renames == []
        # And all that the page's events are named for is in them
        events = {line.split()[0] for _, said in pairs(page) for line in said.text.splitlines() if " for " in line}
        assert events == connector.configured_events


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_somebody_else_may_do_is_named_one_by_one(page: Path) -> None:
    # Given the policies on a page
    for block in blocks(page):
        if block.kind != "iam":
            continue
        # When their statements are read
        for statement in json.loads(block.text)["Statement"]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            # Then each allows sending, and to one place but where AWS knows no place
            assert set(actions) <= ACTIONS
            assert statement["Resource"].startswith("arn:aws:") or actions == ["kinesis:ListStreams"]
            assert "*" not in statement["Resource"] or actions == ["kinesis:ListStreams"]


@pytest.mark.parametrize("page", [*PAGES, INDEX], ids=lambda page: page.stem)
def test_every_json_block_says_what_it_is_and_is_json(page: Path) -> None:
    # Given a page / When its JSON is read / Then it is valid, and of a kind that is tested here
    for block in blocks(page):
        if block.language == "json":
            assert json.loads(block.text)
            assert block.kind in {"message", "iam"} or block.kind.startswith("connector=")


def test_the_index_has_a_row_for_every_page() -> None:
    # Given the index / When the links of its table are listed / Then each page is there once
    linked = re.findall(r"\]\(([\w-]+\.md)\)", "\n".join(re.findall(r"^\|.*$", INDEX.read_text(), re.MULTILINE)))
    assert sorted(linked) == [page.name for page in PAGES]


def test_the_index_says_how_long_a_mapping_takes() -> None:
    # Given the index / When what it says of mappings is read / Then it is the time that the reference promises
    assert "takes effect within five minutes" in INDEX.read_text()


def test_curl_sends_the_file_as_it_is_with_the_secret_as_bearer() -> None:
    # Given the command of the page
    (text,) = [block.text for block in blocks(INDEX.parent / "curl.md") if block.language == ""]
    command = shlex.split(text)
    # When its options are read / Then the body is sent byte for byte, and the webhook knows the sender
    assert command[command.index("--data-binary") + 1] == "@membership.json"
    headers = [command[number + 1] for number, word in enumerate(command) if word == "--header"]
    assert headers == ["Authorization: Bearer $WEBHOOK_SECRET", "Content-Type: application/json"]
    assert "$WebhookUrl" in command


def test_a_template_with_a_filter_that_is_not_known_is_not_passed_over() -> None:
    # Given a template with another filter / When it is rendered / Then that is said
    with pytest.raises(AssertionError, match="upcase is no filter"):
        rendered("{{ row.name | upcase }}", {"row.name": "Nora"})
