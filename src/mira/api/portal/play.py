"""The playground: every route of `/v1` under a session, as `/portal/v1/play/…`, so that no browser needs a key.

Calls are booked on a key of the workspace that the portal makes for this. Nobody has its secret; its limits, and those
of the member who plays, count as any others.
"""

import secrets

from msgspec.structs import replace
from starlette.requests import Request

from mira.api.doors import admit_session
from mira.api.portal.keys import MANAGED
from mira.api.services import Services
from mira.core.caller import Caller, Face
from mira.core.limits import UNLIMITED, member_cap
from mira.errors import Kind, MiraError
from mira.store.limits import limits_of
from mira.store.sessions import SignedIn

PREFIX = "/portal/v1/play/"
#: What stands in the place of the prefix: routes that take a proxy key, all of them.
OPENS = "/v1/"
NAME = "Portal playground"


async def caller_of(services: Services, request: Request) -> Caller:
    """Who plays; MiraError BAD_KEY, FORBIDDEN as for any route under a session, or where it is switched off."""
    session = (await admit_session(services, request)).session
    assert session is not None
    if session.workspace_id is None:
        raise MiraError(Kind.FORBIDDEN, "you are a member of no workspace", code="no_workspace")
    key_id = MANAGED + session.workspace_id
    caller = await services.keys.caller(key_id)
    if caller is None and await services.keys.get(key_id) is None:
        await _make(services, key_id, session.workspace_id)
        caller = await services.keys.caller(key_id)
    if caller is None or (caller.expires_at_ms is not None and caller.expires_at_ms <= services.now_ms()):
        raise MiraError(Kind.FORBIDDEN, f"the playground is off: the key {NAME!r} of this workspace is disabled")
    return await _with_member(services, caller, session)


async def _make(services: Services, key_id: str, workspace_id: str) -> None:
    await services.keys.create(
        key_id,
        workspace_id,
        digest=secrets.token_bytes(32),  # of no key that could be written down
        prefix="",
        last4="",
        name=NAME,
        face=Face.PROXY,
        models=None,
        expires_at_ms=None,
        now_ms=services.now_ms(),
    )


async def _with_member(services: Services, caller: Caller, session: SignedIn) -> Caller:
    if session.member_id is None:
        return caller
    member = await services.members.get(session.member_id, caller.workspace_id)
    if member is None or limits_of(member.cap) == UNLIMITED:
        return caller
    return replace(caller, caps=tuple(sorted({*caller.caps, member_cap(member.id)})))
