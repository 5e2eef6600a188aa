"""Sessions, tries to sign in, invitations and the audit log, on both databases."""

import asyncio

import pytest

from mira.core.caller import Face
from mira.errors import Kind, MiraError
from mira.ids import Ids
from mira.store.audit import Actor, AuditLog, Entry, Sought, note
from mira.store.invitations import Invitations
from mira.store.keys import Keys
from mira.store.members import Members
from mira.store.sessions import DAY_MS, IDLE_MS, LONGEST_MS, Sessions
from mira.store.sign_ins import LASTS_MS, SignIns
from mira.store.users import User, Users
from mira.store.workspaces import Workspaces

ids = Ids()


@pytest.fixture
async def users(database, clock):
    made = Users(database)
    workspaces = Workspaces(database)
    await workspaces.create("w1", "first", 1)
    await workspaces.create("w2", "second", 2)
    await made.create("u1", "Ada@X.test", "hash", "member", 1)
    await made.create("op", "op@x.test", "hash", "operator", 1)
    return made


@pytest.fixture
def sessions(database, clock):
    return Sessions(database, now_ms=clock, new_id=ids)


async def begin(sessions: Sessions, user_id: str = "u1") -> str:
    return await sessions.begin(user_id, "password", address="10.0.0.1", user_agent="a browser")


async def test_a_session_ends_when_it_is_idle_and_after_a_month_in_any_case(users, sessions, clock):
    token = await begin(sessions)
    clock.now_ms += IDLE_MS - 1
    assert (await sessions.find(token)).email == "ada@x.test"
    began_ms = clock.now_ms - IDLE_MS + 1
    while clock.now_ms < began_ms + LONGEST_MS - DAY_MS:
        clock.now_ms += DAY_MS
        assert await sessions.find(token) is not None
    clock.now_ms = began_ms + LONGEST_MS
    assert await sessions.find(token) is None
    other = await begin(sessions)
    clock.now_ms += IDLE_MS
    assert await sessions.find(other) is None


async def test_a_token_that_is_not_whole_is_of_nobody(users, sessions):
    token = await begin(sessions)
    for wrong in (token[:-1], token + "x", token[1:], "", "x" * 5000, token.swapcase()):
        assert await sessions.find(wrong) is None


async def test_a_new_password_a_disabled_user_and_ending_all_end_every_session(users, sessions):
    tokens = [await begin(sessions) for _ in range(3)]
    stranger = await begin(sessions, "op")
    await users.set_password("ada@x.test", "another hash")
    assert [await sessions.find(token) for token in tokens] == [None] * 3
    token = await begin(sessions)
    await users.change("u1", {"disabled": True})
    await users.change("u1", {"disabled": False})
    assert await sessions.find(token) is None
    token = await begin(sessions)
    await sessions.end_all("u1")
    assert await sessions.find(token) is None
    assert await sessions.find(stranger) is not None


async def test_a_user_acts_where_they_are_a_member_and_an_operator_anywhere(users, sessions, database, clock):
    invitations = Invitations(database, now_ms=clock, new_id=ids)
    member, operator = await begin(sessions), await begin(sessions, "op")
    found = await sessions.find(member)
    assert (found.workspace_id, found.member_id) == (None, None)
    _, invitation = await invitations.create("w2", "ADA@x.test", "member", None, DAY_MS)
    assert await invitations.accept(invitation.id, User("never", "ada@x.test", "", "member", 1)) is not None
    found = await sessions.find(member)
    assert (found.workspace_id, found.workspace_name) == ("w2", "second")
    assert found.member_id is not None
    assert not await sessions.choose(found, "w1")
    assert await sessions.workspaces(found) == [("w2", "second")]
    boss = await sessions.find(operator)
    assert (boss.workspace_id, boss.member_id) == ("w1", None)
    assert await sessions.choose(boss, "w2")
    assert not await sessions.choose(boss, "nowhere")
    assert (await sessions.find(operator)).workspace_id == "w2"
    assert [place for place, _ in await sessions.workspaces(boss)] == ["w1", "w2"]


async def test_a_key_belongs_to_its_members_account_and_stops_with_it(users, database, clock):
    keys, members = Keys(database), Members(database)
    invitations = Invitations(database, now_ms=clock, new_id=ids)
    _, invitation = await invitations.create("w2", "ada@x.test", "member", None, DAY_MS)
    await invitations.accept(invitation.id, User("never", "ada@x.test", "", "member", 1))
    [ada] = await members.list("w2")
    await members.create("guest", "w2", "Guest", None, now_ms=1)
    for name, owner in (("hers", ada.id), ("guests", "guest"), ("nobodys", None)):
        about = {"prefix": "", "last4": "", "name": name, "models": None, "expires_at_ms": None, "now_ms": 1}
        await keys.create(name, "w2", digest=name.encode(), face=Face.PROXY, member_id=owner, **about)

    async def found() -> list[str]:
        callers = [await keys.find(name.encode()) for name in ("hers", "guests", "nobodys")]
        return [caller.key_id for caller in callers if caller is not None]

    assert {row.user.id: row.keys for row in await users.list()} == {"u1": 1, "op": 0}
    await users.change("u1", {"disabled": True})
    assert await found() == ["guests", "nobodys"]
    assert await members.shut("w2") == {ada.id}
    assert await members.shut("w1") == frozenset()
    await members.change("guest", {"disabled": True}, now_ms=2)
    assert await members.shut("w2") == {ada.id, "guest"}
    await users.change("u1", {"disabled": False})
    assert await found() == ["hers", "nobodys"]


async def test_tries_at_the_same_moment_do_not_get_past_the_limit(database, clock):
    tries = SignIns(database, now_ms=clock)
    told = await asyncio.gather(
        *(tries.begin({"account:a": 5, "address:b": 20}) for _ in range(30)), return_exceptions=True
    )
    refused = [one for one in told if isinstance(one, MiraError)]
    assert len(told) - len(refused) == 5
    assert {error.kind for error in refused} == {Kind.RATE_LIMITED}
    assert {error.retry_after_s for error in refused} == {LASTS_MS / 1000}
    clock.now_ms += LASTS_MS
    await tries.begin({"account:a": 5, "address:b": 20})


async def test_who_signs_in_is_forgiven_and_their_address_keeps_the_others_failures(database, clock):
    tries = SignIns(database, now_ms=clock)
    for number in range(19):
        await tries.begin({f"account:{number}": 5, "address:b": 20})
    for _ in range(50):
        await tries.begin({"account:right": 5, "address:b": 20})
        await tries.succeeded("account:right", "address:b")
    await tries.begin({"account:x": 5, "address:b": 20})
    with pytest.raises(MiraError):
        await tries.begin({"account:y": 5, "address:b": 20})


async def test_of_many_who_accept_at_once_one_is_let_in(users, database, clock):
    invitations = Invitations(database, now_ms=clock, new_id=ids)
    token, invitation = await invitations.create("w1", "new@x.test", "member", "op@x.test", DAY_MS)
    assert (await invitations.look(token))[1] == "first"
    made = [User(f"n{number}", "new@x.test", "", "member", 1) for number in range(8)]
    told = await asyncio.gather(*(invitations.accept(invitation.id, user) for user in made))
    assert sum(user is not None for user in told) == 1
    assert await invitations.look(token) is None
    _, late = await invitations.create("w1", "late@x.test", "member", None, DAY_MS)
    clock.now_ms += DAY_MS
    assert await invitations.accept(late.id, User("late", "late@x.test", "", "member", 1)) is None
    assert (await invitations.of("w1"))[0].state(clock.now_ms) == "expired"


async def test_an_entry_is_there_with_its_change_and_gone_with_one_that_fails(users, database):
    log = AuditLog(database)

    def entry(action: str) -> Entry:
        return Entry(
            id=ids("audit"), at_ms=1, actor=Actor("user", "u1", "ada@x.test"), action=action, object_kind="user",
            object_id="u1", workspace_id="w1", before={"a": 1}, after=None, request_id="req_1",
        )  # fmt: skip

    await users.change("u1", {"name": "Ada"}, also=lambda connection, user: note(connection, entry(f"is {user.name}")))

    def fails(connection, _):
        note(connection, entry("never"))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await users.change("u1", {"name": "Never"}, also=fails)
    page = await log.page(Sought())
    assert [(one.action, one.before, one.after) for one in page.rows] == [("is Ada", {"a": 1}, None)]
    assert (await users.get("u1")).name == "Ada"
    for number in range(5):
        await database.write(lambda connection, number=number: note(connection, entry(f"number {number}")))
    first = await log.page(Sought(workspace_id="w1"), limit=4)
    rest = await log.page(Sought(workspace_id="w1"), limit=4, after=first.next)
    assert [one.action for one in first.rows + rest.rows] == [*(f"number {n}" for n in (4, 3, 2, 1, 0)), "is Ada"]
    assert rest.next is None
    assert (await log.page(Sought(workspace_id="w2"))).rows == []
