"""Who calls: the key of a request, from its headers alone."""

from mira.collaborators import Keyring, RequestHeaders
from mira.core.caller import Caller, Face
from mira.errors import Kind, MiraError


async def authenticate(keyring: Keyring, head: RequestHeaders, face: Face) -> Caller:
    """The caller behind the key of a request; MiraError BAD_KEY, FORBIDDEN."""
    secret = secret_of(head)
    return let_in(keyring.known(secret) or await keyring.find(secret), face)


def secret_of(head: RequestHeaders) -> str:
    """The key of a request: `Authorization: Bearer` decides, else `x-api-key`; MiraError BAD_KEY for none."""
    authorization = head.header(b"authorization")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if token and scheme.lower() == "bearer":
            return token
    secret = head.header(b"x-api-key")
    if not secret:
        raise MiraError(
            Kind.BAD_KEY, "no key was sent; put it into the header `Authorization: Bearer KEY` or `x-api-key: KEY`"
        )
    return secret


def let_in(caller: Caller | None, face: Face) -> Caller:
    """The caller that was found for a key, where it opens this face; MiraError BAD_KEY, FORBIDDEN."""
    if caller is None:
        raise MiraError(Kind.BAD_KEY, "this key is unknown, revoked or expired; make one with `mira keys create`")
    if caller.face is not face:
        other = "/inference/v1" if caller.face is Face.INFERENCE else "/v1"
        raise MiraError(Kind.FORBIDDEN, f"this key is for {other}, not for this route")
    return caller
