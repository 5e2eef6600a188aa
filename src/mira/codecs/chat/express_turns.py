"""The turns of a conversation as Chat Completions can say them, see `express`.

A message of this protocol has one place for each kind of thing: thinking, text, refusal, calls. So the order within an
assistant's turn becomes that one, and media that a tool answered with move into the user's turn behind it.
"""

import msgspec

from mira.codecs import in_words
from mira.codecs.chat.dialects import Dialect
from mira.codecs.chat.request import FORMAT
from mira.codecs.fitting import note_thought
from mira.codecs.free_form import wrapped
from mira.codecs.joining import joined
from mira.codecs.refusals import unsupported
from mira.codecs.tool_names import plain_name
from mira.core.conversation import (
    AssistantPart,
    AssistantTurn,
    Audio,
    CacheMark,
    Document,
    FileRef,
    Image,
    Inline,
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


def express_turns(turns: tuple[Turn, ...], dialect: Dialect, dropped: set[str]) -> tuple[Turn, ...]:
    """The turns as this dialect takes them; names of what fell away are added to `dropped`."""
    told: list[Turn] = []
    kinds: dict[str, ToolCall] = {}
    for turn in turns:
        match turn:
            case SystemTurn():
                if parts := tuple(_text(part, dialect) for part in turn.parts if part.text):
                    told.append(SystemTurn(parts=parts, developer=turn.developer and dialect.developer, name=turn.name))
            case UserTurn():
                told.append(UserTurn(parts=_user_parts(turn.parts, dialect, dropped), name=turn.name))
            case AssistantTurn():
                said = _assistant_parts(turn.parts, dialect, dropped)
                kinds.update({part.id: part for part in said if isinstance(part, ToolCall)})
                told.append(AssistantTurn(parts=said, name=turn.name))
            case ToolTurn():
                if results := tuple(_result(result, dialect, dropped, kinds) for result in turn.results):
                    told.append(ToolTurn(results=results))
    # A request without messages is none: what says nothing is said by the user.
    told = joined(told, ToolTurn) or [UserTurn(parts=())]
    return tuple(told) if dialect.tool_media else _with_media_behind(told)


def _result(result: ToolResult, dialect: Dialect, dropped: set[str], calls: dict[str, ToolCall]) -> ToolResult:
    parts = list(_user_parts(result.parts, dialect, dropped))
    if result.is_error:
        parts = in_words.failed(parts)
    call = calls.get(result.call_id)
    return ToolResult(
        call_id=result.call_id,
        parts=tuple(parts),
        kind=call.kind if call else "function",
        cache=_cache(result.cache, dialect) if dialect.cache == "cache_control" else None,
    )


def _with_media_behind(turns: list[Turn]) -> tuple[Turn, ...]:
    told: list[Turn] = []
    media: list[UserPart] = []
    for turn in turns:
        if media:
            if isinstance(turn, UserTurn):
                turn = UserTurn(parts=(*media, *turn.parts), name=turn.name)  # noqa: PLW2901
            else:
                told.append(UserTurn(parts=tuple(media)))
            media = []
        if isinstance(turn, ToolTurn):
            turn = ToolTurn(results=tuple(_texts_only(result, media) for result in turn.results))  # noqa: PLW2901
        told.append(turn)
    if media:
        told.append(UserTurn(parts=tuple(media)))
    return tuple(told)


def _texts_only(result: ToolResult, media: list[UserPart]) -> ToolResult:
    parts: list[ResultPart] = []
    for part in result.parts:
        if isinstance(part, Text):
            parts.append(part)
        else:
            media.append(part)
            parts.append(Text(text=in_words.attached(part)))
    return msgspec.structs.replace(result, parts=tuple(parts))


def _user_parts(
    parts: tuple[UserPart, ...] | tuple[ResultPart, ...], dialect: Dialect, dropped: set[str]
) -> tuple[UserPart, ...]:
    told: list[UserPart] = []
    for part in parts:
        match part:
            case Text():
                if part.text:
                    told.append(_text(part, dialect))
            case Image():
                told.append(_image(part, dialect))
            case Audio():
                told.append(Audio(data=part.data, encoding=part.encoding, cache=_cache(part.cache, dialect)))
            case Document():
                told.append(_document(part, dialect, dropped))
            case SearchResult():
                if part.citations:
                    dropped.add("citations")
                told.append(Text(text=in_words.search_result(part), cache=_cache(part.cache, dialect)))
            case Opaque():
                dropped.add("content")
    return tuple(told)


def _assistant_parts(
    parts: tuple[AssistantPart, ...], dialect: Dialect, dropped: set[str]
) -> tuple[AssistantPart, ...]:
    blocks = [part for part in parts if isinstance(part, Reasoning)]
    thoughts = _reasoning(blocks, dialect)
    if not thoughts:
        for block in blocks:
            note_thought(block, dropped)
    texts = [_text(part, dialect) for part in parts if isinstance(part, Text) and part.text]
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    audio = [part for part in parts if isinstance(part, Opaque) and part.format == FORMAT][:1]
    calls = [_call(part, dialect) for part in parts if isinstance(part, ToolCall)]
    if any(isinstance(part, Image) or (isinstance(part, Opaque) and part not in audio) for part in parts):
        dropped.add("content")
    return (*thoughts, *texts, *([Refusal(refusal)] if refusal else []), *audio, *calls)


def _reasoning(blocks: list[Reasoning], dialect: Dialect) -> list[Reasoning]:
    if dialect.reasoning == "details":
        return [_carried(block) for block in blocks]
    if dialect.reasoning == "content":
        text = "".join(block.text for block in blocks)
        return [Reasoning(text=text)] if text else []
    return []


def _carried(block: Reasoning) -> Reasoning:
    match block.kind:
        case "text":
            return msgspec.structs.replace(block, data=None)
        case "summary":
            return msgspec.structs.replace(block, data=None, signature=None)
        case "encrypted":
            return msgspec.structs.replace(block, text="", signature=None, data=block.data or "")


def _call(call: ToolCall, dialect: Dialect) -> ToolCall:
    kind, told = call.kind, call.input
    if kind == "custom" and not dialect.custom_tools:
        kind, told = "function", wrapped(call.input)
    return ToolCall(
        id=call.id,
        name=plain_name(call.name, call.namespace),
        input=told or "{}" if kind == "function" else told,
        kind=kind,
        signature=call.signature if dialect.signatures else None,
        cache=_cache(call.cache, dialect) if dialect.cache == "cache_control" else None,
    )


def _text(text: Text, dialect: Dialect) -> Text:
    return Text(text=text.text, cache=_cache(text.cache, dialect))


def _cache(mark: CacheMark | None, dialect: Dialect) -> CacheMark | None:
    if mark is None or not dialect.cache:
        return None
    return mark if dialect.cache == "cache_control" else CacheMark()


def _image(image: Image, dialect: Dialect) -> Image:
    if not isinstance(image.source, Inline | Link):
        raise unsupported("An image must be given as data or by URL for this model.")
    return Image(source=image.source, detail=image.detail, cache=_cache(image.cache, dialect))


def _document(document: Document, dialect: Dialect, dropped: set[str]) -> Document | Text:
    cache = _cache(document.cache, dialect)
    if document.citations:
        dropped.add("citations")
    if document.context:
        dropped.add("context")
    match document.source:
        case PlainText(text=text):
            return Text(text=in_words.document(document, text), cache=cache)
        case FileRef(format=owner) if owner != "openai":
            raise unsupported("A file of another provider cannot be given to this model.")
        case Link() if document.media == "document" and not dialect.document_links:
            raise unsupported("This model takes documents as data, not by URL.")
    if document.media == "video":
        return Document(source=document.source, media="video", cache=cache)
    title = in_words.file_name(document)
    return Document(source=document.source, title=title, cache=cache)
