"""`mira users`: who may sign in at the portal."""

from typing import Any

import click

from mira.cli.options import CommandError
from mira.cli.output import Column, field, moment
from mira.cli.session import Session, operator_command, segment

COLUMNS = (
    field("email"),
    field("id"),
    field("role"),
    Column("STATE", lambda row: "disabled" if row["disabled"] else "active"),
    Column("WORKSPACES", lambda row: [place["name"] for place in row["workspaces"]]),
    moment("seen_at_ms", "SEEN"),
    moment("created_at_ms", "CREATED"),
)
RESET = (field("email"), field("id"))


@click.group("users")
def users() -> None:
    """Users: the accounts that sign in at the portal."""


@users.command("list")
@operator_command
async def list_users(session: Session) -> None:
    """Every user."""
    session.output.listing(await session.client.call("GET", "/users"), COLUMNS, empty="no users")


@users.command("reset-password")
@click.argument("email")
@operator_command
async def reset_password(session: Session, email: str) -> None:
    """Give the user EMAIL a new random password. It is shown once; every session of the user ends."""
    rows: list[dict[str, Any]] = (await session.client.call("GET", "/users")).value["data"]
    found = next((row for row in rows if row["email"] == email.strip().lower()), None)
    if found is None:
        raise CommandError(f"there is no user {email!r} (`mira users list` shows them)")
    reply = await session.client.call("POST", f"/users/{segment(found['id'])}/reset-password")
    session.output.details(reply, RESET)
    if not session.output.as_json:
        session.output.line("The password, shown only now:")
        session.output.line(f"  {reply.value['password']}")
