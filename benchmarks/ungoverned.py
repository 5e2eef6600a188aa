"""Mira without its ledger: the same gateway, except that admission says yes and nothing is booked.

The difference to `mira serve` in one run is the price of governance. Reads the same environment as `mira serve`.
"""

import asyncio
import os
import sys

import uvloop

from mira.api.server import listen
from mira.app import open_app
from mira.config import load
from mira.core.call import CallRecord
from mira.core.ledger import Reserve
from mira.process import make_server
from mira.store.operations import Hold


class YesLedger:
    """Admits everything and forgets it."""

    def __init__(self, loop):
        self.durable = loop.create_future()
        self.durable.set_result(None)

    async def reserve(self, request: Reserve) -> Hold:
        return Hold(request.hold_id, request.workspace_id, request.amount_nanocredits, self.durable)

    async def settle(self, hold_id: str, actual_nanocredits: int, record: CallRecord, *, cap_at_hold=False) -> int:
        return actual_nanocredits

    async def void(self, hold_id: str, record: CallRecord) -> None:
        pass

    def record(self, record: CallRecord):
        return self.durable

    def checkpoint(self, hold_id: str, amount_nanocredits: int, node=None, answer_id=None) -> None:
        pass


async def main() -> None:
    config = load(os.environ)
    async with open_app(config) as app:
        app.services.relay.ledger = YesLedger(asyncio.get_running_loop())
        server, sockets = make_server(config, app, listen(config.host, config.port), None)
        with server.signals():
            await server.serve(sockets=sockets)


if __name__ == "__main__":
    sys.exit(asyncio.Runner(loop_factory=uvloop.new_event_loop).run(main()))
