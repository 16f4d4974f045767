"""How a provider may be reached: the environment's proxies, the addresses that may be used, whom TLS trusts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from keyvault.domain.outgoing import Proxies, Proxy, Unreachable, check_unresolved, tls_context, usable_addresses
from tests.proxy.certificates import Authority


def proxy_for(url: str, environ: dict[str, str]) -> Proxy | None:
    parts = urlsplit(url)
    return Proxies(environ).proxy_for(
        parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    )


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        ("https://api.openai.com", "", True),
        ("https://api.openai.com", "openai.com", False),
        ("https://api.openai.com", ".openai.com", False),
        ("https://api.openai.com", "*.openai.com", False),
        ("https://api.openai.com", "api.openai.com:443", False),
        ("https://api.openai.com", "api.openai.com:8443", True),
        ("https://api.openai.com", "penai.com", True),
        ("https://api.openai.com", "example.com, OPENAI.com", False),
        ("https://api.openai.com", "example.com openai.com", True),
        ("https://api.openai.com", "*", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "192.168.0.0/16", True),
        ("https://10.1.2.3", "10.1.2.3", False),
        ("https://[2001:db8::1]", "2001:db8::/32", False),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443", False),
        ("https://api.openai.com", "10.0.0.0/99", True),
        ("https://localhost", "", False),
        ("https://127.0.0.1:8000", "", False),
        ("http://api.openai.com", "", False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_networks(url: str, no_proxy: str, proxied: bool) -> None:
    found = proxy_for(url, {"https_proxy": "http://proxy:3128", "NO_PROXY": no_proxy})
    assert found == (Proxy("http", "proxy", 3128) if proxied else None)


def test_the_lower_case_variable_wins_and_all_proxy_comes_last() -> None:
    environ = {"HTTPS_PROXY": "upper:1", "https_proxy": "lower:2", "ALL_PROXY": "all:3"}
    assert proxy_for("https://x.example", environ) == Proxy("http", "lower", 2)
    assert proxy_for("http://x.example", environ) == Proxy("http", "all", 3)
    assert proxy_for("https://x.example", {}) is None


def test_a_proxy_s_password_is_in_its_header_only() -> None:
    proxy = Proxy.parse("http://us%40er:pass@proxy:3128")
    assert proxy.authorization == b"Basic dXNAZXI6cGFzcw=="
    assert proxy.url == "http://proxy:3128"
    assert "pass" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://user:secret@proxy:1080", "http://", "http://proxy:notaport", "http://[::1"])
def test_a_proxy_of_no_use_is_refused_in_plain_words(url: str) -> None:
    with pytest.raises(Unreachable) as caught:
        Proxy.parse(url)
    assert caught.value.code == "proxy_error"
    assert "secret" not in caught.value.text


def test_private_addresses_are_left_out_unless_they_are_allowed() -> None:
    both = ["10.0.0.1", "1.1.1.1"]
    assert usable_addresses("two.example", both, allow_private=False) == ["1.1.1.1"]
    assert usable_addresses("two.example", both, allow_private=True) == both
    with pytest.raises(Unreachable) as caught:
        usable_addresses("inside.example", ["10.0.0.1"], allow_private=False)
    assert caught.value.code == "private_address"


def test_where_a_proxy_resolves_a_literal_address_is_still_checked() -> None:
    check_unresolved("inside.example", allow_private=False)
    check_unresolved("10.0.0.1", allow_private=True)
    with pytest.raises(Unreachable):
        check_unresolved("10.0.0.1", allow_private=False)


def test_an_own_authority_is_the_only_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    [trusted] = tls_context(str(authority.file)).get_ca_certs()
    assert trusted["issuer"] == trusted["subject"]


def test_an_authority_file_of_no_use_is_a_tls_error(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    for file in (nonsense, tmp_path / "missing.pem"):
        with pytest.raises(Unreachable) as caught:
            tls_context(str(file))
        assert caught.value.code == "tls_error"
