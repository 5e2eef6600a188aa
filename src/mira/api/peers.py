"""How many connections each address has."""

from ipaddress import IPv6Address, ip_address, ip_network

#: Whoever has one address of IPv6 has as many as fit into this.
IPV6_PREFIX_BITS = 64


class Peers:
    """Counts connections by address; `most` is how many one may have, 0 for any number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._connections: dict[str, int] = {}

    def name_of(self, client: tuple[str, int] | None) -> str | None:
        """Under what name a connection is counted; None for those that are not: loopback, and the commands' socket."""
        if client is None or not self._most:
            return None
        try:
            address = ip_address(client[0].partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped is None:
                network = ip_network((address, IPV6_PREFIX_BITS), strict=False)
                return None if address.is_loopback else str(network)
            address = address.ipv4_mapped
        return None if address.is_loopback else str(address)

    def came(self, name: str) -> bool:
        """Counts one more; False where that would be too many, and it is not counted."""
        count = self._connections.get(name, 0)
        if count >= self._most:
            return False
        self._connections[name] = count + 1
        return True

    def left(self, name: str) -> None:
        """Counts one less."""
        count = self._connections[name] - 1
        if count:
            self._connections[name] = count
        else:
            del self._connections[name]
