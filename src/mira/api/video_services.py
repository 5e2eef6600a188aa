"""What the routes of videos work with, put together from what the composition root has."""

import time
from collections.abc import Callable

from msgspec import Struct

from mira.config_tables import VideoConfig
from mira.core.jobs import Rules
from mira.files.objects import Objects
from mira.jobs.content import WayOut
from mira.jobs.runner import Runner
from mira.jobs.worker import Fleet, Settings, Worker
from mira.relay import Relay
from mira.store.database import Database
from mira.store.jobs import Jobs
from mira.store.ledger import Ledger
from mira.store.secretbox import SecretBox

#: A node is asked less and less often, down to once in so many first waits.
LONGEST_WAITS = 8


class VideoServices(Struct, frozen=True, kw_only=True):
    """Jobs and what becomes of them; `way_out` is the guard before addresses that Mira did not choose."""

    jobs: Jobs
    runner: Runner
    worker: Worker
    store: Objects
    box: SecretBox
    way_out: WayOut
    rules: Rules
    deadline_ms: int


def assemble(
    config: VideoConfig,
    database: Database,
    *,
    holder: str,
    ledger: Ledger,
    fleet: Fleet,
    relay: Relay,
    box: SecretBox,
    store: Objects,
    way_out: WayOut,
    now_ms: Callable[[], int],
) -> VideoServices:
    """The runner of this process, not yet running. `holder` names the process and is never used again."""
    first_ms = round(config.poll_s * 1000)
    rules = Rules(
        first_wait_ms=first_ms, longest_wait_ms=first_ms * LONGEST_WAITS, keep_ms=config.keep_hours * 3_600_000
    )
    jobs = Jobs(database, holder=holder)
    worker = Worker(
        table=jobs,
        ledger=ledger,
        fleet=fleet,
        balancer=relay.balancer,
        observer=relay.observer,
        box=box,
        store=store,
        way_out=way_out,
        settings=Settings(rules=rules, most_bytes=config.store_mib * 2**20),
        now_ms=now_ms,
        monotonic_s=time.monotonic,
    )
    return VideoServices(
        jobs=jobs,
        runner=Runner(jobs, worker, store),
        worker=worker,
        store=store,
        box=box,
        way_out=way_out,
        rules=rules,
        deadline_ms=config.deadline_s * 1000,
    )
