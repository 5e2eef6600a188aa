"""One exchange over a connection of its own, to addresses that somebody else has chosen: a GET, a POST, or a tunnel."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from mira.errors import Kind, MiraError
from mira.transport.client import Pool
from mira.transport.errors import AnswerTooLargeError, TransportError
from mira.transport.response import Response
from mira.transport.settings import Limits, Timeouts

#: Bodies come as they were sent: whoever asked undoes their coding, within bounds of its own.
_ONE = Limits(max_connections=1, decode=False)


class Opened:
    """An answer whose head is in, and how long its connection took in seconds."""

    def __init__(self, response: Response, connect_s: float) -> None:
        self._response = response
        self.status = response.status
        self.connect_s = connect_s

    def header(self, name: bytes) -> str | None:
        """The value of a header by its lower-case name, as Latin-1."""
        return self._response.header(name)

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body as it was sent; AnswerTooLargeError, TransportError."""
        return await self._response.read(limit_bytes)

    def stream(self, on_data: Callable[[bytes], None]) -> asyncio.Future[None]:
        """Hands over the body piece by piece (see `mira.transport.Response`)."""
        return self._response.stream(on_data)

    def pause(self) -> None:
        """Stops reading."""
        self._response.pause()

    def resume(self) -> None:
        """Reads on."""
        self._response.resume()

    def close(self) -> None:
        """Is done with the answer."""
        self._response.close()


class PinnedOpener:
    """Dials the addresses that it is given, under the name that the origin has (see `mira.fetch.egress.Opener`)."""

    def __init__(self, ssl_context: ssl.SSLContext) -> None:
        self._ssl_context = ssl_context

    @asynccontextmanager
    async def __call__(
        self,
        origin: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        addresses: Sequence[str],
        *,
        connect_s: float,
        total_s: float,
        body: bytes | None = None,
    ) -> AsyncIterator[Opened]:
        """The answer to a GET, or to a POST with `body`; MiraError, without the other side's words, where it fails."""

        async def lookup(_host: str, _port: int) -> list[str]:
            return list(addresses)

        timeouts = Timeouts(connect_s=connect_s, head_s=total_s, idle_s=total_s, total_s=total_s)
        pool = Pool(origin, limits=_ONE, timeouts=timeouts, ssl_context=self._ssl_context, lookup=lookup)
        try:
            response = await pool.request(b"GET" if body is None else b"POST", target, headers, body or b"")
            yield Opened(response, pool.dial_s)
        except AnswerTooLargeError:
            message = "What the URL gives is too large."
            raise MiraError(Kind.TOO_LARGE, message, code="response_too_large") from None
        except TransportError as error:
            if error.phase.startswith("timeout"):
                message = "The URL did not answer in time."
                raise MiraError(Kind.UPSTREAM_TIMEOUT, message, code="timeout") from None
            raise MiraError(Kind.UPSTREAM_FAILED, "The URL could not be loaded.", code="fetch_failed") from None
        finally:
            await pool.close()


async def open_tunnel(
    addresses: Sequence[str], port: int, *, connect_s: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain connection to the first of the addresses that answers; OSError or TimeoutError where none does."""
    failure: OSError = OSError("no address")
    async with asyncio.timeout(connect_s):
        for address in addresses:
            try:
                return await asyncio.open_connection(address, port)
            except OSError as error:
                failure = error
    raise failure
