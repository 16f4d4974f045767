"""Address allow-lists: networks as people write them, and whether an address is in one.

An IPv4-mapped IPv6 address (`::ffff:10.1.2.3`) is the IPv4 address it carries, in lists and in questions alike, so that
a listener that hears both protocols cannot be talked round. Lists are parsed once and remembered.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from keyvault.errors import UsageError

Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_HINT: Final = "write it like 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"


def check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The networks in their shortest form, in order, each once; raises `UsageError` for what is none."""
    return tuple(dict.fromkeys(_written(_network(text)) for text in texts))


def admits(networks: tuple[str, ...], address: str) -> bool:
    """Whether an address lies in one of the networks, as `check_networks` wrote them; what is no address does not."""
    found = parse_address(address)
    return found is not None and any(found in network for network in _parsed(networks))


@lru_cache(maxsize=4096)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, without the name of the interface it was seen on; None for any other text."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found if isinstance(found, IPv4Address) else found.ipv4_mapped or found


@lru_cache(maxsize=1024)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_network(text) for text in networks)


def _network(text: str) -> Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"not a network: {text[:70]!a}", hint=_HINT) from None
    if "%" in text:
        raise UsageError(f"a network has no interface: {text[:70]!a}", hint=_HINT)
    if "/" in text and not _begins_at(network, text):
        raise UsageError(
            f"not the beginning of a network: {text[:70]!a}", hint=f"{network}, or {text.partition('/')[0]} alone"
        )
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((int(mapped or 0), network.prefixlen - 96))
    return network


def _begins_at(network: Network, text: str) -> bool:
    return network.network_address == ip_address(text.partition("/")[0])


def _written(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)
