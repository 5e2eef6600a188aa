"""The origin of a node: where its base URL points to, parsed once."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """Scheme, host and port of a base URL.

    `host` has no brackets and is in ASCII; `authority` is what stands in the `host` header (brackets, and the port
    where it is not the scheme's own); `path` is the base path without a final slash.
    """

    scheme: str
    host: str
    port: int
    authority: str
    path: str

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"


def parse_origin(base_url: str) -> Origin:
    """Parse an `http` or `https` base URL; ValueError, without the URL's text, where it is not usable as one."""
    parts = split_url(base_url)
    if parts.scheme not in _PORTS:
        raise ValueError("a base URL starts with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a base URL holds no user or password")
    if parts.query or parts.fragment:
        raise ValueError("a base URL has no query and no fragment")
    if not parts.hostname:
        raise ValueError("the base URL has no host")
    host = ascii_host(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    authority = f"[{host}]" if ":" in host else host
    if port != _PORTS[parts.scheme]:
        authority = f"{authority}:{port}"
    return Origin(parts.scheme, host, port, authority, parts.path.rstrip("/"))


def split_url(url: str) -> SplitResult:
    """`urlsplit` with one kind of error, which does not repeat the URL; the port is checked too."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the URL cannot be parsed") from None
    return parts


def ascii_host(host: str) -> str:
    """The host in lower case and ASCII (IDNA where needed)."""
    if ":" in host:
        return host.lower()
    try:
        ascii_form = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError("the URL's host name is not valid") from None
    if any(c <= " " or c in '/\\?#@:[]"<>^`{|}%' or c == "\x7f" for c in ascii_form):
        raise ValueError("the URL's host name is not valid")
    return ascii_form


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its name or literal address (nothing is looked up)."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
