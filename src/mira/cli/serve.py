"""`mira serve` and `mira migrate`: the commands that are the gateway itself, not clients of it."""

import sys

import click
import msgspec

from mira.cli.announce import JsonAnnouncer, PlainAnnouncer
from mira.cli.options import common, configuration, told_in_one_line
from mira.cli.output import Output
from mira.cli.program import Announcer, Program


@click.command("serve")
@click.option("--host", metavar="ADDRESS", help="Listen address (default: $MIRA_HOST, else all interfaces).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default: $MIRA_PORT, else 4000).")
@click.option("--workers", type=click.IntRange(1, 256), help="Gateway processes; more than 1 need PostgreSQL.")
@click.option("--local-node/--no-local-node", default=None, help="Whether to serve the embedded model (default: yes).")
@common
@click.pass_obj
def serve(
    program: Program,
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    home: str | None,
    config_path: str | None,
    local_node: bool | None,
    as_json: bool,
) -> None:
    """Start the gateway. SIGTERM or Ctrl-C ends it in order, SIGHUP reloads the configuration.

    With more than one worker, SIGUSR1 replaces them one after another while calls go on.
    """
    switch = None if local_node is None else "on" if local_node else "off"
    announcer: Announcer = JsonAnnouncer() if as_json else PlainAnnouncer()
    with told_in_one_line():
        config = configuration(home, config_path, host=host, port=port, workers=workers, local_node=switch)
        status = program.serve(config, announcer)
    sys.exit(status)


@click.command("migrate")
@click.option("--to", metavar="URL", help="Copy everything to another, empty database, such as postgresql://….")
@click.option("--version", metavar="NUMBER", help="Bring it to an older version, before an older Mira is installed.")
@common
@click.pass_obj
def migrate(
    program: Program,
    *,
    to: str | None,
    version: str | None,
    home: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Bring the database to this version. `mira serve` does it too; this is for a stopped gateway.

    With --to, copy it: rows, balances and the secret that they were made with. Set MIRA_DATABASE_URL to the copy then.
    """
    output = Output(as_json=as_json)
    with told_in_one_line():
        lines = program.migrate(configuration(home, config_path), to, version)
    if as_json:
        output.json(msgspec.json.encode({"lines": lines}))
    else:
        for line in lines:
            output.line(line)
