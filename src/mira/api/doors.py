"""Who may pass: a route's policy applied to a request."""

from msgspec import Struct
from starlette.requests import Request

from mira.api.operator import is_local
from mira.api.portal.cookies import check_change, token_of
from mira.api.services import Services
from mira.calls.authentication import authenticate
from mira.core.caller import Caller, Face
from mira.errors import Kind, MiraError
from mira.store.audit import Actor
from mira.store.sessions import SignedIn

#: Who runs a command on the gateway's own machine.
COMMAND_LINE = Actor("cli")


class Admitted(Struct, frozen=True):
    """Who was let in: the caller behind a key, or the session of a user; `actor` is who answers for a change."""

    caller: Caller | None = None
    session: SignedIn | None = None
    actor: Actor = Actor("public")


NOBODY = Admitted()


class RequestHeaders:
    """The part of an exchange that authentication reads."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def header(self, name: bytes) -> str | None:
        """A header by its name."""
        return self._request.headers.get(name.decode())


async def admit_key(services: Services, request: Request, face: Face) -> Admitted:
    """The caller behind a key, or whom the portal has let in already; MiraError BAD_KEY, FORBIDDEN."""
    known: Caller | None = request.scope.get("mira.caller")
    return Admitted(known or await authenticate(services.keyring, RequestHeaders(request), face))


async def admit_session(services: Services, request: Request) -> Admitted:
    """The session of a user; MiraError BAD_KEY (`signed_out`), FORBIDDEN for a change without its token (`csrf`)."""
    token = token_of(request, services.accounts.front)
    session = await services.accounts.sessions.find(token) if token else None
    if token is None or session is None:
        raise MiraError(Kind.BAD_KEY, "nobody is signed in, or the session has ended; sign in", code="signed_out")
    check_change(request, services.accounts.front, token)
    return Admitted(session=session, actor=Actor("user", session.user_id, session.email))


async def admit_operator(services: Services, request: Request, *, or_local: bool) -> Admitted:
    """An operator: by the commands' socket, key, password or session; MiraError BAD_KEY, FORBIDDEN, NOT_FOUND."""
    if request.scope.get("mira.listener", "public") == "socket":
        return Admitted(actor=COMMAND_LINE)  # only the owner of the data folder can open it
    if not operates_here(services, request):
        raise MiraError(Kind.NOT_FOUND, "there is no such route")
    if or_local and is_local(request.client, request.headers):
        return NOBODY
    authorization = request.headers.get("authorization")
    if authorization is None and token_of(request, services.accounts.front) is not None:
        admitted = await admit_session(services, request)
        assert admitted.session is not None
        if not admitted.session.is_operator:
            raise MiraError(Kind.FORBIDDEN, "this is for operators only")
        return admitted
    actor = await services.accounts.operator(authorization or "", services.accounts.front.address(request))
    if actor is None:
        raise MiraError(
            Kind.BAD_KEY, "this route needs the operator's key: `Authorization: Bearer $MIRA_ADMIN_KEY`, or the sign-in"
        )
    return Admitted(actor=actor)


def operates_here(services: Services, request: Request) -> bool:
    """Whether the operator's routes answer on the socket that a request came in by."""
    return services.config.admin_listen is None or request.scope.get("mira.listener", "public") == "admin"
