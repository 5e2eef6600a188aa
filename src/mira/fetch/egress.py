"""The one way out to addresses that clients name: pictures and documents of requests, pages to fetch, webhooks.

Every hop goes the same way: the URL is read once, its host looked up once, every address found must be public (or
allowed by the operator), and exactly these addresses are dialled, under the original name for TLS and `host`. No key,
cookie or header of a client or of Mira goes along, and no proxy of the environment is asked.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeAlias

from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.fetch.addresses import Address, Allowed, address_of, is_public
from mira.fetch.inflate import inflated, too_large
from mira.fetch.urls import Destination, follow, invalid, parse_url

#: Where web servers listen; what else listens on a port is nobody's page.
PORTS = frozenset((80, 443, 8080, 8443))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
#: Who Mira says it is, to sites and to their robots.txt.
USER_AGENT = "Mozilla/5.0 (compatible; mira)"
#: A longer validator is not sent back.
_MAX_VALIDATOR_CHARS = 1024

#: Finds the addresses of a host and port, as literals; OSError where the name is unknown.
Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
#: Judges each hop before its name is looked up; MiraError where it may not be loaded.
Permit: TypeAlias = Callable[[Destination], None]
#: Asks of each hop, after the permit, whether it may be loaded; MiraError where it may not.
Inquiry: TypeAlias = Callable[[Destination], Awaitable[None]]


class Limits(Struct, frozen=True, kw_only=True):
    """What one load may take: seconds from first to last, seconds to connect, bytes as sent and decoded, redirects."""

    total_s: float = 20.0
    connect_s: float = 5.0
    wire_bytes: int = 20 * 1024 * 1024
    body_bytes: int = 20 * 1024 * 1024
    redirects: int = 5


class Validators(Struct, frozen=True, kw_only=True):
    """What a server gave with an earlier answer of exactly this URL, to ask whether that still holds."""

    url: str
    etag: str | None = None
    last_modified: str | None = None


class Wishes(Struct, frozen=True, kw_only=True):
    """What may be asked beyond the URL. `language` is the value of `accept-language`, checked by the caller."""

    accept: str = "*/*"
    language: str | None = None
    validators: Validators | None = None
    permit: Permit | None = None
    inquiry: Inquiry | None = None


class Page(Protocol):
    """An answer whose head is in."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def connect_s(self) -> float:
        """How long its connection took, in seconds."""

    def header(self, name: bytes) -> str | None:
        """The value of a header by its lower-case name, as Latin-1."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body as it was sent."""

    def stream(self, on_data: Callable[[bytes], None]) -> "asyncio.Future[None]":
        """Hands over the body piece by piece as it arrives."""

    def pause(self) -> None:
        """Stops reading."""

    def resume(self) -> None:
        """Reads on."""

    def close(self) -> None:
        """Is done with the answer, complete or not."""


class Opener(Protocol):
    """Sends one GET over a connection of its own that goes to one of `addresses` and nowhere else.

    With a `body` it is a POST. `origin` is scheme, host and port, for TLS and the `host` header. MiraError where it
    fails (`fetch_failed`, `timeout`, `response_too_large`), also while the body is read inside of the context.
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
        body: bytes | None = None,
    ) -> AbstractAsyncContextManager[Page]:
        """The answer; leaving the context closes the connection."""


class TunnelOpener(Protocol):
    """Opens a bare connection to one of `addresses`; OSError or TimeoutError where none answers."""

    async def __call__(
        self, addresses: Sequence[str], port: int, *, connect_s: float
    ) -> tuple[StreamReader, StreamWriter]:
        """Both ends of the connection."""


class Loaded(Struct, frozen=True, kw_only=True):
    """What was found at a URL, decoded. `mime_type` is lower-case without parameters, `content_type` as it was sent.

    `hops` are all URLs on the way, the final one last. `etag` and `last_modified` came with it, `cache_control` and
    `vary` are lower-case. `dns_s` and `connect_s` are seconds of all hops together.
    """

    data: bytes
    mime_type: str
    content_type: str
    final_url: str
    status: int
    hops: tuple[str, ...] = ()
    etag: str | None = None
    last_modified: str | None = None
    cache_control: str = ""
    vary: str = ""
    dns_s: float = 0.0
    connect_s: float = 0.0


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
        open_tunnel: TunnelOpener | None = None,
    ) -> None:
        self._open = open_pinned
        self._lookup = lookup
        self._allowed = allowed or Allowed()
        self._ports = ports
        self._open_tunnel = open_tunnel

    def allow(self, allowed: Allowed) -> None:
        """Replaces the operator's exceptions, for every hop from now on."""
        self._allowed = allowed

    async def load(self, url: str, *, limits: Limits) -> Loaded:
        """What the URL gives with a status of success.

        MiraError with the codes `invalid_url`, `url_not_allowed`, `too_many_redirects`, `fetch_failed`,
        `response_too_large` and `timeout`; none of them tells the URL, its addresses or the target's words.
        """
        loaded = await self.get(url, limits=limits)
        if not 200 <= loaded.status < 300:
            raise _failed(f"The URL answered with status {loaded.status}.")
        return loaded

    async def get(self, url: str, *, limits: Limits, wishes: Wishes = Wishes()) -> Loaded:  # noqa: B008 - frozen
        """What the URL gives, whatever its final status; errors as in `load`."""
        try:
            async with asyncio.timeout(limits.total_s):
                return await self._get(parse_url(url), limits, wishes)
        except TimeoutError:
            raise MiraError(Kind.UPSTREAM_TIMEOUT, "The URL did not answer in time.", code="timeout") from None

    @asynccontextmanager
    async def open(self, url: str, *, total_s: float) -> AsyncIterator[Page]:
        """What the URL gives with a status of success, to be read piece by piece inside of the context.

        Errors as in `load`. Nothing bounds the body but `total_s` and whoever reads it.
        """
        limits, destination = Limits(total_s=total_s), parse_url(url)
        for _ in range(limits.redirects + 1):
            async with self._open(
                destination.origin,
                destination.target,
                [(b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", USER_AGENT.encode())],
                await self.addresses(destination),
                connect_s=limits.connect_s,
                total_s=limits.total_s,
            ) as page:
                location = page.header(b"location") if page.status in _REDIRECTS else None
                if location is None:
                    if not 200 <= page.status < 300:
                        raise _failed(f"The URL answered with status {page.status}.")
                    yield page
                    return
            destination = follow(destination, _as_text(location))
        raise MiraError(Kind.UPSTREAM_FAILED, "The URL redirects too often.", code="too_many_redirects")

    async def post(self, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, total_s: float) -> int:
        """Sends a body to a URL and returns the status; no redirect is followed, and no word of the answer is kept.

        Errors as in `load`.
        """
        limits = Limits(total_s=total_s)
        try:
            async with asyncio.timeout(total_s):
                destination = parse_url(url)
                async with self._open(
                    destination.origin,
                    destination.target,
                    [(b"user-agent", USER_AGENT.encode()), *headers],
                    await self.addresses(destination),
                    connect_s=limits.connect_s,
                    total_s=limits.total_s,
                    body=body,
                ) as page:
                    return page.status
        except TimeoutError:
            raise MiraError(Kind.UPSTREAM_TIMEOUT, "The URL did not answer in time.", code="timeout") from None

    async def tunnel(
        self, destination: Destination, *, connect_s: float, permit: Permit | None = None
    ) -> tuple[StreamReader, StreamWriter]:
        """A bare connection to where a URL leads, for a browser that speaks to the site itself.

        MiraError as in `addresses`, and `fetch_failed` where nobody answers.
        """
        assert self._open_tunnel is not None
        if permit is not None:
            permit(destination)
        addresses = await self.addresses(destination)
        try:
            return await self._open_tunnel(addresses, destination.port, connect_s=connect_s)
        except (OSError, TimeoutError):
            raise _failed("The URL could not be loaded.") from None

    async def judge(self, url: str, *, total_s: float) -> None:
        """Whether a URL that is to be opened later leads where nothing may be opened: MiraError as in `addresses`.

        A name that is not known at the moment passes: opening it judges again.
        """
        destination = parse_url(url)
        with suppress(TimeoutError):
            async with asyncio.timeout(total_s):
                await self._judged(destination)

    async def addresses(self, destination: Destination) -> list[str]:
        """The addresses that may be dialled for it, found by one look-up.

        MiraError FORBIDDEN (`url_not_allowed`), the same whatever the reason, and BAD_REQUEST where nothing is found.
        """
        found = await self._judged(destination)
        if not found:
            raise invalid("The URL's host is not known.")
        return found

    async def _judged(self, destination: Destination) -> list[str]:
        """As `addresses`, but nothing where the name is not known."""
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
        read = [address_of(text) for text in found]
        if not all(address is not None and (exact or self._may_reach(address)) for address in read):
            raise _not_allowed()
        return [str(address) for address in read]

    def _may_reach(self, address: Address) -> bool:
        return is_public(address) or self._allowed.has(address)

    async def _get(self, destination: Destination, limits: Limits, wishes: Wishes) -> Loaded:
        clock_s = asyncio.get_running_loop().time
        hops: list[str] = []
        dns_s = connect_s = 0.0
        for _ in range(limits.redirects + 1):
            if wishes.permit is not None:
                wishes.permit(destination)
            if wishes.inquiry is not None:
                await wishes.inquiry(destination)
            began_s = clock_s()
            addresses = await self.addresses(destination)
            dns_s += clock_s() - began_s
            hops.append(destination.url)
            async with self._open(
                destination.origin,
                destination.target,
                _headers(destination, wishes),
                addresses,
                connect_s=limits.connect_s,
                total_s=limits.total_s,
            ) as page:
                connect_s += page.connect_s
                location = page.header(b"location") if page.status in _REDIRECTS else None
                if location is None:
                    return await _loaded(page, hops, limits, dns_s, connect_s)
            destination = follow(destination, _as_text(location))
        raise MiraError(Kind.UPSTREAM_FAILED, "The URL redirects too often.", code="too_many_redirects")


def _headers(destination: Destination, wishes: Wishes) -> list[tuple[bytes, bytes]]:
    """All that a site is told, the same for every client."""
    headers = [
        (b"accept", wishes.accept.encode()),
        (b"accept-encoding", b"gzip, deflate"),
        (b"user-agent", USER_AGENT.encode()),
    ]
    if wishes.language is not None:
        headers.append((b"accept-language", wishes.language.encode()))
    known = wishes.validators
    if known is not None and known.url == destination.url:
        for name, value in ((b"if-none-match", known.etag), (b"if-modified-since", known.last_modified)):
            if value and len(value) <= _MAX_VALIDATOR_CHARS:
                headers.append((name, value.encode("latin-1")))
    return headers


async def _loaded(page: Page, hops: list[str], limits: Limits, dns_s: float, connect_s: float) -> Loaded:
    wire_bytes = min(limits.wire_bytes, limits.body_bytes)
    length = page.header(b"content-length") or ""
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > wire_bytes):
        raise too_large()
    content_type = page.header(b"content-type") or ""
    body = await page.read(wire_bytes)
    return Loaded(
        data=await inflated(body, page.header(b"content-encoding") or "", limits.body_bytes),
        mime_type=content_type.partition(";")[0].strip().lower() or "application/octet-stream",
        content_type=content_type,
        final_url=hops[-1],
        status=page.status,
        hops=tuple(hops),
        etag=page.header(b"etag"),
        last_modified=page.header(b"last-modified"),
        cache_control=(page.header(b"cache-control") or "").lower(),
        vary=(page.header(b"vary") or "").lower(),
        dns_s=dns_s,
        connect_s=connect_s,
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
