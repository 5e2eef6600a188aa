"""Reads a URL that a client named, once and strictly: what is dialled and what is sent come from this reading alone.

Whatever two parsers could read in two ways is refused, not repaired: user names, backslashes, escapes in the host,
numbers that are not four plain ones.
"""

import re
from urllib.parse import quote, urljoin

from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.fetch.addresses import address_of

MAX_URL_CHARS = 8192
_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(https?)://([^/?#]+)([^?#]*)(\?[^#]*)?(?:#.*)?", re.IGNORECASE | re.DOTALL | re.ASCII)
_LITERAL_6 = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?")
_NAMED = re.compile(r"([^:\[\]@%]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE | re.ASCII)
_NOT_ALLOWED = re.compile(r"[\x00-\x20\x7f\\]")
#: Everything that may stand in a path or a query as it is; the rest is percent-encoded.
_PLAIN = "!$%&'()*+,-./:;=?@[]_~|^`{}\"<>"
_MAX_HOST_CHARS = 253


class Destination(Struct, frozen=True, kw_only=True):
    """Where a URL leads. `host` is lower-case ASCII without brackets and final dot, `target` path and query.

    `literal` says that the host is an address; it is in its one canonical form then.
    """

    scheme: str
    host: str
    port: int
    target: str
    literal: bool

    @property
    def origin(self) -> str:
        """Scheme, host and port as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        """The whole URL, without a fragment."""
        return self.origin + self.target


def parse_url(url: str) -> Destination:
    """Where the URL leads; MiraError BAD_REQUEST (`invalid_url`), which does not repeat it."""
    if len(url) > MAX_URL_CHARS or _NOT_ALLOWED.search(url):
        raise invalid("The URL is too long or holds spaces, control characters or backslashes.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise invalid("A URL begins with http:// or https:// and a host.")
    scheme = parts[1].lower()
    host, port = _authority(parts[2])
    try:
        target = quote((parts[3] or "/") + (parts[4] or ""), safe=_PLAIN)
    except UnicodeEncodeError:
        raise invalid("The URL holds characters that do not exist.") from None
    literal = address_of(host) is not None
    return Destination(scheme=scheme, host=host, port=port or _PORTS[scheme], target=target, literal=literal)


def follow(current: Destination, location: str) -> Destination:
    """Where a redirect leads, read as strictly as the first URL."""
    location = location.strip(" ").replace(" ", "%20")
    if _NOT_ALLOWED.search(location):
        raise invalid("The address of a redirect cannot be read.")
    if _SCHEME.match(location):
        return parse_url(location)
    if location.startswith("//"):
        return parse_url(f"{current.scheme}:{location}")
    # What is left is a path or a query on the same host: joining cannot lead elsewhere.
    return parse_url(urljoin(current.url, location))


def invalid(message: str) -> MiraError:
    """The refusal of a URL that cannot be used."""
    return MiraError(Kind.BAD_REQUEST, message, code="invalid_url")


def _authority(text: str) -> tuple[str, int | None]:
    """Host and port; the port is None where none is written."""
    if found := _LITERAL_6.fullmatch(text):
        address = address_of(found[1])
        if address is None:
            raise invalid("The URL's host is not an address.")
        host = str(address)
    elif found := _NAMED.fullmatch(text):
        host = _name(found[1])
    else:
        raise invalid("The URL's host must be a plain name or address, without user or escapes.")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 2**16:
        raise invalid("The URL's port is not a number from 1 to 65535.")
    return host, port


def _name(text: str) -> str:
    if len(text) > _MAX_HOST_CHARS:
        raise invalid("The URL's host name is too long.")
    try:
        host = text.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise invalid("The URL's host name is not valid.") from None
    host = host.removesuffix(".")
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise invalid("The URL's host name is not valid.")
    if _NUMBER.fullmatch(labels[-1]) and address_of(host) is None:
        # Some systems read such numbers as addresses, each in its own way.
        raise invalid("The URL's host is a number that is not an address.")
    return host
