"""Who is the person that nothing but Responsys and the queues may know?

Every value that tells of her holds one of the marks, in whatever letter case.
"""

import itertools
import json
from typing import Any

from tests.end_to_end.connector_under_test import ConnectorUnderTest
from tests.local_stack.stack import LocalStack

MARKS = ("lovelace", "7700770077", "ada0ada0")
QUOTED = "No such member: Ada Lovelace <ada@lovelace.example>, RIID 7700770077001"
# What Responsys, or a proxy before it, might say of her where a code is expected.
LIKE_A_CODE = "CRM_LOVELACE: not found"

_numbers = itertools.count(1)


def connector_of_hers(stack: LocalStack, account: dict[str, Any] | None = None, **optional: Any) -> ConnectorUnderTest:
    """Return a connector whose user name and password are marked, too."""
    return ConnectorUnderTest(stack, account, username=f"lovelace-{next(_numbers)}@lovelace.example", **optional)


def message_of_hers(connector: ConnectorUnderTest, /, **changes: Any) -> dict[str, Any]:
    """Make a membership with a mark in every field that may tell of a person, and a recipient of its own."""
    number = next(_numbers)
    fields = {
        "messageId": f"message-Lovelace-{number}",
        "profileId": f"profile-Lovelace-{number}",
        "segment": {"type": "AUDIENCE", "id": "aud-1", "name": "People called Lovelace"},
        "identifiers": {
            "27": f"7700770077{number:03}",
            "7001": f"{number:08x}" + "ada0ada0" * 7,
            "2001": f"CRM_LOVELACE_{number}",
            "EMAIL": f"ada.{number}@lovelace.example",
            "EMAIL_MD5": f"{number:08x}" + "ADA0ADA0" * 3,
            "MOBILE_NUMBER": f"+49 7700770077 {number}",
        },
        "variables": {"LOVELACE_NAME": "Ada Lovelace", "PHONE": 7700770077, "AT": {"street": "Lovelace Street"}},
    }
    return connector.message(**fields | changes)


def body_of_hers(connector: ConnectorUnderTest, /, **changes: Any) -> str:
    """Make the body of such a membership."""
    return json.dumps(message_of_hers(connector, **changes))


def marks_in(text: str, *further: str) -> list[str]:
    """Return what surrounds each mark that a text holds."""
    lowered = text.lower()
    return [
        text[max(0, place - 100) : place + 100]
        for mark in (*MARKS, *further)
        if (place := lowered.find(mark.lower())) >= 0
    ]
