"""What the nodes that speak Chat Completions differ in: a table, so that no code asks for a provider's name."""

from typing import Literal

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """The quirks of one kind of node.

    `cache`: how it is told what to cache (Anthropic's `cache_control` as OpenRouter takes it, OpenAI's breakpoints, or
    not at all). `reasoning`: what it wants back of earlier thinking (`details`: all of it verbatim, `content`: the text
    alone, or nothing). The flags say what it takes beside the common ground: developer messages, custom tools,
    `allowed_tools`, `top_k`, media in tool results, OpenAI's side notes, Google's thought signatures, and documents by
    URL.
    """

    cache: Literal["", "cache_control", "breakpoint"] = ""
    reasoning: Literal["", "content", "details"] = ""
    developer: bool = False
    custom_tools: bool = False
    allowed_tools: bool = False
    top_k: bool = False
    tool_media: bool = False
    notes: bool = False
    signatures: bool = False
    document_links: bool = False
    stop_limit: int | None = None


#: A node of another Mira understands everything that this codec can read.
MIRA = Dialect(
    cache="cache_control",
    reasoning="details",
    developer=True,
    custom_tools=True,
    allowed_tools=True,
    top_k=True,
    tool_media=True,
    notes=True,
    signatures=True,
    document_links=True,
    # It hands them on to whom it likes; the others are looked for here.
    stop_limit=4,
)

DIALECTS: dict[str, Dialect] = {
    "": Dialect(),
    "mira": MIRA,
    "openai": Dialect(
        cache="breakpoint", developer=True, custom_tools=True, allowed_tools=True, notes=True, stop_limit=4
    ),
    "openrouter": Dialect(
        cache="cache_control", reasoning="details", top_k=True, tool_media=True, document_links=True, notes=True
    ),
    "deepseek": Dialect(reasoning="content"),
    "moonshot": Dialect(reasoning="content"),
    "zai": Dialect(reasoning="content"),
    "vllm": Dialect(reasoning="content", top_k=True),
    "sglang": Dialect(reasoning="content", top_k=True),
    "local": Dialect(top_k=True),
    "google": Dialect(signatures=True),
}


def dialect_of(name: str) -> Dialect:
    """The row of that name; unknown names are the common ground."""
    return DIALECTS.get(name, DIALECTS[""])
