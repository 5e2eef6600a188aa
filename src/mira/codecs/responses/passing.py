"""Responses on both sides, requests and whole answers: patched where Mira must, byte for byte otherwise."""

from typing import Any

import msgspec
from msgspec import Raw

from mira.codecs.carried import PREFIX
from mira.codecs.chat.passing import show_model, with_cost
from mira.codecs.codec import Context, Envelope, Tally, Target
from mira.codecs.responses import wire
from mira.codecs.responses.answer import read_response
from mira.codecs.responses.dialects import dialect_of
from mira.codecs.responses.items import item_of
from mira.codecs.responses.memory import refuse_unresolved, without
from mira.codecs.responses.opening import MIN_OUTPUT_CAP
from mira.codecs.responses.usage import usage_body, usage_in
from mira.core.usage import Usage
from mira.errors import MiraError


def pass_request(envelope: Envelope, target: Target) -> bytes:
    """The client's body for a node of the same protocol; what Mira packed for other providers stays here."""
    refuse_unresolved(envelope)
    cap = max(target.output_cap, MIN_OUTPUT_CAP)
    fields: dict[str, Any] = {**envelope.fields, "model": target.model, "max_output_tokens": cap}
    if not dialect_of(target.dialect).carries:
        without(fields, envelope.wire, _is_packed)
    return msgspec.json.encode(fields)


def pass_answer(body: bytes, context: Context) -> "PassedAnswer":
    """A node's answer, checked; MiraError where it is an error in the clothes of a 200, or no answer."""
    fields, output = read_response(body)
    return PassedAnswer(fields, output, context)


class PassedAnswer:
    """A whole answer on its way through."""

    __slots__ = ("_context", "_fields", "_output", "usage")

    def __init__(self, fields: dict[str, Raw], output: list[Raw], context: Context) -> None:
        self._fields = fields
        self._output = output
        self._context = context
        self.usage: Usage | None = usage_in(fields)

    def tally(self) -> Tally:
        """What the answer says, one delta per piece of text, reasoning and tool input."""
        tally = Tally(text=[])
        for raw in self._output:
            add_said(tally, raw)
        return tally

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client."""
        fields: dict[str, Any] = {**self._fields}
        settle(fields, self._context, usage if self.usage is None else None, cost_nanocredits)
        return msgspec.json.encode(fields)


def settle(response: dict[str, Any], context: Context, missing: Usage | None, cost_nanocredits: int | None) -> None:
    """Writes into a response object what Mira charges, the usage where it is `missing`, and the model to show."""
    if missing is not None:
        response["usage"] = usage_body(missing, cost_nanocredits)
    elif cost_nanocredits is not None:
        response["usage"] = with_cost(response["usage"], cost_nanocredits)
    show_model(response, context)


def add_said(tally: Tally, raw: Raw) -> None:
    """Adds an item of an answer to the tally."""
    pieces: list[str | None] = []
    try:
        item = item_of(raw)
    except MiraError:
        return
    match item:
        case wire.Message(content=str(content)):
            pieces.append(content)
        case wire.Message(content=list(content)):
            pieces += [part.text for part in content if isinstance(part, wire.OutputText | wire.InputText)]
            pieces += [part.refusal for part in content if isinstance(part, wire.RefusalPart)]
        case wire.ReasoningItem():
            pieces += [piece.text for piece in (*(item.summary or ()), *(item.content or ()))]
        case wire.FunctionCall():
            pieces += [item.name, item.arguments]
        case wire.CustomCall():
            pieces += [item.name, item.input]
        case _:
            pass
    for piece in pieces:
        if piece:
            tally.deltas += 1
            tally.text.append(piece)


def _is_packed(item: object) -> bool:
    return isinstance(item, wire.ReasoningItem) and (item.encrypted_content or "").startswith(PREFIX)
