"""What a ledger does beside its calls: it keeps what they cost so far and finds the holds that dead processes left."""

from collections.abc import Mapping

from msgspec import Struct

from mira.core.ledger import Doubt
from mira.store.ledger_sql import SWEEP_LIMIT, Statements
from mira.store.operations import Checkpoint, CloseOp, FoundHold, Hold, found_hold
from mira.store.statements import Driver

HOLD_TTL_MS = 90_000
#: A process whose heart has not beaten for so long is dead. Its holds are gone 90 s after it at the latest.
DEAD_AFTER_MS = 60_000
#: How long the call of a dead process waits for its node's word; the life that it has so long is named so.
ASK_MS = 20_000
ASKING = "?"


class Dead(Struct, frozen=True):
    """Holds of the dead, by id; those to be closed at their checkpoint, and those whose nodes may know their cost."""

    found: dict[str, FoundHold]
    sweeps: list[CloseOp]
    doubts: list[Doubt]


def keep_checkpoints(
    connection: Driver, sql: Statements, epoch: str, checkpoints: Mapping[str, Checkpoint], live: Mapping[str, Hold]
) -> None:
    """Writes what the live calls of this process have cost so far, their holds at most."""
    rows = []
    for hold_id, so_far in checkpoints.items():
        hold = live.get(hold_id)
        if hold is not None:
            amount_nanocredits = min(so_far.amount_nanocredits, hold.amount_nanocredits)
            rows.append((amount_nanocredits, so_far.node, so_far.answer_id, hold_id, epoch))
    if rows:
        connection.change(sql.hold_checkpoint, rows)


def find_dead(connection: Driver, sql: Statements, epoch: str, now_ms: int, *, asks: bool) -> Dead:
    """Finds and locks holds that nobody renews. With `asks` those whose node may know their cost become this process's.

    Theirs is then a life that ends by itself, with no node left to ask: whatever becomes of this process, the next
    sweep after that charges the checkpoint.
    """
    connection.execute(sql.epochs_forget, (now_ms - DEAD_AFTER_MS,))
    rows = connection.execute(sql.holds_dead, (now_ms, now_ms - DEAD_AFTER_MS, SWEEP_LIMIT)).fetchall()
    dead = Dead({}, [], [])
    for hold_id, *row, checkpoint, node, answer_id in rows:
        found = found_hold(*row)
        if asks and node is not None:
            owner = (hold_id, found.workspace_id, found.key_id, found.model, found.amount_nanocredits)
            dead.doubts.append(Doubt(*owner, checkpoint, node, answer_id))
        else:
            dead.found[hold_id] = found
            dead.sweeps.append(CloseOp(hold_id, checkpoint, None, True, 0, None, from_row=True, swept=True))
    if dead.doubts:
        asker, until_ms = epoch + ASKING, now_ms + HOLD_TTL_MS
        connection.execute(sql.epoch_beat, (asker, now_ms - DEAD_AFTER_MS + ASK_MS))
        connection.change(sql.hold_adopt, [(until_ms, asker, None, doubt.hold_id) for doubt in dead.doubts])
    return dead
