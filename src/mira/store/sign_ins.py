"""Failures to sign in, counted by account and by address in the database, so that all processes count together.

A try counts as a failure before the password is looked at, and is taken back where it was right: so that no number of
tries at the same moment gets past the limit.
"""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection, delete, select, update

from mira.errors import Kind, MiraError
from mira.store.database import Database
from mira.store.schema import sign_in
from mira.store.statements import upsert

MOST_PER_ACCOUNT = 5
MOST_PER_ADDRESS = 20
LASTS_MS = 15 * 60_000
#: Names that ended long ago are forgotten a few at a time, with each try.
FORGOTTEN_AT_ONCE = 20


class SignIns:
    """Counts tries. `now_ms` is Unix milliseconds."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def begin(self, limits: dict[str, int]) -> None:
        """Counts a try under each name, as a failure until told otherwise.

        MiraError RATE_LIMITED where one of the names has had as many within a quarter of an hour as its limit.
        """
        now_ms = self._now_ms()

        def begin(connection: Connection) -> float | None:
            _forget(connection, now_ms)
            tried = {name: _locked(connection, name, now_ms) for name in sorted(limits)}
            waits = [
                (times[-most] + LASTS_MS - now_ms) / 1000
                for name, most in limits.items()
                if len(times := tried[name]) >= most
            ]
            if waits:
                return max(waits)
            for name, times in tried.items():
                _keep(connection, name, [*times, now_ms][-limits[name] :])
            return None

        wait_s = await self._database.write(begin)
        if wait_s is not None:
            raise MiraError(Kind.RATE_LIMITED, "too many wrong passwords; wait and try again", retry_after_s=wait_s)

    async def succeeded(self, account: str, address: str | None) -> None:
        """Forgets the failures of an account that was signed in to, and takes back the try of its address."""

        def succeeded(connection: Connection) -> None:
            connection.execute(delete(sign_in).where(sign_in.c.name == account))
            if address is not None:
                _keep(connection, address, _locked(connection, address, self._now_ms())[:-1])

        await self._database.write(succeeded)


def _locked(connection: Connection, name: str, now_ms: int) -> list[int]:
    """The failures under a name that still count, oldest first; the row is locked until the transaction ends."""
    first = upsert(sign_in).values(name=name, failures="[]", until_ms=now_ms + LASTS_MS)
    locked = first.on_conflict_do_update(index_elements=["name"], set_={"until_ms": now_ms + LASTS_MS})
    connection.execute(locked)
    text = connection.execute(select(sign_in.c.failures).where(sign_in.c.name == name)).scalar_one()
    return [at_ms for at_ms in msgspec.json.decode(text, type=list[int]) if at_ms > now_ms - LASTS_MS]


def _keep(connection: Connection, name: str, times: list[int]) -> None:
    text = msgspec.json.encode(times).decode()
    connection.execute(update(sign_in).where(sign_in.c.name == name).values(failures=text))


def _forget(connection: Connection, now_ms: int) -> None:
    old = select(sign_in.c.name).where(sign_in.c.until_ms <= now_ms).order_by(sign_in.c.name).limit(FORGOTTEN_AT_ONCE)
    names = connection.execute(old).scalars().all()
    if names:
        connection.execute(delete(sign_in).where(sign_in.c.name.in_(names), sign_in.c.until_ms <= now_ms))
