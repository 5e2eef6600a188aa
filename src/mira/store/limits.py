"""The limits of keys and members as an operator sets them. What is taken of them is the ledger's to count."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, or_, select, update

from mira.core.limits import UNLIMITED, Cap, Limits, period_end_ms, period_start_ms
from mira.store.schema import cap, usage_day

_LIMITS = tuple(Limits.__struct_fields__)


def limits_anything() -> ColumnElement[bool]:
    """Whether a row of `cap` limits anything."""
    return or_(*(cap.c[name].is_not(None) for name in _LIMITS if name != "budget_period"))


def set_limits(connection: Connection, cap_id: str, limits: Limits, keys: Select[Any], now_ms: int) -> None:
    """Sets limits from now on; `keys` selects the ids of the keys whose spending counts.

    A new budget, or one with another period, counts what these keys have spent in its period so far.
    """
    values: dict[str, Any] = {name: getattr(limits, name) for name in _LIMITS}
    known = connection.execute(
        select(cap.c.budget_nanocredits, cap.c.budget_period).where(cap.c.id == cap_id).with_for_update()
    ).first()
    if known is None and not any(values.values()):
        return
    before = known.budget_period if known is not None and known.budget_nanocredits is not None else None
    if limits.budget_nanocredits is not None and limits.budget_period != before:
        spent = select(func.coalesce(func.sum(usage_day.c.billed_nanocredits), 0)).where(
            usage_day.c.key_id.in_(keys), usage_day.c.begins_ms >= period_start_ms(limits.budget_period, now_ms)
        )
        values["spent_nanocredits"] = int(connection.execute(spent).scalar_one())
        values["period_ends_ms"] = period_end_ms(limits.budget_period, now_ms)
    if known is not None:
        connection.execute(update(cap).where(cap.c.id == cap_id).values(values))
        return
    fresh = Cap(cap_id)
    state = {name: getattr(fresh, name) for name in Cap.__struct_fields__}
    connection.execute(insert(cap).values({**state, **values}))


def limits_of(given: Cap | None) -> Limits:
    """The limits of a cap."""
    return UNLIMITED if given is None else Limits(**{name: getattr(given, name) for name in _LIMITS})


def caps_of(connection: Connection, ids: list[str]) -> dict[str, Cap]:
    """Caps by their ids; what never had a limit is missing."""
    rows: list[Row[Any]] = list(connection.execute(select(cap).where(cap.c.id.in_(ids)))) if ids else []
    return {row[0]: Cap(*row) for row in rows}
