"""What is told of a call while it runs and when it is over: figures and one line of the log, from its record alone."""

import logging
from itertools import compress
from typing import Any

from mira.core.call import CallRecord
from mira.core.money import credits_text
from mira.observe.call_sums import OTHER, TOKEN_CLASSES, token_counts
from mira.observe.log import REQUEST_ID, Line
from mira.observe.metrics import Metrics

LOGGER = "mira.calls"
SERVER_ERROR = 500


class Observer:
    """Hears of every call of a model route: `began` in the task that answers it, `ended` when its record is final."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = logging.getLogger(LOGGER)

    def began(self, request_id: str) -> None:
        """A call began: the lines that its task writes carry its id."""
        REQUEST_ID.set(request_id)
        self._metrics.began()

    def ended(self, record: CallRecord) -> None:
        """A call is over."""
        model, _ = self._metrics.ended(record)
        level = logging.WARNING if record.status >= SERVER_ERROR else logging.INFO
        if self._log.isEnabledFor(level):
            self._log.handle(Line(LOGGER, level, "call", members(record, model)))


def members(record: CallRecord, model: str) -> dict[str, Any]:
    """A call as a line of the log tells it. A model that the fleet does not know is a client's word, and left out."""
    told: dict[str, Any] = {
        "request_id": record.request_id,
        "client_request_id": record.client_request_id,
        "upstream_request_id": record.upstream_request_id,
        "workspace_id": record.workspace_id or None,
        "key_id": record.key_id or None,
        "surface": record.face,
        "protocol": record.protocol,
        "model": None if model == OTHER else record.model,
        "node": record.node,
        "stream": record.stream,
        "attempts": record.attempts,
        "status": record.status,
        "error": record.error,
        "first_content_ms": record.first_content_ms,
        "duration_ms": record.duration_ms,
    }
    if failed_attempts := record.failed_attempts:
        told["failed_attempts"] = [{"node": failed.node, "reason": failed.outcome} for failed in failed_attempts]
    counts = token_counts(record.usage)
    if any(counts):
        told["tokens"] = dict(zip(compress(TOKEN_CLASSES.values(), counts), compress(counts, counts), strict=True))
        told["estimated"] = record.usage.estimated
    if record.held_nanocredits:
        told["cost"] = credits_text(record.billed_nanocredits)
    return told
