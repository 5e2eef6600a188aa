"""The ledger against a model that is too simple to be wrong. `MIRA_TEST_STEPS` takes more steps than the default."""

import asyncio
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from limit_models import DAY_MS, ClaimModel, LimitModel
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import text

from mira.core.call import CallRecord
from mira.core.caller import Face
from mira.core.ledger import Answered, Claim, Reserve, StoredAnswer
from mira.core.limits import Limits, key_cap, member_cap
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.store.database import Database
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.upkeep import HOLD_TTL_MS
from mira.store.workspaces import Workspaces

STEPS = int(os.environ.get("MIRA_TEST_STEPS", "2000"))
STEPS_PER_RUN = 50
WORKSPACES = ("v", "w")

amounts = st.one_of(st.integers(0, 30), st.integers(0, 1000))
workspaces = st.sampled_from(WORKSPACES)
#: The keys of workspace `w`; those of `v` have no limits, and their names are those of no key.
LIMITS = {
    "slow": Limits(rpm=4, concurrency=3),
    "poor": Limits(budget_nanocredits=600, budget_period="day", tpm=100),
}
MEMBER = Limits(budget_nanocredits=900, budget_period="total", rpm=7, tpm=150, concurrency=5)
callers = st.sampled_from([("v", "free"), ("w", "free"), ("w", "slow"), ("w", "poor")])
claims = st.one_of(st.none(), st.tuples(st.sampled_from("ab"), st.sampled_from([b"1", b"2"])))
wishes = st.tuples(amounts, amounts, st.integers(0, 130), claims)


class Held(Struct):
    """A hold as the model knows it."""

    workspace_id: str
    amount: int
    key_id: str
    tokens: int
    claim: str | None


class LedgerMachine(RuleBasedStateMachine):
    """Balances are integers in dictionaries; a hold is an amount and the checkpoint that is on disk.

    Two keys of `w` belong to one member and have limits, as it has; these and Idempotency-Keys are `limit_models`.
    """

    open_holds = Bundle("open_holds")
    closed_holds = Bundle("closed_holds")

    def __init__(self, new_url: Callable[[], str]) -> None:
        super().__init__()
        self.new_url = new_url

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.url = self.new_url()
        self.now_ms = 1
        self.lives = 0
        self.names = 0
        self.balances = dict.fromkeys(WORKSPACES, 0)
        self.topped_up = 0
        self.billed = 0
        self.overrun = 0
        self.live: dict[str, Held] = {}
        self.checkpoints: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.outcomes: dict[str, int] = {}
        self.references: set[tuple[str, str]] = set()
        self.open()
        self.claims = ClaimModel()
        self.member = LimitModel(MEMBER)
        self.limits = {name: [LimitModel(limits), self.member] for name, limits in LIMITS.items()}
        for name in WORKSPACES:
            self.run(Workspaces(self.database).create(name, name, 0))
        self.run(Members(self.database).create("m", "w", "m", None, now_ms=self.now_ms, limits=MEMBER))
        for name, limits in LIMITS.items():
            key = Keys(self.database).create(
                name,
                "w",
                digest=name.encode(),
                prefix="",
                last4="",
                name=name,
                face=Face.PROXY,
                models=None,
                expires_at_ms=None,
                now_ms=self.now_ms,
                limits=limits,
                member_id="m",
            )
            self.run(key)

    def open(self) -> None:
        self.lives += 1
        self.database = Database.open(self.url, late_s=60)
        self.ledger = Ledger(self.database, clock=lambda: self.now_ms, epoch_id=f"life{self.lives}", patience_s=0)
        self.run(self.ledger.start())

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def held(self, workspace_id: str) -> int:
        return sum(hold.amount for hold in self.live.values() if hold.workspace_id == workspace_id)

    def record(self, hold_id: str, workspace_id: str, used: int = 0) -> CallRecord:
        return CallRecord(
            request_id=hold_id,
            workspace_id=workspace_id,
            key_id="k",
            face="proxy",
            protocol="chat",
            model="m",
            started_at_ms=self.now_ms,
            usage=Usage(input_tokens=used),
        )

    @rule(workspace_id=workspaces, amount=st.integers(1, 2000), reference=st.sampled_from("abcdefgh"))
    def top_up(self, workspace_id: str, amount: int, reference: str) -> None:
        counted = self.run(self.ledger.top_up(workspace_id, amount, reference))
        assert counted is ((workspace_id, reference) not in self.references)
        if counted:
            self.references.add((workspace_id, reference))
            self.balances[workspace_id] += amount
            self.topped_up += amount

    @rule(target=open_holds, caller=callers, wished=st.lists(wishes, min_size=1, max_size=6))
    def reserve(self, caller: tuple[str, str], wished: list[tuple]):
        workspace_id, key_id = caller
        requests = []
        for amount, least, tokens, claim in wished:
            self.names += 1
            requests.append(
                Reserve(
                    hold_id=f"r{self.names:05}",
                    workspace_id=workspace_id,
                    key_id=key_id,
                    amount_nanocredits=max(amount, least),
                    least_nanocredits=min(amount, least),
                    caps=(key_cap(key_id), member_cap("m")) if key_id in LIMITS else (),
                    tokens=tokens,
                    claim=Claim(*claim) if claim is not None else None,
                )
            )

        async def together():
            return await asyncio.gather(*(self.ledger.reserve(one) for one in requests), return_exceptions=True)

        held = []
        for request, outcome in zip(requests, self.run(together()), strict=True):
            told = self.refuses(request)
            if told is not None:
                assert said(outcome) == told
                continue
            assert not isinstance(outcome, Exception), outcome
            self.run(outcome.durable)
            self.admitted(request, outcome)
            held.append(outcome.id)
        return multiple(*held)

    def refuses(self, request: Reserve):
        """What a reserve has to be told, None where it is admitted."""
        claim, limits = request.claim, self.limits.get(request.key_id, [])
        if claim is not None:
            told = self.claims.told(request.workspace_id, claim.key, claim.digest, self.now_ms)
            if told is not None:
                return told
        if self.balances[request.workspace_id] - self.held(request.workspace_id) < request.least_nanocredits:
            return Kind.NO_CREDITS
        left = [limit.left(self.now_ms) for limit in limits]
        if any(one is not None and one < request.least_nanocredits for one in left):
            return Kind.BUDGET_EXCEEDED
        tokens = self.granted(request)
        return next((told for limit in limits if (told := limit.refuses(tokens, self.now_ms)) is not None), None)

    def granted(self, request: Reserve) -> int:
        limits = self.limits.get(request.key_id, [])
        return min([request.tokens, *(limit.limits.tpm for limit in limits if limit.limits.tpm is not None)])

    def admitted(self, request: Reserve, outcome) -> None:
        """Checks what was granted, and remembers it."""
        limits = self.limits.get(request.key_id, [])
        available = self.balances[request.workspace_id] - self.held(request.workspace_id)
        left = [one for limit in limits if (one := limit.left(self.now_ms)) is not None]
        amount, tokens = min([available, request.amount_nanocredits, *left]), self.granted(request)
        assert (outcome.amount_nanocredits, outcome.tokens) == (amount, tokens)
        for limit in limits:
            limit.admit(outcome.id, amount, tokens, self.now_ms)
        claim = request.claim
        if claim is not None:
            self.claims.open(request.workspace_id, claim.key, claim.digest, self.now_ms, request.hold_id)
        self.live[outcome.id] = Held(
            request.workspace_id, amount, request.key_id, tokens, claim.key if claim is not None else None
        )

    @rule(
        target=closed_holds,
        hold_id=consumes(open_holds),
        actual=amounts,
        capped=st.booleans(),
        void=st.booleans(),
        share=st.integers(0, 100),
    )
    def close(self, hold_id: str, actual: int, capped: bool, void: bool, share: int) -> str:
        if hold_id not in self.live:
            # Swept by a crash: what was charged then stands.
            assert self.run(self.ledger.settle(hold_id, actual, self.record(hold_id, "w"))) == self.outcomes[hold_id]
            return hold_id
        hold = self.live.pop(hold_id)
        used = hold.tokens * share // 100
        record = self.record(hold_id, hold.workspace_id, 0 if void else used)
        if void:
            self.run(self.ledger.void(hold_id, record))
            self.ended(hold_id, hold, 0, 0, None)
            self.charge(hold_id, hold.workspace_id, 0, 0)
            return hold_id
        free = self.balances[hold.workspace_id] - self.held(hold.workspace_id) - hold.amount
        left = [one for limit in self.limits.get(hold.key_id, []) if (one := limit.left(self.now_ms)) is not None]
        most = hold.amount if capped else hold.amount + min([free, *left])
        billed = self.run(
            self.ledger.settle(
                hold_id,
                actual,
                record,
                cap_at_hold=capped,
                render=(lambda billed: StoredAnswer(200, b"", answer_of(hold_id, billed))) if hold.claim else None,
            )
        )
        assert billed == record.billed_nanocredits == min(actual, most)
        self.ended(hold_id, hold, billed, used, answer_of(hold_id, billed))
        self.charge(hold_id, hold.workspace_id, billed, actual)
        return hold_id

    def ended(self, hold_id: str, hold: Held, billed: int, used: int, body: bytes | None) -> None:
        for limit in self.limits.get(hold.key_id, []):
            limit.close(hold_id, billed, used, self.now_ms)
        if hold.claim is not None:
            self.claims.close(hold.workspace_id, hold.claim, body, billed, self.now_ms, hold_id)

    @rule(hold_id=closed_holds, actual=amounts)
    def close_again(self, hold_id: str, actual: int) -> None:
        assert self.run(self.ledger.settle(hold_id, actual, self.record(hold_id, "w"))) == self.outcomes[hold_id]

    @rule(hold_id=open_holds, amount=amounts)
    def checkpoint(self, hold_id: str, amount: int) -> None:
        if hold_id in self.live:
            self.ledger.checkpoint(hold_id, amount)
            self.checkpoints[hold_id] = amount

    @rule(passed_ms=st.integers(0, 3 * HOLD_TTL_MS))
    def maintain(self, passed_ms: int) -> None:
        self.now_ms += passed_ms
        self.run(self.ledger.maintain())
        self.written |= self.checkpoints

    @rule(passed_ms=st.integers(0, 20_000))
    def wait(self, passed_ms: int) -> None:
        """Less than a hold lives, so that nothing has to be renewed: rates drain."""
        self.now_ms += passed_ms

    @rule()
    def sleep_until_tomorrow(self) -> None:
        self.maintain(DAY_MS - self.now_ms % DAY_MS)

    @rule(budget=st.integers(0, 1500), concurrency=st.integers(1, 6))
    def change_limits(self, budget: int, concurrency: int) -> None:
        limits = replace(self.member.limits, budget_nanocredits=budget, concurrency=concurrency)
        self.run(Members(self.database).change("m", {}, now_ms=self.now_ms, limits=limits))
        self.member.limits = limits

    @rule()
    def crash(self) -> None:
        """The process dies; the next one, late enough to know it as dead, sweeps its holds."""
        self.now_ms += HOLD_TTL_MS + 1
        for timer in self.ledger._timers.values():
            timer.cancel()
        self.run(self.database.close())
        for hold_id, hold in list(self.live.items()):
            charged = min(self.written.get(hold_id, 0), hold.amount)
            del self.live[hold_id]
            self.ended(hold_id, hold, charged, hold.tokens, None)
            self.charge(hold_id, hold.workspace_id, charged, charged)
        self.checkpoints, self.written = {}, {}
        self.open()

    def charge(self, hold_id: str, workspace_id: str, billed: int, actual: int) -> None:
        assert billed >= 0
        self.outcomes[hold_id] = billed
        self.balances[workspace_id] -= billed
        self.billed += billed
        self.overrun += actual - billed

    @invariant()
    def the_books_agree(self) -> None:
        query = text("SELECT id, posted_nanocredits, held_nanocredits FROM account")
        found = self.run(self.database.read(lambda connection: connection.execute(query).all()))
        for workspace_id in WORKSPACES:
            [(posted, held)] = [row[1:] for row in found if row[0] == f"workspace:{workspace_id}"]
            assert (posted, held) == (self.balances[workspace_id], self.held(workspace_id))
            assert posted >= held >= 0
        rows = {row[0]: row[1] for row in found}
        assert sum(rows.values()) == 0
        assert rows["topup"] == -self.topped_up
        assert rows["overrun"] == -self.overrun
        assert rows["revenue"] == self.billed + self.overrun

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.run(self.ledger.maintain())
        checked = self.run(self.ledger.check())
        assert checked["ok"], checked
        self.run(self.ledger.close())
        self.run(self.database.close())
        self.loop.close()


def said(outcome):
    """What a refusal says, as the model says it."""
    if isinstance(outcome, Answered):
        return outcome.answer.body
    assert isinstance(outcome, MiraError), outcome
    if outcome.kind is Kind.RATE_LIMITED:
        return outcome.details["limit"]
    return outcome.status if outcome.kind in (Kind.CONFLICT, Kind.KEY_REUSED) else outcome.kind


def answer_of(hold_id: str, billed: int) -> bytes:
    return f"{hold_id} {billed}".encode()


@pytest.fixture
def new_sqlite_url(tmp_path: Path) -> Callable[[], str]:
    """Makes files with Mira's tables, each a copy of one."""
    numbers = count()

    async def make() -> None:
        await Database.open(f"sqlite:///{tmp_path}/template.db").close()

    asyncio.run(make())

    def new() -> str:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copy(tmp_path / "template.db", path)
        return f"sqlite:///{path}"

    return new


@pytest.mark.parametrize(("engine", "part"), [("sqlite", 1), ("postgres", 8)])
def test_the_ledger_agrees_with_its_model(request, engine, part):
    """With PostgreSQL a step takes longer, so an eighth of the steps has to do."""
    new_url = request.getfixturevalue(f"new_{engine}_url")
    run_state_machine_as_test(
        lambda: LedgerMachine(new_url),
        settings=settings(
            max_examples=max(1, STEPS // STEPS_PER_RUN // part),
            stateful_step_count=STEPS_PER_RUN,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
