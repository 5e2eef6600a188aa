"""The session cookie and its companion, the token that shows that a change was asked for by the portal's own page."""

import hmac

from starlette.requests import Request
from starlette.responses import Response

from mira.api.front import Front
from mira.errors import Kind, MiraError

SECURE_NAME = "__Host-mira_session"
#: Where the portal is reached over plain HTTP, which refuses the other; the portal warns of it.
PLAIN_NAME = "mira_session"
CSRF_HEADER = "x-csrf-token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(request: Request, front: Front) -> str | None:
    """The token in the cookie. Over HTTPS only the name counts that no neighbouring host can set."""
    return request.cookies.get(SECURE_NAME if front.is_secure(request) else PLAIN_NAME)


def give(response: Response, token: str, lasts_s: int, *, secure: bool) -> None:
    """Sets the cookie."""
    response.set_cookie(
        SECURE_NAME if secure else PLAIN_NAME,
        token,
        max_age=lasts_s,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def take_back(response: Response, *, secure: bool) -> None:
    """Removes the cookie."""
    name = SECURE_NAME if secure else PLAIN_NAME
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def csrf_token(token: str) -> str:
    """The token for changes: made from the session's own, so that it ends with it and need not be kept."""
    return hmac.digest(token.encode(), b"mira csrf", "sha256").hex()


def check_change(request: Request, front: Front, token: str) -> None:
    """Refuses a change that another page may have asked the browser for; MiraError FORBIDDEN."""
    if request.method in SAFE:
        return
    check_origin(request, front)
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), csrf_token(token).encode()):
        message = f"the header {CSRF_HEADER} is missing or old; take it from GET /portal/v1/session"
        raise MiraError(Kind.FORBIDDEN, message, code="csrf")


def check_origin(request: Request, front: Front) -> None:
    """Refuses a change that comes from a page of somebody else's; MiraError FORBIDDEN."""
    origin = request.headers.get("origin")
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if (origin is not None and not front.is_own(origin, request)) or (origin is None and foreign):
        message = "this request comes from another site's page; set MIRA_PUBLIC_URL if Mira is behind a proxy"
        raise MiraError(Kind.FORBIDDEN, message, code="csrf")
