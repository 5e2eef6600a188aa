"""`POST /v1/fetch`: a page for a key, charged on success; and the operator's side of it."""

import asyncio
import logging
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from mira.api.auditing import Facts, noting
from mira.api.bodies import answer as json_answer
from mira.api.bodies import decode, read, read_raw
from mira.api.services import Asked, Services
from mira.calls.charge import Charge
from mira.calls.keeping import claim_for, head_of, lines
from mira.calls.leaving import unless_left
from mira.calls.outgoing import error_headers
from mira.codecs.chat import CHAT
from mira.collaborators import ClientLeft
from mira.core.call import CallRecord
from mira.core.caller import Caller
from mira.core.ledger import Answered, StoredAnswer
from mira.core.money import NANO_PER_CREDIT, credits_text
from mira.core.usage import Usage
from mira.errors import Kind, MiraError
from mira.fetch.domains import MAX_DOMAINS, Domains, parse_domain
from mira.fetch.service import Who
from mira.fetch.shapes import FetchAnswer, FetchRequest, Spent
from mira.store.keys import Key

#: What a key's scope names where it may fetch, and the model of the usage rows.
MODEL = "fetch"
PROTOCOL = "fetch"
CLIENT_LEFT_STATUS = 499
#: Kinds that may succeed when tried again.
_RETRYABLE = frozenset(
    (Kind.RATE_LIMITED, Kind.UNAVAILABLE, Kind.STORE_DOWN, Kind.UPSTREAM_TIMEOUT, Kind.UPSTREAM_FAILED, Kind.INTERNAL)
)
_NOT_RETRYABLE_CODES = frozenset(("too_many_redirects",))
_MARKDOWN = "text/markdown"

log = logging.getLogger("mira.fetch")


class KeyDomains(Struct, forbid_unknown_fields=True):
    """The sites that a key may fetch from, each domain with all below it; `allow` null means every site."""

    allow: list[str] | None = None
    block: list[str] = []


def is_retryable(error: MiraError) -> bool:
    """Whether the same request may succeed later."""
    return error.kind in _RETRYABLE and error.code not in _NOT_RETRYABLE_CODES


def _render_error(error: MiraError, request_id: str) -> bytes:
    """The body of an error: OpenAI's shape, with `retryable`."""
    body = msgspec.json.decode(CHAT.render_error(error, request_id))
    body["error"]["retryable"] = is_retryable(error)
    return msgspec.json.encode(body)


ERRORS = replace(CHAT, name=PROTOCOL, render_error=_render_error)


async def fetch(services: Services, asked: Asked) -> Response:
    """Fetches a page for a key. It is charged if the site's status is below 400."""
    caller = asked.caller
    assert caller is not None
    began_s = services.monotonic_s()
    record = _record(services, asked, caller)
    charge = Charge(services.ledger, record)
    observer = services.relay.observer
    observer.began(record.request_id)

    def time_it() -> None:
        record.duration_ms = int((services.monotonic_s() - began_s) * 1000)

    try:
        return await _charged(services, asked, charge, record, time_it)
    except MiraError as error:
        time_it()
        await charge.close(status=error.status, error=error.kind.name.lower())
        return _refusal(error, asked.request_id)
    except Answered as before:
        time_it()
        await charge.close(status=before.answer.status, error=None)
        return _repeated(before.answer)
    except ClientLeft:
        time_it()
        await charge.close(status=CLIENT_LEFT_STATUS, error="client_left")
        return Response(status_code=CLIENT_LEFT_STATUS)
    except BaseException:
        time_it()
        await asyncio.shield(charge.close(status=500, error=Kind.INTERNAL.name.lower()))
        raise
    finally:
        observer.ended(record)


async def fetch_here(services: Services, asked: Asked) -> Response:
    """Fetches a page for the operator: the same, but nobody pays and nothing is recorded."""
    who = Who(workspace_id="", key_id="operator")
    try:
        request = await read(asked, FetchRequest)
        found = await unless_left(asked.left, services.fetching.fetcher.fetch(request, who))
    except ClientLeft:
        return Response(status_code=CLIENT_LEFT_STATUS)
    except MiraError as error:
        return _refusal(error, asked.request_id)
    found.id = asked.request_id
    return json_answer(found)


async def get_domains(services: Services, asked: Asked) -> Response:
    """The lists of a key."""
    allow, block = await services.fetching.domains.get((await _key(services, asked)).id)
    return json_answer(KeyDomains(None if allow is None else list(allow), list(block)))


async def put_domains(services: Services, asked: Asked) -> Response:
    """Replaces the lists of a key, for its next call."""
    key = await _key(services, asked)
    body = await read(asked, KeyDomains)
    allow = None if body.allow is None else _domains("allow", body.allow)
    block = _domains("block", body.block)
    known_allow, known_block = await services.fetching.domains.get(key.id)
    before = {"allow": known_allow, "block": known_block}
    facts = Facts("key", key.id, key.name, key.workspace_id, before, {"allow": allow, "block": block})
    await services.fetching.domains.put(key.id, allow, block, also=noting(services, asked, lambda _: facts))
    return json_answer(KeyDomains(None if allow is None else list(allow), list(block)))


async def _charged(services: Services, asked: Asked, charge: Charge, record: CallRecord, time_it: Any) -> Response:
    caller = asked.caller
    assert caller is not None
    body = await read_raw(asked)
    request = decode(body, FetchRequest)
    if not caller.may_use(MODEL):
        raise MiraError(Kind.FORBIDDEN, f"this key may not fetch pages; ask for the scope {MODEL}")
    fetching = services.fetching
    price_nanocredits = fetching.price_nanocredits
    allow, block = await fetching.domains.get(caller.key_id)
    as_markdown = request.format == "markdown" and _wants_markdown(asked)
    key = asked.request.headers.get("idempotency-key")
    claim = claim_for(key, body, f"{PROTOCOL} {as_markdown}") if key else None
    await charge.reserve(price_nanocredits, caps=caller.caps, claim=claim)
    if claim is not None:
        # Who repeats the request must find this one, whatever happens on the way.
        await charge.durable()
    who = Who(workspace_id=caller.workspace_id, key_id=caller.key_id, domains=Domains(allow, block))
    found = await unless_left(asked.left, fetching.fetcher.fetch(request, who))
    await charge.durable()
    succeeded = found.status < 400
    found.id = asked.request_id

    def respond(billed: int) -> Response:
        found.usage = Spent(pages=int(succeeded), cost=billed / NANO_PER_CREDIT)
        response = _bare(found) if as_markdown else json_answer(found)
        response.headers["x-mira-cost"] = credits_text(billed)
        response.headers["x-mira-model"] = MODEL
        return response

    def keep(billed: int) -> StoredAnswer:
        response = respond(billed)
        return StoredAnswer(200, lines(response.raw_headers), bytes(response.body))

    time_it()
    record.usage = Usage(pages=int(succeeded))
    cost_nanocredits = price_nanocredits if succeeded else 0
    return respond(await charge.settle(cost_nanocredits, status=200, render=keep if claim else None))


def _repeated(stored: StoredAnswer) -> Response:
    """What was sent before under the same Idempotency-Key."""
    response = Response(stored.body, stored.status)
    response.raw_headers = head_of(stored)
    return response


def _refusal(error: MiraError, request_id: str) -> Response:
    response = Response(_render_error(error, request_id), error.status)
    for name, value in error_headers(error, request_id):
        response.headers[name.decode()] = value.decode()
    # Other kinds of calls are retried by Mira itself, so that SDKs should not; here they may.
    response.headers["x-should-retry"] = str(is_retryable(error)).lower()
    return response


def _bare(found: FetchAnswer) -> Response:
    response = Response(found.content, media_type=_MARKDOWN)
    response.headers["x-markdown-tokens"] = str(found.tokens)
    response.headers["vary"] = "accept"
    return response


def _wants_markdown(asked: Asked) -> bool:
    types = {part.partition(";")[0].strip() for part in asked.request.headers.get("accept", "").lower().split(",")}
    return _MARKDOWN in types and "application/json" not in types


async def _key(services: Services, asked: Asked) -> Key:
    key = await services.keys.get(asked.request.path_params["id"])
    if key is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    return key


def _domains(field: str, names: list[str]) -> tuple[str, ...]:
    if len(names) > MAX_DOMAINS:
        raise MiraError(Kind.BAD_REQUEST, f"{field}: at most {MAX_DOMAINS} domains", param=field)
    try:
        return tuple(dict.fromkeys(parse_domain(name) for name in names))
    except MiraError as error:
        raise MiraError(Kind.BAD_REQUEST, f"{field}: {error.message}", param=field) from None


def _record(services: Services, asked: Asked, caller: Caller) -> CallRecord:
    theirs = asked.request.headers.get("x-request-id")
    return CallRecord(
        request_id=asked.request_id,
        client_request_id=theirs[:128] if theirs and theirs.isascii() and theirs.isprintable() else None,
        workspace_id=caller.workspace_id,
        key_id=caller.key_id,
        face=caller.face.value,
        protocol=PROTOCOL,
        model=MODEL,
        started_at_ms=services.now_ms(),
    )
