"""What the commands need of the rest of Mira: one record that the composition root fills."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec import Struct

from mira.config import Config

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Any], Awaitable[None]]


class FirstRun(Struct, frozen=True):
    """Secrets that were made on the very first start; they are told once.

    The key is None where the operator gave it (`MIRA_BOOTSTRAP_KEY`).
    """

    email: str
    password: str
    key: str | None


class Announcer(Protocol):
    """How a gateway tells its operator what it does. `started` comes first, `stopped` last."""

    def started(
        self,
        *,
        base_url: str,
        docs_url: str,
        home: str,
        nodes: list[tuple[str, str]],
        notices: Sequence[str],
        first_run: FirstRun | None,
    ) -> None:
        """The gateway listens. `nodes` are (name, origin); `first_run` is given on the very first start only."""

    def local_progress(self, *, state: str, done_bytes: int, total_bytes: int, detail: str) -> None:
        """The local node changed: `fetching`, `starting`, `ready` or `failed`; `detail` is a line for people."""

    def answerable(self, *, model: str, key: str | None) -> None:
        """A model can answer from now on; `key` is a proxy key's secret where it may be told."""

    def stopped(self) -> None:
        """The gateway has ended in order."""


class Program(Struct, frozen=True):
    """The gateway, as the commands see it.

    `serve` runs until it is told to stop and returns the exit status. `application` opens the API without listening,
    under the data folder's lock. `migrate` brings the database up to date, or copies it to the address that is given,
    or brings it to the version that is given, and returns lines to print. Each raises ConfigError where the
    configuration or the data folder cannot be used.
    """

    serve: Callable[[Config, Announcer], int]
    application: Callable[[Config], AbstractAsyncContextManager[Asgi]]
    migrate: Callable[[Config, str | None, str | None], list[str]]
