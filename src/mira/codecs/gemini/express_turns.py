"""The turns of a conversation as Gemini can say them, see `express`.

This protocol is stricter about order than others: instructions stand apart, users and models take turns, and every
call is answered directly behind the turn that made it. What a client ordered otherwise is put there.
"""

from itertools import takewhile

from msgspec import Struct
from msgspec.structs import replace

from mira.codecs import in_words
from mira.codecs.fitting import note_thought
from mira.codecs.free_form import wrapped
from mira.codecs.gemini.dialects import Dialect
from mira.codecs.gemini.wire import FORMAT, THOUGHTS, UNSIGNED, media_of
from mira.codecs.joining import joined
from mira.codecs.lenient import loose
from mira.codecs.refusals import unsupported
from mira.codecs.tool_names import plain_name
from mira.core.conversation import (
    AssistantPart,
    AssistantTurn,
    Audio,
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

_UNANSWERED = "This call was never answered."
#: A conversation must begin with a user who says something.
_SILENCE = Text(text=" ")


class _Answers(Struct):
    """The place behind a turn that made calls, where their results are collected; `open` by place in the turn."""

    open: dict[int, ToolCall]
    results: list[ToolResult]


def express_turns(turns: tuple[Turn, ...], dialect: Dialect, dropped: set[str]) -> tuple[Turn, ...]:
    """The turns as this generation takes them; names of what fell away are added to `dropped`."""
    leading = list(takewhile(lambda turn: isinstance(turn, SystemTurn), turns))
    system = tuple(
        Text(text=part.text) for turn in leading if isinstance(turn, SystemTurn) for part in turn.parts if part.text
    )
    if any(not isinstance(turn, ToolTurn) and turn.name is not None for turn in turns):
        dropped.add("name")
    said = _paired(turns[len(leading) :], dropped)
    told = _alternating(said if dialect.tool_media else _with_media_behind(said))
    if not told or isinstance(told[0], AssistantTurn):
        told.insert(0, UserTurn(parts=(_SILENCE,)))
    if dialect.signatures:
        told = [_signed(turn) for turn in told]
    return (SystemTurn(parts=system), *told) if system else tuple(told)


def _paired(turns: tuple[Turn, ...], dropped: set[str]) -> list[Turn]:
    """Every call with its result directly behind it; results of no call become the user's words."""
    told: list[Turn | _Answers] = []
    # By id, the latest last: some clients number their calls anew each turn.
    waiting: dict[str, list[tuple[_Answers, int]]] = {}
    for turn in turns:
        match turn:
            case SystemTurn():
                # Moving it to the front would change what was said before it, and undo the node's cache.
                if words := "\n\n".join(part.text for part in turn.parts if part.text):
                    told.append(UserTurn(parts=(Text(text=f"<system>\n{words}\n</system>"),)))
            case UserTurn():
                told.append(UserTurn(parts=_user_parts(turn.parts, dropped)))
            case AssistantTurn():
                parts = _assistant_parts(turn.parts, dropped)
                told.append(AssistantTurn(parts=parts))
                calls = [part for part in parts if isinstance(part, ToolCall)]
                if calls:
                    told.append(_awaited(calls, waiting))
            case ToolTurn():
                orphans = [_placed(result, waiting, dropped) for result in turn.results]
                told += [orphan for orphan in orphans if orphan is not None]
    return [_whole(turn) if isinstance(turn, _Answers) else turn for turn in told]


def _awaited(calls: list[ToolCall], waiting: dict[str, list[tuple[_Answers, int]]]) -> _Answers:
    place = _Answers(dict(enumerate(calls)), [])
    for index, call in reversed(place.open.items()):
        waiting.setdefault(call.id, []).append((place, index))
    return place


def _placed(result: ToolResult, waiting: dict[str, list[tuple[_Answers, int]]], dropped: set[str]) -> UserTurn | None:
    """Puts a result behind its call; one without a call becomes the user's words."""
    parts = _user_parts(result.parts, dropped)
    if places := waiting.get(result.call_id):
        place, index = places.pop()
        place.results.append(_result(result, place.open.pop(index), parts))
        return None
    head = "The result of another tool call" + (" (it failed):" if result.is_error else ":")
    return UserTurn(parts=(Text(text=head), *parts))


def _whole(place: _Answers) -> ToolTurn:
    missing = (
        ToolResult(call_id=call.id, parts=(Text(text=_UNANSWERED),), is_error=True, name=call.name)
        for call in place.open.values()
    )
    return ToolTurn(results=(*place.results, *missing))


def _result(result: ToolResult, call: ToolCall, parts: tuple[UserPart, ...]) -> ToolResult:
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    media = tuple(part for part in parts if not isinstance(part, Text | Opaque))
    words: tuple[ResultPart, ...] = (Text(text=text),) if text else ()
    return ToolResult(call_id=call.id, parts=words + media, is_error=result.is_error, name=call.name)


def _with_media_behind(turns: list[Turn]) -> list[Turn]:
    told: list[Turn] = []
    for turn in turns:
        if not isinstance(turn, ToolTurn):
            told.append(turn)
            continue
        media: list[UserPart] = []
        told.append(ToolTurn(results=tuple(_texts_only(result, media) for result in turn.results)))
        if media:
            told.append(UserTurn(parts=tuple(media)))
    return told


def _texts_only(result: ToolResult, media: list[UserPart]) -> ToolResult:
    words: list[str] = []
    for part in result.parts:
        if isinstance(part, Text):
            words.append(part.text)
        else:
            media.append(part)
            words.append(in_words.attached(part))
    text = "\n".join(words)
    return replace(result, parts=(Text(text=text),) if text else ())


def _alternating(turns: list[Turn]) -> list[Turn]:
    """Turns that follow each other in one role become one; turns that say nothing fall away."""
    speaking = (turn for turn in turns if isinstance(turn, ToolTurn) or turn.parts)
    return joined(speaking, UserTurn, AssistantTurn)


def _signed(turn: Turn) -> Turn:
    """The first call of a turn carries the signature of all; one that another model made gets Google's word for it."""
    if not isinstance(turn, AssistantTurn):
        return turn
    parts = list(turn.parts)
    for place, part in enumerate(parts):
        if isinstance(part, ToolCall):
            parts[place] = part if part.signature else replace(part, signature=UNSIGNED)
            break
    return AssistantTurn(parts=tuple(parts))


def _user_parts(parts: tuple[UserPart, ...] | tuple[ResultPart, ...], dropped: set[str]) -> tuple[UserPart, ...]:
    told: list[UserPart] = []
    for part in parts:
        match part:
            case Text():
                if part.text:
                    told.append(Text(text=part.text))
            case Image():
                told.append(_image(part, dropped))
            case Audio():
                told.append(Audio(data=part.data, encoding=part.encoding))
            case Document():
                told.append(_document(part, dropped))
            case SearchResult():
                if part.citations:
                    dropped.add("citations")
                told.append(Text(text=in_words.search_result(part)))
            case Opaque(format=origin):
                if origin == FORMAT:
                    told.append(part)
                else:
                    dropped.add("content")
    return tuple(told)


def _image(image: Image, dropped: set[str]) -> UserPart:
    if image.detail not in (None, "auto"):
        dropped.add("detail")
    match image.source:
        case Inline(mime_type=mime_type, data=data):
            return media_of(mime_type, data)
        case Link():
            return Image(source=image.source)
        case _:
            raise unsupported("An image must be given as data or by URL for this model.")


def _document(document: Document, dropped: set[str]) -> UserPart:
    if document.citations:
        dropped.add("citations")
    if document.context:
        dropped.add("context")
    match document.source:
        case PlainText(text=text):
            return Text(text=in_words.document(document, text))
        case FileRef():
            raise unsupported("A file of another provider cannot be given to this model.")
    if document.title:
        dropped.add("title")
    match document.source:
        case Inline(mime_type=mime_type, data=data):
            return media_of(mime_type, data)
        case Link():
            return Document(source=document.source, media=document.media)


def _assistant_parts(parts: tuple[AssistantPart, ...], dropped: set[str]) -> tuple[AssistantPart, ...]:
    told: list[AssistantPart] = []
    _note_foreign(parts, dropped)
    calls = {part.id for part in parts if isinstance(part, ToolCall)}
    # A signature travels through other protocols as an encrypted block: of the call whose id it has, else of a text.
    blocks = [part for part in parts if isinstance(part, Reasoning) and part.kind == "encrypted"]
    signatures = {block.id: block.data for block in blocks if block.format == THOUGHTS and block.id in calls}
    pending: str | None = None
    for part in parts:
        match part:
            case Text():
                if part.text or part.signature:
                    told.append(Text(text=part.text, signature=part.signature or pending))
                    pending = None
            case Refusal(text=text):
                told.append(Text(text=text))
            case Reasoning():
                if part.format == THOUGHTS and part.id not in signatures:
                    pending = _add_thought(told, part) or pending
            case ToolCall():
                if pending:
                    told.append(Text(text="", signature=pending))
                    pending = None
                told.append(_call(part, signatures.get(part.id)))
            case Image():
                _add_image(told, part, dropped)
            case Opaque():
                if part.format == FORMAT:
                    told.append(part)
                else:
                    dropped.add("content")
    # Google signs empty texts too: the last of a stream, or one behind calls.
    return (*told, Text(text="", signature=pending)) if pending else tuple(told)


def _note_foreign(parts: tuple[AssistantPart, ...], dropped: set[str]) -> None:
    for part in parts:
        if isinstance(part, Reasoning) and part.format != THOUGHTS:
            note_thought(part, dropped)


def _add_thought(told: list[AssistantPart], block: Reasoning) -> str | None:
    """Takes back what Google signed, and nothing else of its thinking; a signature that waits for a text."""
    if block.kind == "text" and block.signature:
        told.append(Reasoning(text=block.text, signature=block.signature, format=THOUGHTS))
    if block.kind != "encrypted":
        return None
    last = told[-1] if told else None
    if not isinstance(last, Text) or last.signature is not None:
        return block.data
    told[-1] = replace(last, signature=block.data)
    return None


def _add_image(told: list[AssistantPart], image: Image, dropped: set[str]) -> None:
    kept = _image(image, dropped)
    if isinstance(kept, Image):
        told.append(kept)
    else:
        dropped.add("content")


def _call(call: ToolCall, signature: str | None) -> ToolCall:
    if call.kind == "custom":
        arguments = wrapped(call.input)
    elif isinstance(loose(call.input.encode("utf-8", "replace")), dict):
        arguments = call.input
    else:
        # Arguments are an object here: what a model wrote otherwise is shown to it as it stands.
        arguments = wrapped(call.input, "_raw") if call.input.strip() else "{}"
    return ToolCall(
        id=call.id,
        name=plain_name(call.name, call.namespace),
        input=arguments,
        signature=call.signature or signature,
    )
