"""Where a credential may go: public addresses, and base URLs without disguises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.addresses import check_base_url, is_public
from keyvault.errors import UsageError


@pytest.mark.parametrize("ip", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_public(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "198.18.0.1", "192.0.0.8", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "localhost", "", "127.1", "2130706433",
    ],
)  # fmt: skip
def test_every_other_address_is_not(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com:443/v1//", "https://api.openai.com/v1"),
        ("https://api.example.com:8443", "https://api.example.com:8443"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/",
            "https://generativelanguage.googleapis.com/v1beta/openai",
        ),
        ("https://1.1.1.1/v1", "https://1.1.1.1/v1"),
        ("https://[2606:4700:4700:0::1111]/v1", "https://[2606:4700:4700::1111]/v1"),
    ],
)
def test_a_public_url_is_normalised(url: str, normal: str) -> None:
    assert check_base_url(url, allow_private=False) == normal


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.openai.com/v1", "plain http"),
        ("https://169.254.169.254/latest", "private address"),
        ("https://127.0.0.1/v1", "private address"),
        ("https://[::1]/v1", "private address"),
        ("https://[::ffff:127.0.0.1]/v1", "private address"),
        ("https://localhost/v1", "private host"),
        ("https://ollama/v1", "private host"),
        ("https://db.internal/v1", "private host"),
        ("https://xn--penai-0ye.com/v1", "internationalised"),
    ],
)
def test_an_inside_url_needs_allow_private(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        check_base_url(url, allow_private=False)
    assert "--allow-private" in (caught.value.hint or "")
    check_base_url(url, allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.openai.com/v1", "//api.openai.com", "ftp://api.openai.com", "file:///etc/passwd", "https://",
        "https://user:hunter2@api.openai.com/v1", "https://@api.openai.com", "https://api.openai.com/v1?key=hunter2",
        "https://api.openai.com/v1#hunter2", "https://api.openai.com/v1?", "https://\u043epenai.com/v1",
        "https://\uff11.1.1.1/v1", "https://2130706433/v1", "https://0x7f000001/v1", "https://0x7f.1/v1",
        "https://127.1/v1", "https://0177.0.0.1/v1", "https://127.0.0.0x1/v1", "https://1.1.1.1./v1",
        "https://api.openai.com./v1", "https://-a.com/v1", "https://a..b/v1", "https://api.openai.com:0/v1",
        "https://api.openai.com:/v1", "https://api.openai.com:70000/v1", "https://api.openai.com:x/v1",
        "https://api.openai.com\\@evil.com/v1", "https://api.openai.com/../x", "https://api.openai.com/%2e%2e/x",
        "https://api.openai.com//v1", "https://api.openai.com/v 1", "https://api.openai.com/v1\r\nHost: evil",
        "https://[fe80::1%25eth0]/v1", "https://[1.1.1.1]x/v1", "https://[::1/v1", "\thttps://api.openai.com",
    ],
)  # fmt: skip
def test_a_disguised_url_is_refused_even_with_allow_private_and_never_shown(url: str) -> None:
    for allow_private in (False, True):
        with pytest.raises(UsageError, match="base URL refused") as caught:
            check_base_url(url, allow_private)
        assert "hunter2" not in caught.value.message


@given(st.text(max_size=60))
def test_any_text_gives_a_url_or_a_plain_refusal(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.openai.com{text}"):
        try:
            normal = check_base_url(url, allow_private=False)
        except UsageError:
            continue
        assert check_base_url(normal, allow_private=False) == normal
        assert normal.startswith("https://")
