"""The audit log on both engines: in the transaction of its change, and forgotten when its time is over."""

import pytest
from sqlalchemy import Connection

from mira.store.audit import Actor, AuditLog, Entry, Sought, note
from mira.store.nodes import Nodes
from mira.store.retention import AT_ONCE, DAY_MS, Retention
from mira.store.secretbox import SecretBox

START_MS = 1_760_000_000_000


def an_entry(number: int, at_ms: int = START_MS) -> Entry:
    return Entry(
        id=f"audit_{number:08x}",
        at_ms=at_ms,
        actor=Actor("user", "u", "a@b"),
        action="credits.add",
        object_kind="workspace",
        object_id="w",
        after={"amount": "1"},
        request_id="req_1",
    )


async def entries(database) -> list[Entry]:
    return (await AuditLog(database).page(Sought(), limit=1000)).rows


async def test_a_payment_and_its_entry_are_written_together_and_once(database, ledger, reserving):
    assert await ledger.top_up("w", 5, "invoice", an_entry(1))
    assert not await ledger.top_up("w", 5, "invoice", an_entry(2))
    assert await entries(database) == [an_entry(1)]
    before = await ledger.balance("w")
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        await ledger.top_up("w", 5, "another", an_entry(1))
    assert await ledger.balance("w") == before
    assert await ledger.top_up("w", 5, "another", an_entry(3))
    assert (await ledger.check())["ok"]


async def test_a_node_that_cannot_be_noted_is_not_kept(database):
    nodes = Nodes(database, SecretBox("s" * 32), now_ms=lambda: START_MS)

    def full(_connection: Connection, _result: object) -> None:
        raise RuntimeError("no room")

    await nodes.put("a", {"weight": 1}, "key")
    await nodes.put_price("m", {"input": "1"})
    for change in (
        nodes.put("b", {}, "", also=full),
        nodes.remove("a", also=full),
        nodes.set_overlay("a", drained=True, disabled=False, replaced=({"weight": 2}, "other"), also=full),
        nodes.put_price("m", None, also=full),
        nodes.put_price("m", {"input": "2"}, also=full),
    ):
        with pytest.raises(RuntimeError, match="no room"):
            await change
    assert await nodes.all() == [({"weight": 1}, "key")]
    assert await nodes.overlays() == {}
    assert await nodes.prices() == {"m": {"input": "1"}}


async def test_entries_older_than_their_days_are_forgotten_and_all_others_kept(database):
    def write(connection: Connection) -> None:
        for number in range(AT_ONCE + 20):
            note(connection, an_entry(number))
        note(connection, an_entry(AT_ONCE + 20, START_MS + DAY_MS))

    await database.write(write)
    now_ms = START_MS + 3 * DAY_MS
    assert await Retention(database, now_ms=lambda: now_ms, keep_days=1).sweep(0) == 0
    assert await Retention(database, now_ms=lambda: now_ms, keep_days=None, audit_days=2).sweep(0) == AT_ONCE + 20
    assert [entry.at_ms for entry in await entries(database)] == [START_MS + DAY_MS]
