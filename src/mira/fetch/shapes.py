"""What `POST /v1/fetch` takes and gives."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from mira.fetch.extract.shapes import Format, Link, Metadata

Selectors = Annotated[list[Annotated[str, Meta(min_length=1, max_length=500)]], Meta(max_length=50)]


class FetchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page to fetch. Only `url` is needed; `max_age` is in seconds, `max_tokens` and `offset` in tokens."""

    url: str
    format: Format = "markdown"
    main_content: bool = True
    include_selectors: Selectors = []
    exclude_selectors: Selectors = []
    links: Literal["inline", "text", "list"] = "inline"
    images: Literal["none", "alt", "inline"] = "none"
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 25_000
    offset: Annotated[int, Meta(ge=0, le=100_000_000)] = 0
    query: Annotated[str, Meta(max_length=2000)] | None = None
    max_chunks: Annotated[int, Meta(ge=1, le=50)] = 5
    max_age: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 900
    timeout_ms: Annotated[int, Meta(ge=100, le=20_000)] = 15_000
    render: Literal["never", "auto", "always"] = "never"
    wait_for: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    pages: Annotated[str, Meta(max_length=50)] | None = None
    headers: dict[str, str] = {}
    respect_robots: bool = False


class Timing(Struct, frozen=True, kw_only=True):
    """Milliseconds. `fetch` is everything from the first look-up to the last byte, of which `dns` and `connect` are
    parts; all three are 0 for what was kept. `convert` is the conversion, the wait for a worker included.
    """

    dns: float = 0.0
    connect: float = 0.0
    fetch: float = 0.0
    convert: float = 0.0


class Chunk(Struct, frozen=True, kw_only=True):
    """A section that fits the `query`: the headings above it, and how well it fits."""

    headings: list[str]
    score: float


class Spent(Struct, frozen=True, kw_only=True):
    """What the fetch is charged: pages, and their cost in credits."""

    pages: int
    cost: float


class FetchAnswer(Struct, kw_only=True):
    """A fetched page. `status` is the target's; `markdown` repeats `content` where that is the format.

    `tokens` are those of `content`, `total_tokens` those of everything that was found; `next_offset` asks for what
    follows. `fetched_at` is an RFC 3339 time, `age_s` how many seconds ago that was.
    """

    id: str = ""
    object: str = "fetch"
    url: str
    final_url: str
    status: int
    content_type: str
    title: str | None
    format: Format
    content: str
    markdown: str | UnsetType = UNSET
    encoding: Literal["utf-8", "base64"] = "utf-8"
    metadata: Metadata
    links: list[Link]
    chunks: list[Chunk] | UnsetType = UNSET
    tokens: int
    total_tokens: int
    truncated: bool
    next_offset: int | None
    cached: bool
    age_s: int
    fetched_at: str
    rendered: bool
    warnings: list[str]
    timing_ms: Timing
    usage: Spent = Spent(pages=0, cost=0.0)
