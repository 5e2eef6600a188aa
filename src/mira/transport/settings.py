"""Time and size limits of exchanges with an upstream."""

import msgspec


class Timeouts(msgspec.Struct, frozen=True):
    """Seconds allowed for each phase of one exchange; they fire up to half a second late (one shared coarse timer).

    `connect_s`: waiting for a free connection, name lookup, TCP, proxy and TLS together. `head_s`: from the request
    written to the final head of the answer, None for no limit of its own. `idle_s`: between two reads of the body, or
    without progress of a large upload; time in which the caller itself paused reading does not count. `total_s`: from
    the call of `request` to the last byte, whatever happens.
    """

    connect_s: float = 5.0
    head_s: float | None = 60.0
    idle_s: float = 60.0
    total_s: float = 600.0


class Limits(msgspec.Struct, frozen=True):
    """Sizes and ages that one pool keeps to.

    `line_bytes` bounds one header line, `buffer_bytes` what is held of a body that nobody reads yet (plus one read of
    the event loop). `idle_pool_s`: an unused connection is closed after it. `max_age_s`: an older connection is not
    used again, so that changes of addresses are followed; `resolve_s` is how long looked-up addresses are kept.
    """

    max_connections: int = 1024
    head_bytes: int = 64 * 1024
    header_count: int = 128
    line_bytes: int = 16 * 1024
    buffer_bytes: int = 256 * 1024
    idle_pool_s: float = 30.0
    max_age_s: float = 300.0
    resolve_s: float = 30.0
