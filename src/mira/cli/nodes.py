"""`mira nodes`: the upstreams of the fleet."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mira.cli.options import CommandError
from mira.cli.output import Column, field
from mira.cli.session import Session, members, operator_command, segment
from mira.cli.usage import time_ms

KINDS = ("mira", "openai", "anthropic", "gemini", "openai-compatible")


def _conditions(row: dict[str, Any]) -> str | None:
    """The models that the node is not asked for now, each with its state and why."""
    told = [f"{each['model']} {each['state']} ({each['reason']})" for each in row["conditions"]]
    return "; ".join(told) or None


COLUMNS = (
    field("name"),
    field("kind"),
    field("state"),
    field("reason"),
    Column("MODELS", lambda row: len(row["models"]), right=True),
    field("in_flight", right=True),
    field("latency_ms", right=True),
    field("credits", right=True),
    field("weight", right=True),
    field("origin"),
    field("last_error"),
)
COMPARED = (
    field("node"),
    field("requests", right=True),
    field("ours", right=True),
    field("theirs", right=True),
    field("drift", right=True),
    field("differing", right=True),
    field("foreign_requests", "OTHERS", right=True),
    field("foreign", "OTHERS' COST", right=True),
    field("alarm"),
)
DIFFERENCES = (field("request_id"), field("ours", right=True), field("theirs", right=True))
DETAILS = (
    *map(field, ("name", "kind", "state", "reason", "returns_in_s")),
    Column("CONDITIONS", _conditions),
    *map(field, (
        "base_url", "provider", "endpoint", "image_route", "has_api_key", "origin", "weight", "markup",
        "max_in_flight", "in_flight", "latency_ms", "first_token_s", "credits", "runway_s", "reported_cost",
        "consecutive_faults", "last_error", "models",
    )),
)  # fmt: skip


@click.group("nodes")
def nodes() -> None:
    """Nodes: the upstreams that serve models."""


@nodes.command("list")
@operator_command
async def list_nodes(session: Session) -> None:
    """The fleet and its state."""
    reply = await session.client.nodes()
    session.output.listing(reply, COLUMNS, empty="no nodes; `mira nodes add --help` says how to add one")


@nodes.command("show")
@click.argument("name")
@operator_command
async def show_node(session: Session, name: str) -> None:
    """One node with its settings and models; never its key."""
    session.output.details(await session.client.call("GET", f"/nodes/{segment(name)}"), DETAILS)


@nodes.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True)
@click.option("--base-url", required=True, metavar="URL", help="What the vendor's SDK takes, e.g. https://host/v1.")
@click.option("--api-key", metavar="SECRET", help="The key, env:NAME, file:PATH, or - to type it or pipe it in.")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Serve this model only; may be repeated.")
@click.option("--provider", help="Prefix of its model ids (kind openai-compatible).")
@click.option(
    "--endpoint",
    type=click.Choice(["auto", "chat", "responses"]),
    help="The protocol to speak (kind openai; default: auto, as the model must have it).",
)
@click.option(
    "--image-route",
    type=click.Choice(["auto", "chat", "images"]),
    help="Where it makes images (kind openai-compatible; default: auto, in chats as OpenRouter does).",
)
@click.option("--weight", type=float, help="Share of the load beside other nodes (default: 1).")
@click.option("--markup", metavar="FACTOR", help="What customers pay over what the node charges (default: 1.0).")
@click.option("--max-in-flight", type=click.IntRange(1), help="Most calls at a time.")
@click.option("--reported-cost", is_flag=True, help="Trust the cost that the node reports.")
@operator_command
async def add_node(
    session: Session,
    name: str,
    kind: str,
    base_url: str,
    api_key: str | None,
    *,
    reported_cost: bool,
    models: tuple[str, ...],
    **settings: Any,
) -> None:
    """Add a node, kept in the database."""
    secret = None if api_key is None else read_secret(api_key, os.environ)
    given = members(api_key=secret, models=models, **settings)
    body = {"name": name, "kind": kind, "base_url": base_url, "reported_cost": reported_cost, **given}
    session.output.details(await session.client.call("POST", "/nodes", body), DETAILS)


@nodes.command("drain")
@click.argument("name")
@operator_command
async def drain_node(session: Session, name: str) -> None:
    """Send a node no new calls; those under way finish."""
    await _change(session, name, draining=True)


@nodes.command("undrain")
@click.argument("name")
@operator_command
async def undrain_node(session: Session, name: str) -> None:
    """Send a drained node calls again."""
    await _change(session, name, draining=False)


@nodes.command("disable")
@click.argument("name")
@operator_command
async def disable_node(session: Session, name: str) -> None:
    """Take a node out of the fleet, and its models out of the list."""
    await _change(session, name, disabled=True)


@nodes.command("enable")
@click.argument("name")
@operator_command
async def enable_node(session: Session, name: str) -> None:
    """Take a disabled node back into the fleet."""
    await _change(session, name, disabled=False)


@nodes.command("remove")
@click.argument("name")
@operator_command
async def remove_node(session: Session, name: str) -> None:
    """Remove a node that was added by a command or the API."""
    session.output.done(await session.client.call("DELETE", f"/nodes/{segment(name)}"), f"removed {name}")


@nodes.command("probe")
@click.argument("name")
@operator_command
async def probe_node(session: Session, name: str) -> None:
    """Ask a node for its models now."""
    session.output.details(await session.client.call("POST", f"/nodes/{segment(name)}/probe"), DETAILS)


@nodes.command("reconcile")
@click.argument("name", required=False)
@click.option("--since", metavar="TIME", help="RFC 3339 time, or how long ago: 30m, 24h, 7d (default: a day before).")
@click.option("--until", metavar="TIME", help="Likewise (default: 10 minutes ago, when all calls are over).")
@operator_command
async def reconcile_nodes(session: Session, name: str | None, *, since: str | None, until: str | None) -> None:
    """Compare what we booked for a node (default: each of kind mira) with its own usage, request by request.

    Exits with 1 where they differ by more than 0.1 %.
    """
    now_ms = int(time.time() * 1000)
    query = {"since_ms": since and time_ms(since, now_ms), "until_ms": until and time_ms(until, now_ms)}
    names = [name] if name is not None else await _of_kind_mira(session)
    rows: list[dict[str, Any]] = []
    for each in names:
        reply = await session.client.call("POST", f"/nodes/{segment(each)}/reconcile", query=query)
        rows.append(reply.value)
        if session.output.as_json:
            session.output.json(reply.body)
    if not session.output.as_json:
        _show_compared(session, rows)
    if any(row["alarm"] for row in rows):
        raise click.exceptions.Exit(1)


async def _of_kind_mira(session: Session) -> list[str]:
    rows = (await session.client.call("GET", "/nodes")).value["data"]
    return [row["name"] for row in rows if row["kind"] == "mira" and not row["disabled"]]


def _show_compared(session: Session, rows: list[dict[str, Any]]) -> None:
    if not rows:
        session.output.line("no nodes of kind mira")
        return
    session.output.rows(rows, COMPARED)
    for row in rows:
        if row["differences"]:
            session.output.line("")
            session.output.line(f"where {row['node']} and we differ:")
            session.output.rows(row["differences"], DIFFERENCES)


async def _change(session: Session, name: str, **changes: bool) -> None:
    session.output.details(await session.client.call("PATCH", f"/nodes/{segment(name)}", changes), DETAILS)


def read_secret(given: str, environ: Mapping[str, str]) -> str:
    """A secret as it was given: itself, `env:NAME`, `file:PATH`, or `-` for a prompt or the standard input."""
    if given == "-":
        return (
            str(click.prompt("API key", hide_input=True, err=True)) if sys.stdin.isatty() else sys.stdin.read().strip()
        )
    if given.startswith("env:"):
        if given[4:] not in environ:
            raise CommandError(f"the environment variable {given[4:]} is not set")
        return environ[given[4:]]
    if given.startswith("file:"):
        try:
            return Path(given[5:]).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise CommandError(f"the file {given[5:]} cannot be read") from None
    return given
