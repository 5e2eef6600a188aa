"""What a supervisor lends to the gateway processes that it starts: listening sockets, and a line to talk over."""

import asyncio
import os
import signal
import socket
from collections.abc import Mapping

import msgspec

#: The environment variable in which a worker finds what it was lent, as JSON; nobody else sets it.
VARIABLE = "MIRA_WORKER"
READY = b"ready\n"


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of open files. `speaks`: this worker is the one that tells the operator what there is to tell."""

    public: int
    commands: int
    admin: int | None
    line: int
    speaks: bool


class Lent:
    """The sockets of a worker, and its line to the supervisor."""

    def __init__(self, loan: Loan) -> None:
        self.public = socket.socket(fileno=loan.public)
        self.commands = socket.socket(fileno=loan.commands)
        self.admin = socket.socket(fileno=loan.admin) if loan.admin is not None else None
        self.speaks = loan.speaks
        self._line = socket.socket(fileno=loan.line)

    def ready(self) -> None:
        """Tells the supervisor that calls are served from now on. Where the supervisor dies, this process drains."""
        self._line.send(READY)
        asyncio.get_running_loop().add_reader(self._line, self._lost)

    def _lost(self) -> None:
        asyncio.get_running_loop().remove_reader(self._line)
        os.kill(os.getpid(), signal.SIGTERM)


def lent(environ: Mapping[str, str]) -> Lent | None:
    """What this process was lent, None where it was started by itself."""
    text = environ.get(VARIABLE)
    return Lent(msgspec.json.decode(text, type=Loan)) if text else None
