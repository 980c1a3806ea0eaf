"""Can a password or a token reach any host but those of the trusted domains?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responsys_activation.responsys.endpoint import TrustedDomains, UntrustedEndpointError

DEFAULT = TrustedDomains(("responsys.net", "rsys8.net", "rsys9.net", "responsys.ocs.oraclecloud.com"))
LOCAL = TrustedDomains(("responsys.net", "127.0.0.1", "localhost", "::1"))


@pytest.mark.parametrize(
    ("address", "base_url"),
    [
        ("https://login5.responsys.net", "https://login5.responsys.net"),
        ("https://api5-009.responsys.net/", "https://api5-009.responsys.net"),
        ("api2-018.responsys.net", "https://api2-018.responsys.net"),
        ("api2-018.responsys.net/", "https://api2-018.responsys.net"),
        ("https://login.rsys8.net", "https://login.rsys8.net"),
        ("https://rest001.rsys9.net", "https://rest001.rsys9.net"),
        ("https://abc-api.responsys.ocs.oraclecloud.com", "https://abc-api.responsys.ocs.oraclecloud.com"),
        ("https://responsys.net", "https://responsys.net"),
        ("https://a.b.c.responsys.net:8443", "https://a.b.c.responsys.net:8443"),
        ("https://LOGIN5.Responsys.NET", "https://login5.responsys.net"),
    ],
)
def test_hosts_of_the_trusted_domains_are_reached_over_https(address: str, base_url: str) -> None:
    assert DEFAULT.base_url(address) == base_url
    assert DEFAULT.trusts(address)


@pytest.mark.parametrize(
    "address",
    [
        "https://evilresponsys.net",
        "https://responsys.net.evil.com",
        "https://login5.responsys.net.evil.com",
        "https://responsys.net@evil.com",
        "https://login5.responsys.net:secret@evil.com",
        "https://evil.com/login5.responsys.net",
        "https://evil.com?.responsys.net",
        "https://evil.com#.responsys.net",
        "https://evil.com\\.responsys.net",
        "https://evil.com\\@login5.responsys.net",
        "https://login5.responsys.net\\@evil.com",
        "https://evil.com%2f.responsys.net",
        "https://evil.com%00.responsys.net",
        "https://evil.com\n.responsys.net",
        "https://login5.responsys.net\n",
        "https://login5.responsys.net\r\nHost: evil.com",
        " https://login5.responsys.net",
        "https://login5.responsys.net ",
        "https://lo gin5.responsys.net",
        "https://evil.com\N{FULLWIDTH FULL STOP}responsys.net",
        "https://evil.com\N{IDEOGRAPHIC FULL STOP}responsys.net",
        "https://ev\N{CYRILLIC SMALL LETTER I}l.responsys.net",
        "https://responsy\N{LATIN SMALL LETTER LONG S}.net",
        "https://login5.responsys.net.",
        "https://login5..responsys.net",
        "https://.responsys.net",
        f"https://{'a' * 64}.responsys.net",
        "https://login5.responsys.net/rest/api",
        "https://login5.responsys.net//",
        "https://login5.responsys.net?x=1",
        "https://login5.responsys.net:99999",
        "https://login5.responsys.net:port",
        "https://login5.responsys.net:",
        "https://login5.responsys.net:\N{ARABIC-INDIC DIGIT ONE}",
        "https://[::1]",
        "https://[::1",
        "https://[zz]",
        "https://127.0.0.1",
        "https://ocs.oraclecloud.com",
        "https://oraclecloud.com",
        "http://login5.responsys.net",
        "http://responsys.net",
        "http://localhost",
        "http://127.0.0.1",
        "ftp://login5.responsys.net",
        "file:///etc/passwd",
        "//login5.responsys.net",
        "https:login5.responsys.net",
        "https://",
        "https:///",
        "",
    ],
)
def test_anything_else_is_refused(address: str) -> None:
    with pytest.raises(UntrustedEndpointError):
        DEFAULT.base_url(address)
    assert not DEFAULT.trusts(address)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1", "http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080", "https://127.0.0.1"],
)
def test_plain_http_is_for_loopback_addresses_that_are_listed(address: str) -> None:
    assert LOCAL.base_url(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.2",  # loopback, not listed
        "http://evil.localhost",  # below a listed name, but no loopback address itself
        "http://127.0.0.1.evil.com",
        "http://evil.127.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::ffff:127.0.0.1]",
        "http://2130706433",
        "http://login5.responsys.net",
        "http://[fe80::1]",
    ],
)
def test_plain_http_to_any_other_host_is_refused(address: str) -> None:
    with pytest.raises(UntrustedEndpointError):
        LOCAL.base_url(address)


def test_plain_http_is_refused_even_for_a_listed_address_that_is_no_loopback() -> None:
    with pytest.raises(UntrustedEndpointError, match="over https"):
        TrustedDomains(("10.0.0.1",)).base_url("http://10.0.0.1")


def test_the_reason_names_the_host_and_the_trusted_domains() -> None:
    with pytest.raises(UntrustedEndpointError, match=r"host evil\.com is not under .*responsys\.net, rsys8\.net"):
        DEFAULT.base_url("https://evil.com")


@given(st.text(st.characters(codec="utf-8"), max_size=20), st.sampled_from(["", "https://"]), st.text(max_size=5))
def test_whatever_is_trusted_is_scheme_host_and_port_under_a_trusted_domain(
    before: str, scheme: str, after: str
) -> None:
    address = f"{scheme}{before}responsys.net{after}"

    if DEFAULT.trusts(address):
        scheme_and_host = DEFAULT.base_url(address).split(":")
        assert scheme_and_host[0] == "https"
        host = scheme_and_host[1].removeprefix("//")
        assert host == "responsys.net" or host.endswith(".responsys.net")
        assert DEFAULT.base_url(DEFAULT.base_url(address)) == DEFAULT.base_url(address)
