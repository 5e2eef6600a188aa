"""OpenAI's Chat Completions, both directions: the protocol that most clients and most nodes speak.

Source: the OpenAI API reference (2026-11), and what OpenRouter, DeepSeek, vLLM, Ollama and others do with it.
"""

from mira.codecs.chat.answer import parse_answer, render_answer
from mira.codecs.chat.decoder import Decoder
from mira.codecs.chat.dialects import dialect_of
from mira.codecs.chat.encoder import Encoder
from mira.codecs.chat.errors import parse_error, render_error
from mira.codecs.chat.opening import open_request
from mira.codecs.chat.passing import pass_answer, pass_request
from mira.codecs.chat.passing_stream import PassedStream
from mira.codecs.chat.rendering import render_request
from mira.codecs.chat.request import parse_request
from mira.codecs.codec import Codec

CHAT = Codec(
    name="chat",
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
    needs_data=lambda target: frozenset(() if dialect_of(target.dialect).document_links else ("document",)),
)

__all__ = ["CHAT"]
