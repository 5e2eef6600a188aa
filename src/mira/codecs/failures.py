"""Reads what a node says when it fails, in any protocol's shape, and decides what the client is told.

Nodes wrap the same few facts in many shapes (OpenAI, Anthropic, Gemini, vLLM, FastAPI, plain text), so all codecs share
this reader. Of a node's words only the text of a 400 reaches the client, shortened and masked: the rest says what
happened and whose fault it was, never the node's key, address or raw text.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from mira.errors import Kind, MiraError, refused_account

MAX_MESSAGE_CHARS = 300

_TIMEOUTS = (408, 504, 524)
_OVERLOADED = (503, 529)
_CREDIT_CODES = ("insufficient_quota", "billing_error")
_CREDIT = re.compile(
    r"credit balance is too low|insufficient (?:credit|balance|fund|quota)|exceeded your current quota", re.IGNORECASE
)
_KEY_CODES = ("authentication_error", "invalid_api_key", "API_KEY_INVALID")
_KEY = re.compile(
    r"(?:invalid|incorrect|missing|no|expired).{0,30}api.?key|api.?key.{0,40}(?:invalid|not valid|incorrect|expired)",
    re.IGNORECASE,
)
_CONTEXT_CODES = ("context_length_exceeded", "exceed_context_size_error", "string_above_max_length")
_CONTEXT = re.compile(
    r"maximum context length|prompt is too long|context (?:length|window|size|limit)|exceeds? the context"
    r"|exceeds the available context|exceeds the maximum number of tokens|too many (?:input )?tokens|input is too long",
    re.IGNORECASE,
)
_RETRY_IN = re.compile(
    r"(?:try again|retry) (?:in|after) (\d+(?:\.\d+)?)\s*(ms|s|m(?!s)|minutes?|seconds?)?", re.IGNORECASE
)
_SECRETS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "[address]"),
    (re.compile(r"\bBearer\s+\S+", re.IGNORECASE), "Bearer [masked]"),
    (re.compile(r"\b(?:sk|pk|mk|rk|gsk|xai|key|hf|ghp|AIza)[-_]?[A-Za-z0-9*._-]{6,}"), "[masked]"),
    (re.compile(r"\b[A-Za-z0-9_+/=-]{40,}"), "[masked]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
    (re.compile(r"\b(?:localhost|[a-z0-9.-]+\.(?:internal|local|lan|svc))(?::\d+)?\b", re.IGNORECASE), "[address]"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_PARAM = re.compile(r"[A-Za-z_][\w.\[\]-]{0,119}")
_FIGURES = (
    (re.compile(r"(\d+) \+ (\d+) > (\d+)"), ("input_tokens", "output_tokens", "maximum_tokens")),
    (re.compile(r"(\d+) tokens > (\d+) maximum"), ("input_tokens", "maximum_tokens")),
    (re.compile(r"token count[^\d]{0,20}(\d+)[^\d]+maximum[^\d]+(\d+)"), ("input_tokens", "maximum_tokens")),
    (re.compile(r"maximum context length is (\d+)[^\d]+(\d+) tokens"), ("maximum_tokens", "input_tokens")),
    (re.compile(r"(\d+) tokens\)? exceeds the available context size \((\d+)"), ("input_tokens", "maximum_tokens")),
    (re.compile(r"maximum context length is (\d+)"), ("maximum_tokens",)),
)


class Failure(Struct, frozen=True, kw_only=True):
    """The facts of a node's error body; "" and None where it does not tell them. `words` are unmasked."""

    words: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None
    status: int | None = None


def read_failure(body: bytes) -> Failure:
    """The facts of an error body of any shape."""
    try:
        return failure_of(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:4096].decode("utf-8", "replace").strip()
        return Failure() if text.startswith("<") else Failure(words=text)


def failure_of(value: Any) -> Failure:
    """The facts of a decoded error, whole body or the `error` value alone."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return Failure(words=value)
    if not isinstance(value, dict):
        return Failure()
    inner = value.get("error")
    if isinstance(inner, dict):
        value = inner
    elif isinstance(inner, str) and inner:
        value = {"message": inner, **value}
    code = value.get("code")
    number = code if isinstance(code, int) else None
    if number is None and isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        number = int(code)
    return Failure(
        words=_words(value),
        type=_text(value.get("type")) or _text(value.get("status")),
        code=_text(code),
        param=_text(value.get("param")) or None,
        status=number if number is not None and 400 <= number <= 599 else None,
    )


def judge(status: int, failure: Failure) -> MiraError:
    """What the client is told about a node's failure with this HTTP status."""
    if status == 402 or _says(failure, _CREDIT_CODES, _CREDIT):
        return refused_account(Kind.UPSTREAM_CREDITS)
    if status == 403 and "model" in failure.code:
        return _not_found(failure)
    if status in (401, 403) or _says(failure, _KEY_CODES, _KEY):
        return refused_account(Kind.UPSTREAM_AUTH)
    if status == 429:
        return MiraError(
            Kind.RATE_LIMITED, "The upstream limits the rate of requests.", retry_after_s=_retry_after_s(failure.words)
        )
    if status in (400, 413, 422) or (status == 500 and failure.code in _CONTEXT_CODES):
        return _client_fault(status, failure)
    if status == 404:
        return _not_found(failure)
    if status == Kind.LOOP_DETECTED.value.status:
        return MiraError(
            Kind.LOOP_DETECTED, "The upstream refused the request because it runs in a loop; the operator must act."
        )
    if status in _TIMEOUTS:
        return MiraError(Kind.UPSTREAM_TIMEOUT, "The upstream did not answer in time.")
    if status in _OVERLOADED or "overloaded" in failure.type:
        return MiraError(Kind.UNAVAILABLE, "The upstream is overloaded.", retry_after_s=_retry_after_s(failure.words))
    return MiraError(Kind.UPSTREAM_FAILED, f"The upstream failed with status {status}.")


def judge_in_band(failure: Failure) -> MiraError:
    """What the client is told about an error inside an answer that began with 200."""
    if failure.status is not None:
        return judge(failure.status, failure)
    told = f"{failure.type} {failure.code}".lower()
    if "rate_limit" in told or "resource_exhausted" in told:
        return judge(429, failure)
    if "overloaded" in told or "unavailable" in told:
        return judge(503, failure)
    if "timeout" in told or "deadline" in told:
        return judge(504, failure)
    if "invalid_request" in told or "invalid_argument" in told or failure.code in _CONTEXT_CODES:
        return judge(400, failure)
    if _says(failure, _CREDIT_CODES, _CREDIT):
        return judge(402, failure)
    if _says(failure, _KEY_CODES, _KEY):
        return judge(401, failure)
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream reported an error in its answer.")


def masked(text: str) -> str:
    """A node's words as a client may see them: one line, secrets and addresses masked, at most 300 characters."""
    text = _CONTROL.sub(" ", text[: 8 * MAX_MESSAGE_CHARS])
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text[:MAX_MESSAGE_CHARS].strip()


def _client_fault(status: int, failure: Failure) -> MiraError:
    if failure.code in _CONTEXT_CODES or failure.type in _CONTEXT_CODES or _CONTEXT.search(failure.words):
        return _too_long(failure.words)
    if status == 413:
        return MiraError(Kind.TOO_LARGE, "The upstream refused the request as too large.")
    words = masked(failure.words) or f"The upstream refused the request with status {status}."
    param = failure.param
    if param is not None and not (_PARAM.fullmatch(param) and masked(param) == param):
        param = None
    unsupported = failure.code in ("unsupported_parameter", "unsupported_value")
    if not unsupported:
        return MiraError(Kind.BAD_REQUEST, words, param=param)
    return MiraError(Kind.UNSUPPORTED, words, param=param, code=failure.code)


def _too_long(words: str) -> MiraError:
    figures: dict[str, str] = {}
    for pattern, names in _FIGURES:
        if found := pattern.search(words.replace(",", "")):
            figures = dict(zip(names, found.groups(), strict=True))
            break
    message = "The prompt is too long for the model"
    match figures:
        case {"output_tokens": output_tokens, "input_tokens": tokens, "maximum_tokens": maximum}:
            message += f": {tokens} tokens and an output cap of {output_tokens}, of at most {maximum}"
        case {"input_tokens": tokens, "maximum_tokens": maximum}:
            message += f": {tokens} tokens of at most {maximum}"
        case {"maximum_tokens": maximum}:
            message += f": it takes at most {maximum} tokens"
    return MiraError(Kind.CONTEXT_TOO_LONG, message + ".", param="messages", details=figures)


def _not_found(failure: Failure) -> MiraError:
    if "model" in failure.code or "model" in failure.words.lower():
        return MiraError(Kind.MODEL_NOT_FOUND, "The upstream does not know this model.", param="model")
    return MiraError(Kind.UPSTREAM_FAILED, "The upstream failed with status 404.")


def _says(failure: Failure, codes: tuple[str, ...], words: re.Pattern[str]) -> bool:
    return failure.code in codes or failure.type in codes or bool(words.search(failure.words[:4096]))


def _retry_after_s(words: str) -> float | None:
    found = _RETRY_IN.search(words[:4096])
    if not found:
        return None
    unit = (found[2] or "s").lower()
    return float(found[1]) * (0.001 if unit == "ms" else 60 if unit.startswith("m") else 1)


def _words(value: dict[str, Any]) -> str:
    for name in ("message", "detail", "msg", "error_description"):
        told = value.get(name)
        if isinstance(told, str) and told:
            return told
        if isinstance(told, list) and told and isinstance(told[0], dict):
            return _text(told[0].get("msg"))
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
