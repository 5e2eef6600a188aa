"""The turns of a conversation as Responses can say them, see `express`.

Items keep their order, so an assistant's turn stays as it was. Thinking goes back only where the node can read it.
"""

import msgspec

from mira.codecs import in_words
from mira.codecs.fitting import note_thought
from mira.codecs.free_form import wrapped
from mira.codecs.joining import joined
from mira.codecs.refusals import unsupported
from mira.codecs.responses.dialects import Dialect
from mira.codecs.responses.items import PROTOCOL, is_native
from mira.codecs.responses.shaping import grouped
from mira.codecs.tool_names import plain_name
from mira.core.conversation import (
    AssistantPart,
    AssistantTurn,
    Audio,
    CacheMark,
    Document,
    FileRef,
    Image,
    Link,
    Opaque,
    PlainText,
    Reasoning,
    Refusal,
    ResultPart,
    SearchResult,
    SystemTurn,
    Text,
    ToolCall,
    ToolResult,
    ToolTurn,
    Turn,
    UserPart,
    UserTurn,
)

#: How long OpenAI keeps what is marked; it refuses other spans.
_TTLS = ("30m", "12h")


def express_turns(turns: tuple[Turn, ...], dialect: Dialect, dropped: set[str]) -> tuple[Turn, ...]:
    """The turns as this dialect takes them; names of what fell away are added to `dropped`."""
    told: list[Turn] = []
    calls: dict[str, ToolCall] = {}
    for turn in _merged(turns):
        match turn:
            case SystemTurn():
                if turn.name is not None:
                    dropped.add("name")
                parts = tuple(_text(part, dialect) for part in turn.parts if part.text)
                told.append(SystemTurn(parts=parts, developer=turn.developer))
            case UserTurn():
                if turn.name is not None:
                    dropped.add("name")
                told += _user_turns(turn.parts, dialect, dropped)
            case AssistantTurn():
                said = _assistant_parts(turn.parts, dialect, dropped)
                calls.update({part.id: part for part in said if isinstance(part, ToolCall)})
                if said:
                    told.append(AssistantTurn(parts=said))
            case ToolTurn():
                told.append(ToolTurn(results=tuple(_result(each, dialect, dropped, calls) for each in turn.results)))
    # A request without items is none: what says nothing is said by the user.
    return tuple(joined(told, ToolTurn)) or (UserTurn(parts=()),)


def _merged(turns: tuple[Turn, ...]) -> list[Turn]:
    """The turns that say something, the model's consecutive ones as one."""
    return joined((turn for turn in turns if _says_something(turn)), AssistantTurn)


def _says_something(turn: Turn) -> bool:
    if isinstance(turn, SystemTurn):
        return any(part.text for part in turn.parts)
    return not isinstance(turn, ToolTurn) or bool(turn.results)


def _user_turns(parts: tuple[UserPart, ...], dialect: Dialect, dropped: set[str]) -> list[Turn]:
    """One turn, or more where an item of the protocol's own stands between the words."""
    turns: list[Turn] = []
    words: list[UserPart] = []
    for part in parts:
        if isinstance(part, Opaque) and part.format == PROTOCOL:
            if words:
                turns.append(UserTurn(parts=tuple(words)))
            words = []
            turns.append(UserTurn(parts=(part,)))
        else:
            words += _user_parts((part,), dialect, dropped)
    if words or not turns:
        turns.append(UserTurn(parts=tuple(words)))
    return turns


def _user_parts(
    parts: tuple[UserPart, ...] | tuple[ResultPart, ...], dialect: Dialect, dropped: set[str]
) -> list[UserPart]:
    told: list[UserPart] = []
    for part in parts:
        match part:
            case Text():
                if part.text:
                    told.append(_text(part, dialect))
            case Image():
                told.append(_image(part, dialect))
            case Audio():
                if not dialect.carries:
                    raise unsupported("This model takes no audio.")
                told.append(Audio(data=part.data, encoding=part.encoding, cache=_cache(part.cache, dialect)))
            case Document():
                told.append(_document(part, dialect, dropped))
            case SearchResult():
                if part.citations:
                    dropped.add("citations")
                told.append(Text(text=in_words.search_result(part), cache=_cache(part.cache, dialect)))
            case Opaque():
                dropped.add("content")
    return told


def _assistant_parts(
    parts: tuple[AssistantPart, ...], dialect: Dialect, dropped: set[str]
) -> tuple[AssistantPart, ...]:
    kept: list[AssistantPart] = []
    for part in parts:
        match part:
            case Text():
                if part.text:
                    kept.append(Text(text=part.text))
            case Refusal():
                kept.append(part)
            case ToolCall():
                kept.append(_call(part, dialect))
            case Reasoning():
                if part.text or part.data or (part.signature and not is_native(part)):
                    kept.append(part)
            case Opaque(format=origin) if origin == PROTOCOL:
                kept.append(part)
            case _:
                dropped.add("content")
    told: list[AssistantPart] = []
    for group in grouped(kept):
        blocks = [part for part in group if isinstance(part, Reasoning)]
        thoughts = _reasoning(blocks, dialect)
        if not thoughts:
            for block in blocks:
                note_thought(block, dropped)
        told += thoughts if blocks else group
    return tuple(told)


def _reasoning(blocks: list[Reasoning], dialect: Dialect) -> list[Reasoning]:
    """The blocks of one item in the protocol's order; an item that only points to what a node forgot is none."""
    if not blocks:
        return []
    if not is_native(blocks[0]):
        return blocks if dialect.carries else []
    encrypted = [block for block in blocks if block.kind == "encrypted" and block.data]
    if not encrypted and not dialect.carries:
        return []
    ordered = [
        *(block for block in blocks if block.kind == "summary" and block.text),
        *(block for block in blocks if block.kind == "text" and block.text),
    ]
    plain = [msgspec.structs.replace(block, signature=None, data=None) for block in ordered]
    return [*plain, *(msgspec.structs.replace(block, text="", signature=None) for block in encrypted)]


def _call(call: ToolCall, dialect: Dialect) -> ToolCall:
    kind, told = call.kind, call.input
    if kind == "custom" and not dialect.custom_tools:
        kind, told = "function", wrapped(call.input)
    return ToolCall(
        id=call.id,
        name=plain_name(call.name, call.namespace),
        input=told or "{}" if kind == "function" else told,
        kind=kind,
        signature=call.signature if dialect.carries else None,
    )


def _result(result: ToolResult, dialect: Dialect, dropped: set[str], calls: dict[str, ToolCall]) -> ToolResult:
    parts = _user_parts(result.parts, dialect, dropped)
    if result.is_error:
        parts = in_words.failed(parts)
    mark = _cache(result.cache, dialect)
    if mark is not None and parts and not isinstance(parts[-1], Opaque) and parts[-1].cache is None:
        parts[-1] = msgspec.structs.replace(parts[-1], cache=mark)
    call = calls.get(result.call_id)
    if call is not None:
        kind = call.kind
    else:
        kind = result.kind if dialect.custom_tools else "function"
    return ToolResult(call_id=result.call_id, parts=tuple(parts), kind=kind)


def _text(text: Text, dialect: Dialect) -> Text:
    return Text(text=text.text, cache=_cache(text.cache, dialect))


def _cache(mark: CacheMark | None, dialect: Dialect) -> CacheMark | None:
    if mark is None or not dialect.breakpoints:
        return None
    return mark if dialect.carries or mark.ttl in _TTLS else CacheMark()


def _image(image: Image, dialect: Dialect) -> Image:
    source = image.source
    if isinstance(source, PlainText) or (isinstance(source, FileRef) and source.format != "openai"):
        raise unsupported("An image must be given as data or by URL for this model.")
    return Image(source=source, detail=image.detail, cache=_cache(image.cache, dialect))


def _document(document: Document, dialect: Dialect, dropped: set[str]) -> Document | Text:
    cache = _cache(document.cache, dialect)
    if document.citations:
        dropped.add("citations")
    if document.context:
        dropped.add("context")
    if document.media == "video":
        raise unsupported("This model takes no films.")
    match document.source:
        case PlainText(text=text):
            return Text(text=in_words.document(document, text), cache=cache)
        case FileRef(format=owner) if owner != "openai":
            raise unsupported("A file of another provider cannot be given to this model.")
    title = in_words.file_name(document)
    if isinstance(document.source, Link | FileRef):
        # The address and the stored file have names of their own; a second one is refused.
        title = None
    return Document(source=document.source, title=title, cache=cache)
