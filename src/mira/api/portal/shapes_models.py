"""What the portal tells of models and of its API. Prices are decimal credits as text."""

from typing import Literal

from msgspec import Struct

from mira.core.media import Output


class Pricing(Struct, kw_only=True):
    """Credits per million tokens (`web_search` per search), markup included; null: as its base class, or not sold.

    `tiers`: prompts of more than `above` tokens cost that instead. `units` are prices by the piece, beside tokens.
    """

    input: str
    output: str
    cache_read: str | None
    cache_write: str | None
    reasoning: str | None
    web_search: str | None
    free: bool
    source: str
    tiers: list["PricingTier"]
    units: list["PricingUnit"]


class PricingTier(Struct, kw_only=True):
    """What long prompts cost."""

    above: int
    input: str
    output: str


class PricingUnit(Struct, kw_only=True):
    """Credits for `per` pieces of a kind; from `least` to `most` where that differs by quality, size or resolution."""

    unit: Literal["image", "second", "character", "page"]
    per: int
    least: str
    most: str


class Abilities(Struct, kw_only=True):
    """What a model can do in a chat: nothing where it makes no text."""

    images: bool
    tools: bool
    reasoning: bool
    structured_output: bool
    sampling: bool


class Measured(Struct, kw_only=True):
    """What was measured over the newest calls of the gateway. `success` is the share that did not fail, 0 to 1."""

    calls: int
    p50_first_content_ms: int | None
    p95_first_content_ms: int | None
    tokens_per_s: float | None
    success: float


class NodeOfModel(Struct, kw_only=True):
    """A node that serves a model."""

    name: str
    state: str


class ModelShown(Struct, kw_only=True):
    """A model. Without `pricing` it is refused until the operator sets a price.

    `outputs` is what it makes: `text` by chat, else images, videos, speech, transcriptions or embeddings.
    """

    id: str
    provider: str
    name: str
    context_length: int | None
    max_output_tokens: int | None
    outputs: list[Output]
    abilities: Abilities
    pricing: Pricing | None
    available: bool
    nodes: list[NodeOfModel]
    measured: Measured | None
    note: str | None


class Models(Struct, kw_only=True):
    """`GET /portal/v1/models`: every model of the fleet."""

    data: list[ModelShown]
    object: str = "list"


class RouteShown(Struct, kw_only=True):
    """A route of the API."""

    method: str
    path: str
    summary: str
    group: str
    policy: str
    billing: str


class Docs(Struct, kw_only=True):
    """`GET /portal/v1/docs`: what examples are filled in with. `example_model` null: no model can answer yet."""

    base_url: str
    openai_base_url: str
    anthropic_base_url: str
    inference_base_url: str
    example_model: str | None
    routes: list[RouteShown]
