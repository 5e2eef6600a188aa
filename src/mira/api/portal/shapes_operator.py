"""What the operator's routes take and answer beside those of `mira.api.bodies`."""

from typing import Any, Literal

from msgspec import Struct

from mira.api.portal.shapes_models import Pricing


class Condition(Struct, kw_only=True):
    """What speaks against one model at a node."""

    model: str
    state: str
    reason: str | None
    returns_in_s: float | None


class NodeRow(Struct, kw_only=True):
    """A node with its standing. Rates and times are those of the newest calls within the last hour, at most 2,000.

    `returns_in_s`: when it is tried again. `last_check_at_ms`: when it was last asked for its models.
    """

    name: str
    kind: str
    origin: Literal["file", "environment", "api"]
    base_url: str | None
    provider: str | None
    endpoint: str
    has_api_key: bool
    weight: float
    markup: str
    max_in_flight: int | None
    first_token_s: float
    reported_cost: bool
    state: str
    reason: str | None
    returns_in_s: float | None
    conditions: list[Condition]
    draining: bool
    disabled: bool
    in_flight: int
    consecutive_faults: int
    latency_ms: float | None
    credits: str | None
    runway_s: float | None
    last_error: str | None
    models: list[str]
    unpriced_models: list[str]
    calls_last_hour: int
    calls_per_minute: float
    failed_share: float | None
    p95_first_content_ms: int | None
    last_check_at_ms: int | None


class FleetShown(Struct, kw_only=True):
    """`GET /admin/v1/fleet`."""

    data: list[NodeRow]
    object: str = "list"


class NodeTrial(Struct, forbid_unknown_fields=True):
    """`POST /admin/v1/nodes/test`: a node to be tried; nothing of it is kept."""

    kind: Literal["mira", "openai", "anthropic", "gemini", "openai-compatible"]
    base_url: str
    api_key: str = ""
    provider: str | None = None


class ModelFound(Struct, kw_only=True):
    """A model that a tried node lists; without `pricing` it needs a price before it is sold."""

    id: str
    upstream_model: str
    context_length: int | None
    pricing: Pricing | None


class TrialResult(Struct, kw_only=True):
    """What a tried node said. `error` is in our own words, where it could not be used."""

    ok: bool
    error: str | None
    took_ms: int
    models: list[ModelFound]


class PriceRow(Struct, kw_only=True):
    """The price of a model. `source`: `file`, `portal`, `node`, a public list, or null: unpriced.

    `editable`: no row of the file stands above what is set here. `sale` is with the markup of its first node, `cost`
    what that node asks, where it says so. `in_force` is the price before the markup, in the words that set one, without
    the pieces in `varied`: these have prices by quality, size or resolution, which the file alone can set.
    """

    model: str
    nodes: list[str]
    source: str | None
    editable: bool
    sale: Pricing | None
    cost: Pricing | None
    in_force: "NewPrice | None"
    varied: list[Literal["image", "second"]]


class Prices(Struct, kw_only=True):
    """`GET /admin/v1/prices`: the unpriced first, then by name."""

    data: list[PriceRow]
    unpriced: int
    object: str = "list"


class NewPrice(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`PUT /admin/v1/prices/{model}`: the words of `[[prices]]`, all that the model is to cost; or `free` alone.

    Credits per million tokens; `web_search`, `image`, `second`, `character` and `page` are credits for one. What is
    left out has no price any more. A price by the piece needs no `input` and `output`.
    """

    input: str | None = None
    output: str | None = None
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    reasoning: str | None = None
    audio_input: str | None = None
    audio_output: str | None = None
    image_input: str | None = None
    image_output: str | None = None
    web_search: str | None = None
    image: str | None = None
    second: str | None = None
    character: str | None = None
    page: str | None = None
    tiers: list[dict[str, str | int]] | None = None
    free: bool | None = None


class MarginRow(Struct, kw_only=True):
    """What was billed, what nodes charged for it, and what is left. `attempts`, `overrun`: at the operator's cost."""

    workspace_id: str | None
    workspace_name: str | None
    model: str | None
    node: str | None
    day_ms: int | None
    calls: int
    failed: int
    total_tokens: int
    billed: str
    node_cost: str
    attempts: str
    overrun: str
    margin: str


class Margin(Struct, kw_only=True):
    """`GET /admin/v1/margin`."""

    since_ms: int
    until_ms: int
    totals: MarginRow
    data: list[MarginRow]
    next: str | None


class Setting(Struct, kw_only=True):
    """One setting as it is in effect. `applies`: `live` on SIGHUP, else after a `restart`. Of a secret: is it set."""

    name: str
    value: Any
    secret: bool
    applies: Literal["live", "restart"]


class SettingsShown(Struct, kw_only=True):
    """`GET /admin/v1/settings`."""

    data: list[Setting]
    path: str | None
    version: str
    notices: list[str]
    object: str = "list"
