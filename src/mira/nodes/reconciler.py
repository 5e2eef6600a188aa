"""Compares what we booked for the nodes of kind `mira` with their own statements, when asked and every hour."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from mira.core.money import credits_text
from mira.core.reconciliation import Entry, Reconciliation, reconcile
from mira.errors import Kind, MiraError
from mira.nodes.accounts import statement
from mira.nodes.node import Node

log = logging.getLogger("mira.reconcile")

DAY_MS = 86_400_000
#: A call that began so long ago is over and in both books.
SETTLED_MS = 600_000
#: How far the clocks of both sides may be apart.
SKEW_MS = 60_000
EVERY_S = 3600.0


class Booked(Protocol):
    """Our own books."""

    async def charged_by(self, node: str, since_ms: int, until_ms: int) -> list[Entry]:
        """What we booked as a node's charges for calls that started in [since, until)."""

    async def started(self, request_ids: Sequence[str]) -> dict[str, int]:
        """When calls of ours started, in Unix milliseconds; ids that are none are missing."""


class Compared(Struct, frozen=True, kw_only=True):
    """Our calls of [since, until) at a node beside its statement.

    `foreign_requests` are the rows of its statement whose request is none of ours: another client of that workspace.
    They count neither as ours nor as drift.
    """

    node: str
    since_ms: int
    until_ms: int
    foreign_requests: int
    foreign_nanocredits: int
    result: Reconciliation


class Reconciler:
    """Compares nodes. `on_result` is told the node's name and the drift, `now_ms` is Unix milliseconds."""

    def __init__(
        self,
        booked: Booked,
        nodes: Callable[[], Sequence[Node]],
        *,
        now_ms: Callable[[], int],
        on_result: Callable[[str, float], object],
    ) -> None:
        self._booked = booked
        self._nodes = nodes
        self._now_ms = now_ms
        self._on_result = on_result

    async def compare(self, node: Node, since_ms: int, until_ms: int) -> Compared:
        """Compares the calls that we began in [since, until). A drift above 0.1 % is an error in the log.

        MiraError BAD_REQUEST where the node has no statement by its kind, UPSTREAM_FAILED where it shows none.
        """
        if not node.keeps_statement:
            raise MiraError(Kind.BAD_REQUEST, f"the node {node.name} is not of kind mira: it has no statement")
        ours = await self._booked.charged_by(node.name, since_ms, until_ms)
        try:
            shown = await statement(node, max(since_ms - SKEW_MS, 0), until_ms + SETTLED_MS + SKEW_MS)
        except MiraError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the transport says, there is no statement
            raise node.fault(error) from None
        mine = {entry.request_id for entry in ours}
        others = sorted({entry.request_id for entry in shown} - mine)
        started = await self._booked.started(others)
        foreign = [entry for entry in shown if entry.request_id not in mine and entry.request_id not in started]
        # A call outside of the time is another comparison's; one within it should have been booked for this node.
        mine.update(request_id for request_id, at_ms in started.items() if since_ms <= at_ms < until_ms)
        compared = Compared(
            node=node.name,
            since_ms=since_ms,
            until_ms=until_ms,
            foreign_requests=len(foreign),
            foreign_nanocredits=sum(entry.cost_nanocredits for entry in foreign),
            result=reconcile(ours, (entry for entry in shown if entry.request_id in mine)),
        )
        self._tell(compared)
        return compared

    async def compare_all(self) -> None:
        """Compares the last day of every node of kind mira; what goes wrong with one is logged."""
        until_ms = self._now_ms() - SETTLED_MS
        for node in [node for node in self._nodes() if node.keeps_statement and not node.disabled]:
            try:
                await self.compare(node, until_ms - DAY_MS, until_ms)
            except MiraError as error:
                log.info("node %s was not reconciled: %s", node.name, error.kind.name.lower())
            except Exception:
                # The next hour tries again, and the other nodes now.
                log.exception("node %s was not reconciled", node.name)

    def _tell(self, compared: Compared) -> None:
        result = compared.result
        self._on_result(compared.node, result.drift_ratio)
        if result.alarm:
            log.error(
                "the books of node %s and ours differ on %d of %d requests by %s credits (%.2f %%)",
                compared.node,
                result.differing,
                result.requests,
                credits_text(result.drift_nanocredits),
                100 * result.drift_ratio,
            )


def told(compared: Compared) -> dict[str, Any]:
    """A comparison as the API tells it: amounts as decimal credits."""
    result = compared.result
    return {
        "node": compared.node,
        "since_ms": compared.since_ms,
        "until_ms": compared.until_ms,
        "alarm": result.alarm,
        "requests": result.requests,
        "ours": credits_text(result.ours_nanocredits),
        "theirs": credits_text(result.theirs_nanocredits),
        "drift": credits_text(result.drift_nanocredits),
        "drift_ratio": result.drift_ratio,
        "differing": result.differing,
        "differences": [
            {
                "request_id": one.request_id,
                "ours": _text(one.ours_nanocredits),
                "theirs": _text(one.theirs_nanocredits),
            }
            for one in result.differences
        ],
        "foreign_requests": compared.foreign_requests,
        "foreign": credits_text(compared.foreign_nanocredits),
    }


def _text(amount_nanocredits: int | None) -> str | None:
    return None if amount_nanocredits is None else credits_text(amount_nanocredits)
