"""Which bodies would somebody send who wants to break us, or whose encoder is broken?"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from responsys_activation.connector import IdentifierType

# Names that would lead elsewhere, if they were taken as they stand.
CONNECTOR_NAMES = ["nowhere", "a..b", "constructor", "default/../../tokens/default", "../tokens/default"]
CUSTOM_EVENT_NAMES = ["[x] 50%", "x?y#z&", "..%2f..", "{{7*7}}", " ", "..", "../auth/token", "x/../y", "x\r\nX-Evil: 1"]
# The connectors that exist, one of each kind.
CONNECTORS = {kind.value.lower(): kind for kind in IdentifierType} | {"default": IdentifierType.RIID}
EVENT_NAMES = ("SEGMENT_CHANGED", "CART_ABANDONED")

# ---- JSON as no encoder would write it


@dataclass(frozen=True)
class Raw:
    """JSON that goes out as it stands."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """An object whose names may come twice."""

    pairs: tuple[tuple[str, Any], ...]


def written(value: Any) -> str:
    """Write a value that may hold :class:`Raw` and :class:`Pairs`."""
    match value:
        case Raw(text):
            return text
        case Pairs(pairs):
            return "{" + ",".join(f"{json.dumps(name)}:{written(member)}" for name, member in pairs) + "}"
        case dict():
            return written(Pairs(tuple(value.items())))
        case list():
            return f"[{','.join(map(written, value))}]"
        case _:
            return json.dumps(value)


# ---- values that have broken somebody

HOSTILE_TEXTS = [
    *("", " ", "\t\r\n", "\u3000", "-", ".", "..", "...", "null", "undefined", "NaN", "true", "0", "-1", "1e5", "0x10"),
    *("../tokens/default", "../../etc/passwd", "..%2F..%2Ftokens%2Fdefault", "%2e%2e%2f", "%252e%252e", "..\\..\\x"),
    *("/stack/tokens/default", "default/../../tokens/default", "default/", "//evil.example/", "@evil.example", ":8080"),
    *("https://evil.example/rest", "x?auth_type=token", "x#fragment", "x;jsessionid=1", "x&y=z", "%00", "%0d%0aX: 1"),
    *(
        "x\r\nAuthorization: stolen",
        "x\r\n\r\nPOST / HTTP/1.1",
        "x\x00y",
        "x\x1b[2J",
        "x\x7f",
        "\ud800",
        "x\udfff\ud800",
    ),
    *("__proto__", "constructor", "__class__", "__init__", "toString", "model_config", "profile_id", "eventName"),
    *("{{7*7}}", "${jndi:ldap://evil.example/a}", "<script>alert(1)</script>", "' OR 1=1 --", "$(id)", "%s%n", "{0}"),
    # Digits and letters that are not ASCII's: Arabic, full width, superscript, long s, dotted I, sharp s.
    *(
        "\u0663\u0664\u0665",
        "\uff11\uff12\uff13",
        "\u00b2",
        "\u017fEGMENT",
        "\u0130",
        "\u00df",
        "e\u0301",
        "\u65e5\u672c",
    ),
    *("\ufeff", "\u200b", "\u202e", "\u2028", "\ufffe", "\U0001f388", "\U0001f388" * 201),
    *("9" * 18, "9" * 19, "9" * 400, "0" * 18, "+1", "1.0", "a" * 300, "\\" * 50, '"' * 50),
]
# Valid JSON that some reader somewhere chokes on.
HOSTILE_JSON = [
    *("-0", "0.10", "1E+2", "1e999999999", "-1e-999999999", "9" * 400, "0." + "1" * 400, "18446744073709551616"),
    *('"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"', '"\\/"', '{"a":1,"a":2}', '{"__proto__":{"a":1}}', "[[],{}]"),
    *("[" * 400 + "]" * 400, '{"a":' * 400 + "1" + "}" * 400),
]
NO_JSON = [
    *("00", "01", "1.", ".5", "+1", "0x1F", "NaN", "Infinity", "-Infinity", "1_000", "1e", "--1", "nul", "True"),
    *('"\\x41"', '"unended', "'single'", '"a\nb"', "[1,]", '{"a":1,}', "/* */ 1", "[" * 5_000, '{"a":' * 5_000),
]
NAMES = ["profileId", "callType", "segment", "connector", "eventName", "identifiers", "variables", "messageId"]
NAMES += ["occurredAt", "detail", "data", "data_base64", "Message", "__proto__", "constructor", "__class__", "", "27"]
NAMES += ["specversion", "detail-type", "MessageId", "eventSource", "kinesis", "body", "id", "source", "time", "type"]

texts = st.sampled_from(HOSTILE_TEXTS) | st.text(st.characters(exclude_categories=[]), max_size=12)
raws = st.sampled_from(HOSTILE_JSON).map(Raw)
leaves = texts | raws | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
names = st.sampled_from(NAMES) | texts
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(names, inner), max_size=4).map(lambda pairs: Pairs(tuple(pairs)))
    ),
    max_leaves=8,
)

# ---- messages that are right but for something


def _identifiers(number: int) -> dict[str, str]:
    """Return one of few recipients, by every identifier type, now written in one way and now in another."""
    return {
        "27": "0" * (number % 2) + str(number // 2 + 1),
        "7001": "aAbB"[number % 4] * 64,
        "2001": ["crm-1", "Ada", "日本", "C_1"][number % 4],
        "EMAIL": ["ann@example.com", "ANN@example.com", "bob@example.com"][number % 3],
        "EMAIL_MD5": "0123"[number % 4] * 32,
        "MOBILE_NUMBER": ["+49 151 1", "+491511", "0151-2"][number % 3],
    }


_variables = st.lists(st.tuples(st.sampled_from(["A", "a", "profileid", "CallType"]) | texts, values), max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a message that is right, then perhaps spoil a field or two."""
    number = draw(st.integers(0, 99))
    message: dict[str, Any] = {
        "profileId": ["p-1", "p-2", "日本"][number % 3],
        "callType": ["ADD", "UPDATE", "REMOVE"][number % 3],
        "segment": {"type": ["AUDIENCE", "journey"][number % 2], "id": "aud-1"},
        "identifiers": _identifiers(number),
        "connector": draw(st.sampled_from([*sorted(CONNECTORS) * 3, *CONNECTOR_NAMES])),
    }
    optional: dict[str, st.SearchStrategy[Any]] = {
        "messageId": st.sampled_from(["m-1", "m-2", "__proto__"]),
        "eventName": st.sampled_from([*EVENT_NAMES * 4, *CUSTOM_EVENT_NAMES]),
        "variables": _variables,
        "identifiers": st.lists(st.tuples(st.sampled_from(["27", "RIID", "2001", "EMAIL", "x"]), values), max_size=3),
        "hostile": st.lists(st.tuples(names, values), min_size=1, max_size=2),
    }
    for name in draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=3)):
        value = draw(optional[name])
        if name == "hostile":
            message.update(value)
        else:
            message[name] = Pairs(tuple(value)) if isinstance(value, list) else value
    return message


ENVELOPES = [
    "SNS",
    "EventBridge",
    "CloudEvent",
    "CloudEvent in base64",
    "SQS",
    "Kinesis",
    "detail",
    "data",
    "data_base64",
]
_ids: st.SearchStrategy[Any] = st.sampled_from(["e-1", "e-2", "", " ", None, [], "\ud800", Raw("7")])
_times: st.SearchStrategy[Any] = st.sampled_from(
    ["2026-11-23T10:00:00Z", "20261123T110000+0100", "soon", "", None, Raw("1763892000"), Raw("1e400")]
)


def _enveloped(body: str, envelope: str, own_id: Any, time: Any) -> str:
    in_base64 = base64.b64encode(body.encode("utf-8", "surrogatepass")).decode()
    match envelope:
        case "SNS":
            return written({"Type": "Notification", "MessageId": own_id, "Timestamp": time, "Message": body})
        case "EventBridge":
            return written({"id": own_id, "detail-type": "x", "time": time, "detail": Raw(body)})
        case "CloudEvent":
            return written({"specversion": "1.0", "id": own_id, "source": "/x", "time": time, "data": Raw(body)})
        case "CloudEvent in base64":
            return written({"specversion": "1.0", "id": own_id, "source": "/x", "time": time, "data_base64": in_base64})
        case "SQS":
            attributes = {"SentTimestamp": time}
            return written({"eventSource": "aws:sqs", "messageId": own_id, "attributes": attributes, "body": body})
        case "Kinesis":
            record = {"eventSource": "aws:kinesis", "eventID": own_id, "data": in_base64}
            return written(record | {"approximateArrivalTimestamp": time})
        case "detail" | "data":
            return written({"source": "cdp", envelope: Raw(body)})
        case _:
            return written({"data_base64": in_base64})


@st.composite
def structured(draw: st.DrawFn) -> str:
    """Draw a message with hostile fields, perhaps in envelopes, of which one may be cut."""
    body = written(draw(messages()))
    for envelope in draw(st.lists(st.sampled_from(ENVELOPES), max_size=2)):
        body = _enveloped(body, envelope, draw(_ids), draw(_times))
    return body


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a message whose text is cut, doubled or has something put into it."""
    body = draw(structured())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 20)))
        match draw(st.sampled_from(["cut", "double", "put"])):
            case "cut":
                body = body[:start] + body[end:]
            case "double":
                body = body[:end] + body[start:]
            case _:
                body = (
                    body[:start]
                    + draw(st.sampled_from([*'{}[]":,\\', *HOSTILE_TEXTS, *HOSTILE_JSON, *NO_JSON]))
                    + body[end:]
                )
    return body


near_json = st.text('[]{}":,\\ud80tfn1.eE-+ ', max_size=40)
anything = st.text(st.characters(exclude_categories=[]), max_size=40)
invalid_utf8 = st.binary(max_size=40).map(lambda data: written({"data_base64": base64.b64encode(data).decode()}))


def bodies() -> st.SearchStrategy[str]:
    """Return bodies of every kind, most of them structured, because a text that is no JSON ends early."""
    return st.one_of(structured(), structured(), structured(), mutated(), values.map(written)) | st.one_of(
        near_json, anything, invalid_utf8
    )
