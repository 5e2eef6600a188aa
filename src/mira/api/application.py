"""The API: model routes straight from the connection to the relay, every other route through ASGI and Starlette.

An outer layer of the ASGI application cuts the path prefix of a reverse proxy and answers what nobody else did. Errors
have the shape of the route's protocol on every route and status.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from functools import partial
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from mira.api.doors import NOBODY, Admitted, admit_key, admit_operator, admit_session
from mira.api.exchange import WireExchange
from mira.api.portal import play
from mira.api.routes import Handler as WireHandler
from mira.api.routes import Routes, without
from mira.api.services import Asked, Services
from mira.api.table import TABLE, Policy, Row
from mira.calls.call import Surface
from mira.calls.outgoing import error_headers
from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec
from mira.codecs.messages import MESSAGES
from mira.core.caller import Face
from mira.errors import Kind, MiraError
from mira.observe.log import REQUEST_ID

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler = Callable[[Request, Any], Awaitable[Response]]
log = logging.getLogger("mira.api")

EXPOSED_HEADERS = (
    "x-request-id", "x-mira-cost", "x-mira-node", "x-mira-model", "x-mira-dropped", "x-mira-max-tokens",
    "x-mira-token-method", "x-markdown-tokens",
    "x-should-retry", "retry-after",
)  # fmt: skip


def build(services: Services, table: tuple[Row, ...] = TABLE) -> Asgi:
    """Makes the ASGI application from the table: all but what `wire_routes` has."""
    hot = {row.path: row.surface for row in table if row.surface is not None}
    cold = Starlette(
        routes=[_starlette_route(services, row) for row in table if row.endpoint is not None],
        exception_handlers={404: _no_route(services), 405: _no_method(services), HTTPException: _no_route(services)},
    )
    # A redirect would send the client to whatever host its own headers named.
    cold.router.redirect_slashes = False
    application = _Application(services, hot, cold)
    origins = services.config.server.cors_origins
    if not origins:
        return application
    return CORSMiddleware(
        cast("ASGIApp", application),
        allow_origins=origins,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )


def wire_routes(services: Services, table: tuple[Row, ...] = TABLE) -> Routes:
    """The model routes, which the connection answers itself: under a key, and those of `/v1` in the playground too."""
    handlers: dict[str, WireHandler] = {}
    for row in table:
        if row.surface is not None:
            handlers[row.path] = partial(services.relay.answer, surface=row.surface)
            if row.path.startswith(play.OPENS):
                handlers[play.PREFIX + row.path[len(play.OPENS) :]] = partial(_play, services, row.surface)
    origins = services.config.server.cors_origins
    if origins:
        handlers = {path: _for_browsers(handler, origins) for path, handler in handlers.items()}
    return Routes(handlers, services.config.path_prefix)


async def _play(services: Services, surface: Surface, exchange: WireExchange) -> None:
    """Answers a call of the playground: its caller is behind a session instead of a key."""
    try:
        caller = await play.caller_of(services, Request(exchange.scope()))
    except MiraError as refusal:
        request_id = services.new_id("req")
        headers = error_headers(refusal, request_id, _request_id_headers(CHAT))
        await exchange.respond(CHAT.status_of(refusal), headers, CHAT.render_error(refusal, request_id))
    else:
        await services.relay.answer(exchange, surface, caller)


def _for_browsers(handler: WireHandler, origins: tuple[str, ...]) -> WireHandler:
    """What lets a browser of these origins see an answer that is written past the middleware."""
    exposed = (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode())

    def answer(exchange: WireExchange) -> Coroutine[Any, Any, None]:
        origin = exchange.header(b"origin")
        if origin is not None and not {"*", origin}.isdisjoint(origins):
            allowed = "*" if "*" in origins else origin
            exchange.more_headers = (
                (b"access-control-allow-origin", allowed.encode("latin-1")),
                exposed,
                (b"vary", b"Origin"),
            )
        return handler(exchange)

    return answer


class _Application:
    """Answers what no connection has answered (`wire_routes`): by Starlette, or in the name of a model route."""

    def __init__(self, services: Services, hot: dict[str, Surface], cold: Asgi) -> None:
        self._hot = hot
        self._cold = cold
        self._services = services
        self._prefix = services.config.path_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] = without(self._prefix, scope["path"])
        if path.startswith(play.PREFIX):
            try:
                scope["mira.caller"] = await play.caller_of(self._services, Request(scope))
            except MiraError as refusal:
                await _error(refusal, self._services.new_id("req"))(scope, receive, send)
                return
            path = scope["path"] = play.OPENS + path[len(play.PREFIX) :]
        surface = self._hot.get(path)
        if surface is None:
            await self._cold(scope, receive, send)
        else:
            error = MiraError(Kind.METHOD_NOT_ALLOWED, f"{path} takes POST only")
            response = _error(error, self._services.new_id("req"), surface.codec)
            response.headers["allow"] = "POST"
            await response(scope, receive, send)


def _starlette_route(services: Services, row: Row) -> Route:
    endpoint = row.endpoint
    assert endpoint is not None
    private = row.policy in (Policy.SESSION, Policy.OPERATOR) or row.path.startswith("/portal/v1/")

    async def handle(request: Request) -> Response:
        request_id = services.new_id("req")
        REQUEST_ID.set(request_id)
        protocol = MESSAGES if row.of_both and _is_of_anthropic(request) else row.errors
        try:
            who = await _admit(services, row, request)
            asked = Asked(request, who.caller, request_id, who.session, who.actor, row.audits or "")
            response = await endpoint(services, asked)
        except MiraError as error:
            return _error(error, request_id, protocol)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("request %s failed inside Mira", request_id)
            failure = MiraError(Kind.INTERNAL, "Mira failed to answer; the operator's log says why")
            return _error(failure, request_id, protocol)
        for name in _request_id_headers(protocol):
            response.headers[name.decode()] = request_id
        if private:
            # Nothing of a session stays in a browser's cache, a new key's secret least of all.
            response.headers["cache-control"] = "no-store"
            response.headers["x-content-type-options"] = "nosniff"
        return response

    return Route(row.path, handle, methods=[row.method])


async def _admit(services: Services, row: Row, request: Request) -> Admitted:
    if row.policy is Policy.PUBLIC:
        return NOBODY
    if row.policy is Policy.SESSION:
        return await admit_session(services, request)
    if row.policy in (Policy.OPERATOR, Policy.LOOPBACK_OR_OPERATOR):
        return await admit_operator(services, request, or_local=row.policy is Policy.LOOPBACK_OR_OPERATOR)
    return await admit_key(services, request, Face.PROXY if row.policy is Policy.PROXY_KEY else Face.INFERENCE)


def _error(error: MiraError, request_id: str, codec: Codec = CHAT) -> Response:
    response = Response(codec.render_error(error, request_id), codec.status_of(error))
    for name, value in error_headers(error, request_id, _request_id_headers(codec)):
        response.headers[name.decode()] = value.decode()
    return response


def _request_id_headers(codec: Codec) -> tuple[bytes, ...]:
    return (b"x-request-id", b"request-id") if codec is MESSAGES else (b"x-request-id",)


def _is_of_anthropic(request: Request) -> bool:
    """Whether the client speaks as Anthropic's do: it names a version. Either key header may come from anybody."""
    return "anthropic-version" in request.headers


def _protocol_of(request: Request) -> Codec:
    """Whose shape an error has on a path that no route answered."""
    path = request.scope["path"]
    theirs = path == "/v1/messages" or path.startswith("/v1/messages/") or _is_of_anthropic(request)
    return MESSAGES if theirs else CHAT


def _no_route(services: Services) -> Handler:
    async def answer(request: Request, _: Any) -> Response:
        path = request.scope["path"][:200]
        error = MiraError(Kind.NOT_FOUND, f"there is no route {path}; /docs lists them")
        return _error(error, services.new_id("req"), _protocol_of(request))

    return answer


def _no_method(services: Services) -> Handler:
    async def answer(request: Request, _: Any) -> Response:
        error = MiraError(Kind.METHOD_NOT_ALLOWED, f"{request.method} is not available here; /docs lists it")
        response = _error(error, services.new_id("req"), _protocol_of(request))
        here = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
        response.headers["allow"] = ", ".join(sorted({method for route in here for method in route.methods}))
        return response

    return answer
