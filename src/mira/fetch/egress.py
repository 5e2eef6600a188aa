"""The one way out to addresses that clients name: pictures and documents of requests, pages to fetch.

Every hop goes the same way: the URL is read once, its host looked up once, every address found must be public (or
allowed by the operator), and exactly these addresses are dialled, under the original name for TLS and `host`. No key,
cookie or header of a client or of Mira goes along, and no proxy of the environment is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.fetch.addresses import Address, Allowed, address_of, is_public
from mira.fetch.urls import Destination, follow, invalid, parse_url

#: Where web servers listen; what else listens on a port is nobody's page.
PORTS = frozenset((80, 443, 8080, 8443))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADERS = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", b"mira"),
)

#: Finds the addresses of a host and port, as literals; OSError where the name is unknown.
Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


class Limits(Struct, frozen=True, kw_only=True):
    """What one load may take: seconds from first to last, seconds to connect, bytes after decoding, redirects."""

    total_s: float = 20.0
    connect_s: float = 5.0
    body_bytes: int = 20 * 1024 * 1024
    redirects: int = 5


class Page(Protocol):
    """An answer whose head is in."""

    status: int

    def header(self, name: bytes) -> str | None:
        """The value of a header by its lower-case name, as Latin-1."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body, decoded."""


class Opener(Protocol):
    """Sends one GET over a connection of its own that goes to one of `addresses` and nowhere else.

    `origin` is scheme, host and port, for TLS and the `host` header. MiraError where it fails (`fetch_failed`,
    `timeout`, `response_too_large`), also while the body is read inside of the context; bodies that swell when they are
    decoded are refused there.
    """

    def __call__(
        self,
        origin: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        addresses: Sequence[str],
        *,
        connect_s: float,
        total_s: float,
    ) -> AbstractAsyncContextManager[Page]:
        """The answer; leaving the context closes the connection."""


class Loaded(Struct, frozen=True, kw_only=True):
    """What was found at a URL. `mime_type` is lower-case without parameters, `content_type` as it was sent."""

    data: bytes
    mime_type: str
    content_type: str
    final_url: str
    status: int


class Egress:
    """Loads what clients name.

    `open_pinned` dials, `lookup` finds addresses, `allowed` holds the operator's exceptions. `ports` are open to all
    public hosts; other ports only as the operator's exact places.
    """

    def __init__(
        self,
        open_pinned: Opener,
        lookup: Lookup,
        *,
        allowed: Allowed | None = None,
        ports: frozenset[int] = PORTS,
    ) -> None:
        self._open = open_pinned
        self._lookup = lookup
        self._allowed = allowed or Allowed()
        self._ports = ports

    async def load(self, url: str, *, limits: Limits) -> Loaded:
        """What the URL gives with a status of success.

        MiraError with the codes `invalid_url`, `url_not_allowed`, `too_many_redirects`, `fetch_failed`,
        `response_too_large` and `timeout`; none of them tells the URL, its addresses or the target's words.
        """
        loaded = await self.get(url, limits=limits)
        if not 200 <= loaded.status < 300:
            raise _failed(f"The URL answered with status {loaded.status}.")
        return loaded

    async def get(self, url: str, *, limits: Limits) -> Loaded:
        """What the URL gives, whatever its final status; errors as in `load`."""
        try:
            async with asyncio.timeout(limits.total_s):
                return await self._get(parse_url(url), limits)
        except TimeoutError:
            raise MiraError(Kind.UPSTREAM_TIMEOUT, "The URL did not answer in time.", code="timeout") from None

    async def addresses(self, destination: Destination) -> list[str]:
        """The addresses that may be dialled for it, found by one look-up.

        MiraError FORBIDDEN (`url_not_allowed`), the same whatever the reason, and BAD_REQUEST where nothing is found.
        """
        exact = (destination.host, destination.port) in self._allowed.places
        if not exact and destination.port not in self._ports:
            raise _not_allowed()
        if destination.literal:
            found = [destination.host]
        else:
            try:
                found = await self._lookup(destination.host, destination.port)
            except (OSError, UnicodeError):
                found = []
        if not found:
            raise invalid("The URL's host is not known.")
        read = [address_of(text) for text in found]
        if not all(address is not None and (exact or self._may_reach(address)) for address in read):
            raise _not_allowed()
        return [str(address) for address in read]

    def _may_reach(self, address: Address) -> bool:
        return is_public(address) or self._allowed.has(address)

    async def _get(self, destination: Destination, limits: Limits) -> Loaded:
        for _ in range(limits.redirects + 1):
            addresses = await self.addresses(destination)
            async with self._open(
                destination.origin,
                destination.target,
                _HEADERS,
                addresses,
                connect_s=limits.connect_s,
                total_s=limits.total_s,
            ) as page:
                location = page.header(b"location") if page.status in _REDIRECTS else None
                if location is None:
                    return await _loaded(page, destination, limits)
            destination = follow(destination, _as_text(location))
        raise MiraError(Kind.UPSTREAM_FAILED, "The URL redirects too often.", code="too_many_redirects")


async def _loaded(page: Page, destination: Destination, limits: Limits) -> Loaded:
    length = page.header(b"content-length") or ""
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > limits.body_bytes):
        raise MiraError(Kind.TOO_LARGE, "What the URL gives is too large.", code="response_too_large")
    content_type = page.header(b"content-type") or ""
    return Loaded(
        data=await page.read(limits.body_bytes),
        mime_type=content_type.partition(";")[0].strip().lower() or "application/octet-stream",
        content_type=content_type,
        final_url=destination.url,
        status=page.status,
    )


def _as_text(location: str) -> str:
    """Servers write other letters as UTF-8, though a header is Latin-1."""
    try:
        return location.encode("latin-1").decode()
    except UnicodeError:
        return location


def _not_allowed() -> MiraError:
    return MiraError(Kind.FORBIDDEN, "This URL may not be loaded.", code="url_not_allowed")


def _failed(message: str) -> MiraError:
    return MiraError(Kind.UPSTREAM_FAILED, message, code="fetch_failed")
