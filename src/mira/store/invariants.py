"""The invariants of the ledger, recomputed from its rows."""

from typing import Any

from sqlalchemy import Connection, text

from mira.core.money import credits_text
from mira.store.upkeep import HOLD_TTL_MS

#: Each account's posted amount against the sum of its transfers.
_BY_TRANSFERS = text(
    """
    SELECT account.id, account.posted_nanocredits, coalesce(moved.amount, 0)
    FROM account LEFT JOIN (
        SELECT id, sum(amount) AS amount FROM (
            SELECT credit AS id, amount_nanocredits AS amount FROM transfer
            UNION ALL SELECT debit, -amount_nanocredits FROM transfer
        ) AS sides GROUP BY id
    ) AS moved ON moved.id = account.id
    WHERE account.posted_nanocredits <> coalesce(moved.amount, 0)
    """
)
#: Each workspace's held amount against the sum of its holds.
_BY_HOLDS = text(
    """
    SELECT account.id, account.held_nanocredits, coalesce(holds.amount, 0)
    FROM account LEFT JOIN (
        SELECT workspace_id, sum(amount_nanocredits) AS amount FROM hold GROUP BY workspace_id
    ) AS holds ON account.id = 'workspace:' || holds.workspace_id
    WHERE account.held_nanocredits <> coalesce(holds.amount, 0)
    """
)
#: Each cap against the live holds that it counts.
_BY_CAPS = text(
    """
    SELECT cap.id, cap.held_nanocredits, cap.tokens_held, cap.live,
        coalesce(sum(hold.amount_nanocredits), 0), coalesce(sum(hold.tokens), 0), count(hold.id)
    FROM cap LEFT JOIN hold ON ' ' || hold.caps || ' ' LIKE '% ' || cap.id || ' %'
    GROUP BY cap.id, cap.held_nanocredits, cap.tokens_held, cap.live
    HAVING cap.held_nanocredits <> coalesce(sum(hold.amount_nanocredits), 0)
        OR cap.tokens_held <> coalesce(sum(hold.tokens), 0) OR cap.live <> count(hold.id)
    """
)
_USAGE_SUMS = text(
    """
    SELECT coalesce(sum(overrun_nanocredits), 0), coalesce(sum(attempt_cost_nanocredits), 0), coalesce(sum(drifted), 0),
        coalesce(sum(drift_nanocredits), 0)
    FROM usage_day
    """
)
_OPEN_AND_SETTLED = text(
    "SELECT count(*) FROM hold WHERE EXISTS (SELECT 1 FROM transfer WHERE transfer.idem = 'settle:' || hold.id)"
)
_SETTLEMENTS = text("SELECT count(*), count(DISTINCT idem) FROM transfer WHERE idem LIKE 'settle:%'")
#: A call's own figure against its settlement's.
_BILLED_OTHERWISE = text(
    """
    SELECT count(*) FROM call LEFT JOIN transfer ON transfer.idem = 'settle:' || call.request_id
    WHERE call.billed_nanocredits <> coalesce(transfer.amount_nanocredits, 0)
    """
)


def check(connection: Connection, *, now_ms: int) -> dict[str, object]:
    """Reads every row of the ledger once: `{"ok": bool, "invariants": {"I1": {"ok": bool, "promise": str, …}, …}}`.

    Amounts are decimal credits. I7 shows what can be seen from inside: that commits wait for the disk and that no hold
    outlives its owner by long; that acknowledged commits survive a kill is the tests' to show.
    """
    found = {
        "I1": _sum_is_zero(connection),
        "I2": _differences(connection.execute(_BY_TRANSFERS).fetchall(), "posted is the sum of transfers"),
        "I3": _differences(connection.execute(_BY_HOLDS).fetchall(), "held is the sum of live holds"),
        "I4": _never_below_zero(connection),
        "I5": _settled_once(connection),
        "I6": _charged_as_recorded(connection),
        "I7": _crash_bound(connection, now_ms),
        "limits": _limits(connection),
    }
    ok = all(invariant["ok"] for invariant in found.values())
    return {"ok": ok, "invariants": found, "alarms": _alarms(connection)}


def _limits(connection: Connection) -> dict[str, Any]:
    rows = connection.execute(_BY_CAPS).fetchall()
    return {
        "ok": not rows,
        "promise": "what a key's and a member's limits hold is the sum of their live holds",
        "differing": len(rows),
        "examples": [
            {
                "limit": row[0],
                "limit_says": {"held": credits_text(row[1]), "tokens": row[2], "calls": row[3]},
                "rows_say": {"held": credits_text(int(row[4])), "tokens": int(row[5]), "calls": row[6]},
            }
            for row in rows[:10]
        ],
    }


def _alarms(connection: Connection) -> dict[str, Any]:
    """What should be 0: charges beyond funds and paid attempts that failed (the operator's loss), drift of prices."""
    overrun, attempts, drifted, drift = connection.execute(_USAGE_SUMS).one()
    return {
        "overrun": credits_text(int(overrun)),
        "attempt_cost": credits_text(int(attempts)),
        "calls_reported_otherwise_than_computed": int(drifted),
        "reported_less_computed": credits_text(int(drift)),
    }


def _sum_is_zero(connection: Connection) -> dict[str, Any]:
    total = connection.execute(text("SELECT coalesce(sum(posted_nanocredits), 0) FROM account")).scalar_one()
    systems = connection.execute(text("SELECT id, posted_nanocredits FROM account WHERE NOT capped ORDER BY id"))
    return {
        "ok": total == 0,
        "promise": "the sum over all accounts is 0",
        "sum": credits_text(int(total)),
        "accounts": {name: credits_text(posted) for name, posted in systems},
    }


def _differences(rows: Any, promise: str) -> dict[str, Any]:
    return {
        "ok": not rows,
        "promise": promise,
        "differing": len(rows),
        "examples": [
            {"account": name, "account_says": credits_text(is_), "rows_say": credits_text(int(ought))}
            for name, is_, ought in rows[:10]
        ],
    }


def _never_below_zero(connection: Connection) -> dict[str, Any]:
    below = connection.execute(
        text("SELECT count(*) FROM account WHERE capped AND posted_nanocredits - held_nanocredits < 0")
    ).scalar_one()
    return {"ok": below == 0, "promise": "no workspace is below 0", "below": below}


def _settled_once(connection: Connection) -> dict[str, Any]:
    count, distinct = connection.execute(_SETTLEMENTS).one()
    both = connection.execute(_OPEN_AND_SETTLED).scalar_one()
    return {
        "ok": count == distinct and both == 0,
        "promise": "a call is settled at most once",
        "settlements": count,
        "settled_twice": count - distinct,
        "held_and_settled": both,
    }


def _charged_as_recorded(connection: Connection) -> dict[str, Any]:
    calls, billed = connection.execute(text("SELECT count(*), coalesce(sum(billed_nanocredits), 0) FROM call")).one()
    overrun = connection.execute(
        text("SELECT coalesce(sum(amount_nanocredits), 0) FROM transfer WHERE debit = 'overrun'")
    ).scalar_one()
    differing = connection.execute(_BILLED_OTHERWISE).scalar_one()
    return {
        "ok": differing == 0,
        "promise": "a call is charged what its record says, the rest is overrun",
        "calls": calls,
        "differing": differing,
        "billed": credits_text(int(billed)),
        "overrun": credits_text(int(overrun)),
    }


def _crash_bound(connection: Connection, now_ms: int) -> dict[str, Any]:
    query = text("SELECT count(*), coalesce(sum(amount_nanocredits), 0) FROM hold WHERE expires_at_ms < :since")
    live, held = connection.execute(query, {"since": 2**62}).one()
    stale, _ = connection.execute(query, {"since": now_ms - HOLD_TTL_MS}).one()
    return {
        "ok": stale == 0,
        "promise": "a call under way costs at most its hold, and no hold outlives its process by long",
        "holds": live,
        "held": credits_text(int(held)),
        "overdue": stale,
    }
