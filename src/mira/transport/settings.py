"""Time and size limits of exchanges with an upstream."""

import msgspec

from mira.core.deadlines import Timeouts

__all__ = ["Limits", "Timeouts"]


class Limits(msgspec.Struct, frozen=True):
    """Sizes and ages that one pool keeps to.

    `line_bytes` bounds one header line, `buffer_bytes` what is held of a body that nobody reads yet (plus one read of
    the event loop). `idle_pool_s`: an unused connection is closed after it. `max_age_s`: an older connection is not
    used again, so that changes of addresses are followed; `resolve_s` is how long looked-up addresses are kept.
    Without `decode` a compressed body is handed out as it came, with its `content-encoding`.
    """

    max_connections: int = 1024
    head_bytes: int = 64 * 1024
    header_count: int = 128
    line_bytes: int = 16 * 1024
    buffer_bytes: int = 256 * 1024
    idle_pool_s: float = 30.0
    max_age_s: float = 300.0
    resolve_s: float = 30.0
    decode: bool = True
