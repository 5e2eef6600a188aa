"""HTTP clients for nodes and for pages, made with what they share: the system's trust store and its proxies."""

import os
import ssl
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from mira.core.deadlines import Timeouts
from mira.transport.client import Pool
from mira.transport.pinned import Opened, PinnedOpener
from mira.transport.proxy import proxy_for
from mira.transport.tls import system_tls


class Pools:
    """Makes HTTP clients for nodes. The system's trust store is read once, for the first https address."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts
        self._tls: ssl.SSLContext | None = None

    def upstream(self, base_url: str) -> Pool:
        """A client for a base URL, through the proxy that the environment names for it."""
        tls = self._trusted() if base_url.startswith("https://") else None
        return Pool(base_url, timeouts=self._timeouts, ssl_context=tls, proxy=proxy_for(base_url, os.environ))

    def pinned(
        self,
        origin: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        addresses: Sequence[str],
        *,
        connect_s: float,
        total_s: float,
        body: bytes | None = None,
    ) -> AbstractAsyncContextManager[Opened]:
        """One GET or POST to addresses that the guard has checked (see `mira.fetch.egress.Opener`)."""
        opener = PinnedOpener(self._trusted())
        return opener(origin, target, headers, addresses, connect_s=connect_s, total_s=total_s, body=body)

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = system_tls()
        return self._tls
