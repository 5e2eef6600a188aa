"""What a call did cost whose process died while a node answered: the node is asked, since it may know.

A process that dies leaves a hold and the cost at its last checkpoint; the node goes on for a moment, ends the answer
and charges for it. Another Mira tells by our request id, OpenRouter by its own id of the answer. Where neither tells in
time, the checkpoint is charged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlencode

from mira.core.call import CallRecord
from mira.core.ledger import Doubt
from mira.core.money import MAX_NANOCREDITS, NANO_PER_CREDIT, exact_ratio
from mira.core.pricing import with_markup
from mira.errors import MiraError
from mira.nodes.accounts import LONGEST_CALL_MS, charge_for
from mira.nodes.node import Node

#: A node may need a moment to close its own books; one that has not told within this is not waited for.
ASK_S = 10.0
AGAIN_S = 1.0

log = logging.getLogger("mira.doubts")

Close = Callable[[CallRecord, int], Awaitable[None]]


class Doubts:
    """Resolves doubts, each in a task of its own. `close` ends the hold and stores the record; `now_ms` is Unix time.

    Doubts that come before `start` wait for it: a ledger is open before there are nodes to ask. A node is asked every
    `again_s` for `ask_s` seconds.
    """

    def __init__(
        self,
        nodes: Callable[[], Sequence[Node]],
        close: Close,
        now_ms: Callable[[], int],
        *,
        ask_s: float = ASK_S,
        again_s: float = AGAIN_S,
    ) -> None:
        self._nodes = nodes
        self._close = close
        self._now_ms = now_ms
        self._ask_s = ask_s
        self._again_s = again_s
        self._waiting: list[Doubt] | None = []
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, doubt: Doubt) -> None:
        """One more call whose cost is not known."""
        if self._waiting is not None:
            self._waiting.append(doubt)
            return
        task = asyncio.create_task(self._resolve(doubt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def start(self) -> None:
        """Asks from now on."""
        waiting, self._waiting = self._waiting, None
        for doubt in waiting or ():
            self.take(doubt)

    async def stop(self) -> None:
        """Asks no more; what is not known yet is swept by whoever comes next."""
        self._waiting = []
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _resolve(self, doubt: Doubt) -> None:
        now_ms = self._now_ms()
        record = CallRecord(
            request_id=doubt.hold_id,
            workspace_id=doubt.workspace_id,
            key_id=doubt.key_id,
            face="",
            protocol="",
            model=doubt.model,
            node=doubt.node,
            attempts=1,
            started_at_ms=now_ms,
            status=500,
            error="lost",
            held_nanocredits=doubt.amount_nanocredits,
        )
        actual = doubt.checkpoint_nanocredits
        node = next((node for node in self._nodes() if node.name == doubt.node), None)
        told = None if node is None else await self._ask(node, doubt, now_ms)
        if node is not None and told is not None:
            record.reported_nanocredits = record.computed_nanocredits = told
            actual = with_markup(told, node.markup)
        else:
            record.computed_nanocredits = actual
        log.info("request %s was lost with its process; its node %s", doubt.hold_id, "told" if told else "did not tell")
        try:
            await self._close(record, actual)
        except MiraError:
            log.warning("request %s is not closed yet: the store does not answer", doubt.hold_id)

    async def _ask(self, node: Node, doubt: Doubt, now_ms: int) -> int | None:
        told: int | None = None
        try:
            async with asyncio.timeout(self._ask_s):
                while told is None and (node.keeps_statement or doubt.answer_id):
                    told = await self._charge(node, doubt, now_ms)
                    if told is None:
                        await asyncio.sleep(self._again_s)
        except Exception as error:  # noqa: BLE001 - whatever the transport says, the node does not tell
            log.info("node %s was asked for a lost call without an answer (%s)", node.name, type(error).__name__)
        return told

    async def _charge(self, node: Node, doubt: Doubt, now_ms: int) -> int | None:
        if node.keeps_statement:
            return await charge_for(node, doubt.hold_id, now_ms - LONGEST_CALL_MS)
        return await _generation(node, doubt.answer_id or "")


async def _generation(node: Node, answer_id: str) -> int | None:
    """What OpenRouter charged for an answer, in nano-credits rounded up; None where it does not know it."""
    status, body = await node.fetch(f"/generation?{urlencode({'id': answer_id})}")
    data = body.get("data") if status == 200 and isinstance(body, dict) else None
    if not isinstance(data, dict):
        return None
    try:
        numerator, denominator = exact_ratio(str(data.get("total_cost")))
    except ValueError:
        return None
    cost = -(-numerator * NANO_PER_CREDIT // denominator)
    return cost if 0 <= cost <= MAX_NANOCREDITS else None
