"""`mira serve --workers N`: one process holds the listening sockets and starts N gateways that accept on them.

Workers are exec'd, never forked, and inherit the sockets. One that dies is replaced. SIGHUP has all reload, SIGTERM and
SIGINT have all drain, SIGUSR1 replaces them one after another: the new one serves before the old one drains, and the
sockets stay open throughout. The embedded model runs once, here, so that it outlives the workers.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

import msgspec

from mira.api.lent import READY, VARIABLE, Loan
from mira.api.server import listen, listen_unix
from mira.config import Config
from mira.errors import ConfigError
from mira.nodes.local.lending import FILE, lend
from mira.nodes.local.node import LocalNode
from mira.nodes.local.packs import default_cache_dir, resolve
from mira.observe import log as logs

log = logging.getLogger("mira.supervisor")

FIRST_RESTART_S, LAST_RESTART_S = 0.2, 10.0
#: A worker that lived so long did not die of its start.
STABLE_AFTER_S = 30.0


class Supervisor:
    """Keeps the workers of a gateway. `command` starts one of them."""

    def __init__(self, config: Config, command: list[str]) -> None:
        self._config = config
        self._command = command
        self._sockets: list[socket.socket] = []
        self._workers: dict[int, Worker] = {}
        self._starting: set[Worker] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._rolling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._local: LocalNode | None = None

    async def run(self) -> int:
        """Runs until told to stop; the exit status is 1 where the first worker could not start, else 0."""
        self._config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sockets = [listen(self._config.host, self._config.port), listen_unix(self._config.socket_path)]
        if self._config.admin_listen is not None:
            self._sockets.append(listen(*self._config.admin_listen))
        loop = asyncio.get_running_loop()
        handled = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._roll,
        }
        for number, handler in handled.items():
            loop.add_signal_handler(number, handler, number)
        try:
            self._run_local_model()
            # The first one makes what a first start makes, and speaks; where it cannot start, none can.
            if not await self._start(0, speaks=True):
                return 0 if self._stopping.is_set() else 1
            self._keepers = [asyncio.create_task(self._keep(slot)) for slot in range(self._config.server.workers)]
            await self._stopping.wait()
        finally:
            await self._end()
            for number in handled:
                loop.remove_signal_handler(number)
        return 0

    async def _start(self, slot: int, *, speaks: bool = False) -> bool:
        """Starts a worker in a slot, beside the one that is there; whether it came to serve."""
        worker = await Worker.start(self._command, self._sockets, speaks=speaks)
        if self._stopping.is_set():
            worker.tell(signal.SIGTERM)
        self._starting.add(worker)
        ready = await worker.ready()
        self._starting.discard(worker)
        if ready:
            self._workers[slot] = worker
        return ready

    async def _keep(self, slot: int) -> None:
        """Sees to it that a slot has a worker, whenever the one before died by itself."""
        wait_s = 0.0
        while not self._stopping.is_set():
            worker = self._workers.get(slot)
            if worker is not None:
                code = await worker.process.wait()
                async with self._rolling:
                    pass  # a replacement under way is no death
                if self._workers.get(slot) is not worker or self._stopping.is_set():
                    continue
                log.error("worker %d ended with code %d; another takes its place", worker.process.pid, code)
                del self._workers[slot]
                if worker.age_s() > STABLE_AFTER_S:
                    wait_s = 0.0
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
            wait_s = min(2 * wait_s + FIRST_RESTART_S, LAST_RESTART_S)
            if not self._stopping.is_set():
                await self._start(slot)

    async def _roll_all(self) -> None:
        async with self._rolling:
            for slot in range(self._config.server.workers):
                old = self._workers.get(slot)
                if self._stopping.is_set():
                    return
                if old is None:
                    continue  # one is on its way, and is new anyway
                if not await self._start(slot):
                    log.error("a new worker did not come to serve; the old ones stay")
                    return
                old.tell(signal.SIGTERM)
                await old.process.wait()
        log.info("all workers were replaced")

    def _stop(self, number: int) -> None:
        self._stopping.set()
        for worker in (*self._workers.values(), *self._starting):
            worker.tell(number)

    def _reload(self, number: int) -> None:
        for worker in self._workers.values():
            worker.tell(number)

    def _roll(self, _number: int) -> None:
        task = asyncio.ensure_future(self._roll_all())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run_local_model(self) -> None:
        if not self._config.local_node:
            return
        path = self._config.home / FILE
        self._local = LocalNode(
            resolve(self._config.local_model), default_cache_dir(os.environ), lambda node: lend(node, path)
        )
        self._local.start()
        lend(self._local, path)

    async def _end(self) -> None:
        self._stopping.set()
        await asyncio.gather(*self._keepers, *self._tasks, return_exceptions=True)
        for worker in self._workers.values():
            worker.tell(signal.SIGTERM)
        await asyncio.gather(*(worker.process.wait() for worker in self._workers.values()))
        if self._local is not None:
            await self._local.stop()
            (self._config.home / FILE).unlink(missing_ok=True)
        for one in self._sockets:
            one.close()
        self._config.socket_path.unlink(missing_ok=True)


class Worker:
    """One gateway process."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self.process = process
        self._line = line
        self._began_s = asyncio.get_running_loop().time()

    @classmethod
    async def start(cls, command: list[str], sockets: list[socket.socket], *, speaks: bool) -> "Worker":
        """Starts one; it serves when `ready` says so."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        public, commands, *admin = (one.fileno() for one in sockets)
        loan = Loan(
            public=public,
            commands=commands,
            admin=admin[0] if admin else None,
            line=theirs.fileno(),
            speaks=speaks,
        )
        with theirs:
            # In a session of its own, so that Ctrl-C reaches it through the supervisor alone, and once.
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, VARIABLE: msgspec.json.encode(loan).decode()},
                pass_fds=(public, commands, *admin, theirs.fileno()),
                start_new_session=True,
            )
        return cls(process, ours)

    async def ready(self) -> bool:
        """Waits until it serves; False where it ends before."""
        told = await asyncio.get_running_loop().sock_recv(self._line, len(READY))
        if told != READY:
            await self.process.wait()
        return told == READY

    def age_s(self) -> float:
        """How long ago it was started."""
        return asyncio.get_running_loop().time() - self._began_s

    def tell(self, number: int) -> None:
        """Sends it a signal, if it still runs."""
        if self.process.returncode is None:
            self.process.send_signal(number)


def supervise(config: Config) -> int:
    """Runs the workers that `[server] workers` or `--workers` asks for; ConfigError without PostgreSQL."""
    if config.database_url.startswith("sqlite:"):
        raise ConfigError(
            f"{config.server.workers} workers need PostgreSQL, since a SQLite file belongs to one process: set "
            "MIRA_DATABASE_URL=postgresql://user:password@host/name, or take 1 worker"
        )
    logs.configure(config.log.format, config.log.level)
    return asyncio.run(_run(config))


async def _run(config: Config) -> int:
    return await Supervisor(config, [sys.executable, "-m", "mira", *sys.argv[1:]]).run()
