"""Errors in Messages form, both ways."""

import msgspec

from mira.codecs.failures import failure_of, judge, judge_in_band, read_failure
from mira.codecs.messages.wire import WORDS
from mira.errors import Kind, MiraError

#: What clients of Anthropic know as overloaded; 503 is no status of this protocol.
OVERLOADED_STATUS = 529


def parse_error(status: int, body: bytes) -> MiraError:
    """A node's failed answer as the error that the client is told."""
    return judge(status, read_failure(body))


def parse_error_in_band(value: object) -> MiraError:
    """The error inside an answer or a stream that came under status 200, whole or its `error` alone."""
    return judge_in_band(failure_of(value))


def status_of(error: MiraError) -> int:
    """The HTTP status under which an error is told."""
    return OVERLOADED_STATUS if error.kind is Kind.UNAVAILABLE else error.status


def render_error(error: MiraError, request_id: str) -> bytes:
    """The body of an error answer; also the data of a stream's error frame."""
    told: dict[str, object] = {"type": error.kind.value.anthropic_type, "message": _message(error)}
    if error.details:
        told["details"] = error.details
    return msgspec.json.encode({"type": "error", "error": told, "request_id": request_id or None})


def _message(error: MiraError) -> str:
    """The message; for a prompt that is too long the very words that clients of Anthropic look for.

    This protocol has no place of its own for the name of a field that is refused: it stands before the message.
    """
    if error.kind is Kind.UNSUPPORTED and error.param is not None:
        field = WORDS.get(error.param, error.param)
        return error.message if field in error.message else f"{field}: {error.message}"
    if error.kind is not Kind.CONTEXT_TOO_LONG:
        return error.message
    match error.details:
        case {"input_tokens": tokens, "output_tokens": output, "maximum_tokens": maximum}:
            return f"input length and `max_tokens` exceed context limit: {tokens} + {output} > {maximum}"
        case {"input_tokens": tokens, "maximum_tokens": maximum}:
            return f"prompt is too long: {tokens} tokens > {maximum} maximum"
        case {"maximum_tokens": maximum}:
            return f"prompt is too long: the model takes at most {maximum} tokens"
        case _:
            return "prompt is too long"
