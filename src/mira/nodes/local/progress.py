"""What a fetch tells about itself: one JSON line per step, from the fetching process to whoever started it."""

from typing import Literal

from msgspec import Struct

FetchState = Literal["downloading", "verifying", "done", "failed"]


class Report(Struct, frozen=True):
    """One step of a fetch. `done` and `total` are bytes of the phase; `source` is a source's label.

    `detail` is a line for people: why a source was passed over, or, in state "failed", what to do.
    """

    state: FetchState
    done: int = 0
    total: int = 0
    source: str = ""
    detail: str = ""
