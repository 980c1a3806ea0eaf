"""Does the local event source read a batch response as AWS does?"""

import json

import pytest

from tests.local_stack.batch_response import failed_message_ids

BATCH = ["one", "two"]


@pytest.mark.parametrize("answer", [{"batchItemFailures": []}, {"batchItemFailures": None}, {}, None])
def test_an_answer_that_names_no_message_is_a_success(answer: object) -> None:
    assert failed_message_ids(json.dumps(answer).encode(), BATCH) == set()


def test_an_empty_answer_is_a_success() -> None:
    assert failed_message_ids(b"", BATCH) == set()


def test_only_the_named_messages_fail() -> None:
    answer = json.dumps({"batchItemFailures": [{"itemIdentifier": "two"}]}).encode()

    assert failed_message_ids(answer, BATCH) == {"two"}


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b'"text"',
        b"[]",
        b'{"batchItemFailures": {"itemIdentifier": "two"}}',
        b'{"batchItemFailures": ["two"]}',
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemIdentifier": ["two"]}]}',
        b'{"batchItemFailures": [{"id": "two"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "two"}, {"itemIdentifier": "unknown"}]}',
    ],
)
def test_an_answer_that_cannot_be_understood_fails_the_whole_batch(answer: bytes) -> None:
    assert failed_message_ids(answer, BATCH) == {"one", "two"}
