"""Where a request really comes from, and under which address its client sees Mira: behind trusted proxies or not."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.requests import Request

from mira.api.peers import IPV6_PREFIX_BITS
from mira.errors import ConfigError

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class Front:
    """Reads a request's head. `trusted` are addresses and networks of proxies whose `X-Forwarded-…` are believed.

    `public_url` is the address that the operator says users see; `own_url` what stands in for it without a request.
    ConfigError where an entry of `trusted` is neither.
    """

    def __init__(self, trusted: Iterable[str], public_url: str | None, own_url: str) -> None:
        self._trusted = [_network(entry) for entry in trusted]
        self._public_url = public_url.rstrip("/") if public_url else None
        self._own_url = own_url

    def address(self, request: Request) -> str | None:
        """The client's address: the last hop that is no trusted proxy. None for the commands' own socket."""
        if request.client is None:
            return None
        address = request.client.host
        if self._trusts(address):
            hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
            for hop in reversed(hops):
                if _parsed(hop) is None:
                    break
                address = hop
                if not self._trusts(hop):
                    break
        return address[:64]

    def is_secure(self, request: Request) -> bool:
        """Whether the client speaks HTTPS, as far as that can be known."""
        told = self._told(request, "x-forwarded-proto")
        if told is not None:
            return told.lower() == "https"
        if request.url.scheme == "https":
            return True
        public = urlsplit(self._public_url or "")
        return public.scheme == "https" and public.netloc.lower() == self._host(request)

    def base_url(self, request: Request) -> str:
        """The address under which the client sees Mira, without a slash at its end."""
        if self._public_url is not None:
            return self._public_url
        host = self._host(request)
        if host is None or request.client is None:
            return self._own_url
        prefix = (self._told(request, "x-forwarded-prefix") or "").rstrip("/")
        scheme = "https" if self.is_secure(request) else "http"
        return f"{scheme}://{host}{prefix if _PREFIX.fullmatch(prefix) else ''}"

    def is_own(self, origin: str, request: Request) -> bool:
        """Whether an `Origin` header names the address under which the client sees Mira."""
        own = {f"{'https' if self.is_secure(request) else 'http'}://{self._host(request)}"}
        if self._public_url is not None:
            parts = urlsplit(self._public_url)
            own.add(f"{parts.scheme}://{parts.netloc}".lower())
        return origin.lower() in own

    def _host(self, request: Request) -> str | None:
        host = self._told(request, "x-forwarded-host") or request.headers.get("host", "")
        return host.lower() if _HOST.fullmatch(host) else None

    def _told(self, request: Request, name: str) -> str | None:
        """What the proxy nearest to us says, where there is a trusted one."""
        if request.client is None or not self._trusts(request.client.host):
            return None
        value = request.headers.get(name)
        return value.rpartition(",")[2].strip() if value else None

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


def counted_as(address: str | None) -> str | None:
    """Under what name tries of an address are counted: all of an IPv6 network together."""
    parsed = _parsed(address) if address is not None else None
    if isinstance(parsed, IPv6Address):
        return f"address:{ip_network((parsed, IPV6_PREFIX_BITS), strict=False)}"
    return f"address:{parsed}" if parsed is not None else None


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _network(entry: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(entry.strip(), strict=False)
    except ValueError:
        message = f"server.trusted_proxies: {entry!r} is neither an address nor a network such as 10.0.0.0/8"
        raise ConfigError(message) from None
