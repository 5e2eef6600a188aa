"""Anthropic's Messages, both directions.

Source: the Anthropic API, versions 2023-06-01 and 2026-10-21, and what its official clients and Claude Code do with it.
"""

from mira.codecs.codec import Codec
from mira.codecs.messages.answer import parse_answer, render_answer
from mira.codecs.messages.decoder import Decoder
from mira.codecs.messages.encoder import Encoder
from mira.codecs.messages.errors import parse_error, render_error, status_of
from mira.codecs.messages.opening import open_count, open_request
from mira.codecs.messages.passing import pass_answer, pass_request
from mira.codecs.messages.passing_stream import PassedStream
from mira.codecs.messages.rendering import render_request
from mira.codecs.messages.request import parse_request
from mira.codecs.messages.wire import WORDS

MESSAGES = Codec(
    name="messages",
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
    keepalive=b'event: ping\ndata: {"type":"ping"}\n\n',
    status_of=status_of,
    words=WORDS,
)

__all__ = ["MESSAGES", "open_count"]
