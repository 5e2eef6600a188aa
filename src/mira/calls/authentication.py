"""Who calls: the key of a request, from its headers alone."""

from mira.collaborators import Keyring, RequestHeaders
from mira.core.caller import Caller, Face
from mira.errors import Kind, MiraError


async def authenticate(keyring: Keyring, head: RequestHeaders, face: Face) -> Caller:
    """The caller behind the key of a request: `Authorization: Bearer` decides, else `x-api-key`."""
    secret = _secret(head)
    if not secret:
        raise MiraError(
            Kind.BAD_KEY, "no key was sent; put it into the header `Authorization: Bearer KEY` or `x-api-key: KEY`"
        )
    caller = keyring.known(secret) or await keyring.find(secret)
    if caller is None:
        raise MiraError(Kind.BAD_KEY, "this key is unknown, revoked or expired; make one with `mira keys create`")
    if caller.face is not face:
        other = "/inference/v1" if caller.face is Face.INFERENCE else "/v1"
        raise MiraError(Kind.FORBIDDEN, f"this key is for {other}, not for this route")
    return caller


def _secret(head: RequestHeaders) -> str | None:
    authorization = head.header(b"authorization")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return head.header(b"x-api-key")
