"""Who may operate: the key `MIRA_ADMIN_KEY`, or an operator's account with HTTP Basic, throttled; who is local."""

import asyncio
import base64
import hmac
from collections import deque
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address
from typing import Any, Protocol

from mira.errors import Kind, MiraError

MOST_FAILURES = 5
FAILURES_LAST_S = 15 * 60.0
SIGN_IN_LASTS_S = 5 * 60.0
MOST_REMEMBERED = 1000


#: What proxies add. A request that has one comes from somewhere else, whatever its connection says.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


class Users(Protocol):
    """Where accounts are kept."""

    async def find(self, email: str) -> Any | None:
        """The account with `password_hash` and `role`, or None."""


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
    """Checks an `authorization` header.

    `verify(hash, password)` is argon2id's, slow by design (as slow for no hash at all, so that unknown accounts cannot
    be told apart); it runs in a thread, two at a time, and a password that was right is remembered for five minutes as
    a digest. Five wrong ones lock an account for fifteen minutes.
    """

    def __init__(
        self,
        admin_key: str | None,
        users: Users,
        verify: Callable[[str | None, str], bool],
        *,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._admin_key = admin_key
        self._users = users
        self._verify = verify
        self._monotonic_s = monotonic_s
        self._slots = asyncio.Semaphore(2)
        self._signed_in: dict[bytes, float] = {}
        self._failures: dict[str, deque[float]] = {}

    async def __call__(self, authorization: str) -> bool:
        """Whether the header is an operator's; MiraError RATE_LIMITED while the account is locked."""
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() == "bearer":
            return self._admin_key is not None and hmac.compare_digest(credential.encode(), self._admin_key.encode())
        return scheme.lower() == "basic" and await self._basic(credential)

    async def _basic(self, credential: str) -> bool:
        now_s = self._monotonic_s()
        digest = sha256(credential.encode()).digest()
        if self._signed_in.get(digest, 0.0) > now_s:
            return True
        try:
            email, _, password = base64.b64decode(credential, validate=True).decode().partition(":")
        except ValueError:
            return False
        email = email.strip().lower()
        self._check_lock(email, now_s)
        user = await self._users.find(email)
        async with self._slots:
            right = await asyncio.to_thread(self._verify, user.password_hash if user else None, password)
        if right and user is not None and user.role == "operator":
            if len(self._signed_in) >= MOST_REMEMBERED:
                self._signed_in.clear()
            self._signed_in[digest] = now_s + SIGN_IN_LASTS_S
            self._failures.pop(email, None)
            return True
        if len(self._failures) >= MOST_REMEMBERED:
            self._failures.clear()
        self._failures.setdefault(email, deque(maxlen=MOST_FAILURES)).append(now_s)
        return False

    def _check_lock(self, email: str, now_s: float) -> None:
        failures = self._failures.get(email)
        if failures is not None and len(failures) == MOST_FAILURES and now_s - failures[0] < FAILURES_LAST_S:
            wait_s = FAILURES_LAST_S - (now_s - failures[0])
            raise MiraError(Kind.RATE_LIMITED, "too many wrong passwords; wait and try again", retry_after_s=wait_s)
