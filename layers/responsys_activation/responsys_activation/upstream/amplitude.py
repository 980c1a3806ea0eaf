"""How does Amplitude say that a membership changed?

One cohort, and a list of users who all entered it or all left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from responsys_activation.connector import IdentifierType
from responsys_activation.envelope import InvalidMessageError
from responsys_activation.membership import CallType
from responsys_activation.upstream.identity import RIID_NAMES, identifiers_of, riids_of
from responsys_activation.upstream.part import Around, Document, Ignored, Reading, Said, Unit, told
from responsys_activation.upstream.platform import Platform
from responsys_activation.upstream.variables import flattened
from responsys_activation.upstream.words import boolean_of, list_of, members, moment_of, needed_text, object_of, text_of

__all__ = ["read"]

_SYSTEM = frozenset({"amplitude_id", "device_id", "device_ids", "user_id", "user_properties", *RIID_NAMES})


def read(document: Document, around: Around) -> Ignored | list[Reading]:
    """Read a cohort's changes: one membership for each user.

    Raises
    ------
    InvalidMessageError
        There are no users, or they cannot be told apart. An empty list is a cohort that did not change.
    """
    if "users" not in document:
        raise InvalidMessageError("users: is missing")
    users = list_of(document["users"], "users")
    readings: list[Reading] = [
        (partial(_alone, document, user), partial(_of_user, document, user, f"users[{number}]", around))
        for number, user in enumerate(users)
    ]
    return readings or Ignored(Platform.AMPLITUDE, "no users")


def _alone(document: Document, user: Any) -> Document:
    return {**document, "users": [user]}


def _of_user(document: Document, given: object, field: str, around: Around) -> Said:
    user = object_of(given, field)
    is_member = boolean_of(document.get("in_cohort"), "in_cohort")
    properties: Mapping[str, object] = members(user.get("user_properties"))
    beside = {name: value for name, value in user.items() if name not in _SYSTEM}
    return told(
        Platform.AMPLITUDE,
        Unit(needed_text(document.get("cohort_id"), "cohort_id"), text_of(document.get("cohort_name"))),
        profile_id=needed_text(user.get("user_id"), f"{field}.user_id"),
        call_type=CallType.ADD if is_member else CallType.REMOVE,
        operation=["true" if is_member else "false"],
        message_id=text_of(document.get("message_id")),
        occurred_at=moment_of(document.get("computed_time"), "computed_time"),
        identifiers=identifiers_of([(IdentifierType.CRM_ID, user.get("user_id")), *riids_of(user, properties)]),
        variables=flattened(beside, properties, without=RIID_NAMES),
        places=(user, document),
        around=around,
    )
