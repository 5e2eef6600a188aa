"""Names of tools that every protocol takes: letters, digits, `_` and `-`, at most 64 of them."""

import hashlib
import re

MAX_NAME = 64
_FITS = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STRANGE = re.compile(r"[^A-Za-z0-9_-]")


def plain_name(name: str, namespace: str | None = None) -> str:
    """A name that fits, the same for the same tool and different for different ones.

    A namespace stands in front (`ns__name`; the implicit `functions` does not). What does not fit ends in a hash.
    """
    full = name if namespace in (None, "", "functions") else f"{namespace}__{name}"
    if _FITS.fullmatch(full):
        return full
    digest = hashlib.blake2b(full.encode(), digest_size=6).hexdigest()
    return f"{_STRANGE.sub('_', full)[: MAX_NAME - 13]}_{digest}"


def made_id(answer_id: str, choice: int, index: int) -> str:
    """An id for a tool call whose node gave none: the same for the same place in the same answer."""
    digest = hashlib.blake2b(f"{answer_id}/{choice}/{index}".encode(), digest_size=12).hexdigest()
    return f"call_{digest}"
