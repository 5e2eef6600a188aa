"""Two gateways on one database: what is counted once is counted once by both together."""

import asyncio
from collections.abc import Callable

import psycopg

from mira.core.ledger import Claim, Reserve
from mira.core.limits import Limits, member_cap
from mira.errors import Kind, MiraError
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.workspaces import Workspaces


async def both(url: str) -> list[tuple[Database, Ledger]]:
    """Two gateways, as far as the ledger goes, and a workspace."""
    pair = []
    for name in ("one", "two"):
        database = Database.open(url, late_s=60)
        ledger = Ledger(database, epoch_id=name)
        await ledger.start()
        pair.append((database, ledger))
    await Workspaces(pair[0][0]).create("w", "w", 0)
    return pair


async def end(pair: list[tuple[Database, Ledger]]) -> None:
    for database, ledger in pair:
        assert (await ledger.check())["ok"]
        await ledger.close()
        await database.close()


def wish(name: str, **more) -> Reserve:
    return Reserve(hold_id=name, workspace_id="w", key_id="k", amount_nanocredits=1, least_nanocredits=1, **more)


async def test_a_payment_counts_once_whoever_tells_it(new_postgres_url: Callable[[], str]) -> None:
    pair = await both(new_postgres_url())
    told = await asyncio.gather(
        *(ledger.top_up("w", 10, f"invoice-{number % 5}") for number in range(40) for _, ledger in pair)
    )
    assert sum(told) == 5
    assert await pair[0][1].balance("w") == (50, 0)
    await end(pair)


async def test_an_idempotency_key_is_claimed_by_one(new_postgres_url: Callable[[], str]) -> None:
    pair = await both(new_postgres_url())
    await pair[0][1].top_up("w", 1000, "start")
    told = await asyncio.gather(
        *(
            ledger.reserve(wish(f"r{gateway}{number}", claim=Claim(f"i{number % 5}", b"body")))
            for number in range(40)
            for gateway, (_, ledger) in enumerate(pair)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in told) == 5
    assert {one.kind for one in told if isinstance(one, MiraError)} == {Kind.CONFLICT}
    await end(pair)


async def test_a_hold_waits_for_nobody_who_has_the_operators_accounts(new_postgres_url: Callable[[], str]) -> None:
    """They change with every settlement of any workspace, so a batch that settles nothing leaves them alone."""
    url = new_postgres_url()
    pair = await both(url)
    await pair[0][1].top_up("w", 1000, "start")
    with psycopg.connect(url) as other:
        other.execute("SELECT id FROM account WHERE NOT capped FOR UPDATE")
        hold = await asyncio.wait_for(pair[0][1].reserve(wish("r")), 60)
        await asyncio.wait_for(asyncio.shield(hold.durable), 60)
        settling = asyncio.ensure_future(pair[0][1].settle("r", 1, None))
        other.rollback()
    assert await settling == 1
    await end(pair)


async def test_limits_are_exact_over_both(new_postgres_url: Callable[[], str]) -> None:
    pair = await both(new_postgres_url())
    await pair[0][1].top_up("w", 1000, "start")
    limits = Limits(concurrency=60, budget_nanocredits=50, budget_period="total")
    await Members(pair[0][0]).create("m", "w", "m", None, now_ms=0, limits=limits)
    told = await asyncio.gather(
        *(
            ledger.reserve(wish(f"r{gateway}{number}", caps=(member_cap("m"),)))
            for number in range(100)
            for gateway, (_, ledger) in enumerate(pair)
        ),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in told) == 50
    assert {one.kind for one in told if isinstance(one, MiraError)} == {Kind.BUDGET_EXCEEDED}
    await end(pair)
