"""What a node serves: its own list of models, read into canonical ids."""

from decimal import Decimal, InvalidOperation
from typing import Any

from mira.core.media import OUTPUTS
from mira.core.price_rows import PIECES
from mira.core.pricing import Price, Variant
from mira.nodes.node import Listing, Node

#: What a `mira` node serves until its list can be read: the models that the Inference Service promises.
INFERENCE_MODELS = ("openai/gpt-4o-mini", "openai/gpt-4o", "anthropic/claude-sonnet-4-5")
PICO_PER_CREDIT = 10**12
#: What others call what Mira's `core.media` has another word for.
_WORDS = {"audio": "speech", "embeddings": "embedding"}
#: Ways of Google's models to be asked that Mira speaks.
_METHODS = frozenset({"generateContent", "predict", "predictLongRunning"})


def configured(node: Node) -> dict[str, Listing]:
    """The listings that the configuration names, or the promised ones of a `mira` node."""
    names = node.config.models
    if names is None:
        names = INFERENCE_MODELS if node.kind.name == "mira" else ()
    return dict(_listing(node, name) for name in names)


def listed(node: Node, body: Any) -> dict[str, Listing] | None:
    """The listings in an answer of `GET /models` (OpenAI's, OpenRouter's or Mira's shape); None where it is none."""
    rows = (body.get("data") or body.get("models")) if isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None
    found: dict[str, Listing] = {}
    for row in rows:
        told = _id(row) if isinstance(row, dict) else None
        if told is not None and _usable(told):
            name, listing = _listing(node, told, row)
            found[name] = listing
    if node.config.models is None:
        return found
    wanted = configured(node)
    return {name: found.get(name, listing) for name, listing in wanted.items()}


def _listing(node: Node, name: str, row: dict[str, Any] | None = None) -> tuple[str, Listing]:
    provider = node.config.provider if node.kind.provider is None else node.kind.provider
    upstream = name.removeprefix(f"{provider}/") if provider else name
    canonical = f"{provider}/{upstream}" if provider else name
    row = row or {}
    top = row.get("top_provider")
    top = top if isinstance(top, dict) else {}
    return canonical, Listing(
        upstream_model=upstream,
        max_input_tokens=_count(
            row.get("context_length")
            or row.get("max_model_len")
            or row.get("max_input_tokens")
            or row.get("inputTokenLimit")
        ),
        max_output_tokens=_count(
            top.get("max_completion_tokens") or row.get("max_output_tokens") or row.get("outputTokenLimit")
        ),
        price=_price(row.get("pricing")) if node.trusts_cost else None,
        outputs=_outputs(row),
    )


def _outputs(row: dict[str, Any]) -> tuple[str, ...]:
    """What the model puts out, in OpenRouter's and Mira's form; empty where the node does not say."""
    architecture = row.get("architecture")
    told = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    words = [_WORDS.get(word, word) for word in told if isinstance(word, str)] if isinstance(told, list) else []
    return tuple(word for word in OUTPUTS if word in words)


def _id(row: dict[str, Any]) -> str | None:
    """The model's id; Google names it `models/…` and lists models that Mira has no way to ask."""
    if isinstance(row.get("id"), str):
        return str(row["id"])
    methods = row.get("supportedGenerationMethods")
    name = row.get("name")
    if not isinstance(name, str) or (isinstance(methods, list) and _METHODS.isdisjoint(map(str, methods))):
        return None
    return name.removeprefix("models/")


def _usable(name: str) -> bool:
    """Ids stand in headers and logs: printable ASCII without spaces."""
    return 0 < len(name) <= 200 and name.isascii() and name.isprintable() and " " not in name


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**31 else None


def _price(pricing: Any) -> Price | None:
    """OpenRouter's and Mira's form: credits per token as decimal text. Zero prices do not mean free."""
    if not isinstance(pricing, dict):
        return None
    prompt, completion = _pico(pricing.get("prompt")), _pico(pricing.get("completion"))
    pieces = _pieces(pricing.get("units"))
    if pieces:
        prompt, completion = prompt or 0, completion or 0
    if prompt is None or completion is None or not (prompt or completion or pieces):
        return None
    return Price(
        **pieces,
        input_picocredits=prompt,
        output_picocredits=completion,
        cache_read_picocredits=_pico(pricing.get("input_cache_read")),
        cache_write_5m_picocredits=_pico(pricing.get("input_cache_write")),
        image_input_picocredits=_pico(pricing.get("image_token")),
        image_output_picocredits=_pico(pricing.get("image_output")),
        audio_input_picocredits=_pico(pricing.get("audio")),
        audio_output_picocredits=_pico(pricing.get("audio_output")),
        source="node",
    )


def _pieces(units: Any) -> dict[str, Any]:
    """Mira's form of prices by the piece: each an amount, or a table of amounts by variant."""
    found: dict[str, Any] = {}
    variants: list[Variant] = []
    for unit, told in units.items() if isinstance(units, dict) else ():
        table = told if isinstance(told, dict) else {"*": told}
        for name, value in table.items():
            amount = _pico(value)
            if unit not in PIECES or not amount:
                continue
            if name == "*":
                found[f"{unit}_picocredits"] = amount
            else:
                variants.append(Variant(unit, str(name)[:64].lower(), amount))
    return {**found, "variants": tuple(variants)} if variants else found


def _pico(value: Any) -> int | None:
    try:
        amount = Decimal(str(value)) * PICO_PER_CREDIT
    except (InvalidOperation, ValueError):
        return None
    return (
        int(amount.to_integral_value(rounding="ROUND_CEILING")) if amount.is_finite() and 0 <= amount < 2**62 else None
    )
