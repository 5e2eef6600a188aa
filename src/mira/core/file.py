"""A file that a workspace left with Mira."""

import re

from msgspec import Struct

#: An id is unguessable, and so easily told from a provider's own that a request can be searched for it.
ID = re.compile(r"file_[0-9a-f]{32}")


class File(Struct, frozen=True, kw_only=True):
    """One file. `id` is also the key of its object; the hash is hexadecimal, the time Unix milliseconds."""

    id: str
    workspace_id: str
    filename: str
    mime_type: str
    size_bytes: int
    sha256: str
    created_at_ms: int
