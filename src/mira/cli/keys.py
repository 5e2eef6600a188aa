"""`mira keys`: the credentials of workspaces."""

from typing import Any

import click

from mira.cli.fetch import domains
from mira.cli.options import limit_options, limits_body, workspace_option
from mira.cli.output import Column, field, moment
from mira.cli.session import Session, members, operator_command, segment


def _state(row: dict[str, Any]) -> str:
    if row["revoked_at_ms"] is not None:
        return "revoked"
    return "disabled" if row["disabled"] else "active"


def limits_text(row: dict[str, Any]) -> str:
    """The limits of a key or a member in a few words."""
    words = [f"{row[name]} {name}" for name in ("rpm", "tpm") if row[name] is not None]
    if row["concurrency"] is not None:
        words.append(f"{row['concurrency']} at a time")
    if row["budget"] is not None:
        words.append(f"{row['budget']['spent']} of {row['budget']['amount']} a {row['budget']['period']}")
    return ", ".join(words).replace("a total", "in total") or "none"


COLUMNS = (
    field("name"),
    field("id"),
    field("kind"),
    Column("KEY", lambda row: f"{row['prefix']}…{row['last4']}"),
    Column("STATE", _state),
    Column("MODELS", lambda row: "all" if row["models"] is None else row["models"]),
    Column("LIMITS", limits_text),
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
@click.option("--member", metavar="ID", help="The member whose limits count this key's calls too.")
@limit_options
@operator_command
async def create_key(
    session: Session,
    name: str,
    *,
    workspace: str | None,
    kind: str,
    models: tuple[str, ...],
    expires_at: str | None,
    member: str | None,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    budget: str | None,
) -> None:
    """Make a key named NAME. Its secret is shown once."""
    found = await session.workspace(workspace)
    body = {"name": name, "kind": kind, **members(models=models, expires_at=expires_at, member=member)}
    body |= limits_body(rpm, tpm, concurrency, budget)
    reply = await session.client.call("POST", f"/workspaces/{segment(found['id'])}/keys", body)
    session.output.details(reply, COLUMNS)
    if not session.output.as_json:
        session.output.line("The secret, shown only now:")
        session.output.line(f"  {reply.value['secret']}")


@keys.command("update")
@click.argument("key")
@workspace_option("Look for KEY in this workspace only.")
@click.option("--name", help="Another name.")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="Allow this model only; may be repeated.")
@click.option("--all-models", is_flag=True, help="Allow every model.")
@click.option("--expires-at", metavar="TIME", help="RFC 3339 time, or `never`.")
@click.option("--member", metavar="ID", help="The member whose limits count this key's calls too, or `none`.")
@limit_options
@operator_command
async def update_key(
    session: Session,
    key: str,
    *,
    workspace: str | None,
    name: str | None,
    models: tuple[str, ...],
    all_models: bool,
    expires_at: str | None,
    member: str | None,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    budget: str | None,
) -> None:
    """Change KEY (its id or name): its name, scope, expiry and limits; a limit of 0 (or `none`) is taken away."""
    found = await session.key(key, workspace)
    body = {**members(name=name, models=models, expires_at=expires_at, member=member)}
    body |= {field: None for field, word in (("expires_at", "never"), ("member", "none")) if body.get(field) == word}
    if all_models:
        body["models"] = None
    body |= limits_body(rpm, tpm, concurrency, budget)
    session.output.details(await session.client.call("PATCH", f"/keys/{segment(found['id'])}", body), COLUMNS)


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
