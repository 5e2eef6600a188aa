"""Who may operate beside an operator's session: the key `MIRA_ADMIN_KEY`, an operator's password; who is local."""

import base64
import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address

from mira.api.sign_in import SignIn
from mira.store.audit import Actor

SIGN_IN_LASTS_S = 5 * 60.0
MOST_REMEMBERED = 1000


#: What proxies add. A request that has one comes from somewhere else, whatever its connection says.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def is_local(client: tuple[str, int] | None, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from this host itself, and not through a proxy on it."""
    if client is None or any(name in headers for name in FORWARDED):
        return False
    try:
        address = ip_address(client[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Operators:
    """Checks an `authorization` header: the operator's key as bearer, or an account with HTTP Basic.

    A password that was right is remembered for five minutes as a digest, or until any user changes.
    """

    def __init__(self, admin_key: str | None, sign_in: SignIn, *, monotonic_s: Callable[[], float]) -> None:
        self._admin_key = admin_key
        self._sign_in = sign_in
        self._monotonic_s = monotonic_s
        self._known: dict[bytes, tuple[float, Actor]] = {}
        self._changes = 0

    async def __call__(self, authorization: str, address: str | None) -> Actor | None:
        """The operator whose header it is, or None; MiraError RATE_LIMITED after too many tries."""
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() == "bearer":
            right = self._admin_key is not None and hmac.compare_digest(credential.encode(), self._admin_key.encode())
            return Actor("operator_key") if right else None
        return await self._basic(credential, address) if scheme.lower() == "basic" else None

    def forget(self) -> None:
        """Asks for every password again: a user has changed."""
        self._changes += 1
        self._known.clear()

    async def _basic(self, credential: str, address: str | None) -> Actor | None:
        now_s = self._monotonic_s()
        digest = sha256(credential.encode()).digest()
        until_s, known = self._known.get(digest, (0.0, None))
        if until_s > now_s:
            return known
        try:
            email, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
        except ValueError:
            return None
        changes = self._changes
        user = await self._sign_in.check(email, password, address)
        if user is None or user.role != "operator":
            return None
        actor = Actor("user", user.id, user.email)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        if changes == self._changes:
            self._known[digest] = now_s + SIGN_IN_LASTS_S, actor
        return actor
