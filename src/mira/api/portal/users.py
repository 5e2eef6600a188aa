"""The users, as operators see and change them."""

import asyncio
import secrets
from typing import Any

import msgspec
from starlette.responses import Response

from mira.api.auditing import Facts, noting
from mira.api.bodies import answer, read
from mira.api.portal import shapes_people as shapes
from mira.api.portal.shapes import Workspace
from mira.api.services import Asked, Services
from mira.errors import Kind, MiraError
from mira.store.users import Standing, User

PASSWORD_BYTES = 12


async def list_users(services: Services, _: Asked) -> Response:
    """Every user, the oldest first."""
    return answer(shapes.UserList(data=[_shown(row) for row in await services.accounts.users.list()]))


async def change_user(services: Services, asked: Asked) -> Response:
    """Changes a user's name or role, or disables them: their sessions end and their keys are refused, at once."""
    body, known = await read(asked, shapes.UserChange), await _found(services, asked)
    changes: dict[str, Any] = {
        name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not msgspec.UNSET
    }
    if asked.actor.id == known.id and changes.keys() & {"role", "disabled"}:
        field = min(changes.keys() & {"role", "disabled"})
        raise MiraError(Kind.CONFLICT, f"{field}: nobody changes this of themselves; ask another operator", param=field)
    before = {name: getattr(known, name) for name in changes}
    facts = Facts("user", known.id, known.email, None, before, changes)
    await services.accounts.users.change(known.id, changes, also=noting(services, asked, lambda _: facts))
    services.accounts.forget()
    services.keyring.forget()
    rows = await services.accounts.users.list()
    return answer(next(_shown(row) for row in rows if row.user.id == known.id))


async def reset_password(services: Services, asked: Asked) -> Response:
    """A new random password, shown in this answer and never again; every session of the user ends."""
    known = await _found(services, asked)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    hashed = await asyncio.to_thread(services.accounts.passwords.hash, password)
    facts = Facts("user", known.id, known.email)
    await services.accounts.users.set_password(known.email, hashed, also=noting(services, asked, lambda _: facts))
    services.accounts.forget()
    return answer(shapes.PasswordReset(id=known.id, email=known.email, password=password))


async def _found(services: Services, asked: Asked) -> User:
    user = await services.accounts.users.get(asked.request.path_params["id"])
    if user is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such user")
    return user


def _shown(row: Standing) -> shapes.UserRow:
    user = row.user
    return shapes.UserRow(
        id=user.id,
        email=user.email,
        name=user.name,
        role=user.role,
        disabled=user.disabled,
        has_password=bool(user.password_hash),
        single_sign_on=user.subject is not None,
        keys=row.keys,
        workspaces=[Workspace(id=workspace_id, name=name) for workspace_id, name in row.workspaces],
        created_at_ms=user.created_at_ms,
        seen_at_ms=row.seen_at_ms,
    )
