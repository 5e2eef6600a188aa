"""Errors of Responses: bodies as Chat Completions has them, failed responses and error events of its own."""

from typing import Any

import msgspec

from mira.codecs.chat import errors as chat
from mira.codecs.failures import Failure, failure_of, judge, judge_in_band, read_failure
from mira.codecs.responses.wire import WORDS
from mira.codecs.sse import event_frame
from mira.errors import Kind, MiraError

#: A node cannot read the reasoning it was given back: worth one more try without it.
UNREADABLE = "invalid_encrypted_content"
#: The codes of a failed response that clients act upon; what is not here is the node's or our fault.
_CODES = {
    Kind.RATE_LIMITED: "rate_limit_exceeded",
    Kind.NO_CREDITS: "insufficient_quota",
    Kind.CONTEXT_TOO_LONG: "context_length_exceeded",
    Kind.BAD_REQUEST: "invalid_prompt",
    Kind.UNSUPPORTED: "invalid_prompt",
}


def parse_error(status: int, body: bytes) -> MiraError:
    """A node's failed answer as the error that the client is told."""
    failure = read_failure(body)
    return _with_code(judge(status, failure), failure)


def parse_error_in_band(value: Any) -> MiraError:
    """The `error` value of an answer or of an event that came under status 200."""
    failure = failure_of(value)
    if failure.code == "invalid_prompt":
        return judge(400, failure)
    return _with_code(judge_in_band(failure), failure)


def render_error(error: MiraError, request_id: str) -> bytes:
    """The body of an error answer, which names the field as this protocol does."""
    error.param = _param(error)
    return chat.render_error(error, request_id)


def error_body(error: MiraError) -> dict[str, str]:
    """The `error` of a failed response. Clients read the wait out of the words."""
    message = error.message
    if error.kind is Kind.RATE_LIMITED and error.retry_after_s is not None:
        message = f"{message} Please try again in {error.retry_after_s:g}s."
    return {"code": _CODES.get(error.kind, "server_error"), "message": message}


def error_event(error: MiraError, sequence_number: int) -> bytes:
    """The event of a failure before the response began."""
    told = {
        "type": "error",
        "sequence_number": sequence_number,
        "code": error.code,
        "message": error_body(error)["message"],
        "param": _param(error),
    }
    return event_frame(b"error", msgspec.json.encode(told))


def _param(error: MiraError) -> str | None:
    return None if error.param is None else WORDS.get(error.param, error.param)


def _with_code(error: MiraError, failure: Failure) -> MiraError:
    if failure.code == UNREADABLE and error.kind is Kind.BAD_REQUEST:
        error.code = UNREADABLE
    return error
