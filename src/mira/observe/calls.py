"""What is told of a call while it runs and when it is over: figures and one line of the log, from its record alone."""

import logging
from math import inf

from mira.core.call import CallRecord
from mira.observe.call_line import LOGGER, SERVER_ERROR
from mira.observe.log import REQUEST_ID, Handler
from mira.observe.metrics import Metrics


class Observer:
    """Hears of every call of a model route: `began` in the task that answers it, `ended` when its record is final.

    `log` takes the lines, as far as the level of their logger lets them; a command that serves nobody has none.
    """

    def __init__(self, metrics: Metrics, log: Handler | None) -> None:
        self._calls = metrics.calls
        self._log = log
        logger = logging.getLogger(LOGGER)
        self._least_status: float = inf
        if logger.isEnabledFor(logging.INFO):
            self._least_status = 0
        elif logger.isEnabledFor(logging.WARNING):
            self._least_status = SERVER_ERROR

    def began(self, request_id: str) -> None:
        """A call began: the lines that its task writes carry its id."""
        REQUEST_ID.set(request_id)
        self._calls.in_flight += 1

    def ended(self, record: CallRecord) -> None:
        """A call is over."""
        labels = self._calls.ended(record)
        if self._log is not None and record.status >= self._least_status:
            self._log.call_over(record, labels.names_model)
