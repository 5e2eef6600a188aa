"""The sites that a key may fetch from: a list of domains that it is held to, and one that is closed to it."""

from msgspec import Struct

from mira.errors import Kind, MiraError
from mira.fetch.urls import Destination, parse_url

MAX_DOMAINS = 1000


class Domains(Struct, frozen=True):
    """Lists of a key, each domain with all below it. `allow` None means every site; `block` stands above `allow`."""

    allow: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()

    def check(self, destination: Destination) -> None:
        """MiraError FORBIDDEN (`url_not_allowed`) where the key may not fetch from this host."""
        host = destination.host
        allowed = self.allow is None or any(_within(host, domain) for domain in self.allow)
        if not allowed or any(_within(host, domain) for domain in self.block):
            raise MiraError(Kind.FORBIDDEN, "This key may not fetch from this site.", code="url_not_allowed")


def parse_domain(text: str) -> str:
    """A domain or address as hosts of URLs are compared: lower-case ASCII. MiraError BAD_REQUEST where it is none."""
    try:
        destination = parse_url(f"http://{text.strip().removeprefix('*.')}/")
    except MiraError:
        destination = None
    if destination is None or destination.target != "/" or destination.port != 80:
        raise MiraError(Kind.BAD_REQUEST, f"{text[:100]!r} is not a domain such as example.org")
    return destination.host


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")
