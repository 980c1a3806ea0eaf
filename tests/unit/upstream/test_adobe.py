"""Is Adobe's export, which does not say what changed, read so that what is new is new and nothing comes twice?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from responsys_activation.membership import CallType, Segment
from responsys_activation.upstream.memberships import Part, Refused
from tests.unit.upstream.reading import (
    ABSENT,
    ARRIVED_AT,
    SHA256,
    changed,
    ignored,
    part_of,
    parts_of,
    recipient,
    refusal,
)

IDENTITIES = {"crmid": [{"id": "cust-1"}], "email_lc_sha256": [{"id": SHA256}], "ecid": [{"id": "145"}, {"id": "664"}]}


def state(**changes: Any) -> dict[str, Any]:
    given = {"status": "realized", "lastQualificationTime": "2026-11-20T08:15:02Z", "name": "Cart abandoners"}
    return changed(given, **changes)


def export(segments: Any = ABSENT, **changes: Any) -> dict[str, Any]:
    maps = {"ups": {"seg-1": state()}} if segments is ABSENT else segments
    given = {
        "person": {"name": {"firstName": "Ann"}},
        "_acme": {"loyalty": {"tier": "gold"}},
        "segmentMembership": maps,
        "identityMap": IDENTITIES,
    }
    return changed(given, **changes)


def one(**changes: Any) -> dict[str, Any]:
    return export({"ups": {"seg-1": state(**changes)}})


def test_an_export_is_read_whole() -> None:
    part = part_of(export())

    assert part.platform == "Adobe"
    assert part.names == ("seg-1", "Cart abandoners")
    assert part.membership.profile_id == "cust-1"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="AUDIENCE", id="seg-1", name="Cart abandoners")
    assert part.membership.message_id == '["Adobe","2026-11-20T08:15:02+00:00","ups","realized"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, tzinfo=UTC)
    assert part.membership.identifiers == {"HASHED_EMAIL": SHA256, "CRM_ID": "cust-1"}
    assert part.membership.variables == {"person.name.firstName": "Ann", "_acme.loyalty.tier": "gold"}


def ago(seconds: float) -> str:
    return (datetime.fromtimestamp(ARRIVED_AT, UTC) - timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("status", "seconds_ago", "call_type"),
    [
        ("realized", 0, CallType.ADD),
        ("realized", 3599, CallType.ADD),
        ("realized", 3600, CallType.UPDATE),
        ("realized", 10**7, CallType.UPDATE),
        ("realized", -60, CallType.ADD),
        ("Realized", 0, CallType.ADD),
        ("existing", 0, CallType.UPDATE),
        ("exited", 0, CallType.REMOVE),
        ("exited", 10**7, CallType.REMOVE),
    ],
)
def test_status_and_age_say_what_happened(status: str, seconds_ago: float, call_type: CallType) -> None:
    document = one(status=status, lastQualificationTime=ago(seconds_ago))

    assert part_of(document).membership.call_type is call_type


def test_every_segment_of_every_map_is_a_membership() -> None:
    parts = parts_of(export({"ups": {"a": state(), "b": state(status="exited")}, "AO": {"c": state()}}))

    assert [(part.membership.segment.id, part.membership.call_type) for part in parts if isinstance(part, Part)] == [
        ("a", "ADD"),
        ("b", "REMOVE"),
        ("c", "ADD"),
    ]


def message_id(document: dict[str, Any], arrived_at: float = ARRIVED_AT) -> str | None:
    return part_of(document, arrived_at).membership.message_id


def test_an_export_of_a_standing_member_is_known_by_what_it_says_of_the_person() -> None:
    standing = export({"ups": {"seg-1": state(lastQualificationTime=ago(10**6))}})
    reordered = {name: standing[name] for name in reversed(standing)}
    others = {"seg-2": state(), "seg-1": standing["segmentMembership"]["ups"]["seg-1"]}

    assert message_id(standing) == message_id(reordered)
    assert message_id(standing) == message_id(standing | {"identityMap": IDENTITIES | {"ecid": [{"id": "7"}]}})
    assert message_id(standing) != message_id(standing | {"_acme": {"loyalty": {"tier": "silver"}}})
    assert message_id(standing) == parts_of(standing | {"segmentMembership": {"ups": others}})[1].membership.message_id  # type: ignore[union-attr]


def test_an_entry_is_the_same_change_whatever_else_an_export_says() -> None:
    assert message_id(export()) == message_id(export(person=ABSENT), ARRIVED_AT + 60)
    assert message_id(one(status="exited")) == message_id(one(status="exited") | {"person": {"name": "B"}})
    assert message_id(export()) != message_id(one(lastQualificationTime="2026-11-20T08:15:03Z"))


@pytest.mark.parametrize("segments", [None, {}, {"ups": {}}, {"ups": {}, "AO": {}}])
def test_an_export_without_segments_is_ignored(segments: Any) -> None:
    assert ignored(export(segments)) == ("Adobe", "no segments")


def test_a_segment_that_cannot_be_read_leaves_the_others_alone() -> None:
    segments = {
        "a": state(status="paused"),
        "b": state(status=ABSENT),
        "c": state(lastQualificationTime=ABSENT),
        "d": state(lastQualificationTime="soon"),
        "e": "realized",
        " ": state(),
        "f": state(status="exited", lastQualificationTime=ABSENT),
    }

    parts = parts_of(export({"ups": segments, "AO": ["x"]}))

    assert [part.reason if isinstance(part, Refused) else part.membership.segment.id for part in parts] == [
        "Adobe: segmentMembership: a segment's status must be realized, existing or exited",
        "Adobe: segmentMembership: a segment's status: is missing",
        "Adobe: segmentMembership: a segment's lastQualificationTime is missing",
        "Adobe: segmentMembership: a segment's lastQualificationTime: "
        "must be a time, in ISO 8601 or as seconds or milliseconds since 1970",
        "Adobe: segmentMembership: a segment's value: must be a JSON object",
        "Adobe: segmentMembership: a segment's id: is missing",
        "f",
        "Adobe: segmentMembership: each of its members must be a JSON object of segments",
    ]


@pytest.mark.parametrize("segments", [[], "x", True, 7])
def test_segments_of_another_shape_are_refused(segments: Any) -> None:
    assert refusal(export(segments)) == "Adobe: segmentMembership: must be a JSON object"


def test_a_profile_that_nothing_identifies_is_refused() -> None:
    assert refusal(export(identityMap={})) == "Adobe: identityMap: is missing"


@pytest.mark.parametrize(
    ("identities", "profile_id"),
    [
        ({"ecid": [{"id": "1"}], "CRMID": [{"id": "c"}], "Email": [{"id": "e@x"}]}, "c"),
        ({"ecid": [{"id": "1"}], "Email": [{"id": "e@x"}], "Loyalty": [{"id": "l"}]}, "e@x"),
        ({"ecid": [{"id": "1"}], "Zeta": [{"id": "z"}], "Loyalty": [{"id": "l"}]}, "l"),
        ({"ecid": [{"id": "1"}, {"id": "2"}]}, "1"),
        ({"ecid": [{}, {"id": " "}, {"id": "2"}], "crmid": []}, "2"),
    ],
)
def test_the_id_that_is_most_likely_to_stay_is_the_profiles(identities: Any, profile_id: str) -> None:
    assert part_of(export(identityMap=identities)).membership.profile_id == profile_id


@pytest.mark.parametrize(
    ("changes", "kind", "identifier"),
    [
        ({}, "HASHED_EMAIL", SHA256),
        ({}, "CRM_ID", "cust-1"),
        ({}, "EMAIL", None),
        ({"identityMap": {"Email": [{"id": "a@x.org"}, {"id": "b@x.org"}]}}, "EMAIL", "a@x.org"),
        ({"identityMap": {"EMAIL": [{"id": "A@x.org"}]}}, "HASHED_EMAIL", sha256(b"a@x.org").hexdigest()),
        ({"identityMap": {"Email_LC_SHA256": [{"id": SHA256.upper()}]}}, "HASHED_EMAIL", SHA256),
        ({"identityMap": {"email_lc_sha256": [{"id": "a@x.org"}]}}, "HASHED_EMAIL", None),
        ({"identityMap": {"crmid": [{"id": SHA256}]}}, "CRM_ID", None),
        ({"identityMap": {"Phone": [{"id": "+43 660 1"}]}}, "MOBILE_NUMBER", "+43 660 1"),
        ({"personalEmail": {"address": "p@x.org"}, "person": {"email": "q@x.org"}}, "EMAIL", "p@x.org"),
        ({"person": {"email": "q@x.org"}}, "EMAIL", "q@x.org"),
        ({"identityMap": "x", "person": {"email": "q@x.org"}}, "EMAIL", "q@x.org"),
        ({"riid": "364470825"}, "RIID", 364470825),
        ({"identityMap": {"RIID": [{"id": "364470825"}]}}, "RIID", 364470825),
    ],
)
def test_the_connectors_type_decides_which_identity_is_used(
    changes: dict[str, Any], kind: str, identifier: object
) -> None:
    assert recipient(export(**changes), kind) == identifier


def test_a_path_leads_to_the_first_id_of_a_namespace() -> None:
    assert recipient(export(), "CRM_ID", identifierFrom=["identityMap.loyalty.id", "identityMap.ecid.id"]) == "145"
    assert recipient(export(), "CRM_ID", identifierFrom=["identityMap.ecid.1.id"]) == "664"


def test_what_is_about_the_export_is_no_variable() -> None:
    document = export(_id="x", _repo={"createDate": "x"}, extSourceSystemAudit={"a": 1}, riid="7", person=ABSENT)

    assert part_of(document).membership.variables == {"_acme.loyalty.tier": "gold"}


def test_of_a_namespace_in_two_spellings_the_first_counts() -> None:
    twice = export(identityMap={"Email": [{"id": "first@example.org"}], "EMAIL": [{"id": "second@example.org"}]})

    assert part_of(twice).membership.identifiers == {"EMAIL": "first@example.org"}


def test_a_hash_is_put_into_lower_case() -> None:
    shouted = export(identityMap={"Email_LC_SHA256": [{"id": SHA256.upper()}]})

    assert part_of(shouted).membership.identifiers == {"HASHED_EMAIL": SHA256}
