"""`mira workspaces` and `mira credits`: tenants and their money."""

import click

from mira.cli.options import page_options, workspace_option
from mira.cli.output import field, moment
from mira.cli.session import Session, operator_command, segment

COLUMNS = (
    field("name"),
    field("id"),
    field("balance", right=True),
    field("held", right=True),
    field("available", right=True),
    moment("created_at_ms", "CREATED"),
)
CREDITS = (field("balance"), field("held"), field("available"))
TRANSFERS = (
    moment("created_at_ms", "TIME"),
    field("amount", right=True),
    field("debit", "FROM"),
    field("credit", "TO"),
    field("reference"),
    field("id"),
)


@click.group("workspaces")
def workspaces() -> None:
    """Workspaces: each owns credits, keys and usage."""


@workspaces.command("list")
@operator_command
async def list_workspaces(session: Session) -> None:
    """Every workspace with its credits."""
    reply = await session.client.call("GET", "/workspaces")
    session.output.listing(reply, COLUMNS, empty="no workspaces; `mira workspaces create NAME` makes one")


@workspaces.command("create")
@click.argument("name")
@operator_command
async def create_workspace(session: Session, name: str) -> None:
    """Make a workspace. It has no credits at first (`mira credits add`)."""
    session.output.details(await session.client.call("POST", "/workspaces", {"name": name}), COLUMNS)


@workspaces.command("show")
@click.argument("workspace", required=False)
@operator_command
async def show_workspace(session: Session, workspace: str | None) -> None:
    """One workspace by its name or id (default: the only one, else `default`)."""
    found = await session.workspace(workspace)
    session.output.details(await session.client.call("GET", f"/workspaces/{segment(found['id'])}"), COLUMNS)


@workspaces.command("rename")
@click.argument("workspace")
@click.argument("name")
@operator_command
async def rename_workspace(session: Session, workspace: str, name: str) -> None:
    """Give WORKSPACE (its name or id) another NAME."""
    found = await session.workspace(workspace)
    reply = await session.client.call("PATCH", f"/workspaces/{segment(found['id'])}", {"name": name})
    session.output.details(reply, COLUMNS)


@click.group("credits")
def credits_group() -> None:
    """Credits of a workspace. One credit is one US dollar."""


@credits_group.command("show")
@workspace_option()
@operator_command
async def show_credits(session: Session, workspace: str | None) -> None:
    """Balance, held and available credits."""
    found = await session.workspace(workspace)
    session.output.details(await session.client.call("GET", f"/workspaces/{segment(found['id'])}"), CREDITS)


@credits_group.command("add")
@click.argument("amount")
@click.option("--reference", required=True, help="What it is for, e.g. an invoice; the same twice counts once.")
@workspace_option()
@operator_command
async def add_credits(session: Session, amount: str, reference: str, workspace: str | None) -> None:
    """Add AMOUNT credits, e.g. 25.00."""
    found = await session.workspace(workspace)
    body = {"amount": amount, "reference": reference}
    reply = await session.client.call("POST", f"/workspaces/{segment(found['id'])}/credits", body)
    session.output.details(reply, CREDITS)
    if not session.output.as_json and not reply.value["counted"]:
        session.output.line(f"not added: the reference {reference!r} was counted before")


@credits_group.command("transfers")
@workspace_option()
@page_options
@operator_command
async def list_transfers(session: Session, workspace: str | None, limit: int | None, cursor: str | None) -> None:
    """The statement, newest first."""
    found = await session.workspace(workspace)
    path = f"/workspaces/{segment(found['id'])}/transfers"
    reply = await session.client.call("GET", path, query={"limit": limit, "cursor": cursor})
    session.output.listing(reply, TRANSFERS, empty="no transfers")
