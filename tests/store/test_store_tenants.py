"""Workspaces, keys, nodes, users, settings, and reading what the ledger wrote."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from mira.core.caller import Caller, Face
from mira.errors import MiraError
from mira.store import schema
from mira.store.calls import Calls, Wanted
from mira.store.keys import Keys
from mira.store.nodes import Nodes
from mira.store.secretbox import SecretBox
from mira.store.settings import Settings
from mira.store.transfers import Transfers
from mira.store.users import Users
from mira.store.workspaces import Workspace, Workspaces


async def a_key(database, key_id="k1", workspace_id="w", **changes):
    fields = {
        "digest": key_id.encode() * 8,
        "prefix": "sk-mira-",
        "last4": "abcd",
        "name": "a key",
        "face": Face.PROXY,
        "models": None,
        "expires_at_ms": None,
        "now_ms": 1,
    }
    return await Keys(database).create(key_id, workspace_id, **{**fields, **changes})


async def test_workspaces_are_made_listed_found_and_renamed(database):
    workspaces = Workspaces(database)
    made = await workspaces.create("w1", "First", 5)
    assert made == Workspace("w1", "First", 5)
    await workspaces.create("w0", "Second", 6)
    assert [row.id for row in await workspaces.list()] == ["w1", "w0"]
    assert await workspaces.get("w1") == made
    assert await workspaces.get("nothing") is None
    assert await workspaces.rename("w1", "Renamed")
    assert not await workspaces.rename("nothing", "x")
    assert (await workspaces.get("w1")).name == "Renamed"


async def test_making_a_workspace_again_keeps_the_first_and_its_credits(database, ledger):
    await ledger.top_up("w", 10, "x")
    assert (await Workspaces(database).create("w", "other name", 9)).name == "w"
    assert await ledger.balance("w") == (10, 0)


async def test_a_key_is_found_by_its_digest(database, ledger):
    key = await a_key(database, models=frozenset({"openai/a", "openai/b"}), expires_at_ms=99, face=Face.INFERENCE)
    scope = frozenset({"openai/a", "openai/b"})
    assert await Keys(database).find(b"k1" * 8) == Caller("w", "k1", Face.INFERENCE, scope, 99)
    assert await Keys(database).find(b"other") is None
    assert await Keys(database).list("w") == [key]
    assert await Keys(database).get("k1") == key


async def test_a_revoked_or_disabled_key_is_not_found(database, ledger):
    keys = Keys(database)
    await a_key(database, "k1")
    await a_key(database, "k2")
    assert (await keys.change("k1", {"disabled": True})).disabled
    assert await keys.find(b"k1" * 8) is None
    await keys.change("k1", {"disabled": False})
    assert await keys.find(b"k1" * 8) is not None
    assert await keys.revoke("k2", 50)
    assert await keys.revoke("k2", 60)
    assert await keys.find(b"k2" * 8) is None
    assert (await keys.get("k2")).revoked_at_ms == 50
    assert not await keys.revoke("nothing", 50)


async def test_a_key_changes_what_may_change(database, ledger):
    keys = Keys(database)
    await a_key(database)
    changed = await keys.change("k1", {"name": "new", "models": frozenset(), "expires_at_ms": 7})
    assert (changed.name, changed.models, changed.expires_at_ms) == ("new", frozenset(), 7)
    assert await keys.change("k1", {"models": None}) == await keys.get("k1")
    assert await keys.change("k1", {}) == await keys.get("k1")
    assert await keys.change("nothing", {"name": "x"}) is None
    with pytest.raises(ValueError, match="can be changed"):
        await keys.change("k1", {"workspace_id": "other"})


async def test_another_workspaces_key_is_missing(database, ledger):
    await Workspaces(database).create("v", "v", 1)
    await a_key(database)
    keys = Keys(database)
    assert await keys.get("k1", "v") is None
    assert await keys.change("k1", {"name": "stolen"}, "v") is None
    assert not await keys.revoke("k1", 5, "v")
    assert await keys.list("v") == []
    untouched = await keys.get("k1", "w")
    assert (untouched.name, untouched.revoked_at_ms) == ("a key", None)


async def test_a_bootstrap_key_is_made_once(database, ledger):
    first = await a_key(database, "k1", digest=b"same")
    assert await a_key(database, "k2", digest=b"same") == first
    assert await a_key(database, "k1", digest=b"other") == first
    assert len(await Keys(database).list("w")) == 1


async def test_a_key_needs_its_workspace(database):
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        await a_key(database, workspace_id="nothing")


async def test_nodes_are_kept_with_their_credentials_sealed(database):
    nodes = Nodes(database, SecretBox("s" * 32), now_ms=lambda: 5)
    await nodes.put("a", {"kind": "openai", "models": ["x"]}, "sk-very-secret")
    await nodes.put("b", {"kind": "local"}, "")
    assert await nodes.all() == [({"kind": "openai", "models": ["x"]}, "sk-very-secret"), ({"kind": "local"}, "")]
    await nodes.put("a", {"kind": "openai"}, "sk-other-secret")
    assert (await nodes.all())[0] == ({"kind": "openai"}, "sk-other-secret")
    rows = await database.read(lambda connection: [tuple(row) for row in connection.execute(select(schema.node))])
    written = b"".join(value if isinstance(value, bytes) else repr(value).encode() for row in rows for value in row)
    assert b"openai" in written
    assert b"sk-" not in written
    assert b"secret" not in written
    with pytest.raises(ValueError, match="another MIRA_SECRET_KEY"):
        await Nodes(database, SecretBox("t" * 32), now_ms=lambda: 5).all()
    await nodes.remove("a")
    assert [settings["kind"] for settings, _ in await nodes.all()] == ["local"]


async def test_an_overlay_outlives_nothing_but_its_node(database):
    nodes = Nodes(database, SecretBox("s" * 32), now_ms=lambda: 5)
    await nodes.set_overlay("from-file", drained=True, disabled=False)
    await nodes.set_overlay("from-file", drained=False, disabled=True)
    assert await nodes.overlays() == {"from-file": (False, True)}
    await nodes.remove("from-file")
    assert await nodes.overlays() == {}


async def test_a_user_is_found_however_the_address_is_written(database):
    users = Users(database)
    made = await users.create("u1", " Ann@Example.org", "$argon2id$1", "operator", 5)
    assert made.email == "ann@example.org"
    assert await users.find("ANN@example.ORG ") == made
    assert await users.find("bob@example.org") is None
    assert await users.create("u2", "ann@example.org", "$argon2id$2", "operator", 6) == made
    assert await users.set_password("Ann@example.org", "$argon2id$3")
    assert not await users.set_password("bob@example.org", "x")
    assert (await users.find("ann@example.org")).password_hash == "$argon2id$3"


async def test_settings_are_kept_and_claimed_once(database):
    settings = Settings(database)
    assert await settings.get("bootstrap") is None
    assert await settings.claim("bootstrap", "1")
    assert not await settings.claim("bootstrap", "2")
    assert await settings.get("bootstrap") == "1"
    await settings.set("bootstrap", "3")
    assert await settings.get("bootstrap") == "3"


async def test_calls_come_in_pages_newest_first(database, ledger, recording):
    for number in range(7):
        ledger.record(recording(f"r{number}", started_at_ms=100 + number // 2))
    await ledger.record(recording("x", workspace_id="other"))
    calls = Calls(database)
    seen, cursor = [], None
    while True:
        page = await calls.page(Wanted(workspace_id="w"), after=cursor, limit=3)
        seen.append([row.request_id for row in page.rows])
        cursor = page.next
        if cursor is None:
            break
    assert seen == [["r6", "r5", "r4"], ["r3", "r2", "r1"], ["r0"]]
    everybody = await calls.page(Wanted(), limit=5)
    assert [row.request_id for row in everybody.rows] == ["x", "r6", "r5", "r4", "r3"]
    rest = await calls.page(Wanted(), limit=5, after=everybody.next)
    assert ([row.request_id for row in rest.rows], rest.next) == (["r2", "r1", "r0"], None)


async def test_calls_are_filtered_by_time_model_and_key(database, ledger, recording):
    ledger.record(recording("r1", started_at_ms=1, model="a", key_id="x"))
    ledger.record(recording("r2", started_at_ms=2, model="b", key_id="x"))
    await ledger.record(recording("r3", started_at_ms=3, model="b", key_id="y"))

    async def found(**filters):
        return [row.request_id for row in (await Calls(database).page(Wanted(workspace_id="w", **filters))).rows]

    assert await found(since_ms=2) == ["r3", "r2"]
    assert await found(until_ms=2) == ["r1"]
    assert await found(model="b") == ["r3", "r2"]
    assert await found(key_id="x", model="b") == ["r2"]


async def test_another_workspaces_call_is_missing(database, ledger, recording):
    await ledger.record(recording("r1"))
    assert (await Calls(database).get("r1", "w")).request_id == "r1"
    assert await Calls(database).get("r1", "v") is None
    assert await Calls(database).get("r2") is None


async def test_a_statement_comes_in_pages_newest_first(database, ledger):
    for number in range(5):
        await ledger.top_up("w", 1, f"{number}")
    transfers = Transfers(database)
    first = await transfers.page("w", limit=3)
    assert [line.idem for line in first.rows] == ["topup:w:4", "topup:w:3", "topup:w:2"]
    rest = await transfers.page("w", after=first.next, limit=3)
    assert ([line.idem for line in rest.rows], rest.next) == (["topup:w:1", "topup:w:0"], None)
    assert (await transfers.page("v")).rows == []


@pytest.mark.parametrize("cursor", ["", "x", "1' OR 1=1 --", "9" * 30, "-1", "²"])
async def test_a_cursor_that_is_not_ours_is_a_bad_request(database, cursor):
    for page in (
        Transfers(database).page("w", after=cursor),
        Calls(database).page(Wanted(workspace_id="w"), after=cursor),
    ):
        with pytest.raises(MiraError, match="cursor") as refused:
            await page
        assert refused.value.status == 400
