"""The operator API of keys and members: who may call, what they may call, and how much."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response

from mira.api.auditing import Facts, noting
from mira.api.bodies import Budget, KeyChange, MemberChange, NewKey, NewMember, answer, read
from mira.api.services import Asked, Services
from mira.core.caller import Face
from mira.core.limits import UNLIMITED, Cap, Limits, refresh
from mira.core.money import credits_text, nanocredits
from mira.errors import Kind, MiraError
from mira.store.limits import limits_of


async def list_keys(services: Services, asked: Asked) -> Response:
    """The keys of a workspace, without their secrets."""
    row = await found_workspace(services, asked)
    now_ms = services.now_ms()
    return answer({"object": "list", "data": [_key(key, now_ms) for key in await services.keys.list(row.id)]})


async def create_key(services: Services, asked: Asked) -> Response:
    """A new key; its secret is shown in this answer and never again."""
    row = await found_workspace(services, asked)
    body = await read(asked, NewKey)
    secret, key = await services.keyring.create(
        row.id,
        body.name,
        Face(body.kind),
        models=scope_of(services, body.models),
        expires_at_ms=_time_ms(body.expires_at),
        limits=limits_from(body, UNLIMITED),
        member_id=await _member_id(services, row.id, body.member),
        also=noting(services, asked, lambda key: key_facts(None, key)),
    )
    return answer({**_key(key, services.now_ms()), "secret": secret}, 201)


async def change_key(services: Services, asked: Asked) -> Response:
    """Changes a key's name, scope, expiry, member or limits, or disables it."""
    body = await read(asked, KeyChange)
    known = await services.keys.get(asked.request.path_params["id"])
    if known is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    changes = _given(body, "name", "disabled")
    if body.models is not msgspec.UNSET:
        changes["models"] = scope_of(services, body.models)
    if body.expires_at is not msgspec.UNSET:
        changes["expires_at_ms"] = _time_ms(body.expires_at)
    if body.member is not msgspec.UNSET:
        changes["member_id"] = await _member_id(services, known.workspace_id, body.member)
    also = noting(services, asked, lambda key: key_facts(known, key))
    key = await services.keyring.change(known.id, changes, limits_from(body, limits_of(known.cap)), also=also)
    return answer(_key(key, services.now_ms()))


async def revoke_key(services: Services, asked: Asked) -> Response:
    """Revokes a key at once and for good."""
    also = noting(services, asked, lambda key: key_facts(key, None))
    if not await services.keyring.revoke(asked.request.path_params["id"], also=also):
        raise MiraError(Kind.NOT_FOUND, "there is no such key")
    return Response(status_code=204)


async def list_members(services: Services, asked: Asked) -> Response:
    """The members of a workspace with their limits."""
    row = await found_workspace(services, asked)
    now_ms = services.now_ms()
    return answer({"object": "list", "data": [_member(one, now_ms) for one in await services.members.list(row.id)]})


async def create_member(services: Services, asked: Asked) -> Response:
    """A new member of a workspace; keys are given to it by their `member`."""
    row = await found_workspace(services, asked)
    body = await read(asked, NewMember)
    now_ms = services.now_ms()
    made = await services.members.create(
        services.new_id("member"),
        row.id,
        body.name,
        body.email,
        now_ms=now_ms,
        limits=limits_from(body, UNLIMITED),
        also=noting(services, asked, lambda member: member_facts(None, member)),
    )
    return answer(_member(made, now_ms), 201)


async def get_member(services: Services, asked: Asked) -> Response:
    """One member."""
    return answer(_member(await _found_member(services, asked), services.now_ms()))


async def change_member(services: Services, asked: Asked) -> Response:
    """Changes a member's name, email or limits, or disables all of its keys."""
    body = await read(asked, MemberChange)
    known = await _found_member(services, asked)
    changes = _given(body, "name", "email", "disabled")
    now_ms = services.now_ms()
    limits = limits_from(body, limits_of(known.cap))
    also = noting(services, asked, lambda member: member_facts(known, member))
    changed = await services.members.change(known.id, changes, now_ms=now_ms, limits=limits, also=also)
    services.keyring.forget()
    return answer(_member(changed, now_ms))


async def found_workspace(services: Services, asked: Asked) -> Any:
    """The workspace that the path names; MiraError NOT_FOUND."""
    row = await services.workspaces.get(asked.request.path_params["id"])
    if row is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such workspace")
    return row


def key_facts(before: Any | None, after: Any | None) -> Facts:
    """What the audit log says of a key: everything but its digest."""
    key: Any = after or before
    return Facts("key", key.id, key.name, key.workspace_id, _key_values(before), _key_values(after))


def member_facts(before: Any | None, after: Any) -> Facts:
    """What the audit log says of a member."""
    return Facts("member", after.id, after.name, after.workspace_id, _member_values(before), _member_values(after))


def _key_values(key: Any | None) -> dict[str, Any] | None:
    if key is None:
        return None
    return {
        "name": key.name,
        "kind": key.face.value,
        "key": f"{key.prefix}…{key.last4}",
        "models": sorted(key.models) if key.models is not None else None,
        "expires_at_ms": key.expires_at_ms,
        "disabled": key.disabled,
        "member": key.member_id,
        **_limit_values(key.cap),
    }


def _member_values(member: Any | None) -> dict[str, Any] | None:
    if member is None:
        return None
    known = {"name": member.name, "email": member.email, "disabled": member.disabled}
    return {**known, **_limit_values(member.cap)}


def _limit_values(cap: Cap | None) -> dict[str, Any]:
    limits = limits_of(cap)
    amount = limits.budget_nanocredits
    budget = None if amount is None else f"{credits_text(amount)} a {limits.budget_period}"
    return {"rpm": limits.rpm, "tpm": limits.tpm, "concurrency": limits.concurrency, "budget": budget}


async def _found_member(services: Services, asked: Asked) -> Any:
    row = await services.members.get(asked.request.path_params["id"])
    if row is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such member")
    return row


async def _member_id(services: Services, workspace_id: str, member_id: str | None) -> str | None:
    if member_id is not None and await services.members.get(member_id, workspace_id) is None:
        raise MiraError(Kind.NOT_FOUND, "member: the workspace has no such member", param="member")
    return member_id


def _given(body: KeyChange | MemberChange, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(body, name)) is not msgspec.UNSET}


def limits_from(body: Any, known: Limits) -> Limits:
    """The limits as a body with `rpm`, `tpm`, `concurrency` and `budget` leaves them; MiraError BAD_REQUEST."""
    changes: dict[str, Any] = {
        name: value for name in ("rpm", "tpm", "concurrency") if (value := getattr(body, name)) is not msgspec.UNSET
    }
    if isinstance(body.budget, Budget):
        try:
            amount = nanocredits(body.budget.amount)
        except ValueError as error:
            raise MiraError(Kind.BAD_REQUEST, f"budget.amount: {error}", param="budget.amount") from None
        if amount < 0:
            raise MiraError(Kind.BAD_REQUEST, "budget.amount: must not be below 0", param="budget.amount")
        changes |= {"budget_nanocredits": amount, "budget_period": body.budget.period}
    elif body.budget is None:
        changes |= {"budget_nanocredits": None, "budget_period": None}
    return msgspec.structs.replace(known, **changes)


def limits_body(cap: Cap | None, now_ms: int) -> dict[str, Any]:
    """The limits, and of the budget what is spent, held and left in its present period."""
    if cap is None:
        return {"rpm": None, "tpm": None, "concurrency": None, "budget": None}
    refresh(cap, now_ms)
    budget = None
    if cap.budget_nanocredits is not None and cap.left_nanocredits is not None:
        budget = {
            "amount": credits_text(cap.budget_nanocredits),
            "period": cap.budget_period,
            "spent": credits_text(cap.spent_nanocredits),
            "held": credits_text(cap.held_nanocredits),
            "left": credits_text(max(cap.left_nanocredits, 0)),
            "resets_at_ms": cap.period_ends_ms,
        }
    return {"rpm": cap.rpm, "tpm": cap.tpm, "concurrency": cap.concurrency, "budget": budget}


def _member(row: Any, now_ms: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "name": row.name,
        "email": row.email,
        "disabled": row.disabled,
        "created_at_ms": row.created_at_ms,
        **limits_body(row.cap, now_ms),
    }


def _key(row: Any, now_ms: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "workspace_id": row.workspace_id,
        "member": row.member_id,
        "name": row.name,
        "kind": row.face.value,
        "prefix": row.prefix,
        "last4": row.last4,
        "models": sorted(row.models) if row.models is not None else None,
        "expires_at_ms": row.expires_at_ms,
        "disabled": row.disabled,
        "revoked_at_ms": row.revoked_at_ms,
        "created_at_ms": row.created_at_ms,
        **limits_body(row.cap, now_ms),
    }


def scope_of(services: Services, models: list[str] | None) -> frozenset[str] | None:
    """Canonical ids of a scope. A model that no node serves yet is kept as written: nodes come and go."""
    if models is None:
        return None
    canonical: set[str] = set()
    for name in models:
        try:
            canonical.add(services.fleet.catalog.find(name).model)
        except MiraError:
            canonical.add(name)
    return frozenset(canonical)


def _time_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MiraError(
            Kind.BAD_REQUEST, "expires_at: must be an RFC 3339 time such as 2027-01-31T00:00:00Z", param="expires_at"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
