"""A database of each engine, and a ledger on a clock that the test moves."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mira.core.call import CallRecord
from mira.core.ledger import Reserve
from mira.store.database import Database
from mira.store.ledger import Ledger
from mira.store.workspaces import Workspaces

START_MS = 1_760_000_000_000
#: What is slow here is the machine, not the database.
PATIENT_S = 60.0


class Clock:
    """Unix milliseconds, standing still until moved."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite:///{tmp_path}/mira.db"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database of every engine that Mira runs on."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    new: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return new()


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    """An open file, where the promise is SQLite's alone."""
    database = Database.open(sqlite_url, late_s=PATIENT_S)
    yield database
    await database.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database.open(database_url, late_s=PATIENT_S)
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(database: Database, clock: Clock) -> AsyncIterator[Ledger]:
    """A started ledger with an empty workspace `w`."""
    await Workspaces(database).create("w", "w", clock())
    ledger = Ledger(database, clock=clock, epoch_id=os.urandom(8).hex())
    await ledger.start()
    yield ledger
    await ledger.close()


@pytest.fixture
def reserving() -> Callable[..., Reserve]:
    """Makes a reserve of workspace `w`; `least` is the amount unless given."""

    def make(hold_id: str, amount: int, least: int | None = None, workspace_id: str = "w") -> Reserve:
        return Reserve(
            hold_id=hold_id,
            workspace_id=workspace_id,
            key_id="k",
            amount_nanocredits=amount,
            least_nanocredits=amount if least is None else least,
        )

    return make


@pytest.fixture
def recording() -> Callable[..., CallRecord]:
    """Makes the record of a call of workspace `w`."""

    def make(request_id: str, **changes: object) -> CallRecord:
        fields: dict[str, object] = {
            "workspace_id": "w",
            "key_id": "k",
            "face": "proxy",
            "protocol": "chat",
            "model": "openai/gpt-4o-mini",
            "started_at_ms": START_MS,
            "status": 200,
        }
        return CallRecord(request_id=request_id, **{**fields, **changes})  # type: ignore[arg-type]

    return make
