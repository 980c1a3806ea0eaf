"""Is what mParticle sends read as what it says: its request to partners and its record of Kinesis Firehose?"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from responsys_activation.json_text import JsonNumber
from responsys_activation.membership import CallType, Segment
from responsys_activation.upstream.memberships import Part, Refused
from tests.unit.upstream.reading import ABSENT, MD5, SHA256, changed, ignored, part_of, parts_of, recipient, refusal


def audience(**changes: Any) -> dict[str, Any]:
    return changed({"audience_id": 51022, "audience_name": "Lapsed", "action": "add"}, **changes)


def identity(kind: str, value: Any, encoding: Any = "raw") -> dict[str, Any]:
    return {"type": kind, "encoding": encoding, "value": value}


def profile(*audiences: Any, **changes: Any) -> dict[str, Any]:
    identities = [identity("email", "ann@example.org"), identity("customer", "cust-1")]
    given = {"mpid": "-812", "user_identities": identities, "audiences": list(audiences) or [audience()]}
    return changed(given, **changes)


def request(*profiles: Any, **changes: Any) -> dict[str, Any]:
    given = {
        "type": "audience_membership_change_request",
        "id": "req-1",
        "timestamp_ms": 1795162502065,
        "firehose_version": "3.2.0",
        "account": {"account_id": 77},
        "user_profiles": list(profiles) or [profile()],
    }
    return changed(given, **changes)


def record(**changes: Any) -> dict[str, Any]:
    given = {
        "MembershipChangedTimestamp": "1795162502",
        "AudienceId": 51022,
        "AudienceName": "Lapsed",
        "IsMember": True,
        "UserIdentities": {"CustomerId": "cust-1", "Email": "ann@example.org", "Other3": "crm-9"},
    }
    return changed(given, **changes)


def test_a_request_is_read_whole() -> None:
    part = part_of(request())

    assert part.platform == "mParticle"
    assert part.names == ("51022", "Lapsed")
    assert part.membership.profile_id == "-812"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.segment == Segment(type="AUDIENCE", id="51022", name="Lapsed")
    assert part.membership.message_id == '["mParticle","req-1","add"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, 65_000, tzinfo=UTC)
    assert part.membership.identifiers == {"EMAIL": "ann@example.org", "CRM_ID": "cust-1"}
    assert part.membership.variables == {}


@pytest.mark.parametrize(
    ("action", "call_type"),
    [("add", CallType.ADD), ("delete", CallType.REMOVE), ("attribute_update", CallType.UPDATE), ("ADD", CallType.ADD)],
)
def test_the_action_says_what_happened(action: str, call_type: CallType) -> None:
    assert part_of(request(profile(audience(action=action)))).membership.call_type is call_type


def test_a_request_holds_each_audience_of_each_profile() -> None:
    parts = parts_of(
        request(
            profile(audience(), audience(audience_id=2, action="delete")),
            profile(audience(audience_id=3), mpid="2"),
            profile(audiences=[]),
            profile(audiences=ABSENT),
        )
    )

    assert [(part.membership.profile_id, part.membership.segment.id) for part in parts if isinstance(part, Part)] == [
        ("-812", "51022"),
        ("-812", "2"),
        ("2", "3"),
    ]


def test_attributes_that_are_set_are_variables() -> None:
    attributes = [
        {"key": "tier", "value": "gold", "action": "upsert"},
        {"key": "points", "value": 7, "action": "upsert"},
        {"key": "brands", "list_value": ["A", "B"], "action": "upsert"},
        {"key": "coupon", "value": "x", "action": "delete"},
        *({}, {"key": " ", "value": "x"}, "x", None),
    ]

    part = part_of(request(profile(audience(action="attribute_update", user_attributes=attributes))))

    assert part.membership.variables == {"tier": "gold", "points": JsonNumber("7"), "brands": ["A", "B"]}


def test_an_audience_that_cannot_be_read_leaves_the_others_alone() -> None:
    parts = parts_of(
        request(
            profile(audience(action="paused"), 7, audience(audience_id=None), audience()),
            "x",
            profile(audiences="x"),
            profile(audience(audience_id=5), mpid=ABSENT, user_identities=ABSENT),
        )
    )

    assert [part.reason if isinstance(part, Refused) else part.membership.segment.id for part in parts] == [
        "mParticle: user_profiles[0].audiences[0].action: must be add, delete or attribute_update",
        "mParticle: user_profiles[0].audiences[1]: must be a JSON object",
        "mParticle: user_profiles[0].audiences[2].audience_id: is missing",
        "51022",
        "mParticle: user_profiles[1]: must be a JSON object",
        "mParticle: user_profiles[2].audiences: must be a list",
        "mParticle: user_profiles[3].mpid: is missing",
    ]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (request(user_profiles=ABSENT), "keep-alive"),
        (request(user_profiles=None), "keep-alive"),
        (request(user_profiles=[]), "keep-alive"),
        (request(profile(audiences=[])), "audiences of nobody"),
        (request(type="audience_subscription_request"), "audience_subscription_request"),
        (request(type="event_processing_request"), "event_processing_request"),
        (request(type="module_registration_request", firehose_version=ABSENT), "module_registration_request"),
        (request(type="something_new_request"), "other request"),
    ],
)
def test_a_request_about_nobody_is_ignored(document: dict[str, Any], kind: str) -> None:
    assert ignored(document) == ("mParticle", kind)


def test_profiles_of_another_shape_are_refused() -> None:
    assert refusal(request(user_profiles={"mpid": "1"})) == "mParticle: user_profiles: must be a list"
    assert refusal(request(timestamp_ms="soon")).startswith("mParticle: timestamp_ms: must be a time")


@pytest.mark.parametrize(
    ("identities", "kind", "identifier"),
    [
        ([identity("email", "ann@example.org")], "EMAIL", "ann@example.org"),
        ([identity("email", "ann@example.org")], "HASHED_EMAIL", sha256(b"ann@example.org").hexdigest()),
        ([identity("email", "ann@example.org", None)], "EMAIL", "ann@example.org"),
        ([identity("email", SHA256.upper(), "sha256")], "HASHED_EMAIL", SHA256),
        ([identity("email", SHA256, '"sha-256"')], "HASHED_EMAIL", SHA256),
        ([identity("email", SHA256, "sha256")], "EMAIL", None),
        ([identity("email", SHA256)], "HASHED_EMAIL", SHA256),
        ([identity("email", "ann@example.org", "sha256")], "HASHED_EMAIL", None),
        ([identity("email", MD5, "md5")], "EMAIL_MD5", MD5),
        ([identity("email", "a" * 40, "sha1")], "HASHED_EMAIL", None),
        ([identity("email", SHA256, "sha256"), identity("email", "ann@example.org")], "EMAIL", "ann@example.org"),
        ([identity("customer", "cust-1")], "CRM_ID", "cust-1"),
        ([identity("customer", MD5, "md5")], "CRM_ID", None),
        ([identity("customer", MD5, "md5")], "EMAIL_MD5", None),
        ([identity("customer", MD5)], "CRM_ID", None),
        ([identity("customer", "ann@example.org")], "EMAIL", "ann@example.org"),
        ([identity("mobile_number", "+43 660 1")], "MOBILE_NUMBER", "+43 660 1"),
        ([identity("phone_number_2", "+43 660 1")], "MOBILE_NUMBER", None),
        ([identity("riid", "364470825")], "RIID", 364470825),
        (["x", {}, identity("email", None), identity("email", "ann@example.org")], "EMAIL", "ann@example.org"),
        ("x", "EMAIL", None),
    ],
)
def test_an_identity_serves_the_type_of_its_encoding(identities: Any, kind: str, identifier: object) -> None:
    assert recipient(request(profile(user_identities=identities)), kind) == identifier


def test_a_path_names_an_identity_by_its_type_unless_it_is_hashed() -> None:
    identities = [identity("customer", "cust-1"), identity("other3", "crm-9"), identity("other4", MD5, "md5")]
    document = request(profile(user_identities=identities))

    assert recipient(document, "CRM_ID", identifierFrom=["user_identities.other3"]) == "crm-9"
    assert recipient(document, "CRM_ID", identifierFrom=["user_identities.other4"]) == "cust-1"


def test_an_attribute_can_be_the_identifier() -> None:
    attributes = [{"key": "crm.id", "value": "crm-9", "action": "upsert"}]
    document = request(profile(audience(action="attribute_update", user_attributes=attributes)))

    assert recipient(document, "CRM_ID", identifierFrom=["user_attributes.crm.id"]) == "crm-9"


# --- the record of Kinesis Firehose -----------------------------------------------------------------------------


def test_a_record_is_read_whole() -> None:
    part = part_of(record())

    assert part.names == ("51022", "Lapsed")
    assert part.membership.profile_id == "cust-1"
    assert part.membership.call_type is CallType.ADD
    assert part.membership.message_id == '["mParticle","2026-11-20T08:15:02+00:00","true"]'
    assert part.membership.occurred_at == datetime(2026, 11, 20, 8, 15, 2, tzinfo=UTC)
    assert part.membership.identifiers == {"EMAIL": "ann@example.org", "CRM_ID": "cust-1"}
    assert part.membership.variables == {}


@pytest.mark.parametrize("time", ["1795162502", 1795162502, "1795162502000", 1795162502000, "1795162502.0"])
def test_a_time_is_in_seconds_or_milliseconds(time: Any) -> None:
    read = part_of(record(MembershipChangedTimestamp=time)).membership

    assert read.occurred_at == datetime(2026, 11, 20, 8, 15, 2, tzinfo=UTC)


@pytest.mark.parametrize("time", ["x", 7, -1795162502, 10**20, "1e400", True, [1795162502], "20261120"])
def test_what_is_no_time_is_refused(time: Any) -> None:
    assert refusal(record(MembershipChangedTimestamp=time)).startswith("mParticle: MembershipChangedTimestamp: must be")


def test_a_record_may_write_its_identities_otherwise() -> None:
    read = part_of(record(UserIdentities=ABSENT, Identities={"MPID": 812, "Email": "ann@example.org"})).membership

    assert read.profile_id == "812"
    assert read.identifiers == {"EMAIL": "ann@example.org"}


def test_an_identity_change_is_a_remove_and_an_add_in_their_order() -> None:
    both = parts_of([record(IsMember=False), record(IsMember=True)])

    assert [part.membership.call_type for part in both if isinstance(part, Part)] == ["REMOVE", "ADD"]
    assert len({part.membership.message_id for part in both if isinstance(part, Part)}) == 2


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (record(IsMember="yes"), "IsMember: must be true or false"),
        (record(IsMember=None), "IsMember: must be true or false"),
        (record(AudienceId=" "), "AudienceId: is missing"),
        (record(AudienceId=[1]), "AudienceId: must be a text or number"),
        (record(UserIdentities={"Other": "x"}), "UserIdentities.MPID, CustomerId or Email: is missing"),
    ],
)
def test_a_record_that_says_no_membership_is_refused_by_its_field(document: dict[str, Any], reason: str) -> None:
    assert refusal(document) == f"mParticle: {reason}"


def test_of_several_identities_of_a_type_the_first_counts() -> None:
    person = profile(mpid=ABSENT, user_identities=[identity("customer", "first"), identity("customer", "second")])

    assert part_of(request(person)).membership.profile_id == "first"
    assert recipient(request(person), "CRM_ID") == "first"
    assert recipient(request(person), "CRM_ID", identifierFrom=["user_identities.customer"]) == "first"
