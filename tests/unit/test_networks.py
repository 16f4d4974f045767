"""Address allow-lists: how networks are written, and which addresses are in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.domain.keys import Policy, check_policy
from keyvault.domain.networks import admits, check_networks
from keyvault.errors import UsageError
from keyvault.proxy.forwarded import client_address
from keyvault.proxy.http1 import Request


def test_a_network_is_kept_in_its_shortest_form_and_once() -> None:
    written = ("10.0.0.0/8", "192.0.2.7/32", "192.0.2.7", "2001:DB8:0::/32", "::ffff:10.1.0.0/112", "::1")
    assert check_networks(written) == ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.1.0.0/16", "::1")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.1/8", "10.0.0.0/8, or 10.0.0.1 alone"),
        ("10.0.0.0/33", "write it like"),
        ("example.com", "write it like"),
        ("fe80::1%eth0", "write it like"),
        ("10.0.0.0-10.0.0.9", "write it like"),
        ("", "write it like"),
        ("1" * 10_000, "write it like"),
        ("٣.0.0.1", "write it like"),
    ],
)
def test_what_is_no_network_is_refused_in_one_short_line(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_policy(Policy(addresses=(text,)))
    assert hint in str(caught.value.hint)
    assert len(caught.value.message) < 120
    assert caught.value.message.isascii()


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.255.0.1", True),
        ("::ffff:10.255.0.1", True),
        ("11.0.0.1", False),
        ("2001:db8::9", True),
        ("2001:db9::9", False),
        ("2001:db8::9%eth0", True),
        ("", False),
        ("unknown", False),
    ],
)
def test_an_address_is_in_a_list_or_not_whatever_protocol_carried_it(address: str, inside: bool) -> None:
    assert admits(check_networks(("10.0.0.0/8", "2001:db8::/32")), address) is inside


def test_everything_of_ipv6_is_not_everything_of_ipv4() -> None:
    assert not admits(check_networks(("::/0",)), "::ffff:10.0.0.1")
    assert admits(check_networks(("::ffff:0:0/96",)), "10.0.0.1")


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mapped_list_and_a_mapped_address_answer_as_their_ipv4_forms(address, prefix) -> None:  # type: ignore[no-untyped-def]
    import ipaddress

    network = ipaddress.ip_network((int(address), prefix), strict=False)
    mapped = f"::ffff:{network.network_address}/{96 + prefix}"
    assert check_networks((mapped,)) == check_networks((str(network),))
    assert admits(check_networks((mapped,)), f"::ffff:{address}")


PROXIES = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "lines", "client"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.66, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2", "10.0.0.3"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.66", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["rubbish, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, rubbish"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, "], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["\xff\xfe"], "10.0.0.1"),
        ("10.0.0.1", ["2001:4860::8888"], "2001:4860::8888"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_is_believed_and_only_as_far_as_it_wrote_itself(
    peer: str, lines: list[str], client: str
) -> None:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]
    assert client_address(PROXIES)(Request(headers=headers, peer=peer)) == client


def test_without_trusted_proxies_the_header_is_not_even_read() -> None:
    request = Request(headers=[(b"x-forwarded-for", b"198.51.100.1")], peer="10.0.0.1")
    assert client_address(())(request) == "10.0.0.1"
