"""OpenAI's Responses, both directions: what Codex, the Agents SDK and the AI SDK speak.

Source: the OpenAI API reference (2026-11) and the types of its Python SDK.
"""

from mira.codecs.codec import Codec
from mira.codecs.responses.answer import parse_answer, render_answer
from mira.codecs.responses.decoder import Decoder
from mira.codecs.responses.encoder import Encoder
from mira.codecs.responses.errors import parse_error, render_error
from mira.codecs.responses.memory import without_reasoning
from mira.codecs.responses.opening import open_request
from mira.codecs.responses.passing import pass_answer, pass_request
from mira.codecs.responses.passing_stream import PassedStream
from mira.codecs.responses.rendering import render_request
from mira.codecs.responses.request import parse_request
from mira.codecs.responses.wire import WORDS

RESPONSES = Codec(
    name="responses",
    open_request=open_request,
    parse_request=parse_request,
    render_request=render_request,
    pass_request=pass_request,
    pass_answer=pass_answer,
    pass_stream=PassedStream,
    parse_answer=parse_answer,
    render_answer=render_answer,
    decoder=Decoder,
    encoder=Encoder,
    parse_error=parse_error,
    render_error=render_error,
    forget=without_reasoning,
    words=WORDS,
)

__all__ = ["RESPONSES"]
