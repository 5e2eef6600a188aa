"""OpenAI's embeddings: one operation of one shape on both sides, so it passes through and is never translated.

Source: the OpenAI API reference (2026-11). Nodes that do not speak it are left out before anything is held.
"""

from typing import Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from mira.codecs.chat.errors import parse_error, parse_error_in_band, render_error
from mira.codecs.chat.passing import show_model, with_cost
from mira.codecs.chat.usage import cost_literal, read_usage
from mira.codecs.codec import Codec, Context, Envelope, Tally, Target
from mira.codecs.lenient import loose
from mira.codecs.opening import opened
from mira.codecs.refusals import wrong
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

Token = Annotated[int, Meta(ge=0)]


class Request(Struct, kw_only=True):
    """`input` is a text, several, the tokens of one, or the tokens of several."""

    model: Annotated[str, Meta(min_length=1)]
    input: str | list[str | Token | list[Token]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    stream: bool | None = None


_REQUEST = msgspec.json.Decoder(Request)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_WORDS = {"encoding_format": "float or base64"}
_INPUT = "a string, a list of strings, a list of tokens or a list of lists of tokens"


def open_request(body: bytes) -> Envelope:
    """Validates a body and opens it; MiraError BAD_REQUEST with `param` where it is wrong."""
    request, fields = opened(body, _REQUEST, _WORDS)
    if isinstance(request.input, list) and len({type(item) for item in request.input}) != 1:
        wrong("input", f"{_INPUT}, and none of these empty or mixed")
    if request.stream:
        wrong("stream", "no stream: embeddings come whole")
    return Envelope(
        model=request.model,
        stream=False,
        include_usage=False,
        output_cap=0,
        choices=1,
        input_bytes=len(body),
        media_parts=0,
        uses_tools=False,
        fields=fields,
        wire=request,
    )


def pass_request(envelope: Envelope, target: Target) -> bytes:
    """The client's body with the node's spelling of the model."""
    return msgspec.json.encode({**envelope.fields, "model": target.model})


def pass_answer(body: bytes, context: Context) -> "PassedEmbeddings":
    """A node's answer, checked; MiraError where it is an error in the clothes of a 200, or holds no embeddings."""
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer is not a JSON object.") from None
    if "error" in fields and (error := loose(fields["error"])):
        raise parse_error_in_band(error)
    if bytes(fields.get("data", b""))[:1] != b"[" or bytes(fields["data"]) == b"[]":
        raise MiraError(Kind.UPSTREAM_FAILED, "The upstream's answer has no embeddings.")
    return PassedEmbeddings(fields, context)


class PassedEmbeddings:
    """Embeddings on their way through (see `mira.codecs.codec.PassedAnswer`)."""

    __slots__ = ("_context", "_fields", "usage")

    def __init__(self, fields: dict[str, Raw], context: Context) -> None:
        self._fields = fields
        self._context = context
        self.usage: Usage | None = read_usage(fields["usage"]) if "usage" in fields else None

    def tally(self) -> Tally:
        """Nothing: vectors are no tokens."""
        return Tally(text=[])

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client."""
        fields: dict[str, Any] = {**self._fields}
        if self.usage is None:
            told: dict[str, Any] = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
            if cost_nanocredits is not None:
                told["cost"] = cost_literal(cost_nanocredits)
            fields["usage"] = told
        elif cost_nanocredits is not None:
            fields["usage"] = with_cost(fields["usage"], cost_nanocredits)
        show_model(fields, self._context)
        return msgspec.json.encode(fields)


def _untranslatable(*_: object) -> NoReturn:
    raise MiraError(Kind.UNSUPPORTED, "Embeddings cannot be translated into another protocol.", param="model")


EMBEDDINGS = Codec(
    name="embeddings",
    passes_only=True,
    open_request=open_request,
    parse_request=_untranslatable,
    render_request=_untranslatable,
    pass_request=pass_request,
    pass_answer=pass_answer,
    pass_stream=_untranslatable,
    parse_answer=_untranslatable,
    render_answer=_untranslatable,
    decoder=_untranslatable,
    encoder=_untranslatable,
    parse_error=parse_error,
    render_error=render_error,
)
