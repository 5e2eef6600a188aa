"""What can go wrong between Mira and an upstream, told by phase and never in the upstream's own words."""

from typing import Literal

Phase = Literal[
    "connect",
    "tls",
    "write",
    "head",
    "body",
    "timeout-connect",
    "timeout-head",
    "timeout-idle",
    "timeout-total",
    "protocol",
    "closed",
]

_WORDS: dict[Phase, str] = {
    "connect": "no connection to the upstream could be made",
    "tls": "the TLS handshake with the upstream failed",
    "write": "the upstream hung up while the request was being sent",
    "head": "the upstream hung up before it answered",
    "body": "the upstream cut its answer",
    "timeout-connect": "no connection to the upstream within the time limit",
    "timeout-head": "the upstream did not begin to answer within the time limit",
    "timeout-idle": "the upstream fell silent for longer than the time limit",
    "timeout-total": "the whole exchange took longer than the time limit",
    "protocol": "the upstream's answer breaks the rules of HTTP",
    "closed": "Mira closed the exchange",
}


class TransportError(Exception):
    """An exchange with an upstream failed.

    `phase` says where. `reached` is False only if no byte of the request can have been processed, so that another node
    may be tried without the risk of paying twice. The text holds neither addresses nor secrets nor anything that the
    upstream said.
    """

    def __init__(self, phase: Phase, *, reached: bool, detail: str = "") -> None:
        words = _WORDS[phase]
        super().__init__(f"{words}: {detail}" if detail else words)
        self.phase: Phase = phase
        self.reached = reached


class AnswerTooLargeError(TransportError):
    """The body is larger than the caller's limit; phase `protocol`."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__("protocol", reached=True, detail=f"the body is larger than {limit_bytes} bytes")


class StaleConnectionError(Exception):
    """A reused connection ended before any byte of an answer; the pool retries, callers never see it."""
