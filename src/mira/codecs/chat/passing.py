"""Chat Completions on both sides, requests and whole answers: patched where Mira must, byte for byte otherwise."""

import re
from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.chat.dialects import Dialect, dialect_of
from mira.codecs.chat.errors import parse_error_in_band
from mira.codecs.chat.usage import read_usage, usage_body
from mira.codecs.codec import Context, Envelope, Tally, Target
from mira.codecs.lenient import loose
from mira.core.money import credits_text
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

#: The two names of the output cap; a node is told one of them.
_OTHER_CAP_FIELD = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
#: What stands in every message that has signed or encrypted thinking in it.
_SIGNED = re.compile(rb'"(?:reasoning_details|extra_content|signature|redacted_thinking)"')
_WITH_USAGE = Raw(b'{"include_usage":true}')
#: What explains a node's own charge beside its `cost`.
_EXPLAINED = frozenset(("cost_details", "is_byok"))
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])


def pass_request(envelope: Envelope, target: Target) -> bytes:
    """The client's body for a node of the same protocol; what another provider signed or encrypted stays here."""
    fields: dict[str, Any] = {**envelope.fields, "model": target.model}
    fields.pop(_OTHER_CAP_FIELD[target.cap_field], None)
    fields[target.cap_field] = target.output_cap
    if envelope.stream:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    messages = fields["messages"]
    if _SIGNED.search(messages):
        fields["messages"] = _without_foreign(messages, dialect_of(target.dialect))
    return msgspec.json.encode(fields)


def pass_answer(body: bytes, context: Context) -> "PassedAnswer":
    """A node's answer, checked; MiraError where it is an error in the clothes of a 200, or no answer."""
    try:
        fields = _FIELDS.decode(body)
        choices = _LIST.decode(fields["choices"]) if "choices" in fields else []
    except msgspec.ValidationError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a chat completion.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.") from None
    if "error" in fields and (error := loose(fields["error"])):
        raise parse_error_in_band(error)
    if not choices:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no choices.")
    return PassedAnswer(fields, context)


class PassedAnswer:
    """A whole answer on its way through."""

    __slots__ = ("_context", "_fields", "usage")

    def __init__(self, fields: dict[str, Raw], context: Context) -> None:
        self._fields = fields
        self._context = context
        self.usage: Usage | None = read_usage(fields["usage"]) if "usage" in fields else None

    def tally(self) -> Tally:
        """What the answer says. Its pieces are no tokens, so none is counted as one: the text is counted."""
        tally = Tally(text=[])
        for choice in loose(self._fields["choices"]) or ():
            if isinstance(choice, dict):
                add_said(tally, choice.get("message"))
        return Tally(deltas=0, text=tally.text)

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client."""
        fields: dict[str, Any] = {**self._fields}
        if self.usage is None:
            fields["usage"] = usage_body(usage, cost_nanocredits)
        elif cost_nanocredits is not None:
            fields["usage"] = with_cost(fields["usage"], cost_nanocredits)
        show_model(fields, self._context)
        return msgspec.json.encode(fields)


def with_cost(usage: Raw, cost_nanocredits: int) -> dict[str, Raw]:
    """A node's own usage with what Mira charges as its `cost`, and without what explained the node's own."""
    told = _FIELDS.decode(usage)
    told["cost"] = Raw(credits_text(cost_nanocredits).encode())
    if not _EXPLAINED.isdisjoint(told):
        for name in _EXPLAINED:
            told.pop(name, None)
    return told


def show_model(answer: dict[str, Any], context: Context) -> None:
    """Writes the model into an answer that the client is shown, where that is not the node's."""
    if context.strip_provider or context.model is not None:
        shown = shown_model(answer.get("model"), context)
        if shown is not None:
            answer["model"] = shown


def shown_model(model: Raw | None, context: Context) -> Raw | None:
    """The model that the client is shown instead of the node's, None to leave it."""
    if context.model is not None:
        return Raw(msgspec.json.encode(context.model))
    if model is None or not context.strip_provider:
        return None
    name = loose(model)
    if not isinstance(name, str) or "/" not in name:
        return None
    return Raw(msgspec.json.encode(name.partition("/")[2]))


def add_said(tally: Tally, said: Any) -> None:
    """Adds a message or a delta to the tally."""
    if not isinstance(said, dict):
        return
    pieces = [said.get("content"), said.get("refusal"), said.get("reasoning_content") or said.get("reasoning")]
    calls = said.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            pieces += _called(call.get("function")) + _called(call.get("custom"))
    pieces += _called(said.get("function_call"))
    for piece in pieces:
        if isinstance(piece, list):
            piece = "".join(str(part.get("text", "")) for part in piece if isinstance(part, dict))  # noqa: PLW2901
        if isinstance(piece, str) and piece:
            tally.deltas += 1
            tally.text.append(piece)


def _without_foreign(messages: Raw, dialect: Dialect) -> Raw:
    """The messages without signed and encrypted thinking, for a node that takes none back."""
    told: list[Raw] = []
    for message in _LIST.decode(messages):
        fields = _FIELDS.decode(message)
        details = bytes(fields.get("reasoning_details", b""))
        if dialect.reasoning != "details" and (b'"signature"' in details or b'"data"' in details):
            del fields["reasoning_details"]
        content = bytes(fields.get("content", b""))
        if dialect.reasoning != "details" and (b'"signature"' in content or b'"redacted_thinking"' in content):
            fields["content"] = _without_signed(fields["content"])
        calls = fields.get("tool_calls", Raw(b""))
        if not dialect.signatures and b'"thought_signature"' in bytes(calls):
            kept = [_FIELDS.decode(call) for call in _LIST.decode(calls)]
            for call in kept:
                call.pop("extra_content", None)
            fields["tool_calls"] = Raw(msgspec.json.encode(kept))
        told.append(Raw(msgspec.json.encode(fields)))
    return Raw(msgspec.json.encode(told))


def _without_signed(content: Raw) -> Raw:
    """A message's content without the parts that are signed or encrypted thinking, as some clients keep it there."""
    if not bytes(content).startswith(b"["):
        return content
    kept = [part for part in _LIST.decode(content) if not _is_signed(loose(part))]
    return Raw(msgspec.json.encode(kept)) if kept else Raw(b'""')


def _is_signed(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    return part.get("type") == "redacted_thinking" or (part.get("type") == "thinking" and bool(part.get("signature")))


def _called(body: Any) -> list[Any]:
    if not isinstance(body, dict):
        return []
    return [body.get("name"), body.get("arguments") or body.get("input")]


def _with_usage(options: Raw | None) -> Raw:
    if options is None or bytes(options) == b"null":
        return _WITH_USAGE
    told = _FIELDS.decode(options)
    if told.get("include_usage") == Raw(b"true"):
        return options
    told["include_usage"] = Raw(b"true")
    return Raw(msgspec.json.encode(told))
