"""Which network addresses a URL that a client named may lead to: public unicast, by explicit lists.

Python's own `is_global` is not enough: it takes metadata addresses of clouds, multicast, and IPv4 in IPv6's clothes for
global. Source of the lists: the IANA special-purpose registries and the clouds' metadata addresses.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from msgspec import Struct

from mira.errors import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_REFUSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",
    )
)  # fmt: skip
_ALLOWED_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
#: Networks that speak only IPv6 reach IPv4 hosts through these; what counts is the IPv4 address inside.
_NAT64 = IPv6Network("64:ff9b::/96")


def address_of(text: str) -> Address | None:
    """The address that a literal means, None where it is none; IPv4 that is mapped into IPv6 is IPv4."""
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def is_public(address: Address) -> bool:
    """Whether the address is global unicast and of nobody's own network."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _ALLOWED_6 and not any(address in network for network in _REFUSED_6)


class Allowed(Struct, frozen=True):
    """What the operator allows although it is private: exact places (host as in the URL, port) and networks."""

    places: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    def has(self, address: Address) -> bool:
        """Whether the address is in one of the networks."""
        return any(address in network for network in self.networks if network.version == address.version)


def parse_allowed(entries: Iterable[str]) -> Allowed:
    """The operator's list of `host:port` and CIDRs; ConfigError for an entry that is neither."""
    places: set[tuple[str, int]] = set()
    networks: list[Network] = []
    for entry in (part.strip() for part in entries):
        if "/" in entry:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                raise ConfigError(f"allowed network {entry!r}: expected a CIDR such as 10.1.0.0/16") from None
        else:
            host, _, port = entry.rpartition(":")
            if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
                raise ConfigError(f"allowed address {entry!r}: expected host:port or a CIDR")
            host = host.removeprefix("[").removesuffix("]").lower()
            places.add((str(address_of(host) or host), int(port)))
    return Allowed(frozenset(places), tuple(networks))
