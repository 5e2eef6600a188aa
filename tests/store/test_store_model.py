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
from sqlalchemy import text

from mira.core.call import CallRecord
from mira.core.ledger import Reserve
from mira.errors import Kind, MiraError
from mira.store.batch import HOLD_TTL_MS
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.workspaces import Workspaces

STEPS = int(os.environ.get("MIRA_TEST_STEPS", "2000"))
STEPS_PER_RUN = 50
WORKSPACES = ("v", "w")

amounts = st.one_of(st.integers(0, 30), st.integers(0, 1000))
workspaces = st.sampled_from(WORKSPACES)


class LedgerMachine(RuleBasedStateMachine):
    """Balances are integers in dictionaries; a hold is an amount and the checkpoint that is on disk."""

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
        self.live: dict[str, tuple[str, int]] = {}
        self.checkpoints: dict[str, int] = {}
        self.written: dict[str, int] = {}
        self.outcomes: dict[str, int] = {}
        self.references: set[tuple[str, str]] = set()
        self.open()
        for name in WORKSPACES:
            self.run(Workspaces(self.database).create(name, name, 0))

    def open(self) -> None:
        self.lives += 1
        self.database = Database.open(self.url)
        self.ledger = Ledger(self.database, clock=lambda: self.now_ms, epoch_id=f"life{self.lives}", patience_s=0)
        self.run(self.ledger.start())

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def held(self, workspace_id: str) -> int:
        return sum(amount for owner, amount in self.live.values() if owner == workspace_id)

    def record(self, hold_id: str, workspace_id: str) -> CallRecord:
        return CallRecord(
            request_id=hold_id,
            workspace_id=workspace_id,
            key_id="k",
            face="proxy",
            protocol="chat",
            model="m",
            started_at_ms=self.now_ms,
        )

    @rule(workspace_id=workspaces, amount=st.integers(1, 2000), reference=st.sampled_from("abcdefgh"))
    def top_up(self, workspace_id: str, amount: int, reference: str) -> None:
        counted = self.run(self.ledger.top_up(workspace_id, amount, reference))
        assert counted is ((workspace_id, reference) not in self.references)
        if counted:
            self.references.add((workspace_id, reference))
            self.balances[workspace_id] += amount
            self.topped_up += amount

    @rule(
        target=open_holds, workspace_id=workspaces, wishes=st.lists(st.tuples(amounts, amounts), min_size=1, max_size=6)
    )
    def reserve(self, workspace_id: str, wishes: list[tuple[int, int]]):
        requests = []
        for amount, least in wishes:
            self.names += 1
            requests.append(
                Reserve(
                    hold_id=f"r{self.names:05}",
                    workspace_id=workspace_id,
                    key_id="k",
                    amount_nanocredits=max(amount, least),
                    least_nanocredits=min(amount, least),
                )
            )

        async def together():
            return await asyncio.gather(*(self.ledger.reserve(one) for one in requests), return_exceptions=True)

        held = []
        for request, outcome in zip(requests, self.run(together()), strict=True):
            available = self.balances[workspace_id] - self.held(workspace_id)
            if available < request.least_nanocredits:
                assert isinstance(outcome, MiraError)
                assert outcome.kind is Kind.NO_CREDITS
                continue
            assert outcome.amount_nanocredits == min(available, request.amount_nanocredits)
            self.run(outcome.durable)
            self.live[outcome.id] = (workspace_id, outcome.amount_nanocredits)
            held.append(outcome.id)
        return multiple(*held)

    @rule(target=closed_holds, hold_id=consumes(open_holds), actual=amounts, capped=st.booleans(), void=st.booleans())
    def close(self, hold_id: str, actual: int, capped: bool, void: bool) -> str:
        if hold_id not in self.live:
            # Swept by a crash: what was charged then stands.
            assert self.run(self.ledger.settle(hold_id, actual, self.record(hold_id, "w"))) == self.outcomes[hold_id]
            return hold_id
        workspace_id, amount = self.live.pop(hold_id)
        record = self.record(hold_id, workspace_id)
        if void:
            self.run(self.ledger.void(hold_id, record))
            self.outcomes[hold_id] = 0
            return hold_id
        free = self.balances[workspace_id] - self.held(workspace_id) - amount
        billed = self.run(self.ledger.settle(hold_id, actual, record, cap_at_hold=capped))
        assert billed == record.billed_nanocredits == min(actual, amount if capped else amount + free)
        self.charge(hold_id, workspace_id, billed, actual)
        return hold_id

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

    @rule()
    def crash(self) -> None:
        """The process dies; the next one, late enough to know it as dead, sweeps its holds."""
        self.now_ms += HOLD_TTL_MS + 1
        for timer in self.ledger._timers.values():
            timer.cancel()
        self.run(self.database.close())
        for hold_id, (workspace_id, amount) in list(self.live.items()):
            charged = min(self.written.get(hold_id, 0), amount)
            del self.live[hold_id]
            self.charge(hold_id, workspace_id, charged, charged)
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
