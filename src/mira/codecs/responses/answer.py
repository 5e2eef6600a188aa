"""Whole Responses answers, both ways."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.chat.answer import shown_name
from mira.codecs.codec import Context
from mira.codecs.lenient import loose
from mira.codecs.responses.errors import parse_error_in_band
from mira.codecs.responses.items import item_of, said
from mira.codecs.responses.rendering import choice_body, text_options, tools_body
from mira.codecs.responses.request import runs_search
from mira.codecs.responses.shaping import grouped, items_of, told, with_id
from mira.codecs.responses.usage import usage_body, usage_in
from mira.core.conversation import Answer, AssistantPart, Choice, Conversation, FinishReason, ToolCall
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_INCOMPLETE = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTEXT_FULL: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "tool_search_call": "tsc",
    "image_generation_call": "ig",
}


def parse_answer(body: bytes) -> Answer:
    """A node's answer; MiraError where it is none, or a failed one."""
    fields, output = read_response(body)
    parts = said([(item_of(raw), raw) for raw in output], "output")
    return Answer(
        id=text_in(fields, "id"),
        model=text_in(fields, "model"),
        choices=(Choice(parts=parts, finish=finish_of(fields, parts)),),
        usage=usage_in(fields),
        service_tier=text_in(fields, "service_tier") or None,
    )


def read_response(body: bytes | Raw) -> tuple[dict[str, Raw], list[Raw]]:
    """The fields of a response object that is complete, and its items; MiraError where it is none or failed."""
    try:
        fields = _FIELDS.decode(body)
        output = _ITEMS.decode(fields["output"]) if "output" in fields else None
    except msgspec.ValidationError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a response.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.") from None
    error = loose(fields["error"]) if "error" in fields else None
    if error:
        raise parse_error_in_band(error)
    if output is None or text_in(fields, "status") in ("failed", "cancelled", "queued", "in_progress"):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not complete.")
    return fields, output


def finish_of(fields: dict[str, Raw], parts: tuple[AssistantPart, ...]) -> FinishReason:
    """Why the response ended."""
    return reason_of(fields, calls=any(isinstance(part, ToolCall) for part in parts))


def reason_of(fields: dict[str, Raw], *, calls: bool) -> FinishReason:
    """Why the response ended, by its status."""
    if text_in(fields, "status") == "incomplete":
        details = loose(fields["incomplete_details"]) if "incomplete_details" in fields else None
        reason = details.get("reason") if isinstance(details, dict) else None
        return FinishReason.CONTENT_FILTER if reason == "content_filter" else FinishReason.LENGTH
    return FinishReason.TOOL_CALLS if calls else FinishReason.STOP


def text_in(fields: dict[str, Raw], name: str) -> str:
    """The text under that name, "" where there is none."""
    told = loose(fields[name]) if name in fields else None
    return told if isinstance(told, str) else ""


def render_answer(answer: Answer, context: Context, cost_nanocredits: int | None) -> bytes:
    """The body for a client; `usage.cost` tells what Mira charges."""
    choice = answer.choices[0] if answer.choices else Choice()
    searches = runs_search(context.request)
    output: list[Any] = []
    for group in grouped(choice.parts):
        for item in items_of(group, answer=True, searches=searches):
            kind = "" if isinstance(item, Raw) else item["type"]
            body = with_id(item, item_id(context, kind, len(output)))
            output.append(body if isinstance(body, Raw) else {**body, "status": "completed"})
    if choice.finish in _INCOMPLETE and output and isinstance(output[-1], dict):
        output[-1]["status"] = "incomplete"
    body = {
        **response_body(answer.model, context, answer.service_tier),
        **closing(choice.finish, output),
        "usage": usage_body(answer.usage or Usage(), cost_nanocredits),
    }
    return msgspec.json.encode(body)


def closing(reason: FinishReason, output: list[Any]) -> dict[str, Any]:
    """The fields of a response object that tell how it ended."""
    cut = _INCOMPLETE.get(reason)
    return {
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
    }


def item_id(context: Context, kind: str, index: int) -> str:
    """The id of the item in that place of the answer: the same whenever it is asked for."""
    own = context.answer_id.replace("-", "_").partition("_")[2] or context.answer_id
    return f"{_PREFIXES.get(kind, 'item')}_{own}_{index}"


def response_body(model: str, context: Context, service_tier: str | None) -> dict[str, Any]:
    """A response object in progress, with what of the request it repeats."""
    asked = context.request or Conversation(model="", turns=())
    thinking = asked.thinking
    body: dict[str, Any] = {
        "id": context.answer_id,
        "object": "response",
        "created_at": context.created_s,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.output_cap,
        "metadata": asked.notes.metadata or {},
        "model": shown_name(model, context),
        "output": [],
        "parallel_tool_calls": asked.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": thinking.effort, "summary": thinking.summary},
        "store": asked.notes.store is not False,
        "temperature": asked.sampling.temperature,
        "text": {"format": {"type": "text"}, **text_options(asked.response_format, asked.notes.verbosity)},
        "tool_choice": "auto" if asked.tool_choice is None else choice_body(asked.tool_choice),
        "tools": tools_body(asked.tools),
        "top_p": asked.sampling.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": asked.notes.user,
    }
    return {**body, **told({"service_tier": service_tier})}
