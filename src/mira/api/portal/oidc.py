"""Single sign-on: to the provider and back, and whom Mira lets in of those who come."""

import base64
import hmac
import logging

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mira.api.auditing import Facts, noting
from mira.api.portal.people import take
from mira.api.portal.provider import Identity, Provider, ProviderError, Trip, new_trip
from mira.api.portal.session import give_cookie, new_session
from mira.api.services import Asked, Services
from mira.errors import Kind, MiraError
from mira.store.audit import Actor
from mira.store.users import NO_PASSWORD, Role, User

log = logging.getLogger("mira.portal")

CALLBACK = "/portal/v1/oidc/callback"
#: Seals what a browser carries to the provider and back; nothing else is opened under this label.
LABEL = "single sign-on"
TRIP_LASTS_S = 600


class Refused(Exception):  # noqa: N818 - an outcome, not an error
    """Whom Mira does not let in; `code` is what the sign-in page is told."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


async def start(services: Services, asked: Asked) -> Response:
    """Sends the browser to the provider, with what it must bring back sealed in a cookie."""
    provider, request = _provider(services), asked.request
    trip = new_trip(services.accounts.front.base_url(request) + CALLBACK, services.now_ms())
    try:
        address = await provider.way_there(trip)
    except ProviderError as error:
        log.warning("single sign-on: %s", error)
        return _back(services, request, "oidc_failed")
    response = RedirectResponse(address, 303)
    secure = services.accounts.front.is_secure(request)
    sealed = base64.urlsafe_b64encode(services.accounts.box.seal(msgspec.json.encode(trip).decode(), LABEL)).decode()
    # Lax, because it is the provider's page that leads back.
    response.set_cookie(
        _cookie(secure=secure), sealed, max_age=TRIP_LASTS_S, path="/", secure=secure, httponly=True, samesite="lax"
    )
    return response


async def callback(services: Services, asked: Asked) -> Response:
    """Begins a session for who comes back from the provider, or leads to the sign-in page with the reason."""
    provider, request = _provider(services), asked.request
    secure = services.accounts.front.is_secure(request)
    try:
        trip = _trip(services, request.cookies.get(_cookie(secure=secure), ""))
        query = request.query_params
        if trip is None or not hmac.compare_digest(query.get("state", "").encode(), trip.state.encode()):
            raise ProviderError("nobody was sent to the provider from this browser, or too long ago")
        if "code" not in query:
            raise ProviderError("the provider sent nobody")
        identity = await provider.who_came(query["code"], trip, services.now_ms() // 1000)
        user = await _let_in(services, asked, identity)
        token = await new_session(services, asked, user, "oidc")
        response = _back(services, request, None)
        give_cookie(services, request, response, token)
    except ProviderError as error:
        log.warning("single sign-on: %s", error)
        response = _back(services, request, "oidc_failed")
    except Refused as refused:
        response = _back(services, request, refused.code)
    response.delete_cookie(_cookie(secure=secure), path="/", secure=secure, httponly=True, samesite="lax")
    return response


async def _let_in(services: Services, asked: Asked, identity: Identity) -> User:
    """The account of an identity: known before, or of an address that is verified and invited or an operator's."""
    accounts = services.accounts
    known = await accounts.users.identified(identity.issuer, identity.subject)
    if known is None:
        known = await _first_time(services, asked, identity)
    if known.disabled:
        raise Refused("oidc_disabled")
    if identity.verified and identity.email == known.email:
        for invitation in await accounts.invitations.pending_for(known.email):
            known = await take(services, asked, invitation, known, by=Actor("oidc", known.id, known.email))
        if known.role != "operator" and _operates(services, known.email):
            known = await _joined(services, asked, identity, known.email)
    return known


async def _first_time(services: Services, asked: Asked, identity: Identity) -> User:
    if identity.email is None or not identity.verified:
        raise Refused("oidc_unverified")
    namesake = await services.accounts.users.find(identity.email)
    if namesake is not None and (namesake.subject is not None or namesake.disabled):
        raise Refused("oidc_disabled" if namesake.disabled else "oidc_refused")
    invited = await services.accounts.invitations.pending_for(identity.email)
    if namesake is None and not invited and not _operates(services, identity.email):
        raise Refused("oidc_refused")
    return await _joined(services, asked, identity, identity.email)


async def _joined(services: Services, asked: Asked, identity: Identity, email: str) -> User:
    role: Role = "operator" if _operates(services, email) else "member"
    made = User(
        services.new_id("user"),
        email,
        NO_PASSWORD,
        role,
        services.now_ms(),
        identity.name,
        False,
        identity.issuer,
        identity.subject,
    )

    def facts(user: User) -> Facts:
        return Facts("user", user.id, user.email, None, None, {"role": user.role, "issuer": identity.issuer})

    also = noting(services, asked, facts, actor=Actor("oidc", None, email), action="user.identify")
    user = await services.accounts.users.identify(made, also=also)
    services.accounts.forget()
    return user


def _operates(services: Services, email: str) -> bool:
    oidc = services.config.oidc
    return oidc is not None and email in oidc.operators


def _provider(services: Services) -> Provider:
    if services.accounts.provider is None:
        raise MiraError(Kind.NOT_FOUND, "single sign-on is not set up here")
    return services.accounts.provider


def _trip(services: Services, sealed: str) -> Trip | None:
    """What a browser brings back; None where it is none of ours, or too old."""
    try:
        text = services.accounts.box.open(base64.urlsafe_b64decode(sealed.encode()), LABEL)
        trip = msgspec.json.decode(text, type=Trip)
    except (ValueError, msgspec.DecodeError):
        return None
    return trip if 0 <= services.now_ms() - trip.began_at_ms < TRIP_LASTS_S * 1000 else None


def _back(services: Services, request: Request, error: str | None) -> RedirectResponse:
    base_url = services.accounts.front.base_url(request)
    return RedirectResponse(f"{base_url}/#/" if error is None else f"{base_url}/#/sign-in?error={error}", 303)


def _cookie(*, secure: bool) -> str:
    return "__Host-mira_sign_on" if secure else "mira_sign_on"
