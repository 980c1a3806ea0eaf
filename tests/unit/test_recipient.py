"""Is an identifier known however it is written, and is nothing taken for one that could be somebody else's?"""

from __future__ import annotations

import json
from hashlib import md5, sha256
from typing import Any

import pytest

from responsys_activation.connector import IdentifierType
from responsys_activation.json_text import JsonNumber, Repeated
from responsys_activation.recipient import (
    NoIdentifierError,
    find_match_value,
    find_recipient,
    hash_type,
    is_email_address,
)

SHA256 = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
MD5 = "23463b99b62a72f26ed677cc556c44e8"
NAMES = {"RIID": "27", "HASHED_EMAIL": "7001", "CRM_ID": "2001"}


def sent(kind: str, identifiers: dict[str, Any]) -> Any:
    """Return the identifier as it is sent."""
    member, _ = find_recipient(identifiers, IdentifierType(kind))
    (value,) = json.loads(f"{{{member}}}").values()
    return value


def refusal(kind: str, identifiers: dict[str, Any]) -> str:
    with pytest.raises(NoIdentifierError) as refused:
        find_recipient(identifiers, IdentifierType(kind))
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.parametrize("blank", [" ", "\n", "\t\r\n", "\u00a0", "\u3000"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("RIID", "364470825"),
        ("HASHED_EMAIL", SHA256),
        ("CRM_ID", "C 001"),
        ("EMAIL", "Ann@Example.com"),
        ("EMAIL_MD5", MD5),
        ("MOBILE_NUMBER", "+49 151 2345678"),
    ],
)
def test_what_is_around_an_identifier_is_cut(kind: str, value: str, blank: str) -> None:
    name = NAMES.get(kind, kind)

    assert str(sent(kind, {name: f"{blank}{value}{blank}"})) == value


@pytest.mark.parametrize(
    "riid",
    [
        *("364470825", "0364470825", "364470825.0", "364470825.", "364470825.000", "3.64470825E8", "3.64470825e+8"),
        *("3.644708250E8", "36447082.5e1", "364470825e0", JsonNumber("364470825"), JsonNumber("3.64470825E8")),
    ],
)
def test_a_riid_is_read_as_any_language_writes_a_whole_number(riid: Any) -> None:
    assert sent("RIID", {"27": riid}) == 364470825


@pytest.mark.parametrize(
    "riid",
    [
        *(
            "0",
            "000",
            "0.0",
            "-5",
            "+5",
            "5.5",
            "364470825.01",
            "abc",
            "0x1F",
            "4 2",
            "1,000",
            "\N{ARABIC-INDIC DIGIT ONE}",
        ),
        *("1" * 19, "9" * 5000, "1e400", "9007199254740993.0", "1.8014398509481984E16"),
        # Perhaps a longer number that a spreadsheet has shortened
        *("3.6447E8", "3.64e+08", "1e3", JsonNumber("3.6447E8")),
    ],
)
def test_what_is_no_riid_or_not_certainly_the_right_one_is_refused(riid: Any) -> None:
    assert refusal("RIID", {"27": riid}) == "needs RIID (27 or RIID) to be a whole number above 0, with all its digits"


@pytest.mark.parametrize(("kind", "value"), [("HASHED_EMAIL", SHA256), ("EMAIL_MD5", MD5)])
def test_a_hash_is_sent_in_lower_case(kind: str, value: str) -> None:
    assert sent(kind, {kind: value.upper()}) == value


@pytest.mark.parametrize(("kind", "algorithm"), [("HASHED_EMAIL", sha256), ("EMAIL_MD5", md5)])
def test_the_hash_of_an_empty_text_is_a_placeholder_and_no_recipient(kind: str, algorithm: Any) -> None:
    placeholder = algorithm(b"").hexdigest()

    for written in (placeholder, placeholder.upper(), f" {placeholder}\n"):
        assert "not the hash of an empty text" in refusal(kind, {kind: written})


@pytest.mark.parametrize(("kind", "algorithm"), [("HASHED_EMAIL", sha256), ("EMAIL_MD5", md5)])
@pytest.mark.parametrize("address", ["ann@example.com", "Ann@Example.COM", " ann@example.com\n", "ÜNAL@example.com"])
def test_a_clear_address_is_hashed_where_a_hash_is_wanted(kind: str, algorithm: Any, address: str) -> None:
    assert sent(kind, {"EMAIL": address}) == algorithm(address.strip().lower().encode()).hexdigest()


def test_a_hash_comes_before_a_clear_address_even_if_it_is_wrong() -> None:
    assert sent("HASHED_EMAIL", {"7001": SHA256, "EMAIL": "ann@example.com"}) == SHA256
    assert "7001" in refusal("HASHED_EMAIL", {"7001": "x", "EMAIL": "ann@example.com"})
    assert sent("HASHED_EMAIL", {"7001": " ", "EMAIL": "ann@example.com"}) != SHA256


@pytest.mark.parametrize("address", ["ann", "ann@@example.com", "\ud800@example.com", SHA256])
def test_what_is_no_address_is_not_hashed(address: str) -> None:
    assert refusal("HASHED_EMAIL", {"EMAIL": address}) == "needs EMAIL to be an e-mail address"


@pytest.mark.parametrize(
    "number",
    ["(415) 555-2671", "+1 415 555 2671", "415.555.2671", "0151/2345678", "(+49) 151 234", "+(49) 151 234", "112"],
)
def test_a_mobile_number_is_sent_as_it_is_written_at_home(number: str) -> None:
    assert sent("MOBILE_NUMBER", {"MOBILE_NUMBER": number}) == number


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("HASHED_EMAIL", "ann@example.com"),
        ("HASHED_EMAIL", SHA256[1:]),
        ("HASHED_EMAIL", MD5),
        ("CRM_ID", "x" * 256),
        ("CRM_ID", "\ud800"),
        ("EMAIL", "ann"),
        ("EMAIL", "ann @example.com"),
        ("EMAIL", f"{'a' * 490}@example.com"),
        ("EMAIL", "\udc00@example.com"),
        ("EMAIL_MD5", SHA256),
        ("MOBILE_NUMBER", "call me"),
        ("MOBILE_NUMBER", "()"),
        ("MOBILE_NUMBER", "+" + "1" * 50),
    ],
)
def test_an_identifier_of_another_form_is_refused(kind: str, value: str) -> None:
    reason = refusal(kind, {NAMES.get(kind, kind): value})

    assert reason.startswith(f"needs {kind}")
    assert " to be " in reason
    assert value not in reason


@pytest.mark.parametrize("value", [True, False, ["5"], [], {}, {"id": "5"}])
@pytest.mark.parametrize("kind", list(IdentifierType))
def test_an_identifier_of_another_shape_is_refused_by_its_name(kind: IdentifierType, value: Any) -> None:
    assert refusal(kind, {kind.value: value}).endswith(" as text or number")


@pytest.mark.parametrize(
    "absent", [{}, {"27": None}, {"27": ""}, {"27": " \n"}, {"RIID": None, "27": ""}, {"2001": "5"}]
)
def test_an_identifier_that_is_not_there_is_named(absent: dict[str, Any]) -> None:
    assert refusal("RIID", absent) == "needs RIID (27 or RIID)"


def test_for_a_hash_the_clear_address_is_named_as_well() -> None:
    assert refusal("EMAIL_MD5", {}) == "needs EMAIL_MD5, or EMAIL to hash"


@pytest.mark.parametrize(
    ("kind", "identifiers", "value"),
    [
        ("RIID", {"27": "5", "RIID": "005"}, 5),
        ("RIID", {"27": "5", "RIID": JsonNumber("5.0")}, 5),
        ("RIID", {"27": "", "RIID": "5"}, 5),
        ("RIID", {"27": Repeated(("5", "05", None))}, 5),
        ("HASHED_EMAIL", {"7001": SHA256, "HASHED_EMAIL": SHA256.upper()}, SHA256),
        ("CRM_ID", {"2001": "c-1", "CRM_ID": "c-1 "}, "c-1"),
    ],
)
def test_one_recipient_may_be_named_twice(kind: str, identifiers: dict[str, Any], value: Any) -> None:
    assert sent(kind, identifiers) == value


@pytest.mark.parametrize(
    ("kind", "identifiers"),
    [
        ("RIID", {"27": "5", "RIID": "50"}),
        ("RIID", {"27": Repeated(("5", "50"))}),
        ("CRM_ID", {"2001": "c-1", "CRM_ID": "C-1"}),
        ("RIID", {"riid": "5", "Riid": "50"}),
    ],
)
def test_two_recipients_are_refused_and_never_guessed(kind: str, identifiers: dict[str, Any]) -> None:
    assert refusal(kind, identifiers).endswith(" to name one recipient, not several")


@pytest.mark.parametrize(("kind", "name"), [("RIID", "riid"), ("EMAIL", "Email"), ("HASHED_EMAIL", "hashed_email")])
def test_a_types_name_is_known_in_any_letter_case(kind: str, name: str) -> None:
    value = {"riid": "5", "Email": "ann@example.com", "hashed_email": SHA256}[name]

    assert str(sent(kind, {name: value})) == value
    assert sent("EMAIL", {"EMAIL": "first@example.com", "email": "second@example.com"}) == "first@example.com"


@pytest.mark.parametrize(
    ("kind", "first", "second", "same"),
    [
        ("RIID", "5", "005", True),
        ("RIID", "5", "50", False),
        ("HASHED_EMAIL", SHA256, SHA256.upper(), True),
        ("EMAIL", "Ann@example.com", "ann@EXAMPLE.com ", True),
        ("EMAIL_MD5", MD5, MD5.upper(), True),
        ("CRM_ID", "c-1", "C-1", False),
        ("MOBILE_NUMBER", "(415) 555-2671", "415.555.2671", True),
    ],
)
def test_two_ways_to_write_one_recipient_are_the_same_recipient(kind: str, first: str, second: str, same: bool) -> None:
    one, other = (find_recipient({kind: value}, IdentifierType(kind))[1] for value in (first, second))

    assert (one == other) is same


def test_an_address_and_its_hash_are_the_same_recipient_of_a_hash() -> None:
    _, of_address = find_recipient({"EMAIL": "Ann@example.com"}, IdentifierType.HASHED_EMAIL)
    _, of_hash = find_recipient({"7001": sha256(b"ann@example.com").hexdigest().upper()}, IdentifierType.HASHED_EMAIL)

    assert of_address == of_hash


# --- by what somebody is added to the list -------------------------------------------------------------------------

EMAIL_OF_HASHES = "Ann@Example.com"
HASHES = {
    "HASHED_EMAIL": sha256(b"ann@example.com").hexdigest(),
    "EMAIL_MD5": md5(b"ann@example.com", usedforsecurity=False).hexdigest(),
}


@pytest.mark.parametrize(
    ("kind", "identifiers", "value"),
    [
        ("CRM_ID", {"2001": " C 001 ", "EMAIL": "ann@example.com"}, "C 001"),
        ("EMAIL", {"EMAIL": f" {EMAIL_OF_HASHES}\n"}, EMAIL_OF_HASHES),
        ("MOBILE_NUMBER", {"MOBILE_NUMBER": "+49 151 2345678"}, "+49 151 2345678"),
        ("HASHED_EMAIL", {"EMAIL": EMAIL_OF_HASHES}, EMAIL_OF_HASHES),
        ("HASHED_EMAIL", {"EMAIL": EMAIL_OF_HASHES, "7001": HASHES["HASHED_EMAIL"].upper()}, EMAIL_OF_HASHES),
        ("EMAIL_MD5", {"email": EMAIL_OF_HASHES, "EMAIL_MD5": HASHES["EMAIL_MD5"]}, EMAIL_OF_HASHES),
    ],
)
def test_a_recipient_is_created_by_the_identifier_or_the_address_of_its_hash(
    kind: str, identifiers: dict[str, Any], value: str
) -> None:
    assert find_match_value(identifiers, IdentifierType(kind))[0] == value


@pytest.mark.parametrize(
    ("kind", "identifiers", "needed"),
    [
        ("RIID", {"27": "12"}, "cannot create a recipient by RIID (27 or RIID)"),
        ("HASHED_EMAIL", {"7001": HASHES["HASHED_EMAIL"]}, "needs EMAIL beside HASHED_EMAIL (7001 or HASHED_EMAIL)"),
        ("EMAIL_MD5", {"EMAIL_MD5": HASHES["EMAIL_MD5"], "EMAIL": " "}, "needs EMAIL beside EMAIL_MD5"),
        ("HASHED_EMAIL", {"7001": SHA256, "EMAIL": EMAIL_OF_HASHES}, "needs EMAIL to be the address of HASHED_EMAIL"),
        ("EMAIL_MD5", {"EMAIL_MD5": MD5, "EMAIL": EMAIL_OF_HASHES}, "needs EMAIL to be the address of EMAIL_MD5"),
        ("HASHED_EMAIL", {"7001": SHA256, "EMAIL": "nobody"}, "needs EMAIL to be an e-mail address"),
        ("CRM_ID", {"27": "12"}, "needs CRM_ID (2001 or CRM_ID)"),
    ],
)
def test_nobody_is_created_by_a_hash_alone_or_by_another_persons_address(
    kind: str, identifiers: dict[str, Any], needed: str
) -> None:
    with pytest.raises(NoIdentifierError) as refused:
        find_match_value(identifiers, IdentifierType(kind))
    assert str(refused.value).startswith(needed)
    assert EMAIL_OF_HASHES not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SHA256, "HASHED_EMAIL"),
        (SHA256.upper(), "HASHED_EMAIL"),
        (MD5, "EMAIL_MD5"),
        ("a" * 40, None),
        (MD5[:-1] + "x", None),
        (f" {MD5}", None),
        ("", None),
    ],
)
def test_a_hash_is_known_by_its_digits(text: str, kind: str | None) -> None:
    assert hash_type(text) == kind


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("ann@example.com", True), ("ann", False), ("a b@c", False), (SHA256, False), ("@" * 600, False)],
)
def test_an_address_is_told_from_what_is_none(text: str, is_one: bool) -> None:
    assert is_email_address(text) is is_one
