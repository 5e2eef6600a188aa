"""Finds the caller behind a key without asking the database twice, and makes, changes and revokes keys.

The memory is keyed by a digest of the whole key, under a secret of the process. Every change
that this process makes goes through here, so a revoked key is refused with its next request; what other processes
change is told by the poll of versions, which calls `forget` (see `versions`).
"""

import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from mira.core.caller import Caller, Face
from mira.core.limits import UNLIMITED, Limits
from mira.store.audit import Also, nothing
from mira.store.keys import Key, Keys
from mira.store.secretbox import SecretBox

PREFIXES = {Face.PROXY: "sk-mira-", Face.INFERENCE: "mk_inference_"}
SECRET_BYTES = 32
#: Unknown keys are remembered too, so that a wrong one in a loop costs no look-up; both are bounded.
MOST_REMEMBERED = 10_000
LONGEST_KEY = 512


class Keyring:
    """The keys of all workspaces. `now_ms` is Unix milliseconds, `new_id` takes a prefix."""

    def __init__(self, keys: Keys, box: SecretBox, *, now_ms: Callable[[], int], new_id: Callable[[str], str]) -> None:
        self._keys = keys
        self._box = box
        self._now_ms = now_ms
        self._new_id = new_id
        #: the start of the keyed hash under which keys are remembered
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=32)
        self._known: dict[bytes, Caller | None] = {}
        self._changes = 0

    def known(self, secret: str) -> Caller | None:
        """The caller where the key was found before and has not expired, without asking the database."""
        if len(secret) > LONGEST_KEY:
            return None
        caller = self._known.get(self._remembered(secret))
        if caller is not None and caller.expires_at_ms is not None and caller.expires_at_ms <= self._now_ms():
            return None
        return caller

    async def find(self, secret: str) -> Caller | None:
        """The caller, or None where the key is unknown, revoked, disabled or expired."""
        if len(secret) > LONGEST_KEY:
            return None
        place = self._remembered(secret)
        try:
            caller = self._known[place]
        except KeyError:
            changes = self._changes
            caller = await self._keys.find(self._box.digest(secret))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            if changes == self._changes:  # else what was read may be older than the change
                self._known[place] = caller
        if caller is not None and caller.expires_at_ms is not None and caller.expires_at_ms <= self._now_ms():
            return None
        return caller

    async def create(
        self,
        workspace_id: str,
        name: str,
        face: Face,
        *,
        models: frozenset[str] | None = None,
        expires_at_ms: int | None = None,
        secret: str | None = None,
        limits: Limits = UNLIMITED,
        member_id: str | None = None,
        also: Also = nothing,
    ) -> tuple[str, Key]:
        """Makes a key: (secret, key). A given `secret` is used as it stands (bootstrap), insert or ignore."""
        whole = secret or PREFIXES[face] + secrets.token_urlsafe(SECRET_BYTES)
        key = await self._keys.create(
            self._new_id("key"),
            workspace_id,
            digest=self._box.digest(whole),
            prefix=PREFIXES[face] if secret is None else "",
            last4=whole[-4:],
            name=name,
            face=face,
            models=models,
            expires_at_ms=expires_at_ms,
            now_ms=self._now_ms(),
            limits=limits,
            member_id=member_id,
            also=also,
        )
        self.forget()
        return whole, key

    async def change(
        self, key_id: str, changes: dict[str, Any], limits: Limits | None = None, *, also: Also = nothing
    ) -> Key | None:
        """Changes a key (see `Keys.change`), and its limits as a whole where given; None where there is no such key."""
        key = await self._keys.change(key_id, changes, limits=limits, now_ms=self._now_ms(), also=also)
        self.forget()
        return key

    async def revoke(self, key_id: str, *, also: Also = nothing) -> bool:
        """Revokes a key for good; False where there is no such key."""
        done = await self._keys.revoke(key_id, self._now_ms(), also=also)
        self.forget()
        return done

    def forget(self) -> None:
        """Asks the database again for every key: something about their owners has changed."""
        self._changes += 1
        self._known.clear()

    def _remembered(self, secret: str) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(secret.encode("utf-8", "surrogatepass"))
        return keyed.digest()
