"""Gemini's errors as the errors that the client is told."""

from typing import Any

from mira.codecs.failures import failure_of, judge, judge_in_band, read_failure
from mira.codecs.lenient import loose
from mira.errors import Kind, MiraError


def parse_error(status: int, body: bytes) -> MiraError:
    """A node's failed answer."""
    failure = read_failure(body)
    return _told(status, failure.type, loose(body)) or judge(status, failure)


def parse_error_in_band(value: Any) -> MiraError:
    """The `error` value inside an answer or a chunk that came under status 200."""
    failure = failure_of(value)
    return _told(failure.status or 0, failure.type, value) or judge_in_band(failure)


def _told(status: int, kind: str, body: Any) -> MiraError | None:
    """What only this protocol's own details tell, None where the shared reader is right."""
    if status == 429 and (wait_s := _retry_delay_s(body)) is not None:
        # The words speak of quota and billing even where a minute's rate is meant; with a delay it is that.
        return MiraError(Kind.RATE_LIMITED, "The upstream limits the rate of requests.", retry_after_s=wait_s)
    if kind == "FAILED_PRECONDITION":
        # The account's region or billing, nothing that the client wrote.
        return judge(403, failure_of(None))
    return None


def _retry_delay_s(body: Any) -> float | None:
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    details = body.get("details") if isinstance(body, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                wait_s = float(delay[:-1])
            except ValueError:
                return None
            return wait_s if 0 <= wait_s < 86_400 else None
    return None
