"""A workspace's keys as its members manage them."""

import asyncio
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from mira.api import tenants
from mira.api.auditing import noting
from mira.api.bodies import answer, number, read
from mira.api.portal import shapes, shapes_calls
from mira.api.portal.calls import shown_call
from mira.api.portal.session import refuse_limited, session_of, workspace_of
from mira.api.services import Asked, Services
from mira.core.caller import Face
from mira.core.limits import UNLIMITED
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.store.glances import KeyUse
from mira.store.keys import Key
from mira.store.limits import limits_of

#: The key on which calls of the playground are booked. Nobody has its secret, and it is the portal's to make.
MANAGED = "key_portal_"
LONGEST_WAIT_S = 25
#: How often the database is asked for a key's first call while somebody waits for it.
LOOK_EVERY_S = 0.4


async def list_keys(services: Services, asked: Asked) -> Response:
    """The keys of the workspace, newest first; the revoked ones alone where they are asked for."""
    workspace_id = workspace_of(asked)
    revoked = asked.request.query_params.get("revoked") == "true"
    use = await services.glances.use_of_keys(workspace_id)
    owners = await _owners_of(services, workspace_id)
    rows = [key for key in await services.keys.list(workspace_id) if (key.revoked_at_ms is not None) == revoked]
    now_ms = services.now_ms()
    return answer(shapes.Keys(data=[_shown(key, use, owners, now_ms) for key in reversed(rows)]))


async def get_key(services: Services, asked: Asked) -> Response:
    """One key."""
    return answer(await _told(services, await _found(services, asked)))


async def create_key(services: Services, asked: Asked) -> Response:
    """A new key; its secret is in this answer and never again. The limits of who makes it count its calls too."""
    workspace_id, body = workspace_of(asked), await read(asked, shapes.NewPortalKey)
    secret, key = await services.keyring.create(
        workspace_id,
        body.name,
        Face(body.kind),
        models=tenants.scope_of(services, body.models),
        expires_at_ms=_future(services, body.expires_at_ms),
        limits=tenants.limits_from(body, UNLIMITED),
        member_id=session_of(asked).member_id,
        also=noting(services, asked, lambda made: tenants.key_facts(None, made)),
    )
    return answer(shapes.KeyMade(key=await _told(services, key), secret=secret), 201)


async def change_key(services: Services, asked: Asked) -> Response:
    """Changes a key's name, scope, expiry or limits, or disables it."""
    known, body = await _found(services, asked), await read(asked, shapes.PortalKeyChange)
    changes: dict[str, Any] = {
        name: value for name in ("name", "disabled") if (value := getattr(body, name)) is not msgspec.UNSET
    }
    if body.models is not msgspec.UNSET:
        changes["models"] = tenants.scope_of(services, body.models)
    if body.expires_at_ms is not msgspec.UNSET:
        changes["expires_at_ms"] = _future(services, body.expires_at_ms)
    limits = tenants.limits_from(body, limits_of(known.cap))
    also = noting(services, asked, lambda key: tenants.key_facts(known, key))
    key = await services.keyring.change(known.id, changes, limits, also=also)
    assert key is not None
    return answer(await _told(services, key))


async def rotate_key(services: Services, asked: Asked) -> Response:
    """A new key with the settings of an old one, which goes on working for a while."""
    known, body = await _found(services, asked), await read(asked, shapes.Rotation)
    _refuse_managed(known)
    if known.member_id != session_of(asked).member_id:
        await refuse_limited(services, asked, "they would not count the new key, so only its owner can replace it")
    now_ms = services.now_ms()
    if _state(known, await services.members.shut(known.workspace_id), now_ms) != "active":
        raise MiraError(Kind.CONFLICT, "only an active key can be replaced; make a new one")
    secret, key = await services.keyring.create(
        known.workspace_id,
        known.name,
        known.face,
        models=known.models,
        expires_at_ms=known.expires_at_ms,
        limits=limits_of(known.cap),
        member_id=known.member_id,
        also=noting(services, asked, lambda made: tenants.key_facts(known, made)),
    )
    allow, block = await services.fetching.domains.get(known.id)
    if allow is not None or block:
        await services.fetching.domains.put(key.id, allow, block)
    ends_ms = now_ms + body.overlap_s * 1000
    if known.expires_at_ms is not None:
        ends_ms = min(ends_ms, known.expires_at_ms)
    if body.overlap_s:
        old = await services.keyring.change(known.id, {"expires_at_ms": ends_ms})
    else:
        await services.keyring.revoke(known.id)
        old = await services.keys.get(known.id)
    assert old is not None
    told = shapes.KeyRotated(key=await _told(services, key), secret=secret, old=await _told(services, old))
    return answer(told, 201)


async def revoke_key(services: Services, asked: Asked) -> Response:
    """Revokes a key at once and for good."""
    known = await _found(services, asked)
    _refuse_managed(known)
    await services.keyring.revoke(known.id, also=noting(services, asked, lambda key: tenants.key_facts(key, None)))
    return Response(status_code=204)


async def first_request(services: Services, asked: Asked) -> Response:
    """The first call of a key; waits for it as long as is asked for."""
    known = await _found(services, asked)
    wait_s = number(asked, "wait", 0, 0, LONGEST_WAIT_S)
    until_s = services.monotonic_s() + wait_s
    while True:
        found = await services.glances.first_call(key_id=known.id)
        record = await services.calls.get(found[0], known.workspace_id) if found is not None else None
        if record is not None:
            call = shown_call(record, {known.id: known.name})
            return answer(shapes_calls.FirstRequest(received=True, call=call))
        left_s = until_s - services.monotonic_s()
        if left_s <= 0 or services.not_ready() is not None or await asked.request.is_disconnected():
            return answer(shapes_calls.FirstRequest(received=False, call=None))
        await asyncio.sleep(min(LOOK_EVERY_S, left_s))


async def _found(services: Services, asked: Asked) -> Key:
    """The key that the path names, of this workspace; MiraError NOT_FOUND."""
    key = await services.keys.get(asked.request.path_params["id"], workspace_of(asked))
    if key is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    return key


async def _told(services: Services, key: Key) -> shapes.KeyShown:
    use = await services.glances.use_of_keys(key.workspace_id)
    return _shown(key, use, await _owners_of(services, key.workspace_id), services.now_ms())


class _Owners(Struct, frozen=True):
    """The names of a workspace's members by id, and the ids of those whose keys are refused."""

    names: dict[str, str]
    shut: frozenset[str]


async def _owners_of(services: Services, workspace_id: str) -> _Owners:
    names = {member.id: member.name for member in await services.members.list(workspace_id)}
    return _Owners(names, await services.members.shut(workspace_id))


def _shown(key: Key, use: dict[str, KeyUse], owners: _Owners, now_ms: int) -> shapes.KeyShown:
    used = use.get(key.id, KeyUse())
    return shapes.KeyShown(
        id=key.id,
        name=key.name,
        kind=key.face.value,
        prefix=key.prefix,
        last4=key.last4,
        state=_state(key, owners.shut, now_ms),
        managed=key.id.startswith(MANAGED),
        models=sorted(key.models) if key.models is not None else None,
        member_id=key.member_id,
        member_name=owners.names.get(key.member_id or ""),
        created_at_ms=key.created_at_ms,
        expires_at_ms=key.expires_at_ms,
        revoked_at_ms=key.revoked_at_ms,
        last_used_at_ms=used.last_used_at_ms,
        calls=used.calls,
        spend=credits_text(used.billed_nanocredits),
        **tenants.limits_body(key.cap, now_ms),
    )


def _state(key: Key, shut: frozenset[str], now_ms: int) -> shapes.KeyState:
    if key.revoked_at_ms is not None:
        return "revoked"
    if key.disabled:
        return "disabled"
    if key.member_id in shut:
        return "owner_disabled"
    return "expired" if key.expires_at_ms is not None and key.expires_at_ms <= now_ms else "active"


def _future(services: Services, at_ms: int | None) -> int | None:
    if at_ms is not None and not services.now_ms() < at_ms < 2**53:
        raise MiraError(
            Kind.BAD_REQUEST, "expires_at_ms: must be a time to come, in Unix milliseconds", param="expires_at_ms"
        )
    return at_ms


def _refuse_managed(key: Key) -> None:
    if key.id.startswith(MANAGED):
        raise MiraError(Kind.CONFLICT, "this is the portal's own key for the playground; disable it instead")
