"""The first look at a client's body, under every protocol: JSON in UTF-8, of the right shape and not too deep."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from mira.codecs.codec import OWN_PREFIX
from mira.codecs.refusals import MAX_DEPTH, is_too_deep, not_json, refusal, too_deep

T = TypeVar("T")
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def opened(body: bytes, decoder: msgspec.json.Decoder[T], one_of: Mapping[str, str]) -> tuple[T, dict[str, Raw]]:
    """What the decoder makes of the body, and its fields as they were sent, without those that are Mira's own.

    MiraError BAD_REQUEST, with `param` where a field is wrong; `one_of` lists by field the words that a tag may be.
    """
    try:
        if not body.isascii():
            body.decode()
        request = decoder.decode(body)
        fields = _FIELDS.decode(body)
    except msgspec.ValidationError as error:
        raise refusal(error, one_of) from None
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_json() from None
    # Few brackets are no depth. To leave a byte out is a search for each that there is; to count it is a look at every
    # byte of the body.
    if len(body) - len(body.replace(b"{", b"").replace(b"[", b"")) > MAX_DEPTH and is_too_deep(body):
        raise too_deep()
    if OWN_PREFIX in " ".join(fields):
        for name in [name for name in fields if name.startswith(OWN_PREFIX)]:
            del fields[name]
    return request, fields
