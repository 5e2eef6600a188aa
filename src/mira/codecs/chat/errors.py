"""Errors in Chat Completions form, both ways."""

import msgspec

from mira.codecs.failures import failure_of, judge, judge_in_band, read_failure
from mira.errors import MiraError


def parse_error(status: int, body: bytes) -> MiraError:
    """A node's failed answer as the error that the client is told."""
    return judge(status, read_failure(body))


def parse_error_in_band(value: object) -> MiraError:
    """The `error` value inside an answer or a chunk that came under status 200."""
    return judge_in_band(failure_of(value))


def render_error(error: MiraError, request_id: str) -> bytes:
    """The body of an error answer; also the data of a stream's error frame."""
    told: dict[str, object] = {
        "message": error.message,
        "type": error.kind.value.openai_type,
        "param": error.param,
        "code": error.code,
    }
    if error.details:
        told["details"] = error.details
    body: dict[str, object] = {"error": told}
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)
