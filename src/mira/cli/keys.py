"""`mira keys`: the credentials of workspaces."""

from typing import Any

import click

from mira.cli.fetch import domains
from mira.cli.options import workspace_option
from mira.cli.output import Column, field, moment
from mira.cli.session import Session, members, operator_command, segment


def _state(row: dict[str, Any]) -> str:
    if row["revoked_at_ms"] is not None:
        return "revoked"
    return "disabled" if row["disabled"] else "active"


COLUMNS = (
    field("name"),
    field("id"),
    field("kind"),
    Column("KEY", lambda row: f"{row['prefix']}…{row['last4']}"),
    Column("STATE", _state),
    Column("MODELS", lambda row: "all" if row["models"] is None else row["models"]),
    moment("expires_at_ms", "EXPIRES"),
    moment("created_at_ms", "CREATED"),
)


@click.group("keys")
def keys() -> None:
    """Keys: `proxy` for /v1, `inference` for the Inference Service."""


@keys.command("list")
@workspace_option()
@operator_command
async def list_keys(session: Session, workspace: str | None) -> None:
    """The keys of a workspace, without their secrets."""
    found = await session.workspace(workspace)
    reply = await session.client.call("GET", f"/workspaces/{segment(found['id'])}/keys")
    session.output.listing(reply, COLUMNS, empty="no keys; `mira keys create NAME` makes one")


@keys.command("create")
@click.argument("name")
@workspace_option()
@click.option("--kind", type=click.Choice(["proxy", "inference"]), default="proxy", show_default=True)
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Allow this model only; may be repeated.")
@click.option("--expires-at", metavar="TIME", help="RFC 3339 time, e.g. 2027-01-31T00:00:00Z (default: never).")
@operator_command
async def create_key(
    session: Session, name: str, *, workspace: str | None, kind: str, models: tuple[str, ...], expires_at: str | None
) -> None:
    """Make a key named NAME. Its secret is shown once."""
    found = await session.workspace(workspace)
    body = {"name": name, "kind": kind, **members(models=models, expires_at=expires_at)}
    reply = await session.client.call("POST", f"/workspaces/{segment(found['id'])}/keys", body)
    session.output.details(reply, COLUMNS)
    if not session.output.as_json:
        session.output.line("The secret, shown only now:")
        session.output.line(f"  {reply.value['secret']}")


@keys.command("revoke")
@click.argument("key")
@workspace_option("Look for KEY in this workspace only.")
@operator_command
async def revoke_key(session: Session, key: str, workspace: str | None) -> None:
    """Revoke KEY (its id, or its name where only one has it), at once and for good."""
    found = await session.key(key, workspace)
    reply = await session.client.call("DELETE", f"/keys/{segment(found['id'])}")
    session.output.done(reply, f"revoked {found['id']} ({found['name']})")


@keys.command("disable")
@click.argument("key")
@workspace_option("Look for KEY in this workspace only.")
@operator_command
async def disable_key(session: Session, key: str, workspace: str | None) -> None:
    """Refuse calls of KEY (its id or name) until it is enabled again."""
    await _switch(session, key, workspace, disabled=True)


@keys.command("enable")
@click.argument("key")
@workspace_option("Look for KEY in this workspace only.")
@operator_command
async def enable_key(session: Session, key: str, workspace: str | None) -> None:
    """Accept calls of KEY (its id or name) again."""
    await _switch(session, key, workspace, disabled=False)


async def _switch(session: Session, key: str, workspace: str | None, *, disabled: bool) -> None:
    found = await session.key(key, workspace)
    reply = await session.client.call("PATCH", f"/keys/{segment(found['id'])}", {"disabled": disabled})
    session.output.details(reply, COLUMNS)


keys.add_command(domains)
