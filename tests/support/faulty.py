"""Upstreams that fail as they are told, each a small HTTP/1.1 server on a raw socket that remembers what it was asked.

A node serves Chat Completions, `/models` and, as a Mira does, `/credits`. What it does wrong is its `Behaviour`, which
can be swapped at any time: from its own event loop (`FaultyNode.become`), from a test's thread (`FaultyFleet`), or over
HTTP where it runs as a process of its own:

    python -m tests.support.faulty --nodes 3            # prints one address a line
    curl -d '{"fault": "hang"}' http://127.0.0.1:PORT/control
    curl http://127.0.0.1:PORT/control                  # how it behaves, and how often it was asked

`FAULTS` lists the ways to fail. Times are the steady clock, amounts nano-credits.
"""

import argparse
import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import msgspec
from tests.support.faults import FAULTS, Behaviour, Seen, Turn, whole
from tests.support.ports import free_port
from tests.support.upstream import DONE, USAGE, chunks, completion, frame

PATIENCE_S = 120.0
MODEL = "model-a"


class Purse(msgspec.Struct):
    """The credits of a node of kind mira, held and charged as a Mira does. Prices are nano-credits per token."""

    balance_nanocredits: int
    held_nanocredits: int = 0
    input_nanocredits: int = 1_000
    output_nanocredits: int = 2_000

    @property
    def available_nanocredits(self) -> int:
        """What the next request may cost at most."""
        return self.balance_nanocredits - self.held_nanocredits

    def worst_case_nanocredits(self, body: bytes, output_cap: int) -> int:
        """What a request may cost: each byte of it a token, and the whole output cap."""
        return len(body) * self.input_nanocredits + output_cap * self.output_nanocredits

    @property
    def cost_nanocredits(self) -> int:
        """What an answer does cost."""
        return USAGE["prompt_tokens"] * self.input_nanocredits + USAGE["completion_tokens"] * self.output_nanocredits


class FaultyNode:
    """One node on a port of its own. `seen` are its chat requests; its methods belong to its event loop."""

    def __init__(self, name: str = "node", model: str = MODEL, purse: Purse | None = None) -> None:
        self.name = name
        self.model = model
        self.purse = purse
        self.port = 0
        self.behaviour = Behaviour()
        self.seen: list[Seen] = []
        self.began_s = time.monotonic()
        self._wires: set[_Wire] = set()
        self._server: asyncio.Server | None = None
        self._answers: dict[int, tuple[bytes, list[bytes]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> "FaultyNode":
        """Listens; on a port that nobody else is given while it stands refused."""
        loop = asyncio.get_running_loop()
        self.port = self.port or free_port()
        self._server = await loop.create_server(
            lambda: _Wire(self), "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )
        return self

    async def stop(self) -> None:
        """Stops listening and cuts what is open; the port stays its own."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in list(self._wires):
            wire.cut()
        await asyncio.sleep(0)

    async def become(self, behaviour: Behaviour) -> None:
        """Behaves like this from now on; requests under way go on as they began."""
        self.behaviour = behaviour
        self.began_s = time.monotonic()
        if behaviour.fault == "refuse":
            await self.stop()
        elif self._server is None:
            await self.start()

    @property
    def fault_now(self) -> str:
        """The fault that the next request meets."""
        burst_s = self.behaviour.burst_s
        if burst_s and int((time.monotonic() - self.began_s) / burst_s) % 2:
            return ""
        return self.behaviour.fault

    def answer(self) -> tuple[bytes, list[bytes]]:
        """The whole answer's body, and the pieces of the streamed one: the role, each word, the end."""
        count = self.behaviour.words
        if count not in self._answers:
            usage: dict[str, Any] = dict(USAGE)
            if self.purse is not None:
                usage["cost"] = float(Decimal(self.purse.cost_nanocredits).scaleb(-9))
            words = [f"word{index} " for index in range(count)]
            role, *rest = chunks(*words, model=self.model, usage=usage)
            body = msgspec.json.encode(completion("".join(words), model=self.model, usage=usage))
            self._answers[count] = (
                body,
                [
                    frame(role),
                    *map(frame, rest[:count]),
                    b"".join([*map(frame, rest[count:]), DONE]),
                ],
            )
        return self._answers[count]

    def serve(self, wire: "_Wire", method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        """Answers one request."""
        if path.endswith("/chat/completions"):
            self._chat(wire, headers, body)
        elif path.endswith("/models"):
            wire.write(whole(200, self._models()))
        elif path.endswith("/credits") and self.purse is not None:
            wire.write(whole(200, self._credits(self.purse)))
        elif path == "/control" and method == "POST":
            wire.spawn(self._controlled(wire, body))
        elif path == "/control":
            wire.write(whole(200, {"behaviour": msgspec.to_builtins(self.behaviour), "seen": len(self.seen)}))
        else:
            wire.write(whole(404, {"error": {"message": "there is nothing here", "type": "invalid_request_error"}}))

    def _chat(self, wire: "_Wire", headers: dict[str, str], body: bytes) -> None:
        asked = msgspec.json.decode(body)
        stream = bool(asked.get("stream"))
        seen = Seen(at_s=time.monotonic(), stream=stream, fault=self.fault_now, headers=headers)
        self.seen.append(seen)
        wire.asked = seen
        if self.purse is not None:
            cap = asked.get("max_completion_tokens") or asked.get("max_tokens") or 0
            seen.worst_case_nanocredits = self.purse.worst_case_nanocredits(body, cap)
            seen.unpayable = seen.worst_case_nanocredits > self.purse.available_nanocredits
            if seen.unpayable:
                wire.answered(402, whole(402, {"error": {"message": "no credits", "type": "insufficient_quota"}}))
                return
            self.purse.held_nanocredits += seen.worst_case_nanocredits
        task = wire.spawn(self._play(Turn(wire, seen, self.behaviour, *self.answer())))
        if self.purse is not None:
            task.add_done_callback(lambda _: self._charge(seen))

    async def _play(self, turn: Turn) -> None:
        if turn.behaviour.first_token_s:
            await asyncio.sleep(turn.behaviour.first_token_s)
        await FAULTS[turn.seen.fault](turn)

    def _charge(self, seen: Seen) -> None:
        assert self.purse is not None
        self.purse.held_nanocredits -= seen.worst_case_nanocredits
        if seen.status == 200:
            self.purse.balance_nanocredits -= self.purse.cost_nanocredits

    async def _controlled(self, wire: "_Wire", body: bytes) -> None:
        behaviour = msgspec.json.decode(body, type=Behaviour)
        wire.write(whole(200, msgspec.to_builtins(behaviour)))
        await self.become(behaviour)

    def _models(self) -> dict[str, Any]:
        row: dict[str, Any] = {"id": self.model, "object": "model", "created": 1, "owned_by": "faulty"}
        if self.purse is not None:
            row["pricing"] = {
                "prompt": str(Decimal(self.purse.input_nanocredits).scaleb(-9)),
                "completion": str(Decimal(self.purse.output_nanocredits).scaleb(-9)),
            }
        return {"object": "list", "data": [row]}

    def _credits(self, purse: Purse) -> dict[str, str]:
        amounts = {
            "balance": purse.balance_nanocredits,
            "held": purse.held_nanocredits,
            "available": purse.available_nanocredits,
        }
        return {**{name: f"{Decimal(amount).scaleb(-9):f}" for name, amount in amounts.items()}, "currency": "credit"}


class _Wire(asyncio.Protocol):
    """One connection: takes requests apart, one at a time, and notices when the gateway leaves."""

    def __init__(self, node: FaultyNode) -> None:
        self.node = node
        self.asked: Seen | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.node._wires.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = first.split(" ", 2)
        self.node.serve(self, method, path, headers, rest[:length])

    def eof_received(self) -> bool:
        self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.node._wires.discard(self)
        self.writable.set()
        self._left()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def answered(self, status: int, data: bytes = b"") -> None:
        """Sends the last of an answer and notes that it was whole."""
        assert self.asked is not None
        self.asked.status = status
        self.asked.answered_at_s = time.monotonic()
        self.asked = None
        self.write(data)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        self._task = asyncio.get_running_loop().create_task(work)
        return self._task

    def cut(self) -> None:
        """Resets the connection."""
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.asked = None
        self.transport.abort()

    def _left(self) -> None:
        if self.asked is not None:
            self.asked.closed_at_s = time.monotonic()
            self.asked = None
        if self._task is not None:
            self._task.cancel()


class FaultyFleet:
    """Nodes in a thread with an event loop of its own, for tests that are no coroutines."""

    def __init__(self, nodes: list[FaultyNode]) -> None:
        self.nodes = nodes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-fleet")

    def start(self) -> "FaultyFleet":
        self._thread.start()
        for node in self.nodes:
            self._run(node.start())
        return self

    def stop(self) -> None:
        for node in self.nodes:
            self._run(node.stop())
        self._run(_finish_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def become(self, index: int, **fields: Any) -> None:
        """A node behaves like this from now on (see `Behaviour`)."""
        self._run(self.nodes[index].become(Behaviour(**fields)))

    def reset(self) -> None:
        """All are well again and have seen nothing."""
        for node in self.nodes:
            self._run(node.become(Behaviour()))
            node.seen.clear()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)


async def _finish_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _main(count: int) -> None:
    for index in range(count):
        node = await FaultyNode(f"node-{index}").start()
        print(node.url, flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Upstreams that fail as they are told")
    arguments.add_argument("--nodes", type=int, default=1)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(arguments.parse_args().nodes))
