"""Which recipient does a message name?

One is written in many ways: a RIID as text or number, a hash in either case, an address with a line feed behind it.
What reaches the same recipient must be seen as the same, for Responsys refuses a request that names one twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from hashlib import md5, sha256
from json.encoder import encode_basestring_ascii as _ascii
from typing import Any, NamedTuple

from responsys_activation.connector import IdentifierType
from responsys_activation.json_text import JsonNumber, Repeated

__all__ = ["NoIdentifierError", "find_match_value", "find_recipient", "hash_type", "is_email_address"]


class NoIdentifierError(ValueError):
    """The message has no identifier that the connector could use; the text says what is needed and quotes no value."""


def find_recipient(identifiers: Mapping[str, Any], kind: IdentifierType) -> tuple[str, str]:
    """Find a message's identifier of one type; others may be what they like.

    It stands under the type's partner number or its name, which is taken in any letter case where neither has anything.
    For a hash the clear e-mail address will do.

    Returns
    -------
    str
        The identifier as a member of ``recipient`` in a request, ASCII: ``"recipientId":364470825``.
    str
        Equal for all identifiers of the type that reach the same recipient.

    Raises
    ------
    NoIdentifierError
        None, one of another form or shape, or two of different recipients.
    """
    form = _FORMS[kind]
    needed, normal, texts = form, form.normal, _texts(identifiers, form)
    if not texts and form.of_email:
        needed, normal, texts = _EMAIL, form.of_email, _texts(identifiers, _EMAIL)
    if not texts:
        raise NoIdentifierError(f"needs {form}{', or EMAIL to hash' if form.of_email else ''}")
    value, same = _the_one(needed, texts, normal, form.same)
    return f'"{form.field}":{form.written(value)}', same


def find_match_value(identifiers: Mapping[str, Any], kind: IdentifierType) -> tuple[str, str]:
    """Find by which value a message's recipient can be added to the profile list.

    It is the identifier itself, or the e-mail address that it is the hash of: the list takes nobody by a hash.

    Returns
    -------
    str
        The value.
    str
        Equal for all values that mean the same member.

    Raises
    ------
    NoIdentifierError
        As for :func:`find_recipient`; or the message has a hash alone, or beside it another address; or the type is
        ``RIID``, which only Responsys gives.
    """
    form = _FORMS[kind]
    if kind is IdentifierType.RIID:
        raise NoIdentifierError(f"cannot create a recipient by {form}")
    if form.of_email is None:
        return _the_one(form, _texts(identifiers, form), form.normal, form.same)
    texts = _texts(identifiers, _EMAIL)
    if not texts:
        raise NoIdentifierError(f"needs EMAIL beside {form} to create a recipient")
    address, same = _the_one(_EMAIL, texts, _EMAIL.normal, _EMAIL.same)
    _, recipient = find_recipient(identifiers, kind)
    if form.of_email(address) != recipient:
        raise NoIdentifierError(f"needs EMAIL to be the address of {form} to create a recipient")
    return address, same


def _the_one(
    form: _Form, texts: Sequence[str], normal: Callable[[str], str], same: Callable[[str], str]
) -> tuple[str, str]:
    """Return the value that all texts write, and what is the same for all that reach its recipient."""
    if not texts:
        raise NoIdentifierError(f"needs {form}")
    try:
        values = [normal(text) for text in texts]
    except ValueError as exc:
        raise NoIdentifierError(f"needs {form} {exc}") from None
    first = same(values[0])
    if len(values) > 1 and any(same(value) != first for value in values):
        raise NoIdentifierError(f"needs {form} to name one recipient, not several")
    return values[0], first


def is_email_address(text: str) -> bool:
    """Return whether a text, trimmed, is what Responsys would take for an e-mail address."""
    return _is_email_address(text) is not None


def hash_type(text: str) -> IdentifierType | None:
    """Return of which type a hash is, by its digits; ``None`` for what is no hash."""
    if not _HEX_DIGITS.fullmatch(text):
        return None
    return _HASH_TYPES.get(len(text))


def _texts(identifiers: Mapping[str, Any], form: _Form) -> list[str]:
    """Return what stands under the names of a type, trimmed; blanks stand for absent."""
    found = _present([identifiers[name] for name in form.names if name in identifiers], form)
    return found or _present([value for name, value in identifiers.items() if name.upper() in form.names], form)


def _present(values: Iterable[Any], form: _Form) -> list[str]:
    texts: list[str] = []
    for value in values:
        if type(value) is str:
            if text := value.strip():
                texts.append(text)
        elif isinstance(value, JsonNumber):
            texts.append(value.text)
        elif isinstance(value, Repeated):
            texts += _present(value.values, form)
        elif value is not None:
            raise NoIdentifierError(f"needs {form} as text or number")
    return texts


# ---- how an identifier of a type is written


class _Form(NamedTuple):
    """How identifiers of a type are written in a message and in a request.

    ``normal`` gives the value that is sent, or says what it needs to be.
    """

    names: tuple[str, ...]
    field: str
    normal: Callable[[str], str]
    same: Callable[[str], str] = str
    written: Callable[[str], str] = _ascii
    of_email: Callable[[str], str] | None = None

    def __str__(self) -> str:
        return self.names[-1] if len(self.names) == 1 else f"{self.names[-1]} ({' or '.join(self.names)})"


_LARGEST_EXACT_FLOAT = 2**53
_WHOLE = re.compile(r"[0-9]{1,18}")
_FLOAT = re.compile(r"(?P<whole>[0-9]{1,18})(?:\.(?P<decimals>[0-9]{0,18}))?(?:[eE]\+?(?P<exponent>[0-9]{1,2}))?")


def _riid(text: str) -> str:
    digits = text if _WHOLE.fullmatch(text) else _digits_of_float(text)
    if riid := digits.lstrip("0"):
        return riid
    raise ValueError("to be a whole number above 0, with all its digits")


def _digits_of_float(text: str) -> str:
    """Return the digits of a whole number such as ``364470825.0`` or ``3.64470825E8``; none where some may be missing.

    ``3.6447E8`` would name somebody, but perhaps somebody else: so spreadsheets shorten what has more digits.
    """
    number = _FLOAT.fullmatch(text)
    if number is None:
        return ""
    decimals, shift = number["decimals"] or "", int(number["exponent"] or 0)
    digits, rest = number["whole"] + decimals[:shift], decimals[shift:]
    is_exact = len(decimals) >= shift and not rest.strip("0") and int(digits) <= _LARGEST_EXACT_FLOAT
    return digits if is_exact else ""


def _matching(form: str, expected: str) -> Callable[[str], str]:
    matches = re.compile(form, re.S).fullmatch

    def normal(text: str) -> str:
        if matches(text):
            return text
        raise ValueError(f"to be {expected}")

    return normal


def _hash(digits: int, of_nothing: str, expected: str) -> Callable[[str], str]:
    matches = _matching(rf"[0-9a-f]{{{digits}}}", expected)

    def normal(text: str) -> str:
        value = matches(text.lower())
        if value == of_nothing:
            raise ValueError("to be absent where there is no e-mail address, not the hash of an empty text")
        return value

    return normal


def _hash_of_email(algorithm: Callable[[bytes], Any]) -> Callable[[str], str]:
    def normal(text: str) -> str:
        digest: str = algorithm(_email(text).lower().encode()).hexdigest()
        return digest

    return normal


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_md5 = partial(md5, usedforsecurity=False)  # it is what Responsys looks for
_EMAIL_ADDRESS = r"(?=.{3,500}$)[^\s@\ud800-\udfff]+@[^\s@\ud800-\udfff]+"
_is_email_address = re.compile(_EMAIL_ADDRESS, re.S).fullmatch
_HEX_DIGITS = re.compile(r"[0-9a-fA-F]{32,64}")
_HASH_TYPES = {64: IdentifierType.HASHED_EMAIL, 32: IdentifierType.EMAIL_MD5}
_email = _matching(_EMAIL_ADDRESS, "an e-mail address")
_EMAIL = _Form(("EMAIL",), "emailAddress", _email, same=str.lower)
# Field names and column sizes: Responsys REST API v1.3, trigger custom event, and the profile list's system fields.
_FORMS = {
    IdentifierType.RIID: _Form(("27", "RIID"), "recipientId", _riid, written=str),
    IdentifierType.HASHED_EMAIL: _Form(
        ("7001", "HASHED_EMAIL"),
        "emailSHA256Hash",
        _hash(64, sha256().hexdigest(), "a SHA-256 of 64 hex digits"),
        of_email=_hash_of_email(sha256),
    ),
    IdentifierType.CRM_ID: _Form(
        ("2001", "CRM_ID"), "customerId", _matching(r"[^\ud800-\udfff]{1,255}", "1 to 255 characters")
    ),
    IdentifierType.EMAIL: _EMAIL,
    IdentifierType.EMAIL_MD5: _Form(
        ("EMAIL_MD5",),
        "emailMD5Hash",
        _hash(32, _md5().hexdigest(), "an MD5 of 32 hex digits"),
        of_email=_hash_of_email(_md5),
    ),
    IdentifierType.MOBILE_NUMBER: _Form(
        ("MOBILE_NUMBER",),
        "mobileNumber",
        _matching(r"(?=.{2,50}$)\(?\+?\(?[0-9][0-9 ()./-]*", "a mobile number of up to 50 characters"),
        same=_digits,
    ),
}
