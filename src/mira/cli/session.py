"""A command at work: its connection to Mira, and how it finds what a person names."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import click
from msgspec import Struct

from mira.cli.client import Client, connect
from mira.cli.options import CommandError, common, configuration, told_in_one_line
from mira.cli.output import Output
from mira.cli.program import Program
from mira.config import Config

DEFAULT_WORKSPACE = "default"


class Session(Struct, frozen=True):
    """One command at work."""

    client: Client
    config: Config
    output: Output

    async def workspace(self, given: str | None) -> dict[str, Any]:
        """A workspace by id or name; without a word the only one, else `default`. CommandError if unclear."""
        rows: list[dict[str, Any]] = (await self.client.call("GET", "/workspaces")).value["data"]
        if given is None and len(rows) == 1:
            return rows[0]
        if not rows:
            raise CommandError("there is no workspace yet; make one with `mira workspaces create NAME`")
        if given is None and not any(row["name"] == DEFAULT_WORKSPACE for row in rows):
            raise CommandError(f"there are {len(rows)} workspaces: say which with --workspace (`mira workspaces list`)")
        return one_of(rows, given or DEFAULT_WORKSPACE, "workspace", "`mira workspaces list` shows them")

    async def key(self, given: str, workspace: str | None) -> dict[str, Any]:
        """A key by id or name, among those of one workspace or of all. CommandError where it is not clear."""
        if workspace is not None:
            owners = [await self.workspace(workspace)]
        else:
            owners = (await self.client.call("GET", "/workspaces")).value["data"]
        rows: list[dict[str, Any]] = []
        for owner in owners:
            rows += (await self.client.call("GET", f"/workspaces/{segment(owner['id'])}/keys")).value["data"]
        live = [row for row in rows if row["revoked_at_ms"] is None or row["id"] == given]
        return one_of(live, given, "key", "`mira keys list` shows them")


def one_of(rows: list[dict[str, Any]], given: str, what: str, hint: str) -> dict[str, Any]:
    """The row whose id, else whose only name is `given`; CommandError where there is none or more than one."""
    for row in rows:
        if row["id"] == given:
            return row
    named = [row for row in rows if row["name"] == given]
    if len(named) == 1:
        return named[0]
    if named:
        raise CommandError(f"{len(named)} are named {given!r}: say which by its id ({hint})")
    raise CommandError(f"there is no {what} {given!r} ({hint})")


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")


def operator_command(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Makes a command of a coroutine function that takes a Session and its own arguments by name."""

    def run(program: Program, home: str | None, config_path: str | None, *, as_json: bool, **arguments: Any) -> None:
        async def work() -> None:
            config = configuration(home, config_path)
            async with connect(config, program) as client:
                await function(Session(client, config, Output(as_json=as_json)), **arguments)

        with told_in_one_line():
            asyncio.run(work())

    functools.update_wrapper(run, function)
    return common(click.pass_obj(run))


def members(**given: Any) -> dict[str, Any]:
    """A body of those members that were given: None and empty tuples are left out."""
    return {name: value for name, value in given.items() if value is not None and value != ()}
