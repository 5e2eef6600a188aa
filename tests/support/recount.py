"""The ledger counted again from its rows, in plain Python and with no statement of Mira's."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg


class Recount:
    """What the rows say. `wrong` names every promise that they break."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

            def rows(columns: str, table: str) -> list[tuple[Any, ...]]:
                return connection.execute(f'SELECT {columns} FROM "{table}"').fetchall()

            self.accounts = rows("id, posted_nanocredits, held_nanocredits, capped", "account")
            self.transfers = rows("idem, debit, credit, amount_nanocredits", "transfer")
            self.holds = rows("id, workspace_id, amount_nanocredits, caps", "hold")
            self.calls = rows("request_id, computed_nanocredits, billed_nanocredits, held_nanocredits, error", "call")
            self.caps = rows("id, held_nanocredits, live", "cap")
        self.charges = {
            idem.removeprefix("settle:"): amount for idem, _, _, amount in self.transfers if idem.startswith("settle:")
        }
        self.overruns = {
            idem.removeprefix("overrun:"): amount
            for idem, _, _, amount in self.transfers
            if idem.startswith("overrun:")
        }
        self.unbilled: list[str] = []
        self.wrong = [*self._sums(), *self._holding(), *self._charging()]

    def _sums(self) -> Iterator[str]:
        moved: defaultdict[str, int] = defaultdict(int)
        for _, debit, credit, amount in self.transfers:
            moved[debit] -= amount
            moved[credit] += amount
        if sum(posted for _, posted, _, _ in self.accounts) != 0:
            yield "I1: the sum of all accounts is not 0"
        for name, posted, held, capped in self.accounts:
            if posted != moved[name]:
                yield f"I2: {name} has {posted}, its transfers say {moved[name]}"
            if capped and posted - held < 0:
                yield f"I4: {name} has {posted} and holds {held}"

    def _holding(self) -> Iterator[str]:
        held: Counter[str] = Counter()
        live: Counter[str] = Counter()
        for _, workspace_id, amount, caps in self.holds:
            held[f"workspace:{workspace_id}"] += amount
            for cap in (caps or "").split():
                held[cap] += amount
                live[cap] += 1
        for name, _, says, _ in self.accounts:
            if says != held[name]:
                yield f"I3: {name} holds {says}, its holds say {held[name]}"
        for name, says, calls in self.caps:
            if (says, calls) != (held[name], live[name]):
                yield f"I3: limit {name} holds {says} of {calls} calls, its holds say {held[name]} of {live[name]}"

    def _charging(self) -> Iterator[str]:
        settled = [idem for idem, _, _, _ in self.transfers if idem.startswith("settle:")]
        if len(settled) != len(self.charges):
            yield "I5: a call was settled twice"
        for hold_id, *_ in self.holds:
            if hold_id in self.charges:
                yield f"I5: {hold_id} is settled and held"
        recorded = set()
        for request_id, computed, billed, held, error in self.calls:
            recorded.add(request_id)
            charge, overrun = self.charges.get(request_id, 0), self.overruns.get(request_id, 0)
            if charge != billed:
                yield f"I6: {request_id} is recorded with {billed} and charged {charge}"
            if computed and not charge + overrun:
                # Its hold was lost with a commit: the operator's, and no customer may have been told a charge (`against`).
                self.unbilled.append(request_id)
            elif error != "lost" and charge + overrun != computed:
                yield f"I6: {request_id} cost {computed}, charged {charge}, overrun {overrun}"
            if charge > held or overrun:
                yield f"I7: {request_id} was charged {charge} with a hold of {held}"
        for request_id in self.charges.keys() - recorded:
            yield f"I6: {request_id} is charged and has no record"

    def against(self, charges: dict[str, int]) -> list[str]:
        """What customers were told, less what is booked: losses and double charges."""
        return [
            f"{request_id} was told {cost}, is booked {self.charges.get(request_id, 0)}"
            for request_id, cost in charges.items()
            if self.charges.get(request_id, 0) != cost
        ]


def holds_of(url: str) -> set[str]:
    """The calls that hold credits."""
    with psycopg.connect(url) as connection:
        return {hold_id for (hold_id,) in connection.execute("SELECT id FROM hold")}
