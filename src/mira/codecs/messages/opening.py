"""Opens a Messages request: one strict look at it, before anything is decided or sent.

Everything wrong becomes a `MiraError` BAD_REQUEST that names the field as the client wrote it and what was expected,
never an echo of what was sent. Any `anthropic-version` is served; what Mira does not know is the node's to judge.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Raw, UnsetType

from mira.codecs.codec import Envelope
from mira.codecs.messages import wire
from mira.codecs.opening import opened
from mira.codecs.refusals import missing, wrong
from mira.errors import Kind, MiraError

CHOICES = ("auto", "any", "tool", "none")
THINKING = ("enabled", "adaptive", "disabled", "between_tools")

_REQUEST = msgspec.json.Decoder(wire.Request)
_ROLES = frozenset(("user", "assistant", "system"))
#: What is looked at more closely beside the messages.
_SETTINGS = frozenset(("tools", "tool_choice", "thinking", "output_config"))
#: Blocks that stand with one role only.
_ROLE_OF = {
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_use": "assistant",
    "tool_result": "user",
    "search_result": "user",
}
#: What a block of that type must have.
_NEEDED = {
    "text": ("text",),
    "image": ("source",),
    "document": ("source",),
    "search_result": ("source", "title", "content"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
}
#: What a source of that type must have, besides `content`, which has no single type.
_SOURCES = {"base64": "data", "url": "url", "file": "file_id", "text": "data", "content": "content"}


def open_request(body: bytes) -> Envelope:
    """Validates a body and opens it; MiraError BAD_REQUEST with `param` where it is wrong."""
    request, fields = opened(body, _REQUEST, {})
    if request.max_tokens is None:
        missing("max_tokens")
    return _envelope(body, request, fields)


def open_count(body: bytes) -> Envelope:
    """The same for `POST /v1/messages/count_tokens`, whose bodies need no `max_tokens`."""
    return _envelope(body, *opened(body, _REQUEST, {}))


def _envelope(body: bytes, request: wire.Request, fields: dict[str, Raw]) -> Envelope:
    if not _SETTINGS.isdisjoint(fields):
        _check_settings(request)
    if isinstance(request.system, list):
        for index, block in enumerate(request.system):
            if block.type != "text":
                wrong(f"system[{index}].type", "text")
            _check_block(block, f"system[{index}]", "system")
    media_parts = media_bytes = 0
    for index, message in enumerate(request.messages):
        if message.role not in _ROLES:
            wrong(f"messages[{index}].role", "user, assistant or system")
        if type(message.content) is list:
            parts, size = _check_blocks(message.content, f"messages[{index}].content", message.role)
            media_parts += parts
            media_bytes += size
    return Envelope(
        model=request.model,
        stream=request.stream is True,
        include_usage=True,
        output_cap=request.max_tokens,
        choices=1,
        input_bytes=len(body) - media_bytes,
        media_parts=media_parts,
        uses_tools=bool(request.tools),
        fields=fields,
        wire=request,
    )


def _check_blocks(blocks: Sequence[wire.Block], param: str, role: str) -> tuple[int, int]:
    """Checks the blocks; how many are media, and how many bytes of the body those take."""
    parts = size = 0
    for index, block in enumerate(blocks):
        if (block.type == "text" and block.text is not None) or _is_usual(block, role):
            continue
        _check_block(block, f"{param}[{index}]", role)
        if block.type in ("image", "document"):
            parts += 1
            size += len(block.source.data or "") if isinstance(block.source, wire.Source) else 0
        elif block.type == "tool_result" and isinstance(block.content, list):
            inner_parts, inner_size = _check_blocks(block.content, f"{param}[{index}].content", "user")
            parts += inner_parts
            size += inner_size
    return parts, size


def _is_usual(block: wire.Block, role: str) -> bool:
    """Whether a block is what most of an agent's blocks are, and whole: a call of a tool, or its result as a text."""
    if block.type == "tool_result":
        return role == "user" and bool(block.tool_use_id) and type(block.content) is str
    if block.type == "tool_use" and role == "assistant" and block.id and block.name:
        return type(block.input) is Raw and bytes(block.input)[:1] == b"{"
    return False


def _check_block(block: wire.Block, param: str, role: str) -> None:
    owner = _ROLE_OF.get(block.type)
    if owner is not None and owner != role:
        raise MiraError(
            Kind.BAD_REQUEST,
            f"Invalid '{param}.type': a {block.type} block stands only under the role {owner}.",
            param=f"{param}.type",
        )
    for name in _NEEDED.get(block.type, ()):
        value = getattr(block, name)
        if value is None or value is UNSET:
            missing(f"{param}.{name}")
    if block.type in ("image", "document"):
        _check_source(block.source, f"{param}.source")
    elif block.type == "search_result" and not isinstance(block.source, str):
        wrong(f"{param}.source", "a string")
    elif block.type in ("search_result", "tool_result") and isinstance(block.content, dict):
        wrong(f"{param}.content", "an array")
    elif block.type == "tool_use":
        if not block.id or not block.name:
            wrong(f"{param}.{'name' if block.id else 'id'}", "a string that is not empty")
        if not isinstance(block.input, UnsetType) and bytes(block.input)[:1] != b"{":
            wrong(f"{param}.input", "an object")
    elif block.type == "tool_result" and not block.tool_use_id:
        wrong(f"{param}.tool_use_id", "a string that is not empty")


def _check_source(source: str | wire.Source | None, param: str) -> None:
    if not isinstance(source, wire.Source):
        wrong(param, "an object")
    needed = _SOURCES.get(source.type)
    if needed is not None and getattr(source, needed) is None:
        missing(f"{param}.{needed}")
    if source.type == "base64" and not source.media_type:
        missing(f"{param}.media_type")


def _check_settings(request: wire.Request) -> None:
    for index, tool in enumerate(request.tools or ()):
        if tool.type in (None, "custom"):
            _check_tool(tool, f"tools[{index}]")
    choice = request.tool_choice
    if choice is not None:
        if choice.type not in CHOICES:
            wrong("tool_choice.type", "auto, any, tool or none")
        if choice.type == "tool" and not choice.name:
            missing("tool_choice.name")
    thinking = request.thinking
    if thinking is not None:
        if thinking.type not in THINKING:
            wrong("thinking.type", "enabled, adaptive, disabled or between_tools")
        if thinking.type == "enabled" and thinking.budget_tokens is None:
            missing("thinking.budget_tokens")
    form = request.output_config.format if request.output_config is not None else None
    if form is not None and form.type != "json_schema":
        wrong("output_config.format.type", "json_schema")
    if form is not None:
        _check_object(form.schema, "output_config.format.schema")


def _check_tool(tool: wire.Tool, param: str) -> None:
    if not tool.name:
        missing(f"{param}.name")
    _check_object(tool.input_schema, f"{param}.input_schema")


def _check_object(value: wire.Kept, param: str) -> None:
    if isinstance(value, UnsetType):
        missing(param)
    if bytes(value)[:1] != b"{":
        wrong(param, "an object")
