"""The rows of jobs. A job begins and ends in the ledger's own transactions; all between is done here, under a lease.

A lease is short and taken for one look at a job: whoever has it may send, ask, load; between two looks a job is
nobody's, so that it moves between processes by itself. Every change names the state that it begins from and the holder
of the lease, so that a process that was thought dead changes nothing any more.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, delete, func, or_, select, update

from mira.core.jobs import ACTIVE, Job, State
from mira.store.database import Database
from mira.store.job_rows import JOB_COLUMNS, job_of, values_of
from mira.store.schema import job
from mira.store.statements import now_ms

_COLUMNS = tuple(job.c[name] for name in JOB_COLUMNS)
_ACTIVE = tuple(state.value for state in ACTIVE)
_UNTIL = {State.QUEUED, State.SUBMITTING}


class Jobs:
    """The table of jobs. `holder` names this process and is never used again."""

    def __init__(self, database: Database, *, holder: str) -> None:
        self._database = database
        self._holder = holder
        self.shared = database.shared

    async def start(self) -> None:
        """Ends the leases of dead processes, where this one surely is alone."""
        if not self.shared:
            change = update(job).where(job.c.lease_until_ms > 0).values(lease_until_ms=0)
            await self._database.write(lambda connection: connection.execute(change).rowcount)

    async def due_in_s(self) -> float | None:
        """In how many seconds a job wants to be looked at; 0 and less: now. None where none does."""
        free_ms = case((job.c.lease_until_ms > job.c.next_at_ms, job.c.lease_until_ms), else_=job.c.next_at_ms)
        query = select(func.min(free_ms)).where(job.c.next_at_ms.is_not(None))

        def read(connection: Connection) -> float | None:
            first = connection.execute(query).scalar_one_or_none()
            return None if first is None else (first - now_ms(connection)) / 1000

        return await self._database.read(read)

    async def claim(self, most: int, lease_s: float, busy: Collection[str]) -> list[Job]:
        """Takes the leases of jobs that are due and not `busy`, the longest waiting first."""

        def claim(connection: Connection) -> list[Job]:
            now = now_ms(connection)
            due = (
                select(*_COLUMNS)
                .where(job.c.next_at_ms <= now, job.c.lease_until_ms <= now, job.c.id.not_in(tuple(busy)))
                .order_by(job.c.next_at_ms)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
            found = [job_of(row) for row in connection.execute(due).mappings()]
            if found:
                ours = {"lease_holder": self._holder, "lease_until_ms": now + round(lease_s * 1000)}
                connection.execute(update(job).where(job.c.id.in_([each.id for each in found])).values(**ours))
            return found

        return await self._database.write(claim)

    async def renew(self, ids: Sequence[str], lease_s: float) -> None:
        """Makes the leases of this process last longer."""

        def renew(connection: Connection) -> int:
            until = now_ms(connection) + round(lease_s * 1000)
            ours = and_(job.c.id.in_(tuple(ids)), job.c.lease_holder == self._holder)
            return connection.execute(update(job).where(ours).values(lease_until_ms=until)).rowcount

        await self._database.write(renew)

    async def move(self, before: Job, after: Job, *, keep_lease: bool = False) -> bool:
        """Writes a job's next state and gives its lease back; False where somebody else has moved it meanwhile.

        The sealed request goes when a node has taken the work.
        """
        values = {name: value for name, value in values_of(after).items() if name != "id"}
        if after.state not in _UNTIL:
            values["request"] = None
        if not keep_lease:
            values |= {"lease_holder": "", "lease_until_ms": 0}
        ours = and_(job.c.id == before.id, job.c.state == before.state.value, job.c.lease_holder == self._holder)
        change = update(job).where(ours).values(**values)
        return await self._database.write(lambda connection: connection.execute(change).rowcount == 1)

    async def end_alone(self, after: Job) -> None:
        """Ends a job whose hold is gone already."""
        values = {name: value for name, value in values_of(after).items() if name not in ("id", "billed_nanocredits")}
        change = update(job).where(job.c.id == after.id, job.c.state.in_(_ACTIVE))
        change = change.values(**values, request=None, lease_holder="", lease_until_ms=0)
        await self._database.write(lambda connection: connection.execute(change).rowcount)

    async def find(self, job_id: str) -> Job | None:
        """A job, whosever it is."""
        return await self._one(select(*_COLUMNS).where(job.c.id == job_id))

    async def get(self, workspace_id: str, job_id: str) -> Job | None:
        """A job of the workspace's, None where it has none of this id."""
        return await self._one(select(*_COLUMNS).where(job.c.id == job_id, job.c.workspace_id == workspace_id))

    async def page(self, workspace_id: str, after: str | None, limit: int, *, newest_first: bool) -> list[Job]:
        """The workspace's jobs by age, those after the one named `after`."""
        query = select(*_COLUMNS).where(job.c.workspace_id == workspace_id)
        order = (job.c.created_at_ms, job.c.id)
        if after is not None:
            row = await self.get(workspace_id, after)
            if row is None:
                return []
            made, same = job.c.created_at_ms, job.c.created_at_ms == row.created_at_ms
            beyond = made < row.created_at_ms if newest_first else made > row.created_at_ms
            tied = job.c.id < row.id if newest_first else job.c.id > row.id
            query = query.where(or_(beyond, and_(same, tied)))
        query = query.order_by(*(column.desc() if newest_first else column for column in order)).limit(limit)
        return await self._database.read(
            lambda connection: [job_of(row) for row in connection.execute(query).mappings()]
        )

    async def request(self, job_id: str) -> bytes | None:
        """The sealed request of a job, None where it is gone."""
        query = select(job.c.request).where(job.c.id == job_id)
        found = await self._database.read(lambda connection: connection.execute(query).scalar_one_or_none())
        return None if found is None else bytes(found)

    async def remove(self, job_id: str) -> None:
        """Forgets an ended job."""
        gone = delete(job).where(job.c.id == job_id, job.c.state.not_in(_ACTIVE))
        await self._database.write(lambda connection: connection.execute(gone).rowcount)

    async def expired(self, most: int) -> list[Job]:
        """Ended jobs whose result is kept no longer."""

        def read(connection: Connection) -> list[Job]:
            query = select(*_COLUMNS).where(job.c.expires_at_ms <= now_ms(connection)).limit(most)
            return [job_of(row) for row in connection.execute(query).mappings()]

        return await self._database.read(read)

    async def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        query = select(job.c.state, func.count()).group_by(job.c.state)
        return await self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    async def _one(self, query: Any) -> Job | None:
        row = await self._database.read(lambda connection: connection.execute(query).mappings().one_or_none())
        return None if row is None else job_of(row)
