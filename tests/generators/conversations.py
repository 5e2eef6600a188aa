"""Generators of whatever a Conversation, an answer's events or a split of bytes can be; shared by all codecs."""

import itertools
import json

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from mira.core import conversation as c
from mira.core import events as e
from mira.core.capabilities import Capabilities
from mira.core.usage import Usage

#: For the promise that everything else rests on: what a codec renders is what it says that it can express.
THOROUGHLY = settings(max_examples=max(2000, settings().max_examples))

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
SOME_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,20}\Z")
STRANGE_NAMES = NAMES | st.from_regex(r"\A[A-Za-z]{60,80}\Z") | st.sampled_from(["Bash:0", "a.b", "ü", "ns/x"])
BASE64 = st.sampled_from(["AAAA", "aGk=", "iVBORw0KGgo="])
MARKS = st.none() | st.builds(c.CacheMark, ttl=st.none() | st.sampled_from(["5m", "1h"]))
COUNTS = st.integers(0, 10**6)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, JSON_VALUES, max_size=3)


def raw(value: object) -> msgspec.Raw:
    """JSON bytes as a client might have written them, spaces and all."""
    return msgspec.Raw(json.dumps(value, ensure_ascii=False).encode())


RAWS = OBJECTS.map(raw)
INLINE = st.builds(c.Inline, mime_type=st.sampled_from(["image/png", "application/pdf", "audio/wav"]), data=BASE64)
PICTURES = st.builds(c.Inline, mime_type=st.sampled_from(["image/png", "image/heic"]), data=BASE64)
LINK = st.builds(c.Link, url=st.sampled_from(["https://example.com/a.png", "http://x.test/b?c=1#d"]))


def _parts(*, files: bool) -> st.SearchStrategy:
    owners = st.sampled_from(["openai"])
    sources = INLINE | (st.builds(c.FileRef, file_id=NAMES, format=owners) if files else INLINE)
    text = st.builds(c.Text, text=TEXTS, cache=MARKS)
    image = st.builds(
        c.Image, source=INLINE | LINK, detail=st.none() | st.sampled_from(["auto", "low", "high"]), cache=MARKS
    )
    audio = st.builds(c.Audio, data=BASE64, encoding=st.sampled_from(["wav", "mp3"]), cache=MARKS)
    plain = st.builds(c.PlainText, text=SOME_TEXT)
    document = st.builds(
        c.Document,
        source=sources | plain,
        title=st.none() | NAMES,
        context=st.none() | TEXTS,
        citations=st.none() | st.booleans(),
        cache=MARKS,
    )
    found = st.builds(
        c.SearchResult,
        source=NAMES,
        title=SOME_TEXT,
        content=st.lists(SOME_TEXT, max_size=2).map(tuple),
        citations=st.none() | st.booleans(),
        cache=MARKS,
    )
    opaque = st.builds(c.Opaque, format=st.just("anthropic"), data=RAWS)
    return text | image | audio | document | found | opaque


PARTS = _parts(files=True)
REASONING = (
    st.builds(
        c.Reasoning,
        kind=st.just("text"),
        text=SOME_TEXT,
        signature=st.none() | SOME_TEXT,
        format=st.none() | st.just("anthropic-claude-v1"),
        id=st.none() | NAMES,
    )
    | st.builds(
        c.Reasoning,
        kind=st.just("encrypted"),
        data=SOME_TEXT,
        format=st.sampled_from(["anthropic-claude-v1", "openai-responses-v1"]),
        id=st.none() | NAMES,
    )
    | st.builds(c.Reasoning, kind=st.just("summary"), text=SOME_TEXT, id=st.none() | NAMES)
)


@st.composite
def tool_calls(draw: st.DrawFn, call_id: str) -> c.ToolCall:
    kind = draw(st.sampled_from(["function", "custom"]))
    told = draw(TEXTS) if kind == "custom" else draw(st.just("") | OBJECTS.map(json.dumps))
    return c.ToolCall(
        id=call_id,
        name=draw(STRANGE_NAMES),
        input=told,
        kind=kind,
        namespace=draw(st.none() | st.sampled_from(["functions", "mcp__x"])),
        signature=draw(st.none() | NAMES),
        cache=draw(MARKS),
    )


@st.composite
def turns(draw: st.DrawFn) -> tuple[c.Turn, ...]:
    """Turns in any order; every tool result but the odd orphan answers a call before it."""
    told: list[c.Turn] = []
    open_calls: list[str] = []
    count = 0
    for _ in range(draw(st.integers(1, 5))):
        match draw(st.sampled_from(["system", "user", "assistant", "tool"])):
            case "system":
                texts = st.lists(st.builds(c.Text, text=TEXTS, cache=MARKS), max_size=2).map(tuple)
                told.append(
                    c.SystemTurn(parts=draw(texts), developer=draw(st.booleans()), name=draw(st.none() | NAMES))
                )
            case "user":
                told.append(
                    c.UserTurn(parts=draw(st.lists(PARTS, max_size=3).map(tuple)), name=draw(st.none() | NAMES))
                )
            case "assistant":
                parts = draw(
                    st.lists(
                        st.builds(c.Text, text=TEXTS, cache=MARKS) | REASONING | st.builds(c.Refusal, text=SOME_TEXT),
                        max_size=3,
                    )
                )
                for _call in range(draw(st.integers(0, 2))):
                    call = draw(tool_calls(f"call_{count}"))
                    open_calls.append(call.id)
                    parts.append(call)
                    count += 1
                told.append(c.AssistantTurn(parts=tuple(draw(st.permutations(parts)))))
            case "tool" if not (told and isinstance(told[-1], c.ToolTurn)):
                ids = open_calls or ["call_orphan"]
                results = [
                    c.ToolResult(
                        call_id=call_id,
                        parts=draw(st.lists(PARTS, max_size=2).map(tuple)),
                        is_error=draw(st.booleans()),
                        cache=draw(MARKS),
                    )
                    for call_id in ids
                ]
                told.append(c.ToolTurn(results=tuple(results)))
                open_calls = []
    return tuple(told) or (c.UserTurn(parts=(c.Text(text="hi"),)),)


DESCRIPTIONS = st.none() | SOME_TEXT
FUNCTIONS = st.builds(
    c.FunctionTool,
    name=STRANGE_NAMES,
    description=DESCRIPTIONS,
    parameters=st.none() | RAWS,
    strict=st.none() | st.booleans(),
    namespace=st.none() | st.just("mcp__x"),
    cache=MARKS,
    extras=st.just({}) | st.just({"defer_loading": msgspec.Raw(b"true")}),
)
CUSTOMS = st.builds(
    c.CustomTool,
    name=NAMES,
    description=DESCRIPTIONS,
    grammar=st.none() | st.builds(c.Grammar, syntax=st.sampled_from(["lark", "regex"]), definition=SOME_TEXT),
    cache=MARKS,
)
PROVIDED = st.builds(c.ProviderTool, format=st.just("anthropic"), name=NAMES, data=RAWS)
NAMED = st.builds(c.NamedTool, name=NAMES, kind=st.sampled_from(["function", "custom"]))
CHOICES = (
    st.none()
    | st.sampled_from(list(c.ToolMode))
    | NAMED
    | st.builds(
        c.AllowedTools, mode=st.sampled_from(["auto", "required"]), tools=st.lists(NAMED, max_size=2).map(tuple)
    )
)
SAMPLING = st.builds(
    c.Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 100),
    seed=st.none() | st.integers(-(2**40), 2**40),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logit_bias=st.none() | st.dictionaries(st.sampled_from(["1", "50256"]), st.floats(-100, 100), max_size=2),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(0, 20),
    n=st.none() | st.integers(1, 3),
    stop=st.lists(SOME_TEXT, max_size=6).map(tuple),
)
THINKING = st.builds(
    c.Thinking,
    effort=st.none() | st.sampled_from(["none", "minimal", "low", "high", "max"]),
    mode=st.none() | st.sampled_from(["enabled", "adaptive", "disabled", "between_tools"]),
    budget_tokens=st.none() | st.integers(1024, 60000),
    display=st.none() | st.just("omitted"),
    summary=st.none() | st.just("auto"),
)
FORMATS = (
    st.none()
    | st.just(c.JsonObject())
    | st.builds(
        c.JsonSchema,
        name=STRANGE_NAMES,
        schema=st.none() | RAWS,
        strict=st.none() | st.booleans(),
        description=DESCRIPTIONS,
    )
)
NOTES = st.builds(
    c.Notes,
    user=st.none() | SOME_TEXT,
    safety_identifier=st.none() | SOME_TEXT,
    metadata=st.none() | st.dictionaries(NAMES, TEXTS, max_size=2),
    store=st.none() | st.booleans(),
    service_tier=st.none() | st.just("flex"),
    prompt_cache_key=st.none() | NAMES,
    prompt_cache_retention=st.none() | st.just("24h"),
    verbosity=st.none() | st.sampled_from(["low", "high"]),
)


@st.composite
def conversations(draw: st.DrawFn) -> c.Conversation:
    """Any conversation that some protocol can say."""
    origin = draw(st.sampled_from(["chat", "messages", "responses"]))
    extras = {"chat": "prediction", "messages": "context_management", "responses": "moderation"}[origin]
    return c.Conversation(
        model="m",
        turns=draw(turns()),
        tools=tuple(draw(st.lists(FUNCTIONS | CUSTOMS | PROVIDED, max_size=3))),
        tool_choice=draw(CHOICES),
        parallel_tool_calls=draw(st.none() | st.booleans()),
        output_cap=draw(st.none() | st.integers(1, 10**5)),
        stream=draw(st.booleans()),
        include_usage=draw(st.booleans()),
        sampling=draw(SAMPLING),
        thinking=draw(THINKING),
        response_format=draw(FORMATS),
        notes=draw(NOTES),
        origin=origin,
        extras=draw(st.just({}) | RAWS.map(lambda value: {extras: value})),
        unknown=draw(st.just(()) | st.just(("x_new",))),
    )


#: What of a model's flags the protocols of OpenAI look at.
CAPABILITIES = st.builds(
    Capabilities,
    sampling=st.booleans(),
    sampling_with_thinking=st.booleans(),
    reasoning=st.booleans(),
    thinking_always_on=st.booleans(),
    thinks_unasked=st.booleans(),
    forced_tools=st.booleans(),
    efforts=st.sampled_from([(), ("low", "medium", "high"), ("none", "low", "xhigh"), ("medium",), ("none",)]),
)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_5m_tokens=COUNTS,
    cache_write_1h_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    audio_input_tokens=COUNTS,
    audio_output_tokens=COUNTS,
    image_input_tokens=COUNTS,
    image_output_tokens=COUNTS,
    web_searches=COUNTS,
)


@st.composite
def event_streams(draw: st.DrawFn, *, choices: int = 1) -> list[e.Event]:
    """The events of one complete answer that keep the grammar of `mira.core.events`: calls interleave, blocks rise."""
    events: list[e.Event] = [e.Start(model="up/m", id="up-1", usage=draw(st.none() | USAGES))]
    for choice in range(draw(st.integers(1, choices))):
        calls: list[str] = []
        spoken: set[int] = set()
        block = -1
        kind = ""
        for _ in range(draw(st.integers(0, 8))):
            match draw(st.sampled_from(["text", "thought", "sign", "call", "more", "more", "refusal", "image"])):
                case "text":
                    events.append(e.TextDelta(text=draw(SOME_TEXT), choice=choice))
                case "thought":
                    if block < 0 or draw(st.booleans()):
                        block, kind = block + 1, draw(st.sampled_from(["text", "summary", "encrypted"]))
                    said = draw(SOME_TEXT)
                    events.append(
                        e.ReasoningDelta(
                            block=block,
                            kind=kind,
                            text="" if kind == "encrypted" else said,
                            data=said if kind == "encrypted" else "",
                            choice=choice,
                        )
                    )
                case "sign" if kind == "text":
                    events.append(
                        e.ReasoningDelta(
                            block=block, signature=draw(NAMES), format="anthropic-claude-v1", choice=choice
                        )
                    )
                    block, kind = block + 1, "text"
                    events.append(e.ReasoningDelta(block=block, text="…", choice=choice))
                case "call":
                    calls.append(draw(st.sampled_from(["function", "custom"])))
                    index = len(calls) - 1
                    events.append(
                        e.ToolCallStart(
                            index=index,
                            id=f"call_{choice}_{index}",
                            name=draw(NAMES),
                            kind=calls[-1],
                            signature=draw(st.none() | NAMES),
                            choice=choice,
                        )
                    )
                case "more" if calls:
                    index = draw(st.integers(0, len(calls) - 1))
                    spoken.add(index)
                    events.append(e.ToolCallDelta(index=index, fragment=draw(SOME_TEXT), choice=choice))
                case "image":
                    events.append(e.ImageBlock(source=draw(PICTURES), choice=choice))
                case "refusal":
                    events.append(e.RefusalDelta(text=draw(SOME_TEXT), choice=choice))
        events += [
            e.ToolCallDelta(index=index, fragment="{}", choice=choice)
            for index in range(len(calls))
            if index not in spoken
        ]
        reason = (
            c.FinishReason.TOOL_CALLS if calls else draw(st.sampled_from([c.FinishReason.STOP, c.FinishReason.LENGTH]))
        )
        events.append(e.Finish(reason=reason, choice=choice))
    return events


def splits(size: int) -> st.SearchStrategy[list[int]]:
    """Places at which to cut `size` bytes."""
    return st.lists(st.integers(0, size), max_size=12).map(sorted)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    edges = [0, *cuts, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]
