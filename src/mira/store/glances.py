"""What the portal's pages read at a glance: use of keys, times of the newest calls, a statement with its balances."""

from msgspec import Struct
from sqlalchemy import Connection, func, select

from mira.core.ledger import workspace_account
from mira.store.database import Database
from mira.store.pages import Page, size, wrong_cursor
from mira.store.schema import account, call, key, usage_day
from mira.store.schema import transfer as transfers
from mira.store.transfers import Transfer

#: The newest calls that figures of time are made from: enough for a percentile, few enough to be read at once.
SAMPLED = 1000


class KeyUse(Struct, frozen=True):
    """What a key was used for since it was made."""

    calls: int = 0
    billed_nanocredits: int = 0
    last_used_at_ms: int | None = None


class Timing(Struct, frozen=True):
    """How long one call took. Times are milliseconds from its start; `failed` where it ended in an error."""

    model: str
    node: str | None
    started_at_ms: int
    first_content_ms: int | None
    duration_ms: int
    completion_tokens: int
    failed: bool


class Line(Struct, frozen=True):
    """A transfer, and the balance of its workspace's account after it, in nano-credits."""

    transfer: Transfer
    balance_nanocredits: int


class Glances:
    """Reads; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def use_of_keys(self, workspace_id: str) -> dict[str, KeyUse]:
        """By key id; keys that were never used are missing."""
        sums = (
            select(usage_day.c.key_id, func.sum(usage_day.c.calls), func.sum(usage_day.c.billed_nanocredits))
            .where(usage_day.c.workspace_id == workspace_id)
            .group_by(usage_day.c.key_id)
        )
        # A look at the end of an index for each key, where a maximum by groups would read all of it.
        last = select(func.max(call.c.started_at_ms)).where(call.c.key_id == key.c.id).scalar_subquery()
        times = select(key.c.id, last).where(key.c.workspace_id == workspace_id)

        def read(connection: Connection) -> dict[str, KeyUse]:
            last_used = {row[0]: row[1] for row in connection.execute(times)}
            return {
                key_id: KeyUse(int(calls), int(billed), last_used.get(key_id))
                for key_id, calls, billed in connection.execute(sums)
            }

        return await self._database.read(read)

    async def names_of_keys(self, workspace_id: str | None) -> dict[str, str]:
        """Names by key id, of one workspace or of all."""
        query = select(key.c.id, key.c.name)
        if workspace_id is not None:
            query = query.where(key.c.workspace_id == workspace_id)
        return await self._database.read(lambda connection: {row[0]: row[1] for row in connection.execute(query)})

    async def timings(
        self, workspace_id: str | None, since_ms: int, until_ms: int | None = None, limit: int = SAMPLED
    ) -> list[Timing]:
        """The newest calls of a workspace (None: of all) within a span, newest first."""
        written = call.c.output_tokens + call.c.reasoning_tokens
        failed = (call.c.status >= 400) | call.c.error.is_not(None)
        query = (
            select(
                call.c.model,
                call.c.node,
                call.c.started_at_ms,
                call.c.first_content_ms,
                call.c.duration_ms,
                written,
                failed,
            )
            .where(call.c.started_at_ms >= since_ms)
            .order_by(call.c.started_at_ms.desc())
            .limit(limit)
        )
        if workspace_id is not None:
            query = query.where(call.c.workspace_id == workspace_id)
        if until_ms is not None:
            query = query.where(call.c.started_at_ms < until_ms)
        return await self._database.read(lambda connection: [Timing(*row) for row in connection.execute(query)])

    async def first_call(self, *, workspace_id: str | None = None, key_id: str | None = None) -> tuple[str, int] | None:
        """The oldest call there is of a workspace or of a key: (request id, when it began in Unix milliseconds)."""
        query = select(call.c.request_id, call.c.started_at_ms).order_by(call.c.started_at_ms).limit(1)
        if key_id is not None:
            query = query.where(call.c.key_id == key_id)
        if workspace_id is not None:
            query = query.where(call.c.workspace_id == workspace_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return (row[0], row[1]) if row is not None else None

    async def statement(self, workspace_id: str, *, after: str | None = None, limit: int = 100) -> Page[Line]:
        """A page of what moved a workspace's balance, newest first, each with the balance after it.

        The cursor carries the balance from page to page. MiraError BAD_REQUEST for a wrong one.
        """
        own = workspace_account(workspace_id)
        query = (
            select(transfers)
            .where(transfers.c.workspace_id == workspace_id, (transfers.c.debit == own) | (transfers.c.credit == own))
            .order_by(transfers.c.id.desc())
            .limit(size(limit) + 1)
        )
        position = _position(after) if after is not None else None
        if position is not None:
            query = query.where(transfers.c.id < position[0])
        balance = select(account.c.posted_nanocredits).where(account.c.id == own)

        def read(connection: Connection) -> tuple[int, list[Transfer]]:
            stands = position[1] if position is not None else int(connection.execute(balance).scalar_one_or_none() or 0)
            return stands, [Transfer(*row) for row in connection.execute(query)]

        stands, rows = await self._database.read(read)
        lines: list[Line] = []
        for row in rows[: size(limit)]:
            lines.append(Line(row, stands))
            stands -= row.amount_nanocredits if row.credit == own else -row.amount_nanocredits
        return Page(lines, f"{lines[-1].transfer.id}.{stands}" if len(rows) > len(lines) else None)


def _position(cursor: str) -> tuple[int, int]:
    number, dot, balance = cursor.partition(".")
    plain = number.isascii() and number.isdigit() and len(number) < 20
    digits = balance.removeprefix("-")
    if not (plain and dot and digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise wrong_cursor()
    return int(number), int(balance)
