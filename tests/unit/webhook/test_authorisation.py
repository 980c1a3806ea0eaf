"""Is everybody let in who knows the secret, and nobody else?"""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from responsys_activation.webhook.authorisation import is_authorised
from responsys_activation.webhook.request import Request

NEW, OLD = b"correct-horse-battery-staple", b"the-one-before-this"
BODY = '{"name": "Zoë"}\n'.encode()


def signature(secret: bytes, body: bytes = BODY) -> str:
    return hmac.digest(secret, body, "sha1").hex()


def is_let_in(body: bytes = BODY, /, **headers: str) -> bool:
    return is_authorised(Request({name.replace("_", "-"): value for name, value in headers.items()}, body), [NEW, OLD])


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_who_shows_the_secret_or_the_one_before_is_let_in(secret: bytes) -> None:
    text = secret.decode()

    assert is_let_in(authorization=f"Bearer {text}")
    assert is_let_in(authorization=f"bearer  {text} ")
    assert is_let_in(x_amz_firehose_access_key=text)
    assert is_let_in(x_signature=signature(secret))
    assert is_let_in(x_signature=signature(secret).upper())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": NEW.decode()},
        {"authorization": f"Basic {NEW.decode()}"},
        {"authorization": f"Bearer {NEW.decode()}x"},
        {"authorization": f"Bearer {NEW.decode()[:-1]}"},
        {"authorization": "Bearer é\ud800"},
        {"x_amz_firehose_access_key": ""},
        {"x_amz_firehose_access_key": f"Bearer {NEW.decode()}"},
        {"x_signature": ""},
        {"x_signature": NEW.decode()},
        {"x_signature": signature(b"")},
        {"x_signature": signature(b"another")},
        {"x_signature": signature(NEW, b"{}")},
    ],
)
def test_nobody_else_is(headers: dict[str, str]) -> None:
    assert not is_let_in(BODY, **headers)


def test_a_signature_is_of_the_bytes_as_they_were_sent() -> None:
    assert is_let_in(b"\x1f\x8b\xff", x_signature=signature(NEW, b"\x1f\x8b\xff"))
    assert not is_let_in(BODY.strip(), x_signature=signature(NEW))


def test_what_was_shown_is_compared_in_constant_time_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a look at what is compared
    compared: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    # When the first of them is right already
    assert is_let_in(authorization=f"Bearer {NEW.decode()}", x_signature="00")
    # Then all were compared all the same, and in that way only
    assert compared == [
        (NEW, NEW),
        (NEW, OLD),
        (b"00", signature(NEW).encode()),
        (b"00", signature(OLD).encode()),
    ]
