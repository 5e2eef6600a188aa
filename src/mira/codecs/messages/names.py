"""Ids of tool calls in the letters that Anthropic takes: what has others is encoded, and decoded when it comes back."""

import base64
import binascii
import re

PREFIX = "mira_id_"
_FITS = re.compile(r"[A-Za-z0-9_-]+")


def wire_id(own: str) -> str:
    """The id as Messages takes it: different for different ids, the same for the same."""
    if _FITS.fullmatch(own) and not own.startswith(PREFIX):
        return own
    return PREFIX + base64.urlsafe_b64encode(own.encode()).decode().rstrip("=")


def own_id(told: str) -> str:
    """The id that `wire_id` encoded; any other as it is."""
    if not told.startswith(PREFIX):
        return told
    text = told[len(PREFIX) :]
    try:
        own = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return told
    return own if wire_id(own) == told else told
