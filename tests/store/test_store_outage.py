"""A PostgreSQL that stops, dies or freezes: nothing hangs, nothing is lost or charged twice, and all goes on by itself."""

import asyncio
import itertools

import pytest
from tests.support import postgres
from waiting import eventually

from mira.core.caller import Face
from mira.errors import Kind, MiraError
from mira.store.database import Database
from mira.store.keyring import Keyring
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.secretbox import SecretBox
from mira.store.versions import KEYS, TRUSTED_S, Versions
from mira.store.workspaces import Workspaces

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def cluster():
    """A server of these tests' own, since they stop it."""
    with postgres.cluster() as server:
        yield server


@pytest.fixture
def server(cluster):
    yield cluster
    cluster.thaw()


numbers = itertools.count()


@pytest.fixture
async def far(server):
    """A database of that server."""
    database = Database.open(server.create(f"outage{next(numbers)}"), late_s=60)
    await Workspaces(database).create("w", "w", 0)
    yield database
    await database.close()


@pytest.fixture
async def ledger(far):
    ledger = Ledger(far, epoch_id="one", patience_s=0)
    await ledger.start()
    await ledger.top_up("w", 10**9, "x")
    yield ledger
    await ledger.close()


async def refused(attempt):
    """A refusal that says the store is down, and that comes at all."""
    async with asyncio.timeout(120):
        with pytest.raises(MiraError) as told:
            await attempt
    assert (told.value.kind, told.value.status, told.value.retry_after_s) == (Kind.STORE_DOWN, 503, 1.0)


async def serves_again(ledger, reserving):
    async def granted():
        try:
            hold = await ledger.reserve(reserving(f"again{next(numbers)}", 1))
            await hold.durable
        except MiraError:
            return False
        await ledger.void(hold.id, None)
        return True

    await eventually(granted)


async def test_a_server_that_stops_refuses_holds_and_gets_settlements_when_it_is_back(
    server, far, ledger, reserving, recording
):
    await (await ledger.reserve(reserving("r1", 400))).durable
    server.stop()
    settling = asyncio.ensure_future(ledger.settle("r1", 150, recording("r1")))
    await refused(ledger.reserve(reserving("r2", 400)))
    await refused(ledger.top_up("w", 5, "y"))
    await refused(Keys(far).find(b"some"))
    assert not settling.done()
    server.start()
    assert await asyncio.wait_for(settling, 120) == 150
    await serves_again(ledger, reserving)
    assert await ledger.balance("w") == (10**9 - 150, 0)
    assert (await ledger.check())["ok"]


async def test_a_frozen_server_refuses_and_hangs_nobody(server, far, ledger, reserving, recording):
    await (await ledger.reserve(reserving("r1", 400))).durable
    server.freeze()
    far.late_s = 0.8
    waiting = [asyncio.ensure_future(ledger.reserve(reserving(f"f{number}", 1))) for number in range(8)]
    settling = asyncio.ensure_future(ledger.settle("r1", 150, recording("r1")))
    for attempt in (*waiting, ledger.reserve(reserving("late", 1)), Keys(far).find(b"some")):
        await refused(attempt)
    server.thaw()
    far.late_s = 60
    assert await asyncio.wait_for(settling, 120) == 150
    await serves_again(ledger, reserving)
    await ledger.maintain()
    assert await ledger.balance("w") == (10**9 - 150, 0)
    assert (await ledger.check())["ok"]


async def test_a_server_that_is_killed_under_load_loses_nothing_it_acknowledged(
    server, far, ledger, reserving, recording
):
    acknowledged = {}
    ending = asyncio.Event()

    async def client(name):
        for turn in itertools.count():
            if ending.is_set():
                return
            request_id = f"{name}-{turn}"
            try:
                hold = await ledger.reserve(reserving(request_id, 100))
                await hold.durable
            except MiraError:
                await asyncio.sleep(0.01)
                continue
            acknowledged[request_id] = await ledger.settle(request_id, 7, recording(request_id))

    clients = [asyncio.ensure_future(client(f"c{number}")) for number in range(32)]
    for _ in range(2):
        before = len(acknowledged)
        await eventually(lambda before=before: len(acknowledged) > before + 50)
        server.kill()
        server.start()
    before = len(acknowledged)
    await eventually(lambda: len(acknowledged) > before + 50)
    ending.set()
    async with asyncio.timeout(120):
        await asyncio.gather(*clients)
    assert set(acknowledged.values()) == {7}

    async def settled():
        return await ledger.balance("w") == (10**9 - 7 * len(acknowledged), 0)

    await eventually(settled)
    assert (await ledger.check())["ok"]


async def test_known_keys_are_trusted_for_a_minute_and_then_nobody_is_told_401(server, far):
    keyring = Keyring(Keys(far), SecretBox("s" * 32), now_ms=lambda: 1, new_id=lambda prefix: f"{prefix}1")
    secret, _ = await keyring.create("w", "k", Face.PROXY)
    assert await keyring.find(secret) is not None
    now_s = [0.0]
    versions = Versions(far, monotonic_s=lambda: now_s[0])
    versions.distrust(keyring.forget)
    server.stop()
    now_s[0] = TRUSTED_S
    await versions.poll()
    assert keyring.known(secret) is not None
    await refused(keyring.find("another key"))
    now_s[0] = TRUSTED_S + 1
    await versions.poll()
    assert keyring.known(secret) is None
    await refused(keyring.find(secret))
    server.start()
    await eventually(lambda: found(keyring, secret))


async def found(keyring, secret):
    try:
        return await keyring.find(secret) is not None
    except MiraError:
        return False


async def test_a_key_revoked_by_one_process_is_forgotten_by_the_others(far):
    ours, theirs = (
        Keyring(Keys(database), SecretBox("s" * 32), now_ms=lambda: 1, new_id=lambda prefix: f"{prefix}{next(numbers)}")
        for database in (far, far)
    )
    versions = Versions(far, monotonic_s=lambda: 0.0)
    await versions.poll()

    async def forget():
        theirs.forget()

    versions.watch(KEYS, forget)
    secret, key = await ours.create("w", "k", Face.PROXY)
    assert await theirs.find(secret) is not None
    await ours.revoke(key.id)
    assert theirs.known(secret) is not None

    async def forgotten():
        await versions.poll()
        return theirs.known(secret) is None

    await eventually(forgotten)
    assert await theirs.find(secret) is None
