"""`mira usage`: the calls of all workspaces or of one."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import click

from mira.cli.options import CommandError, page_options, workspace_option
from mira.cli.output import Column, field, moment
from mira.cli.session import Session, operator_command

UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def _tokens(name: str) -> Any:
    return lambda row: row["usage"][name]


COLUMNS = (
    moment("started_at_ms", "TIME"),
    field("id"),
    field("model"),
    field("node"),
    field("status", right=True),
    Column("INPUT", _tokens("prompt_tokens"), right=True),
    Column("OUTPUT", _tokens("completion_tokens"), right=True),
    field("cost", right=True),
    field("duration_ms", "MS", right=True),
    field("error"),
)


@click.command("usage")
@workspace_option("Calls of this workspace only, by its name or id (default: of all).")
@click.option("--model", help="Calls of this model only.")
@click.option("--key", help="Calls of this key only, by its id or name.")
@click.option("--since", metavar="TIME", help="RFC 3339 time, or how long ago: 30m, 24h, 7d.")
@click.option("--until", metavar="TIME", help="Likewise.")
@page_options
@operator_command
async def usage(
    session: Session,
    *,
    workspace: str | None,
    model: str | None,
    key: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    cursor: str | None,
) -> None:
    """Calls with their tokens and cost, newest first."""
    now_ms = int(time.time() * 1000)
    query: dict[str, str | int | None] = {
        "model": model,
        "limit": limit,
        "cursor": cursor,
        "since_ms": since and time_ms(since, now_ms),
        "until_ms": until and time_ms(until, now_ms),
    }
    if workspace is not None:
        query["workspace"] = (await session.workspace(workspace))["id"]
    if key is not None:
        query["key"] = (await session.key(key, workspace))["id"]
    session.output.listing(await session.client.call("GET", "/usage", query=query), COLUMNS, empty="no calls")


def time_ms(text: str, now_ms: int) -> int:
    """An RFC 3339 time, or a span before `now_ms`, in Unix milliseconds; CommandError where it is neither."""
    span = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if span:
        return max(now_ms - int(span[1]) * UNITS_MS[span[2]], 0)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is not a time: write 2027-01-31T00:00:00Z, or 30m, 24h, 7d") from None
    return max(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000), 0)
