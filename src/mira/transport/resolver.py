"""Looks up the addresses of one host, keeps them for a short while, and remembers which one worked."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

Lookup = Callable[[str, int], Awaitable[list[str]]]


class Resolver:
    """The addresses of one host and port, as literals, in the order in which they should be tried.

    `lookup` raises OSError where the name is unknown; one look-up at a time runs, whoever comes meanwhile shares it.
    """

    __slots__ = ("_addresses", "_host", "_literal", "_lock", "_lookup", "_port", "_refresh_s", "_until_s")

    def __init__(self, host: str, port: int, *, refresh_s: float, lookup: Lookup | None = None) -> None:
        self._host = host
        self._port = port
        self._refresh_s = refresh_s
        self._lookup = lookup or system_lookup
        self._literal = _is_literal(host)
        self._lock = asyncio.Lock()
        self._addresses: list[str] = [host] if self._literal else []
        self._until_s = 0.0

    async def addresses(self) -> list[str]:
        """At least one address; OSError where there is none."""
        if not self._literal:
            async with self._lock:
                now_s = asyncio.get_running_loop().time()
                if not self._addresses or now_s >= self._until_s:
                    found = await self._lookup(self._host, self._port)
                    if not found:
                        raise OSError("the name has no address")
                    self._addresses = found
                    self._until_s = now_s + self._refresh_s
        return list(self._addresses)

    def worked(self, address: str) -> None:
        """Try this address first until the next look-up."""
        if self._addresses and self._addresses[0] != address and address in self._addresses:
            self._addresses.remove(address)
            self._addresses.insert(0, address)

    def failed(self) -> None:
        """No address answered: look the name up again next time."""
        self._until_s = 0.0


async def system_lookup(host: str, port: int) -> list[str]:
    """The operating system's answer, without doubles."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_literal(host: str) -> bool:
    try:
        ip_address(host.split("%", 1)[0])
    except ValueError:
        return False
    return True
