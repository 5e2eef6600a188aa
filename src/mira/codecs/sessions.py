"""What the requests of one session have in common, in any protocol: what nodes keep in their caches for it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

#: A beginning of a conversation is told apart by so much of it.
MOST_BYTES = 16 * 1024
_LIST = msgspec.json.Decoder(list[Raw])
_NAMES = ("system", "instructions", "tools")


class _Role(msgspec.Struct):
    role: Any = None


class _Metadata(msgspec.Struct):
    user_id: Any = None


_ROLE = msgspec.json.Decoder(_Role)
_METADATA = msgspec.json.Decoder(_Metadata)


def session_of(fields: Mapping[str, Raw]) -> bytes:
    """The client's own name of the session, else the beginning that all its requests share.

    By name: `prompt_cache_key` (OpenAI), or `metadata.user_id` where that speaks of a session (Claude Code). Else the
    instructions, the size of the tools, and the messages up to the first of the user.
    """
    if (told := fields.get("prompt_cache_key")) is not None and len(bytes(told)) > 4:
        return bytes(told)
    if (metadata := fields.get("metadata")) is not None:
        try:
            user_id = _METADATA.decode(metadata).user_id
        except msgspec.DecodeError:
            user_id = None
        if isinstance(user_id, str) and "session" in user_id:
            return user_id.encode()
    parts = [bytes(value)[:MOST_BYTES] for name in _NAMES if (value := fields.get(name)) is not None]
    parts += _beginning(fields.get("messages") or fields.get("input"))
    return b"\0".join(parts)


def _beginning(turns: Raw | None) -> list[bytes]:
    """The messages up to the first of the user; an input that is a text is one."""
    if turns is None:
        return []
    try:
        items = _LIST.decode(turns)
    except msgspec.DecodeError:
        return [bytes(turns)[:MOST_BYTES]]
    found: list[bytes] = []
    for item in items:
        found.append(bytes(item)[:MOST_BYTES])
        try:
            role = _ROLE.decode(item).role
        except msgspec.DecodeError:
            role = "user"
        if role == "user":
            break
    return found
