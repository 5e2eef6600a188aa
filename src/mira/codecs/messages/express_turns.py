"""The turns of a conversation as Messages takes them, see `express`.

Anthropic wants the user first, the two sides in turn, text that says something, and the results of all calls directly
behind them. What a conversation has otherwise is repaired here, always in the same way.
"""

import base64
import binascii

from msgspec import Struct
from msgspec.structs import replace

from mira.codecs.fitting import note_thought
from mira.codecs.free_form import wrapped
from mira.codecs.joining import joined
from mira.codecs.messages.request import BILLING_HEADER, arguments_of
from mira.codecs.messages.wire import FORMAT, THOUGHT
from mira.codecs.tool_names import plain_name
from mira.core.capabilities import Capabilities
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
from mira.errors import Kind, MiraError

#: Stands where Anthropic wants words of the user and there are none.
NO_WORDS = "(no content)"
NO_RESULT = "No result was given."
_PDF = "application/pdf"
_SAME_TYPE = {"image/jpg": "image/jpeg"}


class _Group(Struct):
    """What the model said, then all that was said to it before it spoke again."""

    said: list[AssistantPart] = []
    heard: list[SystemTurn | UserTurn | ToolTurn] = []


def express_turns(turns: tuple[Turn, ...], can: Capabilities, dropped: set[str]) -> tuple[Turn, ...]:
    """The turns as this model takes them; names of what fell away are added to `dropped`."""
    told: list[Turn] = []
    system: list[Text] = []
    leading = 0
    for turn in turns:
        if not isinstance(turn, SystemTurn):
            break
        leading += 1
        _note_name(turn.name, dropped)
        system += _system_parts(turn)
    if system:
        told.append(SystemTurn(parts=tuple(system)))
    groups = _groups(turns[leading:], dropped)
    seen: dict[str, int] = {}
    first = len(told)
    for group in groups:
        _tell(group, told, first, seen, can)
    if len(told) == first:
        told.append(UserTurn(parts=(Text(text=NO_WORDS),)))
    told = [*told[:first], *joined(told[first:], SystemTurn, UserTurn)]
    return tuple(_ended(told, can))


def _groups(turns: tuple[Turn, ...], dropped: set[str]) -> list[_Group]:
    groups = [_Group(said=[], heard=[])]
    answered = False
    for turn in turns:
        if not isinstance(turn, ToolTurn):
            _note_name(turn.name, dropped)
        if not isinstance(turn, AssistantTurn):
            heard = _heard(turn, dropped)
            groups[-1].heard.append(heard)
            answered = answered or _says_something(heard)
        elif answered:
            groups.append(_Group(said=_said(turn.parts, dropped), heard=[]))
            answered = False
        else:
            groups[-1].said += _said(turn.parts, dropped)
    merged: list[_Group] = []
    for group in groups:
        # A message of the model must not end in thinking: what it thought towards was cut off.
        while group.said and isinstance(group.said[-1], Reasoning):
            group.said.pop()
        if merged and not group.said:
            merged[-1].heard += group.heard
        else:
            merged.append(group)
    return merged


def _heard(turn: SystemTurn | UserTurn | ToolTurn, dropped: set[str]) -> SystemTurn | UserTurn | ToolTurn:
    match turn:
        case SystemTurn():
            return SystemTurn(parts=tuple(_system_parts(turn)))
        case UserTurn():
            return UserTurn(parts=tuple(_user_parts(turn.parts, dropped)))
        case ToolTurn():
            return ToolTurn(results=tuple(_result(result, dropped) for result in turn.results))


def _says_something(turn: SystemTurn | UserTurn | ToolTurn) -> bool:
    return bool(turn.results if isinstance(turn, ToolTurn) else turn.parts)


def _tell(group: _Group, told: list[Turn], first: int, seen: dict[str, int], can: Capabilities) -> None:
    """Adds what a group holds: the model's words, the results of its calls, then all the rest in order."""
    renamed: dict[str, str] = {}
    if group.said:
        if len(told) == first:
            told.append(UserTurn(parts=(Text(text=NO_WORDS),)))
        told.append(AssistantTurn(parts=tuple(_with_own_id(part, seen, renamed) for part in group.said)))
    results: list[ToolResult] = []
    rest: list[SystemTurn | UserTurn] = []
    open_calls = dict(renamed)
    for turn in group.heard:
        if not isinstance(turn, ToolTurn):
            rest.append(turn)
            continue
        for result in turn.results:
            if (own := open_calls.pop(result.call_id, None)) is not None:
                results.append(replace(result, call_id=own))
            else:
                rest.append(UserTurn(parts=_orphan(result)))
    results += [ToolResult(call_id=own, parts=(Text(text=NO_RESULT),), is_error=True) for own in open_calls.values()]
    if results:
        told.append(ToolTurn(results=tuple(results)))
    for turn in rest:
        _add_heard(turn, told, first, can)


def _add_heard(turn: SystemTurn | UserTurn, told: list[Turn], first: int, can: Capabilities) -> None:
    if not turn.parts:
        return
    before = told[-1] if len(told) > first else None
    behind = isinstance(before, SystemTurn) or (can.mid_system and isinstance(before, UserTurn | ToolTurn))
    if isinstance(turn, SystemTurn) and not behind:
        turn = UserTurn(parts=tuple(replace(part, text=f"<system>\n{part.text}\n</system>") for part in turn.parts))
    told.append(turn)


def _ended(told: list[Turn], can: Capabilities) -> list[Turn]:
    """A conversation that ends in words of the model asks it to go on with them; not every model does."""
    last = told[-1]
    if not isinstance(last, AssistantTurn):
        return told
    # Words beside a server's tool are a turn that paused, which every model resumes.
    if not can.prefill and not any(isinstance(part, Opaque) for part in last.parts):
        raise MiraError(
            Kind.UNSUPPORTED,
            "This model does not continue its own words: the last message must be the user's.",
            param="messages",
        )
    end = last.parts[-1]
    if isinstance(end, Text):
        told[-1] = AssistantTurn(parts=(*last.parts[:-1], replace(end, text=end.text.rstrip())))
    return told


def _with_own_id(part: AssistantPart, seen: dict[str, int], renamed: dict[str, str]) -> AssistantPart:
    """A call with an id that no call before it has; `seen` says of each id how many calls were to have it."""
    if not isinstance(part, ToolCall):
        return part
    own, count = part.id, seen.get(part.id, 1)
    while own in seen:
        count += 1
        own = f"{part.id}#{count}"
    seen[part.id] = count
    seen.setdefault(own, 1)
    renamed.setdefault(part.id, own)
    if renamed[part.id] != own:
        renamed[own] = own
    return part if own == part.id else replace(part, id=own)


def _orphan(result: ToolResult) -> tuple[UserPart, ...]:
    head = "Error of a tool call" if result.is_error else "Result of a tool call"
    return (Text(text=f"[{head} {result.call_id}]"), *result.parts)


def _result(result: ToolResult, dropped: set[str]) -> ToolResult:
    parts = _user_parts(result.parts, dropped)
    # A mark inside a result caches no less than one on the result itself.
    inner = [part.cache for part in parts if not isinstance(part, Opaque) and part.cache is not None]
    parts = [part if isinstance(part, Opaque) else replace(part, cache=None) for part in parts]
    return ToolResult(
        call_id=result.call_id,
        parts=tuple(parts),
        is_error=result.is_error,
        cache=result.cache or (inner[-1] if inner else None),
    )


def _system_parts(turn: SystemTurn) -> list[Text]:
    return [
        Text(text=part.text, cache=part.cache)
        for part in turn.parts
        if part.text.strip() and not part.text.startswith(BILLING_HEADER)
    ]


def _user_parts(parts: tuple[UserPart, ...], dropped: set[str]) -> list[UserPart]:
    told: list[UserPart] = []
    for part in parts:
        match part:
            case Text():
                if part.text.strip():
                    told.append(Text(text=part.text, cache=part.cache))
            case Image():
                if part.detail not in (None, "auto"):
                    dropped.add("detail")
                told.append(Image(source=_image_source(part.source), cache=part.cache))
            case Audio():
                raise MiraError(Kind.UNSUPPORTED, "This model takes no audio.", param="messages")
            case Document():
                told.append(_document(part))
            case SearchResult():
                content = tuple(text for text in part.content if text.strip()) or (part.title or part.source,)
                told.append(replace(part, content=content))
            case Opaque(format=origin):
                if origin == FORMAT:
                    told.append(part)
                else:
                    dropped.add("content")
    return told


def _said(parts: tuple[AssistantPart, ...], dropped: set[str]) -> list[AssistantPart]:
    told: list[AssistantPart] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) if not text.strip():
                pass
            case Text():
                own = bool(part.annotations) and part.format == FORMAT
                notes = part.annotations if own else ()
                told.append(Text(text=part.text, cache=part.cache, annotations=notes, format=FORMAT if own else None))
            case Refusal():
                told.append(Text(text=part.text))
            case Reasoning(format=origin):
                # Thinking of another provider, or unsigned, is nothing that this one may see.
                if origin == THOUGHT and (thought := _thought(part)) is not None:
                    told.append(thought)
                else:
                    note_thought(part, dropped)
            case ToolCall():
                told.append(_call(part, dropped))
            case Opaque(format=origin) if origin == FORMAT:
                told.append(part)
            case _:
                dropped.add("content")
    return told


def _thought(block: Reasoning) -> Reasoning | None:
    if block.kind == "encrypted":
        return Reasoning(kind="encrypted", data=block.data, format=THOUGHT) if block.data else None
    if block.kind != "text" or not block.signature:
        return None
    return Reasoning(text=block.text, signature=block.signature, format=THOUGHT)


def _call(call: ToolCall, dropped: set[str]) -> ToolCall:
    if call.kind == "custom":
        told = wrapped(call.input)
    elif not call.input.strip():
        told = "{}"
    else:
        known = arguments_of(call.input)
        if known is None:
            dropped.add("arguments")
        told = known if known is not None else wrapped(call.input, "_raw")
    return ToolCall(id=call.id, name=plain_name(call.name, call.namespace), input=told, cache=call.cache)


def _image_source(source: Inline | Link | FileRef | PlainText) -> Inline | Link | FileRef:
    match source:
        case Inline():
            return Inline(mime_type=_SAME_TYPE.get(source.mime_type, source.mime_type), data=source.data)
        case FileRef(format=owner) if owner != FORMAT:
            raise _foreign_file()
        case PlainText():
            raise MiraError(Kind.UNSUPPORTED, "An image must be given as data or by URL.", param="messages")
        case _:
            return source


def _document(document: Document) -> Document | Image:
    source = document.source
    if document.media == "video":
        raise MiraError(Kind.UNSUPPORTED, "This model takes no films.", param="messages")
    match source:
        case FileRef(format=owner) if owner != FORMAT:
            raise _foreign_file()
        case Inline(mime_type=mime) if mime.startswith("image/"):
            return Image(source=_image_source(source), cache=document.cache)
        case Inline(mime_type=mime) if mime.startswith("text/") or mime in ("application/json", "application/xml"):
            source = PlainText(text=_decoded(source.data))
        case Inline(mime_type=mime) if mime != _PDF:
            raise MiraError(
                Kind.UNSUPPORTED, "This model reads documents that are PDF or plain text.", param="messages"
            )
        case PlainText():
            source = PlainText(text=source.text)
        case _:
            pass
    return Document(
        source=source,
        title=document.title or None,
        context=document.context or None,
        citations=document.citations,
        cache=document.cache,
    )


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise MiraError(Kind.BAD_REQUEST, "A text document is not base64 of text in UTF-8.", param="messages") from None


def _foreign_file() -> MiraError:
    return MiraError(Kind.UNSUPPORTED, "A file of another provider cannot be given to this model.", param="messages")


def _note_name(name: str | None, dropped: set[str]) -> None:
    if name is not None:
        dropped.add("name")
