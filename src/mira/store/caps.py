"""The limits of keys and members inside one batch: loaded under their locks, asked, changed, written."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from mira.core.ledger import Reserve
from mira.core.limits import Cap, give_back, granted_tokens, refresh, refusal, take
from mira.core.money import MAX_NANOCREDITS
from mira.core.refusals import over_budget, too_fast
from mira.store.ledger_sql import CAP_STATE

_state: Any = attrgetter(*CAP_STATE)


class Caps:
    """The caps that a batch touches, as of its time. One that has no row limits nothing."""

    def __init__(self) -> None:
        self._caps: dict[str, Cap] = {}
        self._before: list[tuple[Cap, tuple[Any, ...]]] = []

    def take_in(self, rows: Iterable[Sequence[Any]], now_ms: int) -> None:
        """Takes in the rows of caps, and brings them to the present."""
        for row in rows:
            cap = self._caps[row[0]] = Cap(*row)
            refresh(cap, now_ms)
            self._before.append((cap, _state(cap)))

    def room(self, ids: Sequence[str]) -> int:
        """The nano-credits that every budget still allows."""
        room = MAX_NANOCREDITS
        for cap_id in ids:
            cap = self._caps.get(cap_id)
            left = cap.left_nanocredits if cap is not None else None
            if left is not None and left < room:
                room = left
        return max(room, 0)

    def admit(self, request: Reserve) -> tuple[int, int]:
        """What every cap allows: nano-credits and tokens; MiraError BUDGET_EXCEEDED, RATE_LIMITED. Changes nothing."""
        room, tokens = MAX_NANOCREDITS, request.tokens
        caps = [self._caps[cap_id] for cap_id in request.caps if cap_id in self._caps]
        for cap in caps:
            left = cap.left_nanocredits
            if left is not None:
                left = max(left, 0)
                if left < request.least_nanocredits:
                    raise over_budget(cap, request.least_nanocredits)
                room = min(room, left)
            tokens = granted_tokens(cap, tokens)
        for cap in caps:
            found = refusal(cap, tokens)
            if found is not None:
                raise too_fast(cap, found)
        return room, tokens

    def take(self, ids: Sequence[str], amount_nanocredits: int, tokens: int) -> None:
        """Counts an admitted call on each."""
        for cap_id in ids:
            if cap_id in self._caps:
                take(self._caps[cap_id], amount_nanocredits, tokens)

    def give_back(
        self, ids: Sequence[str], hold_nanocredits: int, billed_nanocredits: int, tokens: int, used_tokens: int
    ) -> None:
        """Ends a call on each."""
        for cap_id in ids:
            if cap_id in self._caps:
                give_back(self._caps[cap_id], hold_nanocredits, billed_nanocredits, tokens, used_tokens)

    def changed(self) -> list[tuple[Any, ...]]:
        """The rows to write: the state, then the id."""
        return [(*state, cap.id) for cap, before in self._before if (state := _state(cap)) != before]
