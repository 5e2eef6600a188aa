"""Google's generateContent, the node side: no client of Mira speaks it.

Source: Google's API reference and the Python package `google-genai` 3.4.0 (2026-11). Model and streaming stand in the
address, see `request_path`; the credential goes in the header `x-goog-api-key`.
"""

from mira.codecs.codec import NodeCodec
from mira.codecs.gemini.answer import parse_answer
from mira.codecs.gemini.decoder import Decoder
from mira.codecs.gemini.errors import parse_error
from mira.codecs.gemini.rendering import render_request
from mira.codecs.gemini.wire import request_path

GEMINI = NodeCodec(
    name="gemini",
    render_request=render_request,
    parse_answer=parse_answer,
    decoder=Decoder,
    parse_error=parse_error,
    # Google reads films of YouTube by their addresses; of other media it wants the data, or files of its own.
    needs_data=lambda _target: frozenset(("image", "document")),
)

__all__ = ["GEMINI", "request_path"]
