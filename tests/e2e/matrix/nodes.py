"""The columns of the table: what each protocol of nodes can carry, and what a request must look like that reaches it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from tests.e2e.asking import PNG, Result, Surface
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, BEHIND_OPENAI, Behind
from tests.support.said import SIGNATURE, Counts
from tests.support.wires_openai import DETAILS_WIRE

DETAILS_MODEL = "thinker-1"
BELOW = "[image attached below]"
IMAGE_URL = {"url": f"data:image/png;base64,{PNG}"}
#: A node of Chat Completions that carries signed thinking both ways, as OpenRouter does.
BEHIND_DETAILS = replace(
    BEHIND_CHAT, kind="openrouter", provider="openrouter", wire=DETAILS_WIRE, own_model=DETAILS_MODEL
)
#: The generation that takes pictures as results, wants its signatures back and thinks by levels.
GEMINI_3_MODEL = "gemini-3-pro-preview"
BEHIND_GEMINI_3 = replace(
    BEHIND_GEMINI,
    kind="gemini-3",
    own_model=GEMINI_3_MODEL,
    path=f"/v1beta/models/{GEMINI_3_MODEL}:generateContent",
    stream_path=f"/v1beta/models/{GEMINI_3_MODEL}:streamGenerateContent?alt=sse",
    thinks=lambda body: body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "LOW"},
)


class Node(Struct, frozen=True, kw_only=True):
    """A protocol of nodes.

    `interleaves`: pieces of parallel calls may come in turns. `takes_stop`: a request may name stop sequences;
    `tells_stop`: an answer says at which it stopped. `refuses_in_words`: a refusal is a text of its own and the answer
    stops as usual, otherwise the reason to stop says it; `refusal` is False where no words can go with it. `thinking`
    is what a second request must hold of the thinking of the first answer, None where nothing goes back. `tail` reads
    what follows the calls, `results` says what it must be for a client's results.
    """

    name: str
    protocol: str
    behind: Behind
    interleaves: bool
    takes_stop: bool = True
    tells_stop: bool = True
    refuses_in_words: bool
    explains_refusal: bool = True
    thinking: Any
    thought: Callable[[Any], Any]
    stop: Callable[[Any], Any]
    schema: Callable[[Any], Any]
    tail: Callable[[Any], Any]
    results: Callable[[tuple[Result, ...], Surface], Any]
    told: Callable[[Counts], Counts]


def _words(result: Result, surface: Surface) -> str:
    """A failure that the client flagged, for a protocol that has no flag; others say it in words of their own."""
    return f"Error: {result.text}" if result.failed and surface.flags_failures else result.text


def _in_one_class(counts: Counts) -> Counts:
    """OpenAI's protocols tell all that was written to a cache in one count, which is billed as the shorter one."""
    return replace(counts, cache_write_5m=counts.cache_write, cache_write_1h=0)


def _without_writes(counts: Counts) -> Counts:
    """Gemini writes its caches unasked and tells no count of it: it is fresh input."""
    return replace(counts, input=counts.input + counts.cache_write, cache_write_5m=0, cache_write_1h=0)


# Chat Completions


def _chat_tail(body: Any) -> Any:
    messages = body["messages"]
    last = max(place for place, message in enumerate(messages) if message["role"] == "assistant")
    return messages[last + 1 :]


def _chat_results(results: tuple[Result, ...], surface: Surface) -> Any:
    """A tool's message holds text alone: pictures follow as the user's."""
    told: list[Any] = []
    for result in results:
        content: Any = _words(result, surface)
        if result.picture and surface.shows_pictures:
            content = [{"type": "text", "text": content}, {"type": "text", "text": BELOW}]
        told.append({"role": "tool", "tool_call_id": result.call_id, "content": content})
    shown = [{"type": "image_url", "image_url": IMAGE_URL} for result in results if result.picture]
    return [*told, {"role": "user", "content": shown}]


def _details_results(results: tuple[Result, ...], surface: Surface) -> Any:
    """OpenRouter takes pictures in a tool's message."""
    if not surface.shows_pictures:
        return _chat_results(results, surface)
    told: list[Any] = []
    for result in results:
        content: Any = _words(result, surface)
        if result.picture:
            content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": IMAGE_URL}]
        told.append({"role": "tool", "tool_call_id": result.call_id, "content": content})
    return told


def _chat_said(body: Any) -> Any:
    return [message for message in body["messages"] if message["role"] == "assistant"][-1]


NODE_CHAT = Node(
    name="chat",
    protocol="chat",
    behind=BEHIND_CHAT,
    interleaves=True,
    refuses_in_words=True,
    # Bare Chat Completions has no field for thinking in a request; `NODE_DETAILS` has.
    thinking=None,
    thought=lambda body: _chat_said(body).get("reasoning_details") or None,
    stop=lambda body: body["stop"],
    schema=lambda body: body["response_format"]["json_schema"]["schema"],
    tail=_chat_tail,
    results=_chat_results,
    told=_in_one_class,
)
NODE_DETAILS = replace(
    NODE_CHAT,
    name="details",
    behind=BEHIND_DETAILS,
    thinking=[
        {
            "type": "reasoning.text",
            "text": "Let me see … ✓",
            "signature": SIGNATURE,
            "format": "anthropic-claude-v1",
            "index": 0,
        }
    ],
    results=_details_results,
)


# Messages


def _messages_results(results: tuple[Result, ...], surface: Surface) -> Any:
    told: list[Any] = []
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    for result in results:
        content: Any = result.text
        if result.picture and surface.shows_pictures:
            content = [{"type": "text", "text": result.text}, image]
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": result.call_id, "content": content}
        told.append({**block, "is_error": True} if result.failed and surface.flags_failures else block)
    behind = [] if surface.shows_pictures else [image for result in results if result.picture]
    return [{"role": "user", "content": [*told, *behind]}]


def _messages_tail(body: Any) -> Any:
    return body["messages"][-1:]


NODE_MESSAGES = Node(
    name="anthropic",
    protocol="messages",
    behind=BEHIND_ANTHROPIC,
    # Blocks of Messages stand one behind the other.
    interleaves=False,
    refuses_in_words=False,
    thinking={"type": "thinking", "thinking": "Let me see … ✓", "signature": SIGNATURE},
    thought=lambda body: body["messages"][1]["content"][0],
    stop=lambda body: body["stop_sequences"],
    schema=lambda body: body["output_config"]["format"]["schema"],
    tail=_messages_tail,
    results=_messages_results,
    told=lambda counts: counts,
)


# Gemini


def _gemini_results(results: tuple[Result, ...], surface: Surface) -> Any:
    """Gemini 2.5 takes text alone as a result: pictures stand behind the results, in the same turn."""
    parts: list[Any] = []
    for result in results:
        text = f"{result.text}\n{BELOW}" if result.picture and surface.shows_pictures else result.text
        response: Any = {"sky": "☀"} if text == '{"sky": "☀"}' else {"output": text}
        if result.failed and surface.flags_failures:
            response = {"error": text}
        parts.append({"functionResponse": {"id": result.call_id, "name": "weather", "response": response}})
    shown = [{"inlineData": {"mimeType": "image/png", "data": PNG}} for result in results if result.picture]
    return [{"role": "user", "parts": [*parts, *shown]}]


def _gemini_thought(body: Any) -> Any:
    parts = [part for part in body["contents"][1]["parts"] if "functionCall" in part]
    return [part.get("thoughtSignature") for part in parts]


def _gemini_schema(body: Any) -> Any:
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    return body["generationConfig"]["responseJsonSchema"]


NODE_GEMINI = Node(
    name="gemini",
    protocol="gemini",
    behind=BEHIND_GEMINI,
    # A call comes whole, in one part.
    interleaves=False,
    # It stops without saying where.
    tells_stop=False,
    refuses_in_words=False,
    # It says why it stopped, and nothing else.
    explains_refusal=False,
    # The signature is of the turn and stands on its first call; the words of the thinking do not go back.
    thinking=[SIGNATURE, None, None],
    thought=_gemini_thought,
    stop=lambda body: body["generationConfig"]["stopSequences"],
    schema=_gemini_schema,
    tail=lambda body: body["contents"][-1:],
    results=_gemini_results,
    told=_without_writes,
)


def _gemini_3_results(results: tuple[Result, ...], surface: Surface) -> Any:
    """Gemini 3 takes a picture as part of its result."""
    (content,) = _gemini_results(results, surface)
    if surface.shows_pictures:
        shown = content["parts"].pop()
        body = content["parts"][-1]["functionResponse"]
        body |= {"response": {"output": results[-1].text}, "parts": [shown]}
    return [content]


NODE_GEMINI_3 = replace(NODE_GEMINI, name="gemini-3", behind=BEHIND_GEMINI_3, results=_gemini_3_results)


# Responses


def _responses_tail(body: Any) -> Any:
    items = body["input"]
    last = max(place for place, item in enumerate(items) if item.get("type") == "function_call")
    return items[last + 1 :]


def _responses_results(results: tuple[Result, ...], surface: Surface) -> Any:
    told: list[Any] = []
    image = {"type": "input_image", "image_url": IMAGE_URL["url"]}
    for result in results:
        output: Any = _words(result, surface)
        if result.picture and surface.shows_pictures:
            output = [{"type": "input_text", "text": output}, image]
        told.append({"type": "function_call_output", "call_id": result.call_id, "output": output})
    if not surface.shows_pictures:
        told.append({"type": "message", "role": "user", "content": [image for result in results if result.picture]})
    return told


def _responses_thought(body: Any) -> Any:
    (item,) = [item for item in body["input"] if item.get("type") == "reasoning"]
    return {name: item.get(name) for name in ("id", "summary", "encrypted_content")}


NODE_RESPONSES = Node(
    name="responses",
    protocol="responses",
    behind=BEHIND_OPENAI,
    interleaves=True,
    # The protocol has no stop sequences.
    takes_stop=False,
    tells_stop=False,
    refuses_in_words=True,
    thinking={
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Let me see … ✓"}],
        "encrypted_content": SIGNATURE,
    },
    thought=_responses_thought,
    stop=lambda body: None,
    schema=lambda body: body["text"]["format"]["schema"],
    tail=_responses_tail,
    results=_responses_results,
    told=_in_one_class,
)

NODES = (NODE_CHAT, NODE_MESSAGES, NODE_GEMINI, NODE_RESPONSES)
