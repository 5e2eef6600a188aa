"""The command `mira`: hands the gateway to the command line, assembled only where a command needs it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mira.api.lent import VARIABLE
from mira.cli.main import main as run
from mira.cli.program import Announcer, Asgi, Program
from mira.config import Config


def serve(config: Config, announcer: Announcer) -> int:
    """Runs the gateway, or the supervisor of several."""
    if config.server.workers > 1 and VARIABLE not in os.environ:
        from mira.api import supervisor  # noqa: PLC0415 - see below

        status = supervisor.supervise(config)
        announcer.stopped()
        return status
    from mira import process  # noqa: PLC0415 - half a second that most commands need not wait for

    return process.serve(config, announcer)


@asynccontextmanager
async def application(config: Config) -> AsyncIterator[Asgi]:
    """Opens the API without listening."""
    from mira import app  # noqa: PLC0415 - see `serve`

    async with app.open_application(config) as asgi:
        yield asgi


def migrate(config: Config, to: str | None, version: str | None) -> list[str]:
    """Brings the database up to date or to a version, or copies it."""
    from mira import app  # noqa: PLC0415 - see `serve`

    return app.migrate(config, to, version)


def main() -> None:
    """Runs the command line."""
    run(Program(serve=serve, application=application, migrate=migrate))


if __name__ == "__main__":
    main()
