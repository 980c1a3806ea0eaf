"""What do platforms send in the demo's second act, and what must become of it?

The expectation is written down together with each body and knows nothing of the code under test. All people are made
up; the platforms' words are those of the samples in ``events/upstream``.
"""

import base64
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.local_stack.demo_memberships import Arrival, Nothing, PublishedMembership
from tests.local_stack.http_api import post
from tests.local_stack.processes import LocalStackError
from tests.local_stack.queues import send_all
from tests.local_stack.stack import ConnectorSettings, LocalStack
from tests.simulator.settings import AccountSettings, CustomEvent, ProfileList

PLATFORMS_CONNECTOR = "crm"
SEGMENT, MPARTICLE, ADOBE = "Segment", "mParticle", "Adobe"

_ACCOUNT = "crm_api"
_CARTS, _LAPSED = "CART_ABANDONED", "CUSTOMER_LAPSED"
_PEOPLE = 200  # of Segment and of mParticle; an Adobe profile has two segments
_PROFILES_A_REQUEST = 100
_EXPORTS = 100
_VISITS = 20
_POSTS_AT_ONCE = 4
_TAKEN = 202
_MAPPING = {"aud_carts": _CARTS, "51022": _LAPSED, "3b0f2c9e-1f0d": _CARTS, "77aa10d4-8e11": _LAPSED}


@dataclass(frozen=True)
class PlatformBody:
    """What a platform sends at once.

    Attributes
    ----------
    is_posted
        Whether it comes over the webhook, or is put on the queue by the platform's own connection to AWS.
    fates
        Of each of its memberships; of a body without any, that nothing is to become of it.
    """

    platform: str
    body: str
    is_posted: bool
    fates: Sequence[Arrival | Nothing]

    def headers(self, secret: str) -> Mapping[str, str]:
        """Return how the platform shows that it knows the webhook's secret."""
        if self.platform == SEGMENT:
            return {"X-Signature": hmac.digest(secret.encode(), self.body.encode(), "sha1").hex()}
        return {"Authorization": f"Bearer {secret}"}


def platforms_account() -> AccountSettings:
    """Return the account that knows everybody whom platforms tell of."""
    return AccountSettings(
        username=_ACCOUNT,
        password=f"{_ACCOUNT}-of-the-demo",
        lists=(ProfileList(name="CRM_LIST"),),
        events=(CustomEvent(name=_CARTS), CustomEvent(name=_LAPSED)),
    )


def platforms_connector() -> ConnectorSettings:
    """Return the connector that maps the platforms' audiences: its parameter is all that they need."""
    account = platforms_account()
    profile_list = account.lists[0]
    return ConnectorSettings(
        username=account.username,
        password=account.password,
        profile_list={"name": profile_list.name, "folder": profile_list.folder},
        identifier_type="CRM_ID",
        optional={"eventNames": _MAPPING},
    )


def platform_bodies() -> list[PlatformBody]:
    """Return what the platforms send: 600 memberships, and what they send besides."""
    return [*_segment(), *_mparticle(), *_adobe()]


def memberships_of(bodies: Sequence[PlatformBody]) -> list[PublishedMembership]:
    """Return the memberships, as those of the first act are known."""
    return [
        PublishedMembership(
            each.body, fate, (PLATFORMS_CONNECTOR, fate.event_name) if isinstance(fate, Arrival) else None
        )
        for each in bodies
        for fate in each.fates
    ]


def send_as_platforms_do(stack: LocalStack, bodies: Sequence[PlatformBody]) -> None:
    """Post to the webhook, and put on the queue.

    Raises
    ------
    LocalStackError
        The webhook did not take a body.
    """
    secret, url = stack.webhook_secret, stack.outputs["WebhookUrl"]

    def post_one(each: PlatformBody) -> int:
        return post(url, each.body.encode(), each.headers(secret)).status

    with ThreadPoolExecutor(_POSTS_AT_ONCE) as pool:
        statuses = set(pool.map(post_one, [each for each in bodies if each.is_posted]))
    if statuses != {_TAKEN}:
        raise LocalStackError(f"the webhook answered {sorted(statuses)}, not {_TAKEN} alone")
    on_queue = [each.body for each in bodies if not each.is_posted]
    send_all(stack.endpoint.sqs, stack.outputs["SegmentEventsQueueUrl"], on_queue)


# ---- Segment: a call for each person, signed, among a site's other calls


def _segment() -> Iterator[PlatformBody]:
    for number in range(_PEOPLE):
        customer, is_member = f"cust-s{number}", number % 4 != 3
        call = {
            "type": "track",
            "event": "Audience Entered" if is_member else "Audience Exited",
            "messageId": f"personas_{number}",
            "userId": customer,
            "timestamp": f"2026-11-20T08:{number // 60:02}:{number % 60:02}.120Z",
            "context": {
                "personas": {
                    "computation_class": "audience",
                    "computation_id": "aud_carts",
                    "computation_key": "cart_abandoners",
                }
            },
            "properties": {
                "audience_key": "cart_abandoners",
                "cart_abandoners": is_member,
                "cart_value": number / 4,
                "address": {"city": "Graz"},
            },
        }
        properties = {"cart_value": json.dumps(number / 4), "address.city": "Graz"}
        fate = _arrival(_CARTS, customer, customer, "ADD" if is_member else "REMOVE", properties)
        yield PlatformBody(SEGMENT, json.dumps(call), is_posted=True, fates=[fate])
    for number in range(_VISITS):
        page = {"type": "page", "messageId": f"page_{number}", "userId": f"cust-s{number}", "name": "Home"}
        yield PlatformBody(SEGMENT, json.dumps(page), is_posted=True, fates=[Nothing()])


# ---- mParticle: a hundred people in a request, and a request that only asks whether somebody listens


def _mparticle() -> Iterator[PlatformBody]:
    for start in range(0, _PEOPLE, _PROFILES_A_REQUEST):
        numbers = range(start, start + _PROFILES_A_REQUEST)
        yield PlatformBody(
            MPARTICLE,
            json.dumps(_membership_change_request(f"request-{start}", [_mparticle_profile(n) for n in numbers])),
            is_posted=True,
            fates=[_arrival(_LAPSED, f"cust-m{n}", str(-n), "ADD", {"tier": "gold"}) for n in numbers],
        )
    keep_alive = json.dumps(_membership_change_request("request-keep-alive", []))
    yield PlatformBody(MPARTICLE, keep_alive, is_posted=True, fates=[Nothing()])


def _membership_change_request(request_id: str, profiles: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "audience_membership_change_request",
        "id": request_id,
        "timestamp_ms": 1795162502065,
        "firehose_version": "3.2.0",
        "user_profiles": profiles,
    }


def _mparticle_profile(number: int) -> dict[str, Any]:
    return {
        "mpid": str(-number),
        "user_identities": [{"type": "customer", "encoding": "raw", "value": f"cust-m{number}"}],
        "audiences": [
            {
                "audience_id": 51022,
                "audience_name": "LapsedBuyers",
                "action": "add",
                "user_attributes": [{"key": "tier", "value": "gold", "action": "add"}],
            }
        ],
    }


# ---- Adobe: all segments of a profile at once, in the records of a Kinesis stream that a pipe hands on


def _adobe() -> Iterator[PlatformBody]:
    for number in range(_EXPORTS):
        customer = f"cust-a{number}"
        profile = {
            "person": {"name": {"firstName": f"Person {number}"}},
            "segmentMembership": {
                "ups": {
                    "3b0f2c9e-1f0d": {"lastQualificationTime": "2026-11-20T08:15:02Z", "status": "existing"},
                    "77aa10d4-8e11": {"lastQualificationTime": "2026-11-20T08:15:02Z", "status": "exited"},
                }
            },
            "identityMap": {"crmid": [{"id": customer}]},
        }
        record = {
            "eventSource": "aws:kinesis",
            "eventID": f"shardId-000000000000:{number}",
            "approximateArrivalTimestamp": 1795162503.5,
            "data": base64.b64encode(json.dumps(profile).encode()).decode(),
        }
        name = {"person.name.firstName": f"Person {number}"}
        fates = [
            _arrival(_CARTS, customer, customer, "UPDATE", name),
            _arrival(_LAPSED, customer, customer, "REMOVE", name),
        ]
        yield PlatformBody(ADOBE, json.dumps(record), is_posted=False, fates=fates)


def _arrival(event_name: str, customer: str, profile_id: str, call_type: str, properties: Mapping[str, str]) -> Arrival:
    all_properties = {**properties, "profileId": profile_id, "callType": call_type}
    return Arrival(_ACCOUNT, event_name, "customerId", customer, frozenset(all_properties.items()))
