"""How many tokens a text, a request or a cut stream has: rules and factors. The counting itself is done elsewhere.

OpenAI's own models are counted with their own encoding. For the others no tokenizer is public, so the o200k count is
multiplied by a factor: Claude's were measured against a reconstruction of its tokenizer (English 1.04 to code 2.0, so
about ±20 %), Gemini's is an assumption.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from mira.errors import Kind, MiraError

#: what an image, a sound or a document counts as in an estimate
MEDIA_TOKENS = 1_000
#: what an image, a sound or a document is bounded by in a hold: the dearest common case, a full-size image for Claude,
#: is 4,784. Documents come as bytes, which the bound counts beside this.
MEDIA_BOUND_TOKENS = 5_000
#: what rendering adds to the smallest request: the output cap, the wish for usage, names of fields
RENDERING_TOKENS = 128

_MESSAGE_TOKENS = 3
_REPLY_TOKENS = 3
_TOKEN_BY_TOKEN = 3

_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[.-](\d{1,2}))?(?!\d)")
_CL100K = re.compile(r"gpt-4(?![.o\d])|gpt-3[.-]?5|text-embedding-(3|ada-002)")
_O200K = re.compile(r"gpt-4o|gpt-4[.-][15](?!\d)|gpt-5|chatgpt-4o|o[1-9](?!\d)|codex-mini|computer-use")
_O200K_FACTOR = (1, 1)


class TokenPlan(Struct, frozen=True, kw_only=True):
    """How the tokens of a model are counted: `encoding` times `factor` (numerator, denominator), rounded up.

    `method` is "exact" where the encoding is the model's own. `tokenizer` is the name that a client is told.
    """

    encoding: str
    method: Literal["exact", "estimate"]
    factor: tuple[int, int]
    tokenizer: str


class Countable(Struct, frozen=True, kw_only=True):
    """What of a request is to be counted: texts, and tokens that are known without counting.

    `plain` is true where nothing but text was found; what tools and images cost is known to the vendor only, so their
    count is an estimate even with the model's own encoding.
    """

    texts: list[str]
    fixed_tokens: int
    plain: bool


def plan(model_id: str) -> TokenPlan:
    """The way to count for a canonical model id ("openai/gpt-4o-mini"), an unknown one as plain o200k, an estimate."""
    name = model_id.lower().rpartition("/")[2]
    if "gpt-oss" in name:
        return _plan("o200k_harmony", "exact")
    if _O200K.match(name):
        return _plan("o200k_base", "exact")
    if _CL100K.match(name):
        return _plan("cl100k_base", "exact")
    return _plan("o200k_base", "estimate", _factor(name))


def total_tokens(counts: Sequence[int], fixed_tokens: int, factor: tuple[int, int]) -> int:
    """The tokens of a request from the counts of its texts: their sum times the factor, rounded up, plus the fixed."""
    numerator, denominator = factor
    return -(-sum(counts) * numerator // denominator) + fixed_tokens


def countable(body: dict[str, Any]) -> Countable:
    """Flattens what is to be counted, in OpenAI's or Anthropic's shape.

    That is `{"text"}`, `{"messages", "tools", "system"}`, or `{"input"}` with the `instructions` and `tools` of
    Responses or with the texts and tokens of embeddings.

    3 tokens per message (the system prompt is one) and 3 for the reply, tools as serialised JSON, 1,000 per image,
    sound or document. MiraError BAD_REQUEST with the field's name where there is nothing to count or a field has
    another type.
    """
    text = body.get("text")
    if text is not None:
        if not isinstance(text, str):
            raise MiraError(Kind.BAD_REQUEST, "text must be a string.", param="text")
        return Countable(texts=[text], fixed_tokens=0, plain=True)
    given = body.get("input")
    if given is not None:
        return _given(given, body.get("instructions"), body.get("tools"))
    messages, tools, system = (body.get(name) for name in ("messages", "tools", "system"))
    if messages is None and tools is None and system is None:
        raise MiraError(Kind.BAD_REQUEST, "Give text, or messages, tools and system.", param="messages")
    for name, value in (("messages", messages), ("tools", tools)):
        if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
            raise MiraError(Kind.BAD_REQUEST, f"{name} must be a list of objects.", param=name)
    walk = _Walk()
    if system is not None:
        walk.message({"content": system}, "system")
    for index, message in enumerate(messages or ()):
        walk.message(message, f"messages[{index}]")
    if tools:
        walk.texts.append(_json(tools))
    fixed = _MESSAGE_TOKENS * walk.messages + _REPLY_TOKENS + MEDIA_TOKENS * walk.media
    return Countable(texts=walk.texts, fixed_tokens=fixed, plain=not (tools or walk.media or walk.structured))


def _given(given: Any, instructions: Any, tools: Any) -> Countable:
    """The `input` of Responses or of embeddings: a text, items, texts, tokens or lists of tokens."""
    walk = _Walk()
    told = 0
    for index, item in enumerate(given if isinstance(given, list) else [given]):
        if isinstance(item, str):
            walk.texts.append(item)
        elif isinstance(item, int | list):
            told += 1 if isinstance(item, int) else len(item)
        elif isinstance(item, dict) and "content" in item:
            walk.message(item, f"input[{index}]")
        else:
            walk.structured = True
            walk.texts.append(_json(item))
    if isinstance(instructions, str):
        walk.message({"content": instructions}, "instructions")
    if tools:
        walk.texts.append(_json(tools))
    if walk.messages:
        told += _MESSAGE_TOKENS * walk.messages + _REPLY_TOKENS + MEDIA_TOKENS * walk.media
    return Countable(texts=walk.texts, fixed_tokens=told, plain=not (tools or walk.media or walk.structured))


def input_bound_tokens(input_bytes: int, media_parts: int) -> int:
    """An upper bound of a request's input tokens, for its hold.

    A token is at least one byte of the body, and each image, sound or document adds `MEDIA_BOUND_TOKENS`.
    """
    bound = input_bytes + media_parts * MEDIA_BOUND_TOKENS
    if bound < 0:
        return 0
    return bound


def rendered_bound_tokens(bound_tokens: int) -> int:
    """The bound of a request as a node gets it: options are added, another protocol is wordier."""
    return bound_tokens + bound_tokens // 4 + RENDERING_TOKENS


def rough_tokens(size: int) -> int:
    """The tokens of a text by its size alone, four characters a token, for when nothing can count it."""
    return (size + 3) // 4 if size > 0 else 0


def delivered_tokens(deltas: int, text_tokens: int) -> int:
    """The output tokens of a stream that ended before its usage: what was delivered is what is charged.

    `deltas` counts the pieces that came, `text_tokens` is the o200k count of what they said. Pieces of at most 3 tokens
    on average mean that the node streams token by token, so the pieces are its own tokens; larger ones say nothing, and
    the text decides.
    """
    if text_tokens <= _TOKEN_BY_TOKEN * deltas:
        return max(deltas, 0)
    return max(text_tokens, 0)


def _plan(encoding: str, method: Literal["exact", "estimate"], factor: tuple[int, int] = _O200K_FACTOR) -> TokenPlan:
    numerator, denominator = factor
    tokenizer = encoding if numerator == denominator else f"{encoding} x {numerator / denominator:g}"
    return TokenPlan(encoding=encoding, method=method, factor=factor, tokenizer=tokenizer)


def _factor(name: str) -> tuple[int, int]:
    if name.startswith("claude"):
        version = _CLAUDE_VERSION.match(name)
        # Two tokenizers are known: up to 4.6, and after. A Claude without a number is a new one.
        old = version is not None and (int(version[1]), int(version[2] or 0)) <= (4, 6)
        return (13, 10) if old else (17, 10)
    if name.startswith(("gemini", "gemma")):
        return (105, 100)
    return _O200K_FACTOR


class _Walk:
    """Collects the texts of messages, whatever protocol's content parts they are made of."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.messages = 0
        self.media = 0
        self.structured = False

    def message(self, message: dict[str, Any], param: str) -> None:
        self.messages += 1
        for field in ("role", "name", "reasoning_content", "refusal"):
            value = message.get(field)
            if isinstance(value, str):
                self.texts.append(value)
        calls = message.get("tool_calls")
        if calls:
            self.structured = True
            self.texts.append(_json(calls))
        self._content(message.get("content"), f"{param}.content")

    def _content(self, content: Any, param: str) -> None:
        # Tool results nest content in content; a list of what is left to do cannot overflow the stack.
        left = [content]
        while left:
            part = left.pop()
            if isinstance(part, str):
                self.texts.append(part)
            elif isinstance(part, list):
                left.extend(reversed(part))
            elif isinstance(part, dict):
                self._part(part, left)
            elif part is not None:
                raise MiraError(Kind.BAD_REQUEST, f"{param} must be a string or a list of parts.", param=param)

    def _part(self, part: dict[str, Any], left: list[Any]) -> None:
        kind = part.get("type")
        text = part.get("thinking") if kind == "thinking" else part.get("text", part.get("refusal"))
        if isinstance(text, str):
            self.texts.append(text)
        elif kind == "tool_result":
            self.structured = True
            left.append(part.get("content"))
        elif kind == "tool_use":
            self.structured = True
            self.texts.append(_json({"name": part.get("name"), "input": part.get("input")}))
        elif isinstance(kind, str) and kind.removeprefix("input_") in _MEDIA:
            self.media += 1
        else:
            self.structured = True
            self.texts.append(_json(part))


_MEDIA = frozenset({"image", "image_url", "audio", "file", "document", "video", "video_url"})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
