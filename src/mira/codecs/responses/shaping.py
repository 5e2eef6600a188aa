"""Parts of a turn as items of the Responses protocol: the same shapes for requests and for answers.

`grouped` says which parts make up one item; the functions behind it write the bodies. Ids and status belong to answers
and are put around them there.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs import in_words
from mira.codecs.carried import carry, carry_signature
from mira.codecs.lenient import loose
from mira.codecs.responses.items import PROTOCOL, SEARCH_TOOL, is_native, own_citation
from mira.core.conversation import (
    AssistantPart,
    Image,
    Inline,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

_PICTURE_FORMATS = ("png", "jpeg", "webp", "gif")


def grouped(parts: Iterable[AssistantPart]) -> list[list[AssistantPart]]:
    """The parts, those of one item together: a message's text and refusals, a reasoning item's blocks."""
    groups: list[list[AssistantPart]] = []
    for part in parts:
        if groups and _continues(groups[-1][-1], part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _continues(last: AssistantPart, part: AssistantPart) -> bool:
    if isinstance(last, Text | Refusal):
        return isinstance(part, Text | Refusal)
    return isinstance(last, Reasoning) and isinstance(part, Reasoning) and same_item(last, part)


def same_item(last: Reasoning, block: Reasoning) -> bool:
    """Whether two blocks that follow each other belong to one reasoning item; what is encrypted ends it."""
    return is_native(last) and is_native(block) and last.id == block.id and last.kind != "encrypted"


def items_of(group: list[AssistantPart], *, answer: bool, searches: bool = False) -> list[Any]:
    """The items that say one group: one, or two where a call is signed; none where the protocol has no such item.

    In an `answer` every text has its annotations and log probabilities, even where there are none. `searches`: the
    client runs a search for tools of its own, which is called by an item of its own.
    """
    first = group[0]
    match first:
        case Text() | Refusal():
            content = [content_body(part, answer=answer) for part in group]
            return [{"type": "message", "role": "assistant", "content": content}]
        case Reasoning():
            return [reasoning_body([block for block in group if isinstance(block, Reasoning)])]
        case ToolCall():
            signed = [signature_body(first)] if first.signature is not None else []
            if searches and first.name == SEARCH_TOOL and first.namespace is None:
                return [*signed, search_body(first.id, first.input)]
            return [*signed, call_body(first)]
        case Image(source=Inline(mime_type=mime_type, data=data)):
            kind = mime_type.rpartition("/")[2]
            form = {"output_format": kind} if kind in _PICTURE_FORMATS else {}
            return [{"type": "image_generation_call", "result": data, **form}]
        case Image(source=source):
            content = [content_body(Text(text=in_words.picture(source)), answer=answer)]
            return [{"type": "message", "role": "assistant", "content": content}]
        case Opaque(format=origin, data=data) if origin == PROTOCOL:
            return [data]
        case _:
            return []


def content_body(part: AssistantPart, *, answer: bool) -> dict[str, Any]:
    """A text or a refusal as a content part."""
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    assert isinstance(part, Text)
    return text_body(part.text, annotations(part)) if answer else {"type": "output_text", "text": part.text}


def text_body(text: str, notes: list[Any]) -> dict[str, Any]:
    """A text in an answer."""
    return {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}


def annotations(text: Text) -> list[Any]:
    """The citations of a text that this protocol can say."""
    if text.format == PROTOCOL:
        return list(text.annotations)
    notes = [own_citation(loose(note), text.format) for note in text.annotations]
    return [note for note in notes if note is not None]


def reasoning_body(blocks: list[Reasoning]) -> dict[str, Any]:
    """The blocks of one item: the protocol's own ones each in their field, a foreign one packed."""
    first = blocks[0]
    if not is_native(first):
        return foreign_body(first)
    body: dict[str, Any] = {"type": "reasoning"}
    if first.id is not None:
        body["id"] = first.id
    body["summary"] = [summary_body(block.text) for block in blocks if block.kind == "summary"]
    if content := [thought_body(block.text) for block in blocks if block.kind == "text"]:
        body["content"] = content
    if blocks[-1].kind == "encrypted":
        body["encrypted_content"] = blocks[-1].data or ""
    return body


def foreign_body(block: Reasoning) -> dict[str, Any]:
    """Another provider's block: its text to read, the whole of it packed."""
    summary = [summary_body(block.text)] if block.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": carry(block)}


def signature_body(call: ToolCall) -> dict[str, Any]:
    """The item before a call that carries its signature."""
    content = carry_signature(call.id, call.signature or "")
    return {"type": "reasoning", "summary": [], "encrypted_content": content}


def summary_body(text: str) -> dict[str, str]:
    """A piece of a summary."""
    return {"type": "summary_text", "text": text}


def thought_body(text: str) -> dict[str, str]:
    """A piece of the reasoning itself."""
    return {"type": "reasoning_text", "text": text}


def call_body(call: ToolCall) -> dict[str, Any]:
    """A tool call; its name and its namespace stay apart."""
    body: dict[str, Any] = {"type": "function_call", "call_id": call.id, "name": call.name}
    if call.namespace is not None:
        body["namespace"] = call.namespace
    if call.kind == "custom":
        return {**body, "type": "custom_tool_call", "input": call.input}
    return {**body, "arguments": call.input}


def search_body(call_id: str, arguments: str) -> dict[str, Any]:
    """The call of the client's own search for tools; its arguments are an object."""
    told = loose(arguments.encode())
    body: Any = Raw(arguments.encode()) if isinstance(told, dict) else {"input": arguments}
    return {"type": "tool_search_call", "execution": "client", "call_id": call_id, "arguments": body}


def told(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what was not said."""
    return {name: value for name, value in body.items() if value is not None}


def with_id(item: Any, item_id: str) -> Any:
    """The item with an id where it has none."""
    if isinstance(item, Raw):
        fields = msgspec.json.decode(item, type=dict[str, Raw])
        return item if "id" in fields else {"id": item_id, **fields}
    return {"id": item.get("id", item_id), **{name: value for name, value in item.items() if name != "id"}}
