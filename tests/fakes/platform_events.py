"""Which custom events do the samples in ``events/upstream`` become? One connector has customer ids, one hashes."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["ARRIVING", "ENDING", "SETTINGS", "Event"]

NORA = "09b48fb11ed8bf8c509b1380e14ac5614567947e6a0e96c2a4aad2c591edb7e7"
OLAV = "a280e496d92fe6e5b4bf805fc819b5514430d383e526c778769d4e6a7aeefa38"
NORA_NEW = "32efcec8db37561db0dd8efcbd99bfa189d00195dddbe6f90bb848bd6bf53dbe"
CARTS, LEFT = "CART_ABANDONED", "SEGMENT_CHANGED"
# Segments by id, key or name, as it comes. Those of `adobe_changed` and `lytics_left` are mapped nowhere.
_EVENTS = {
    "aud_3Fh0a": CARTS,
    "carts__remind_8k2": CARTS,
    "51022": CARTS,
    "Churned": LEFT,
    "51024": LEFT,
    "Cart abandoners": CARTS,
    "77aa10d4-8e11-4c5b-8f43-0a9b8c7d6e5f": LEFT,
    "cart_abandoners": CARTS,
}
# What a connector has beside its account, by name.
SETTINGS: dict[str, dict[str, Any]] = {
    "crm": {"identifierType": "CRM_ID", "eventNames": _EVENTS},
    "mail": {
        "identifierType": "HASHED_EMAIL",
        "eventNames": _EVENTS,
        "variables": {"only": ["cart_value", "tier", "address"], "rename": {"cart_value": "CART_VALUE"}},
    },
}


class Event(NamedTuple):
    """One custom event.

    Attributes
    ----------
    properties : tuple of (str, str)
        In the order sent, without ``profileId`` and ``callType``.
    """

    connector: str
    name: str
    identifier: str
    profile_id: str
    call_type: str
    properties: tuple[tuple[str, str], ...] = ()


_CART = (("cart_value", "99.9"), ("currency", "EUR"))
_ADOBE = (
    ("person.name.firstName", "Nora"),
    ("personalEmail.address", "nora@example.org"),
    ("_acme.loyalty.tier", "gold"),
)
_LYTICS = (("email", "nora@example.org"), ("user_id", "cust-4711"), ("first_name", "Nora"))
_SEVERAL = (("email", "nora@example.org"), ("loyalty_id", "L-88"))
_STEP = (
    ("journey_context.Cart_Modified.cart_id", "c-81"),
    ("journey_context.Cart_Modified.total", "99.9"),
    ("first_name", "Nora"),
    ("email", "nora@example.org"),
)
_HOME = (("address.city", "Graz"), ("address.country", "AT"))
_CHANGED = (("tier", "gold"), ("brands", '["A","B"]'))

ARRIVING: dict[str, list[Event]] = {
    "adobe_changed": [],
    "adobe_entered": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _ADOBE),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
    ],
    "adobe_left": [
        Event("crm", LEFT, "cust-4711", "cust-4711", "REMOVE", _ADOBE),
        Event("mail", LEFT, NORA, "cust-4711", "REMOVE"),
    ],
    "adobe_many": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _ADOBE),
        Event("crm", LEFT, "cust-4711", "cust-4711", "REMOVE", _ADOBE),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
        Event("mail", LEFT, NORA, "cust-4711", "REMOVE"),
    ],
    "adobe_no_segments": [],
    "adobe_several_identifiers": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _ADOBE),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
    ],
    "adobe_unknown": [
        Event("crm", LEFT, "cust-4711", "cust-4711", "REMOVE", _ADOBE),
        Event("mail", LEFT, NORA, "cust-4711", "REMOVE"),
    ],
    "amplitude_entered": [Event("crm", CARTS, "cust-4711", "cust-4711", "ADD")],
    "amplitude_left": [Event("crm", CARTS, "cust-4711", "cust-4711", "REMOVE")],
    "amplitude_many": [
        Event("crm", CARTS, "cust-4712", "cust-4712", "ADD", (("plan", "pro"), ("address.city", "Graz"))),
        Event("mail", CARTS, NORA, "nora@example.org", "ADD"),
    ],
    "amplitude_no_users": [],
    "amplitude_several_identifiers": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", (("email", "nora@example.org"),)),
    ],
    "amplitude_unknown": [],
    "lytics_bare": [
        Event("crm", CARTS, "cust-4711", "9912007", "ADD", _LYTICS),
        Event("mail", CARTS, NORA, "9912007", "ADD"),
    ],
    "lytics_entered": [
        Event("crm", CARTS, "cust-4711", "9912007", "ADD", _LYTICS),
        Event("mail", CARTS, NORA, "9912007", "ADD"),
    ],
    "lytics_left": [],
    "lytics_many": [
        Event("crm", CARTS, "cust-4711", "9912007", "ADD", _LYTICS),
        Event("mail", CARTS, NORA, "9912007", "ADD"),
    ],
    "lytics_no_events": [],
    "lytics_several_identifiers": [
        Event(
            "crm",
            CARTS,
            "cust-4711",
            "9912007",
            "ADD",
            (("email", "nora@example.org"), ("customer_id", "cust-4711"), ("loyalty_id", "L-88")),
        ),
        Event("mail", CARTS, NORA, "9912007", "ADD"),
    ],
    "lytics_unknown": [],
    "mparticle_changed": [
        Event("crm", LEFT, "cust-4711", "-812345", "UPDATE", _CHANGED),
        Event("mail", LEFT, NORA, "-812345", "UPDATE", _CHANGED[:1]),
    ],
    "mparticle_entered": [
        Event("crm", CARTS, "cust-4711", "-812345", "ADD"),
        Event("mail", CARTS, NORA, "-812345", "ADD"),
    ],
    "mparticle_identity_change": [
        Event("mail", CARTS, NORA, "-812345", "REMOVE"),
        Event("mail", CARTS, NORA_NEW, "-812345", "ADD"),
    ],
    "mparticle_keep_alive": [],
    "mparticle_left": [
        Event("crm", LEFT, "cust-4711", "-812345", "REMOVE"),
        Event("mail", LEFT, NORA, "-812345", "REMOVE"),
    ],
    "mparticle_many": [
        Event("crm", CARTS, "cust-4711", "-812345", "ADD"),
        Event("crm", LEFT, "cust-4711", "-812345", "REMOVE"),
        Event("crm", LEFT, "cust-4711", "-812345", "UPDATE", _CHANGED),
        Event("mail", CARTS, NORA, "-812345", "ADD"),
        Event("mail", CARTS, OLAV, "5512", "ADD"),
        Event("mail", LEFT, NORA, "-812345", "REMOVE"),
        Event("mail", LEFT, NORA, "-812345", "UPDATE", _CHANGED[:1]),
    ],
    "mparticle_record": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD"),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
    ],
    "mparticle_several_identifiers": [Event("mail", CARTS, NORA, "-812345", "ADD")],
    "mparticle_subscription": [],
    "mparticle_unknown": [],
    "segment_entered": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _CART),
        Event("mail", CARTS, NORA, "cust-4711", "ADD", (("CART_VALUE", "99.9"),)),
    ],
    "segment_journey_step": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _STEP),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
    ],
    "segment_left": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "REMOVE", (*_LYTICS[:1], *_LYTICS[2:], *_HOME)),
        Event("mail", CARTS, NORA, "cust-4711", "REMOVE", _HOME),
    ],
    "segment_many": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _CART),
        Event("crm", CARTS, "cust-4712", "cust-4712", "ADD", (("email", "olav@example.org"),)),
        Event("mail", CARTS, NORA, "cust-4711", "ADD", (("CART_VALUE", "99.9"),)),
        Event("mail", CARTS, OLAV, "cust-4712", "ADD"),
    ],
    "segment_page": [],
    "segment_several_identifiers": [
        Event("crm", CARTS, "cust-4711", "cust-4711", "ADD", _SEVERAL),
        Event("mail", CARTS, NORA, "cust-4711", "ADD"),
    ],
    "segment_trait": [],
    "segment_unknown": [],
}
# The error codes of what does not arrive.
_NOBODY = "NO_IDENTIFIER"
ENDING: dict[str, list[str]] = {
    "adobe_changed": ["ADOBE_SEGMENT_NOT_MAPPED"],
    "adobe_many": ["ADOBE_SEGMENT_NOT_MAPPED"] * 2,
    "adobe_no_segments": ["ADOBE_NO_SEGMENTS"],
    "adobe_unknown": ["INVALID_MESSAGE"],
    "amplitude_entered": [_NOBODY],
    "amplitude_left": [_NOBODY],
    "amplitude_many": [_NOBODY, _NOBODY],
    "amplitude_no_users": ["AMPLITUDE_NO_USERS"],
    "amplitude_several_identifiers": [_NOBODY],
    "amplitude_unknown": ["INVALID_MESSAGE"],
    "lytics_left": ["LYTICS_SEGMENT_NOT_MAPPED"],
    "lytics_many": ["LYTICS_SEGMENT_NOT_MAPPED"],
    "lytics_no_events": ["LYTICS_NO_SEGMENT_EVENTS"],
    "lytics_unknown": ["INVALID_MESSAGE"],
    "mparticle_identity_change": [_NOBODY, _NOBODY],
    "mparticle_keep_alive": ["MPARTICLE_KEEP_ALIVE"],
    "mparticle_many": [_NOBODY],
    "mparticle_several_identifiers": [_NOBODY],
    "mparticle_subscription": ["MPARTICLE_AUDIENCE_SUBSCRIPTION_REQUEST"],
    "mparticle_unknown": ["INVALID_MESSAGE"],
    "segment_page": ["SEGMENT_PAGE"],
    "segment_trait": ["SEGMENT_TRAIT"],
    "segment_unknown": ["INVALID_MESSAGE"],
}
