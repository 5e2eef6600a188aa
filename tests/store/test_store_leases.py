"""Leases: one process at a time, and another where it dies."""

import asyncio

from waiting import eventually

from mira.store.leases import Leases


async def test_a_lease_has_one_holder(database):
    one, two = Leases(database, holder="one"), Leases(database, holder="two")
    assert sorted(await asyncio.gather(one.take("work", 60), two.take("work", 60))) == [False, True]
    first, second = (one, two) if await one.take("work", 60) else (two, one)
    assert not await second.take("work", 60)
    assert await second.take("other work", 60)
    await second.give_back("work")
    assert not await second.take("work", 60)
    await first.give_back("work")
    assert await second.take("work", 60)


async def test_a_lease_that_ran_out_is_anybodys(database):
    one, two = Leases(database, holder="one"), Leases(database, holder="two")
    assert await one.take("work", -1)
    assert await two.take("work", 60)
    assert not await one.take("work", 60)


async def test_work_is_taken_over_from_a_process_that_ends(database):
    done = []

    async def work(name):
        done.append(name)

    def run(name):
        leases = Leases(database, holder=name)
        return asyncio.ensure_future(leases.run_alone("work", 0.3, lambda: work(name)))

    one = run("one")
    await eventually(lambda: done)
    two = run("two")
    await eventually(lambda: len(done) > 1)
    assert set(done) == {"one"}
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    await eventually(lambda: "two" in done)
    two.cancel()
    await asyncio.gather(two, return_exceptions=True)


async def test_work_that_fails_is_tried_again(database, caplog):
    tries = []

    async def work():
        tries.append(1)
        raise ValueError("no")

    running = asyncio.ensure_future(Leases(database, holder="one").run_alone("work", 0.001, work))
    await eventually(lambda: len(tries) > 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "work failed" in caplog.text
