"""The command line: `mira COMMAND`. Each command's module is imported only when it is asked for."""

import importlib
import io
import sys
from typing import NoReturn

import click

from mira import __version__
from mira.cli.program import Program

COMMANDS = {
    "serve": "mira.cli.serve:serve",
    "migrate": "mira.cli.serve:migrate",
    "doctor": "mira.cli.doctor:doctor",
    "workspaces": "mira.cli.workspaces:workspaces",
    "credits": "mira.cli.workspaces:credits_group",
    "users": "mira.cli.users:users",
    "keys": "mira.cli.keys:keys",
    "nodes": "mira.cli.nodes:nodes",
    "models": "mira.cli.models:models",
    "usage": "mira.cli.usage:usage",
    "fetch": "mira.cli.fetch:fetch",
    "connect": "mira.cli.connect:connect",
}


class LazyGroup(click.Group):
    """A group whose commands are imported by name, so that a gateway does not carry the other commands' modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mira")
def mira() -> None:
    """Mira: one endpoint for every model.

    `mira serve` starts the gateway. Every other command speaks to the gateway that runs in the same data folder, or
    opens the data folder itself where none runs.
    """


def main(program: Program) -> NoReturn:
    """Runs the command line. Exit status: 0 done, 1 refused or failed (one line on the standard error), 2 usage."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal of another encoding gets a question mark, not an error.
        sys.stdout.reconfigure(errors="replace")
    mira.main(obj=program, prog_name="mira")
    sys.exit(0)
