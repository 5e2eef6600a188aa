"""One exception type and one table: what can go wrong, and how each protocol says it.

A codec renders a `MiraError` in the shape of its own protocol; nothing else in Mira writes error bodies. The message
is written for the client: it names the field and what to do, and never holds a secret, a prompt or an upstream's text.
"""

from enum import Enum, unique
from typing import NamedTuple


class Row(NamedTuple):
    """How one kind of error is told: HTTP status, OpenAI `type` and `code`, Anthropic `type`, and whether to retry.

    `retry` becomes `x-should-retry`: True and False are written, None leaves the client to its own rules.
    """

    status: int
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    retry: bool | None


@unique
class Kind(Enum):
    """Every kind of error that a client can meet."""

    BAD_REQUEST = Row(400, "invalid_request_error", None, "invalid_request_error", None)
    UNSUPPORTED = Row(400, "invalid_request_error", "unsupported_parameter", "invalid_request_error", None)
    CONTEXT_TOO_LONG = Row(400, "invalid_request_error", "context_length_exceeded", "invalid_request_error", None)
    UNPRICED = Row(400, "invalid_request_error", "model_not_priced", "invalid_request_error", None)
    BAD_KEY = Row(401, "invalid_request_error", "invalid_api_key", "authentication_error", False)
    NO_CREDITS = Row(402, "insufficient_quota", "insufficient_quota", "billing_error", False)
    FORBIDDEN = Row(403, "permission_error", "permission_denied", "permission_error", False)
    MODEL_NOT_ALLOWED = Row(403, "permission_error", "model_not_allowed", "permission_error", False)
    NOT_FOUND = Row(404, "invalid_request_error", "not_found", "not_found_error", None)
    MODEL_NOT_FOUND = Row(404, "invalid_request_error", "model_not_found", "not_found_error", None)
    METHOD_NOT_ALLOWED = Row(405, "invalid_request_error", "method_not_allowed", "invalid_request_error", None)
    CONFLICT = Row(409, "invalid_request_error", "conflict", "conflict_error", False)
    TOO_LARGE = Row(413, "invalid_request_error", "request_too_large", "request_too_large", None)
    BAD_MEDIA_TYPE = Row(415, "invalid_request_error", "unsupported_media_type", "invalid_request_error", None)
    RATE_LIMITED = Row(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", None)
    INTERNAL = Row(500, "server_error", "internal_error", "api_error", False)
    UPSTREAM_AUTH = Row(502, "server_error", "upstream_auth", "api_error", False)
    UPSTREAM_CREDITS = Row(502, "server_error", "upstream_credits", "api_error", False)
    UPSTREAM_FAILED = Row(502, "server_error", "upstream_error", "api_error", False)
    LOOP_DETECTED = Row(508, "server_error", "loop_detected", "api_error", False)
    UNAVAILABLE = Row(503, "server_error", "overloaded", "overloaded_error", True)
    STORE_DOWN = Row(503, "server_error", "store_unavailable", "api_error", True)
    UPSTREAM_TIMEOUT = Row(504, "server_error", "timeout", "timeout_error", False)


class MiraError(Exception):
    """The one error that crosses layers.

    `param` names the offending field in the client's own words (`messages[0].content`), `retry_after_s` becomes the
    `retry-after` header, `code` replaces the kind's OpenAI code where a more exact one exists. `details` holds plain
    figures that are rendered beside the message (balance and need of a 402).
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code or kind.value.openai_code
        self.retry_after_s = retry_after_s
        self.details = details or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.value.status


def refused_account(kind: Kind) -> MiraError:
    """A node refuses our key (UPSTREAM_AUTH) or our account (UPSTREAM_CREDITS): clients are not told which."""
    message = "The upstream refused this gateway's credentials or account; the operator must act."
    return MiraError(kind, message, code=Kind.UPSTREAM_AUTH.value.openai_code)


class ConfigError(Exception):
    """The configuration cannot be used; the message names the setting and what to do."""
