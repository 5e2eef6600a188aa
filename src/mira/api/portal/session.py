"""Signing in and out, and what users change of themselves."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from mira import __version__
from mira.api.auditing import Facts, noting
from mira.api.bodies import answer, read
from mira.api.doors import operates_here
from mira.api.portal import shapes
from mira.api.portal.cookies import check_origin, csrf_token, give, take_back, token_of
from mira.api.services import Asked, Services
from mira.core.limits import UNLIMITED
from mira.errors import Kind, MiraError
from mira.store.audit import Actor
from mira.store.limits import limits_of
from mira.store.sessions import LONGEST_MS, SignedIn, Way
from mira.store.users import User

MAX_BODY_BYTES = 16 * 1024


async def get_session(services: Services, asked: Asked) -> Response:
    """Who is signed in, if anybody; never an error, since every page begins with it."""
    token = token_of(asked.request, services.accounts.front)
    return answer(await _shown(services, asked.request, token))


async def sign_in(services: Services, asked: Asked) -> Response:
    """Begins a session for a password, with a new token whatever the browser had before."""
    accounts, request = services.accounts, asked.request
    check_origin(request, accounts.front)
    check_json(request)
    body = await read(asked, shapes.SignIn, MAX_BODY_BYTES)
    user = await accounts.sign_in.check(body.email, body.password, accounts.front.address(request))
    if user is None:
        raise wrong_sign_in()
    return await begin(services, asked, user, "password")


async def sign_out(services: Services, asked: Asked) -> Response:
    """Ends every session of the user, and with it this one."""
    session = session_of(asked)
    facts = Facts("user", session.user_id, session.email)
    await services.accounts.sessions.end_all(session.user_id, also=noting(services, asked, lambda _: facts))
    response = Response(status_code=204)
    take_back(response, secure=services.accounts.front.is_secure(asked.request))
    return response


async def choose_workspace(services: Services, asked: Asked) -> Response:
    """Goes to another workspace; MiraError NOT_FOUND for one that is not the user's."""
    body = await read(asked, shapes.WorkspaceChoice, MAX_BODY_BYTES)
    if not await services.accounts.sessions.choose(session_of(asked), body.workspace_id):
        raise MiraError(Kind.NOT_FOUND, "there is no such workspace", param="workspace_id")
    return await get_session(services, asked)


async def change_me(services: Services, asked: Asked) -> Response:
    """Changes the user's name."""
    session, body = session_of(asked), await read(asked, shapes.Profile, MAX_BODY_BYTES)
    facts = Facts("user", session.user_id, session.email, None, {"name": session.name}, {"name": body.name})
    await services.accounts.users.change(
        session.user_id, {"name": body.name}, also=noting(services, asked, lambda _: facts)
    )
    return await get_session(services, asked)


async def change_password(services: Services, asked: Asked) -> Response:
    """Sets a new password; every session ends but this one, which gets a new token."""
    session, accounts = session_of(asked), services.accounts
    body = await read(asked, shapes.PasswordChange, MAX_BODY_BYTES)
    address = accounts.front.address(asked.request)
    if session.has_password and not await accounts.sign_in.check(session.email, body.current or "", address):
        raise MiraError(
            Kind.BAD_KEY, "current: this is not your present password", param="current", code="wrong_sign_in"
        )
    hashed = await asyncio.to_thread(accounts.passwords.hash, body.new)
    facts = Facts("user", session.user_id, session.email)
    await accounts.users.set_password(session.email, hashed, also=noting(services, asked, lambda _: facts))
    accounts.forget()
    user = await accounts.users.get(session.user_id)
    assert user is not None
    return await begin(services, asked, user, "password", workspace_id=session.workspace_id, quiet=True)


async def list_sessions(services: Services, asked: Asked) -> Response:
    """The user's sessions."""
    session = session_of(asked)
    rows = await services.accounts.sessions.list(session.user_id)
    shown = [
        shapes.SessionRow(
            id=row.id,
            current=row.id == session.id,
            created_at_ms=row.created_at_ms,
            seen_at_ms=row.seen_at_ms,
            expires_at_ms=row.expires_at_ms,
            address=row.address,
            user_agent=row.user_agent,
            way=row.way,
        )
        for row in rows
    ]
    return answer(shapes.Sessions(data=shown))


async def end_session(services: Services, asked: Asked) -> Response:
    """Ends one of the user's sessions."""
    session, session_id = session_of(asked), asked.request.path_params["id"]
    facts = Facts("session", session_id, session.email)
    also = noting(services, asked, lambda _: facts)
    if not await services.accounts.sessions.end(session.user_id, session_id, also=also):
        raise MiraError(Kind.NOT_FOUND, "there is no such session")
    return Response(status_code=204)


async def begin(
    services: Services, asked: Asked, user: User, way: Way, *, workspace_id: str | None = None, quiet: bool = False
) -> Response:
    """Begins a session and answers with it; `quiet` where what led to it is noted already."""
    token = await new_session(services, asked, user, way, workspace_id=workspace_id, quiet=quiet)
    response = answer(await _shown(services, asked.request, token))
    give_cookie(services, asked.request, response, token)
    return response


async def new_session(
    services: Services, asked: Asked, user: User, way: Way, *, workspace_id: str | None = None, quiet: bool = False
) -> str:
    """Begins a session; returns its token."""
    accounts, request = services.accounts, asked.request
    facts = Facts("user", user.id, user.email, None, None, {"way": way})
    kind = "oidc" if way == "oidc" else "user"
    noted = noting(services, asked, lambda _: facts, actor=Actor(kind, user.id, user.email))
    return await accounts.sessions.begin(
        user.id,
        way,
        address=accounts.front.address(request),
        user_agent=request.headers.get("user-agent"),
        workspace_id=workspace_id,
        instead_of=token_of(request, accounts.front),
        **({} if quiet else {"also": noted}),
    )


def give_cookie(services: Services, request: Request, response: Response, token: str) -> None:
    """Sets the session's cookie on an answer."""
    give(response, token, LONGEST_MS // 1000, secure=services.accounts.front.is_secure(request))


def session_of(asked: Asked) -> SignedIn:
    """Who is signed in, on a route that is theirs."""
    assert asked.session is not None
    return asked.session


def workspace_of(asked: Asked) -> str:
    """The workspace that the user acts in; MiraError FORBIDDEN where they are a member of none."""
    workspace_id = session_of(asked).workspace_id
    if workspace_id is None:
        message = "you are a member of no workspace; ask its members for an invitation"
        raise MiraError(Kind.FORBIDDEN, message, code="no_workspace")
    return workspace_id


async def refuse_limited(services: Services, asked: Asked, why: str) -> None:
    """Refuses members with limits of their own what would let them spend beyond these; MiraError FORBIDDEN."""
    session = session_of(asked)
    if session.is_operator or session.member_id is None:
        return
    member = await services.members.get(session.member_id, session.workspace_id)
    if member is not None and limits_of(member.cap) != UNLIMITED:
        raise MiraError(Kind.FORBIDDEN, f"you have limits of your own here: {why}", code="member_limited")


def check_json(request: Request) -> None:
    """Refuses what a form of another site's page could send; MiraError BAD_MEDIA_TYPE."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise MiraError(Kind.BAD_MEDIA_TYPE, "send JSON, with content-type: application/json")


def wrong_sign_in() -> MiraError:
    """What somebody is told whose address or password is wrong: not which."""
    return MiraError(Kind.BAD_KEY, "the address or the password is wrong", code="wrong_sign_in")


async def _shown(services: Services, request: Request, token: str | None) -> shapes.Session:
    accounts, oidc = services.accounts, services.config.oidc
    session = await accounts.sessions.find(token) if token else None
    places = await accounts.sessions.workspaces(session) if session else []
    user = workspace = None
    if session is not None:
        user = shapes.User(
            id=session.user_id,
            email=session.email,
            name=session.name,
            role=session.role,
            has_password=session.has_password,
        )
        if session.workspace_id is not None:
            workspace = shapes.Workspace(id=session.workspace_id, name=session.workspace_name or "")
    return shapes.Session(
        signed_in=session is not None,
        user=user,
        workspace=workspace,
        workspaces=[shapes.Workspace(id=workspace_id, name=name) for workspace_id, name in places],
        csrf_token=csrf_token(token) if token and session else None,
        expires_at_ms=session.expires_at_ms if session else None,
        secure=accounts.front.is_secure(request),
        operator_pages=session is not None and session.is_operator and operates_here(services, request),
        sso=shapes.SignOn(issuer=oidc.issuer, href="portal/v1/oidc/start") if oidc else None,
        base_url=accounts.front.base_url(request),
        version=__version__,
    )
