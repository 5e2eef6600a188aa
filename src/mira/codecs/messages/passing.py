"""Messages on both sides, requests and whole answers: patched where Mira must, byte for byte otherwise."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.carried import PREFIX
from mira.codecs.chat.passing import show_model, with_cost
from mira.codecs.codec import Context, Envelope, Tally, Target
from mira.codecs.lenient import compact, loose
from mira.codecs.messages import wire
from mira.codecs.messages.errors import parse_error_in_band
from mira.codecs.messages.thinking import lowered_budget
from mira.codecs.messages.usage import read_usage, usage_body
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_CARRIED = b'"' + PREFIX.encode()


def pass_request(envelope: Envelope, target: Target) -> bytes:
    """The client's body for a node of the same protocol.

    Beside the model and the cap, two things change, and only where they must: thinking that other providers gave and
    Mira carried is left out, and a budget of thinking that the cap no longer holds is lowered.
    """
    # 0 warms the cache: there is no output to cap.
    cap = target.output_cap if envelope.output_cap != 0 else 0
    fields: dict[str, Any] = {**envelope.fields, "model": target.model, "max_tokens": cap}
    messages = fields["messages"]
    if bytes(messages).find(_CARRIED) >= 0:
        fields["messages"] = _without_carried(messages)
    if envelope.wire.thinking is not None:
        _fit_budget(fields, envelope, cap)
    return msgspec.json.encode(fields)


def pass_answer(body: bytes, context: Context) -> "PassedAnswer":
    """A node's answer, checked; MiraError where it is an error in the clothes of a 200, or no answer."""
    try:
        fields = _FIELDS.decode(body)
    except msgspec.ValidationError:
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a message.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.") from None
    if fields.get("type") == Raw(b'"error"') or ("error" in fields and loose(fields["error"])):
        raise parse_error_in_band(loose(body))
    if not bytes(fields.get("content", b"")).startswith(b"["):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no content.")
    return PassedAnswer(fields, context)


class PassedAnswer:
    """A whole answer on its way through."""

    __slots__ = ("_context", "_fields", "usage")

    def __init__(self, fields: dict[str, Raw], context: Context) -> None:
        self._fields = fields
        self._context = context
        self.usage: Usage | None = read_usage(fields["usage"]) if "usage" in fields else None

    def tally(self) -> Tally:
        """What the answer says. Its blocks are no tokens, so none is counted as one: the text is counted."""
        tally = Tally(text=[])
        for block in loose(self._fields["content"]) or ():
            if isinstance(block, dict):
                add_piece(tally, block.get("text") or block.get("thinking") or block.get("name"))
                given = block.get("input")
                if isinstance(given, dict) and given:
                    add_piece(tally, bytes(compact(given)).decode())
        return Tally(deltas=0, text=tally.text)

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client."""
        fields: dict[str, Any] = {**self._fields}
        fields["usage"] = told_usage(fields.get("usage") if self.usage else None, usage, cost_nanocredits)
        show_model(fields, self._context)
        return msgspec.json.encode(fields)


def told_usage(own: Raw | None, usage: Usage, cost_nanocredits: int | None) -> Raw | dict[str, Any]:
    """A node's own usage with what Mira charges as its `cost`; Mira's where the node told none."""
    if own is None:
        return usage_body(usage, cost_nanocredits)
    return own if cost_nanocredits is None else with_cost(own, cost_nanocredits)


def add_piece(tally: Tally, piece: Any) -> None:
    """Adds one text to the tally."""
    if isinstance(piece, str) and piece:
        tally.deltas += 1
        tally.text.append(piece)


def _without_carried(messages: Raw) -> Raw:
    told: list[Raw] = []
    for message in _LIST.decode(messages):
        if _CARRIED not in bytes(message):
            told.append(message)
            continue
        fields = _FIELDS.decode(message)
        if bytes(fields["content"]).startswith(b"["):
            blocks = [block for block in _LIST.decode(fields["content"]) if not _is_carried(block)]
            if not blocks:
                continue
            fields["content"] = Raw(msgspec.json.encode(blocks))
        told.append(Raw(msgspec.json.encode(fields)))
    return Raw(msgspec.json.encode(told))


def _is_carried(block: Raw) -> bool:
    if _CARRIED not in bytes(block):
        return False
    told = loose(block)
    name = {"thinking": "signature", "redacted_thinking": "data"}.get(told.get("type"))
    return name is not None and str(told.get(name)).startswith(PREFIX)


def _fit_budget(fields: dict[str, Any], envelope: Envelope, cap: int) -> None:
    thinking: wire.Thinking = envelope.wire.thinking
    asked = envelope.output_cap
    if thinking.budget_tokens is None or asked is None:
        return
    # Above its own cap, a client means thinking between tools, which no cap bounds.
    if thinking.type != "enabled" or not cap <= thinking.budget_tokens < asked:
        return
    lowered = lowered_budget(thinking.budget_tokens, cap)
    if lowered is None:
        fields["thinking"] = Raw(b'{"type":"disabled"}')
    else:
        told = _FIELDS.decode(fields["thinking"])
        told["budget_tokens"] = Raw(b"%d" % lowered)
        fields["thinking"] = Raw(msgspec.json.encode(told))
