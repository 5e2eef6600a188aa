"""Items of the Responses protocol as parts of a turn: the same reading for requests and for answers."""

from collections.abc import Iterable
from typing import Any

from msgspec import Raw, Struct

from mira.codecs.carried import PREFIX, uncarry, uncarry_signature
from mira.codecs.chat.request import file_of, source_of
from mira.codecs.lenient import compact, loose
from mira.codecs.responses import wire
from mira.codecs.responses.opening import CLIENT, read_item
from mira.core.conversation import (
    AssistantPart,
    Audio,
    CacheMark,
    Document,
    FileRef,
    Image,
    Link,
    Opaque,
    Reasoning,
    Refusal,
    Source,
    Text,
    ToolCall,
    UserPart,
)
from mira.errors import Kind, MiraError

#: The protocol's own name, for what only it knows.
PROTOCOL = "responses"
#: Whose reasoning the protocol itself carries; any other's rides packed in `encrypted_content` (`mira.codecs.carried`).
FORMAT = "openai-responses-v1"
#: The tool that finds tools, where the client runs it: other protocols know it as a function of this name.
SEARCH_TOOL = "tool_search"
#: Citations that Chat Completions knows too, there under its own name.
_SHARED_CITATION = "url_citation"


def is_native(block: Reasoning) -> bool:
    """Whether the protocol itself can say this block."""
    return block.format == FORMAT


def is_said(item: Struct) -> bool:
    """Whether an item is the model's: consecutive ones are one turn."""
    match item:
        case wire.Message(role=role):
            return role == "assistant"
        case wire.ReasoningItem() | wire.FunctionCall() | wire.CustomCall() | wire.SearchCall():
            return True
        case wire.SearchOutput(execution=execution):
            return execution != CLIENT
        case wire.OtherItem(type=kind):
            return not (kind.endswith(("_output", "_response", "_trigger")) or kind == "configuration_update")
        case _:
            return False


def said(items: Iterable[tuple[Struct, Raw]], param: str = "input") -> tuple[AssistantPart, ...]:
    """The parts of the model's items, each given with its bytes, in order."""
    parts: list[AssistantPart] = []
    signatures: dict[str, str] = {}
    for item, raw in items:
        match item:
            case wire.Message():
                parts += _message(item, param)
            case wire.ReasoningItem():
                packed = item.encrypted_content or ""
                if (signed := uncarry_signature(packed)) is not None:
                    signatures[signed[0]] = signed[1]
                else:
                    block = uncarry(packed)
                    parts += [block] if block is not None else reasoning_of(item)
            case wire.FunctionCall() | wire.CustomCall():
                parts.append(_call(item, signatures.pop(item.call_id, None)))
            case wire.SearchCall(call_id=str(call_id)):
                arguments = bytes(item.arguments).decode() if isinstance(item.arguments, Raw) else "{}"
                parts.append(ToolCall(id=call_id, name=SEARCH_TOOL, input=arguments))
            case _:
                parts.append(Opaque(format=PROTOCOL, data=raw))
    return tuple(parts)


def heard(content: str | list[wire.Part], param: str) -> tuple[UserPart, ...]:
    """The parts of a message towards the model, or of what a tool answered."""
    if isinstance(content, str):
        return (Text(text=content),) if content else ()
    return tuple(_user_part(part, f"{param}[{index}]") for index, part in enumerate(content))


def reasoning_of(item: wire.ReasoningItem) -> list[Reasoning]:
    """The blocks of a reasoning item: its summaries, its own words, then what only the provider reads."""
    blocks = [
        Reasoning(kind="summary", text=piece.text, format=FORMAT, id=item.id)
        for piece in item.summary or ()
        if piece.text
    ]
    blocks += [
        Reasoning(kind="text", text=piece.text, format=FORMAT, id=item.id) for piece in item.content or () if piece.text
    ]
    # What Mira packed but cannot read any more is of no use to anybody.
    if item.encrypted_content and not item.encrypted_content.startswith(PREFIX):
        blocks.append(Reasoning(kind="encrypted", data=item.encrypted_content, format=FORMAT, id=item.id))
    return blocks


def citations(notes: list[Raw]) -> tuple[tuple[Raw, ...], str | None]:
    """Annotations and the name of their format: Chat Completions' where it has them all, else our own."""
    shared = [shared_citation(loose(note)) for note in notes]
    if notes and all(note is not None for note in shared):
        return tuple(compact(note) for note in shared), "chat"
    return tuple(notes), PROTOCOL if notes else None


def shared_citation(note: Any) -> dict[str, Any] | None:
    """An annotation as Chat Completions writes it; None where it has no such."""
    if not isinstance(note, dict) or note.get("type") != _SHARED_CITATION:
        return None
    inner = {name: value for name, value in note.items() if name != "type"}
    return {"type": _SHARED_CITATION, _SHARED_CITATION: inner}


def own_citation(note: Any, origin: str | None) -> Any:
    """An annotation as this protocol writes it; None where it has no such."""
    if origin == PROTOCOL:
        return note
    inner = note.get(_SHARED_CITATION) if origin == "chat" and isinstance(note, dict) else None
    return {"type": _SHARED_CITATION, **inner} if isinstance(inner, dict) else None


def _message(message: wire.Message, param: str) -> list[AssistantPart]:
    if isinstance(message.content, str):
        return [Text(text=message.content)] if message.content else []
    parts: list[AssistantPart] = []
    for part in message.content:
        match part:
            case wire.OutputText():
                notes, origin = citations(part.annotations or [])
                parts.append(Text(text=part.text, annotations=notes, format=origin))
            case wire.RefusalPart(refusal=words):
                parts.append(Refusal(words))
            case wire.InputText(text=text):
                parts.append(Text(text=text))
            case wire.InputImage():
                parts.append(_image(part, param))
            case _:
                raise MiraError(
                    Kind.UNSUPPORTED, "The model's own messages hold text, images and refusals only.", param=param
                )
    return parts


def _call(call: wire.FunctionCall | wire.CustomCall, signature: str | None) -> ToolCall:
    custom = isinstance(call, wire.CustomCall)
    told = call.input if isinstance(call, wire.CustomCall) else call.arguments
    return ToolCall(
        id=call.call_id,
        name=call.name,
        input=told or ("" if custom else "{}"),
        kind="custom" if custom else "function",
        namespace=call.namespace,
        signature=signature,
    )


def _user_part(part: wire.Part, param: str) -> UserPart:
    match part:
        case wire.InputText():
            return Text(text=part.text, cache=_mark(part))
        case wire.OutputText():
            return Text(text=part.text)
        case wire.RefusalPart():
            return Text(text=part.refusal)
        case wire.InputImage():
            return _image(part, param)
        case wire.InputAudio():
            return Audio(data=part.input_audio.data, encoding=part.input_audio.format, cache=_mark(part))
        case wire.InputFile():
            return Document(source=_file(part, param), title=part.filename, cache=_mark(part))


def _image(part: wire.InputImage, param: str) -> Image:
    source: Source
    if part.image_url:
        source = source_of(part.image_url)
    elif part.file_id:
        source = FileRef(file_id=part.file_id, format="openai")
    else:
        raise _missing(f"{param}.image_url")
    return Image(source=source, detail=part.detail, cache=_mark(part))


def _file(part: wire.InputFile, param: str) -> Source:
    if part.file_data:
        return file_of(part.file_data, part.filename)
    if part.file_url:
        return Link(url=part.file_url)
    if part.file_id:
        return FileRef(file_id=part.file_id, format="openai")
    raise _missing(f"{param}.file_data")


def _mark(part: wire.Marked) -> CacheMark | None:
    point = part.prompt_cache_breakpoint
    return None if point is None else CacheMark(point.ttl)


def _missing(field: str) -> MiraError:
    return MiraError(Kind.BAD_REQUEST, f"Missing required field: '{field}'.", param=field)


def item_of(raw: Raw) -> Struct:
    """An item of a node's answer; MiraError UPSTREAM_FAILED where it cannot be read."""
    try:
        return read_item(raw, "output")
    except MiraError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream sent an item that cannot be read.") from None
