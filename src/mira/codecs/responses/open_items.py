"""Items of a streamed answer while they are told: each gives the steps of its life, from `added` to `done`.

A step is an event's name and its fields; the encoder numbers them. `body` is the item once it is closed.
"""

from typing import Any, TypeAlias

from msgspec import Raw, Struct
from msgspec.structs import replace

from mira.codecs.carried import carry
from mira.codecs.growing import Thought
from mira.codecs.responses.items import FORMAT, is_native
from mira.codecs.responses.shaping import (
    call_body,
    foreign_body,
    reasoning_body,
    same_item,
    search_body,
    summary_body,
    text_body,
)
from mira.core.conversation import Reasoning, ToolCall
from mira.core.events import ReasoningDelta, ToolCallStart

Step: TypeAlias = tuple[str, dict[str, Any]]


class Place(Struct, frozen=True):
    """Where an item stands in the answer, and its id."""

    index: int
    item_id: str

    def step(self, event: str, **fields: Any) -> Step:
        """A step inside the item."""
        return event, {"item_id": self.item_id, "output_index": self.index, **fields}

    def added(self, body: dict[str, Any]) -> Step:
        """The item begins."""
        told = {"id": self.item_id, **body, "status": "in_progress"}
        return "response.output_item.added", {"output_index": self.index, "item": told}

    def done(self, body: Any) -> Step:
        """The item is complete."""
        return "response.output_item.done", {"output_index": self.index, "item": body}


class _Content(Struct):
    """A content part of a message: a text of the block `block`, or a refusal (None)."""

    block: int | None
    said: list[str] = []
    notes: list[Any] = []

    def body(self) -> dict[str, Any]:
        text = "".join(self.said)
        return {"type": "refusal", "refusal": text} if self.block is None else text_body(text, self.notes)


class MessageItem:
    """What the model says."""

    __slots__ = ("_contents", "_open", "body", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.body: dict[str, Any] = {"type": "message", "role": "assistant", "content": []}
        self._contents: list[_Content] = []
        self._open = False

    def added(self) -> list[Step]:
        """The item begins."""
        return [self.place.added(self.body)]

    def say(self, text: str, block: int | None) -> list[Step]:
        """More of the text block `block`, or of a refusal."""
        steps: list[Step] = []
        if not self._open or self._contents[-1].block != block:
            steps += self._close_content()
            content = _Content(block)
            self._contents.append(content)
            self._open = True
            steps.append(self._step("response.content_part.added", part=content.body()))
        self._contents[-1].said.append(text)
        if block is None:
            steps.append(self._step("response.refusal.delta", delta=text))
        else:
            steps.append(self._step("response.output_text.delta", delta=text, logprobs=[]))
        return steps

    def annotate(self, note: Any) -> list[Step]:
        """A citation of the open text."""
        if not self._open or self._contents[-1].block is None:
            return []
        notes = self._contents[-1].notes
        notes.append(note)
        return [self._step("response.output_text.annotation.added", annotation_index=len(notes) - 1, annotation=note)]

    def close(self, status: str) -> list[Step]:
        """The item is complete, or was cut by the model's own limit."""
        steps = self._close_content()
        content = [each.body() for each in self._contents]
        self.body = {"id": self.place.item_id, **self.body, "content": content, "status": status}
        return [*steps, self.place.done(self.body)]

    def _step(self, name: str, **fields: Any) -> Step:
        return self.place.step(name, content_index=len(self._contents) - 1, **fields)

    def _close_content(self) -> list[Step]:
        if not self._open:
            return []
        self._open = False
        content = self._contents[-1]
        text = "".join(content.said)
        if content.block is None:
            told = self._step("response.refusal.done", refusal=text)
        else:
            told = self._step("response.output_text.done", text=text, logprobs=[])
        return [told, self._step("response.content_part.done", part=content.body())]


class ReasoningItem:
    """What the model thinks: blocks of the protocol's own in one item, any other block in an item of its own."""

    __slots__ = ("_blocks", "_counts", "_number", "_open", "_said", "body", "place")

    def __init__(self, place: Place, delta: ReasoningDelta) -> None:
        self.place = place
        self.body: dict[str, Any] = {}
        self._number = delta.block
        #: blocks that are closed, the open one, and how many of each kind there are with it
        self._blocks: list[Reasoning] = []
        self._open = Thought(delta)
        self._counts = {delta.kind: 1}
        self._said: list[str] = []

    def added(self) -> list[Step]:
        """The item begins; of a foreign block its kind is known."""
        body: dict[str, Any] = {"type": "reasoning", "summary": []}
        first = self._open.block()
        if not is_native(first):
            body["encrypted_content"] = carry(Reasoning(kind=first.kind))
        return [self.place.added(body)]

    def takes(self, delta: ReasoningDelta) -> bool:
        """Whether the delta belongs to this item."""
        if delta.block == self._number:
            return True
        begun = Reasoning(kind=delta.kind, format=delta.format, id=delta.id)
        return same_item(self._open.block(), begun)

    def think(self, delta: ReasoningDelta) -> list[Step]:
        """More of the open block, or of the next one."""
        steps: list[Step] = []
        if delta.block != self._number:
            steps += self._close_block()
            self._number = delta.block
            self._open = Thought(delta)
            self._counts[delta.kind] = self._counts.get(delta.kind, 0) + 1
        self._open.add(delta)
        if delta.text:
            steps += self._say(delta.text)
        return steps

    def close(self, status: str) -> list[Step]:
        """The item is complete."""
        native = self._is_native()
        steps = self._close_block()
        # A foreign block whose format came late stays foreign: it was announced so.
        body = reasoning_body(self._blocks) if native else foreign_body(self._blocks[0])
        self.body = {"id": self.place.item_id, **body, "status": status}
        if native and self._blocks[0].id is not None:
            self.body["id"] = self.place.item_id
        return [*steps, self.place.done(self.body)]

    def _is_native(self) -> bool:
        first = self._blocks[0] if self._blocks else self._open
        return first.format == FORMAT

    def _is_thought(self) -> bool:
        """Whether the open block is the protocol's own reasoning text, which is no summary."""
        return self._open.kind == "text" and self._is_native()

    def _spot(self) -> dict[str, int]:
        return {"content_index" if self._is_thought() else "summary_index": self._counts[self._open.kind] - 1}

    def _say(self, text: str) -> list[Step]:
        steps: list[Step] = []
        spot = self._spot()
        if self._is_thought():
            steps.append(self.place.step("response.reasoning_text.delta", **spot, delta=text))
        else:
            if not self._said:
                name = "response.reasoning_summary_part.added"
                steps.append(self.place.step(name, **spot, part=summary_body("")))
            steps.append(self.place.step("response.reasoning_summary_text.delta", **spot, delta=text))
        self._said.append(text)
        return steps

    def _close_block(self) -> list[Step]:
        text, self._said = "".join(self._said), []
        spot, is_thought = self._spot(), self._is_thought()
        self._blocks.append(self._open.block(text))
        if not text:
            return []
        if is_thought:
            return [self.place.step("response.reasoning_text.done", **spot, text=text)]
        return [
            self.place.step("response.reasoning_summary_text.done", **spot, text=text),
            self.place.step("response.reasoning_summary_part.done", **spot, part=summary_body(text)),
        ]


class CallItem:
    """The model calls a tool. A search of the client's own is told whole, since its arguments are an object."""

    __slots__ = ("_call", "_said", "_searches", "body", "place")

    def __init__(self, place: Place, start: ToolCallStart, *, searches: bool) -> None:
        self.place = place
        self.body: dict[str, Any] = {}
        self._call = ToolCall(id=start.id, name=start.name, input="", kind=start.kind, namespace=start.namespace)
        self._searches = searches
        self._said: list[str] = []

    def added(self) -> list[Step]:
        """The item begins."""
        body = search_body(self._call.id, "{}") if self._searches else call_body(self._call)
        return [self.place.added(body)]

    def more(self, fragment: str) -> list[Step]:
        """More of the input."""
        self._said.append(fragment)
        return [] if self._searches else [self.place.step(f"{self._prefix()}.delta", delta=fragment)]

    def close(self, status: str) -> list[Step]:
        """The call is complete."""
        told = "".join(self._said)
        if self._call.kind == "function":
            told = told or "{}"
        steps: list[Step] = []
        if self._searches:
            body = search_body(self._call.id, told)
        else:
            body = call_body(replace(self._call, input=told))
            if self._call.kind == "custom":
                steps.append(self.place.step(f"{self._prefix()}.done", input=told))
            else:
                steps.append(self.place.step(f"{self._prefix()}.done", name=self._call.name, arguments=told))
        self.body = {"id": self.place.item_id, **body, "status": status}
        return [*steps, self.place.done(self.body)]

    def _prefix(self) -> str:
        custom = self._call.kind == "custom"
        return "response.custom_tool_call_input" if custom else "response.function_call_arguments"


class WholeItem:
    """An item that comes in one piece."""

    __slots__ = ("body", "place")

    def __init__(self, place: Place, body: Any) -> None:
        self.place = place
        self.body: Any = body if isinstance(body, Raw) else {"id": place.item_id, **body, "status": "completed"}

    def told(self) -> list[Step]:
        """The whole life of the item."""
        added = "response.output_item.added", {"output_index": self.place.index, "item": self.body}
        return [added, self.place.done(self.body)]
