"""What is sent in every benchmark? Memberships of made-up people, as SQS hands them over."""

import json
from collections.abc import Iterator
from typing import Any

from tests.local_stack.sqs_record import sqs_record

__all__ = ["EVENT_NAME", "LIST_NAME", "PROFILE_LIST", "batches", "body", "record"]

EVENT_NAME = "SEGMENT_CHANGED"
LIST_NAME = "CONTACTS_LIST"
PROFILE_LIST = {"name": LIST_NAME, "folder": "!MasterData"}
_CITIES = ("Zürich", "São Paulo", "Łódź", "東京", "Lyon")


def body(number: int, connector: str = "default", run: str = "") -> str:
    """Write a membership of about 500 bytes with six variables; each number is another person."""
    return json.dumps(
        {
            "messageId": f"{run}{number:012d}",
            "profileId": f"profile-{number}",
            "callType": ("ADD", "UPDATE", "REMOVE")[number % 3],
            "segment": {"type": "AUDIENCE", "id": f"aud-{number % 10}", "name": "Cart abandoners"},
            "connector": connector,
            "identifiers": {"27": str(1_000_000_000 + number)},
            "variables": {
                "FIRST_NAME": f"Person {number}",
                "CITY": _CITIES[number % len(_CITIES)],
                "CART_VALUE": number % 10_000 / 100,
                "LOYAL": number % 2 == 0,
                "LAST_ORDER": "2026-11-23T17:00:00Z",
                "ITEMS": [{"sku": f"sku-{number % 977}", "quantity": number % 5 + 1}],
            },
            "occurredAt": f"2026-11-23T17:{number % 3600 // 60:02d}:{number % 60:02d}Z",
        },
        ensure_ascii=False,
    )


def record(number: int, text: str, queue_arn: str) -> dict[str, Any]:
    """Wrap a body as Lambda does."""
    return sqs_record(f"00000000-0000-4000-8000-{number:012x}", text, queue_arn)


def batches(
    messages: int, size: int, queue_arn: str, *, connector: str = "default", run: str = "", first: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield SQS events of `size` records each."""
    for start in range(first, first + messages, size):
        numbers = range(start, min(start + size, first + messages))
        yield {"Records": [record(number, body(number, connector, run), queue_arn) for number in numbers]}
