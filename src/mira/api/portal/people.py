"""The members of a workspace, and how others become one."""

import asyncio

from msgspec.structs import replace
from starlette.responses import Response

from mira.api.auditing import Facts, noting
from mira.api.bodies import answer, read
from mira.api.portal import shapes_people as shapes
from mira.api.portal.cookies import check_origin
from mira.api.portal.session import (
    MAX_BODY_BYTES,
    begin,
    check_json,
    refuse_limited,
    session_of,
    workspace_of,
    wrong_sign_in,
)
from mira.api.portal.spans import DAY_MS
from mira.api.services import Asked, Services
from mira.api.tenants import found_workspace, limits_body
from mira.errors import Kind, MiraError
from mira.store.audit import Actor
from mira.store.invitations import Invitation
from mira.store.users import User

LONGEST_ADDRESS = 320


async def list_members(services: Services, asked: Asked) -> Response:
    """The members of the workspace."""
    session = session_of(asked)
    users = {each.user.id: each for each in await services.accounts.users.list()}
    rows = []
    for member in await services.members.list(workspace_of(asked)):
        standing = users.get(member.user_id or "")
        rows.append(
            shapes.MemberShown(
                id=member.id,
                name=member.name,
                email=member.email,
                user_id=member.user_id,
                role=standing.user.role if standing else None,
                disabled=member.disabled,
                you=member.user_id == session.user_id,
                created_at_ms=member.created_at_ms,
                seen_at_ms=standing.seen_at_ms if standing else None,
                **limits_body(member.cap, services.now_ms()),
            )
        )
    return answer(shapes.MemberList(data=rows))


async def list_invitations(services: Services, asked: Asked) -> Response:
    """The invitations into the user's workspace."""
    return await _invitations(services, workspace_of(asked))


async def invite(services: Services, asked: Asked) -> Response:
    """Invites somebody into the user's workspace; the link is shown in this answer and never again."""
    body = await read(asked, shapes.NewInvitation, MAX_BODY_BYTES)
    if body.role == "operator":
        raise MiraError(
            Kind.FORBIDDEN, "role: operators are invited at the operator's page of the workspace", param="role"
        )
    await refuse_limited(services, asked, "ask another member, or the operator, to invite somebody")
    return await _invite(services, asked, workspace_of(asked), body, session_of(asked).email)


async def withdraw(services: Services, asked: Asked) -> Response:
    """Ends an invitation into the user's workspace."""
    return await _withdraw(services, asked, workspace_of(asked))


async def list_invitations_of(services: Services, asked: Asked) -> Response:
    """The invitations into any workspace."""
    return await _invitations(services, (await found_workspace(services, asked)).id)


async def invite_into(services: Services, asked: Asked) -> Response:
    """Invites somebody into any workspace, perhaps as an operator."""
    row = await found_workspace(services, asked)
    body = await read(asked, shapes.NewInvitation, MAX_BODY_BYTES)
    return await _invite(services, asked, row.id, body, asked.actor.name or asked.actor.kind)


async def withdraw_any(services: Services, asked: Asked) -> Response:
    """Ends any invitation."""
    return await _withdraw(services, asked, None)


async def look(services: Services, asked: Asked) -> Response:
    """What an invitation is for, for who has its link."""
    check_origin(asked.request, services.accounts.front)
    check_json(asked.request)
    body = await read(asked, shapes.InvitationToken, MAX_BODY_BYTES)
    invitation, name = await _pending(services, body.token)
    user = await services.accounts.users.find(invitation.email)
    seen = shapes.InvitationSeen(
        email=invitation.email,
        role=invitation.role,
        workspace_name=name,
        has_account=user is not None and bool(user.password_hash),
        expires_at_ms=invitation.expires_at_ms,
    )
    return answer(seen)


async def accept(services: Services, asked: Asked) -> Response:
    """Makes who has the link a member, with a new account or the one of the invited address, and signs them in."""
    accounts, request = services.accounts, asked.request
    check_origin(request, accounts.front)
    check_json(request)
    body = await read(asked, shapes.InvitationAccepted, MAX_BODY_BYTES)
    invitation, _ = await _pending(services, body.token)
    known = await accounts.users.find(invitation.email)
    made = User(services.new_id("user"), invitation.email, "", invitation.role, services.now_ms(), body.name or None)
    if known is not None and known.disabled:
        raise wrong_sign_in()
    if known is not None and known.password_hash:
        # The link alone does not open an account that was there before.
        if await accounts.sign_in.check(known.email, body.password, accounts.front.address(request)) is None:
            raise wrong_sign_in()
    else:
        made = replace(made, password_hash=await asyncio.to_thread(accounts.passwords.hash, body.password))
    user = await take(services, asked, invitation, made)
    if known is not None and not known.password_hash:
        await accounts.users.set_password(user.email, made.password_hash)
        accounts.forget()
    return await begin(services, asked, user, "invitation", workspace_id=invitation.workspace_id, quiet=True)


async def take(
    services: Services, asked: Asked, invitation: Invitation, made: User, *, by: Actor | None = None
) -> User:
    """Uses an invitation up; MiraError NOT_FOUND where somebody was faster."""

    def facts(result: tuple[Invitation, User]) -> Facts:
        taken, user = result
        return Facts("invitation", taken.id, user.email, taken.workspace_id, None, {"role": user.role})

    actor = by or Actor("invitation", None, invitation.email)
    also = noting(services, asked, facts, actor=actor, action="invitation.accept")
    user = await services.accounts.invitations.accept(invitation.id, made, also=also)
    if user is None:
        raise _gone()
    services.keyring.forget()
    services.accounts.forget()
    return user


async def _invitations(services: Services, workspace_id: str) -> Response:
    rows = await services.accounts.invitations.of(workspace_id)
    now_ms = services.now_ms()
    return answer(shapes.InvitationList(data=[_shown(row, now_ms) for row in rows]))


async def _invite(
    services: Services, asked: Asked, workspace_id: str, body: shapes.NewInvitation, invited_by: str
) -> Response:
    email = body.email.strip().lower()
    name, at, host = email.partition("@")
    if not (name and at and host) or "@" in host or not email.isprintable() or len(email) > LONGEST_ADDRESS:
        raise MiraError(Kind.BAD_REQUEST, "email: must be an e-mail address", param="email")

    def facts(made: Invitation) -> Facts:
        return Facts("invitation", made.id, made.email, workspace_id, None, {"email": made.email, "role": made.role})

    token, made = await services.accounts.invitations.create(
        workspace_id, email, body.role, invited_by, body.days * DAY_MS, also=noting(services, asked, facts)
    )
    # Behind the # the token stays in the browser: no server's log has it.
    url = f"{services.accounts.front.base_url(asked.request)}/#/join/{token}"
    return answer(shapes.InvitationMade(invitation=_shown(made, services.now_ms()), url=url), 201)


async def _withdraw(services: Services, asked: Asked, workspace_id: str | None) -> Response:
    def facts(gone: Invitation) -> Facts:
        return Facts("invitation", gone.id, gone.email, gone.workspace_id, {"email": gone.email, "role": gone.role})

    also = noting(services, asked, facts)
    if not await services.accounts.invitations.withdraw(asked.request.path_params["id"], workspace_id, also=also):
        raise MiraError(Kind.NOT_FOUND, "there is no such pending invitation")
    return Response(status_code=204)


async def _pending(services: Services, token: str) -> tuple[Invitation, str]:
    found = await services.accounts.invitations.look(token)
    if found is None:
        raise _gone()
    return found


def _gone() -> MiraError:
    return MiraError(Kind.NOT_FOUND, "this invitation was used, withdrawn or has expired; ask for another")


def _shown(row: Invitation, now_ms: int) -> shapes.InvitationShown:
    return shapes.InvitationShown(
        id=row.id,
        email=row.email,
        role=row.role,
        workspace_id=row.workspace_id,
        invited_by=row.invited_by,
        state=row.state(now_ms),
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
    )
