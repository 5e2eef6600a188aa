"""The steps of a streamed answer in Mira's own form.

The grammar, which every decoder keeps and every encoder may rely on:

- the first event is `Start`, and there is only one; an `ErrorEvent` alone may stand in its place;
- choices are numbered from 0; nothing follows the `Finish` of its choice but `UsageEvent` and `ErrorEvent`;
- tool calls are numbered per choice 0, 1, 2 … in the order of their `ToolCallStart`, which comes once, complete with
  id and name, before the call's first `ToolCallDelta`; the deltas of different calls may interleave;
- reasoning blocks are numbered per choice 0, 1, 2 … in order; a block is left once a higher one began; its signature
  comes after its text;
- no delta is empty (a `ReasoningDelta` carries at least one of text, signature and data);
- `UsageEvent` holds totals so far, never increments: a later one replaces an earlier one;
- an `ErrorEvent` is the last event; without one, every choice that began has its `Finish`, and at least one has.
"""

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from mira.core.conversation import FinishReason, Inline, Link
from mira.core.usage import Usage
from mira.errors import MiraError


class Start(Struct, frozen=True, tag=True, kw_only=True):
    """The node began to answer. `usage` holds the input counts where the protocol tells them first (Anthropic)."""

    model: str
    id: str = ""
    usage: Usage | None = None
    service_tier: str | None = None


class TextDelta(Struct, frozen=True, tag=True, kw_only=True):
    """More of the answer's text. A higher `block` begins a new text block (Anthropic, Responses)."""

    text: str
    choice: int = 0
    block: int = 0


class AnnotationDelta(Struct, frozen=True, tag=True, kw_only=True):
    """A citation of the current text, as it came in the protocol `format`."""

    format: str
    data: Raw
    choice: int = 0


class ReasoningDelta(Struct, frozen=True, tag=True, kw_only=True):
    """More of the reasoning block number `block`; the fields mean what they mean in `Reasoning`.

    `text` is appended, `signature` and `data` are appended to what the block has of them, the others are set once.
    """

    block: int = 0
    kind: Literal["text", "summary", "encrypted"] = "text"
    text: str = ""
    signature: str = ""
    data: str = ""
    format: str | None = None
    id: str | None = None
    choice: int = 0


class ToolCallStart(Struct, frozen=True, tag=True, kw_only=True):
    """A tool call begins; the fields mean what they mean in `ToolCall`."""

    index: int
    id: str
    name: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None
    signature: str | None = None
    choice: int = 0


class ToolCallDelta(Struct, frozen=True, tag=True, kw_only=True):
    """More of the input of tool call number `index`."""

    index: int
    fragment: str
    choice: int = 0


class RefusalDelta(Struct, frozen=True, tag=True, kw_only=True):
    """More of the words with which the model declines."""

    text: str
    choice: int = 0


class ImageBlock(Struct, frozen=True, tag=True, kw_only=True):
    """A whole picture that the model made: base64 data with their media type, or where it lies."""

    source: Inline | Link
    choice: int = 0


class OpaqueBlock(Struct, frozen=True, tag=True, kw_only=True):
    """A whole block that only the protocol `format` knows."""

    format: str
    data: Raw
    choice: int = 0


class Finish(Struct, frozen=True, tag=True, kw_only=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class UsageEvent(Struct, frozen=True, tag=True):
    """What the answer consumed so far, in total."""

    usage: Usage


class ErrorEvent(Struct, frozen=True, tag=True):
    """The node failed or the stream was cut: nothing follows."""

    error: MiraError


Event: TypeAlias = (
    Start
    | TextDelta
    | AnnotationDelta
    | ReasoningDelta
    | ToolCallStart
    | ToolCallDelta
    | RefusalDelta
    | ImageBlock
    | OpaqueBlock
    | Finish
    | UsageEvent
    | ErrorEvent
)
