"""Which node is asked next, for how long, and what a failed attempt says of it: the rules of `mira.core` for a call."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from mira.calls.call import AttemptFailed, Call
from mira.calls.pump import Pump
from mira.codecs.sessions import session_of
from mira.collaborators import ClientLeft, Response
from mira.core import tokens
from mira.core.affinity import session_key
from mira.core.deadlines import Timeouts, for_attempt
from mira.core.fleet import LONGEST_WAIT_S, Balancer, Need, Offer, Route
from mira.core.headroom import told_wait_s, told_windows
from mira.core.health import Trouble
from mira.core.retrying import MAX_ATTEMPTS
from mira.errors import Kind, MiraError

#: A client's own limit for its call, in milliseconds; it can only lower what the node's settings allow.
TIMEOUT_HEADER = b"x-mira-timeout-ms"
#: Calls that wait at a time for a node that is not limited, and how often one that waits for a trial looks.
MOST_WAITING = 100
LOOK_S = 0.1
#: What passes before the first attempt counts as nothing.
PROMPT_S = 1.0

#: The codes with which an embedded model refuses a call that it cannot take yet: nothing went wrong there.
NOT_READY = frozenset(("model_not_ready", "runtime_missing"))
_TROUBLES = {
    Kind.BAD_REQUEST: Trouble.INNOCENT,
    Kind.UNSUPPORTED: Trouble.INNOCENT,
    Kind.CONTEXT_TOO_LONG: Trouble.INNOCENT,
    Kind.TOO_LARGE: Trouble.INNOCENT,
    Kind.RATE_LIMITED: Trouble.LIMITED,
    Kind.UPSTREAM_CREDITS: Trouble.EXHAUSTED,
    Kind.UPSTREAM_AUTH: Trouble.CREDENTIALS,
    Kind.MODEL_NOT_FOUND: Trouble.MISSING,
    Kind.LOOP_DETECTED: Trouble.LOOP,
}


class Router:
    """Picks nodes for calls. `monotonic_s` is a steady clock."""

    def __init__(self, balancer: Balancer, monotonic_s: Callable[[], float]) -> None:
        self._balancer = balancer
        self._monotonic_s = monotonic_s
        self._waiting = 0

    def plan(self, call: Call, route: Route) -> None:
        """Notes on the call what it needs of a node, and when it has to be over by its client's wish."""
        self._balancer.budget.request()
        envelope = call.envelope
        if TIMEOUT_HEADER in call.exchange.head:
            call.limit_s = limit_s(call.exchange.header(TIMEOUT_HEADER) or "")
        session = None
        if route.keeps_sessions:
            session = session_key(call.caller.workspace_id, route.model, session_of(envelope.fields))
        call.need = Need(
            envelope.stream,
            tokens.rendered_bound_tokens(call.input_bound_tokens),
            call.output_cap * envelope.choices,
            tokens.rough_tokens(envelope.input_bytes) + call.output_cap,
            session,
        )

    def begin(self, call: Call, route: Route, tried: list[object], last: MiraError | None) -> Offer | None:
        """The next offer to try, at whose node an attempt begins, which must `end`.

        None where all are limited and it is worth to `wait`. MiraError where nobody is left: `last` is what the last
        node said, if one was asked.
        """
        now_s = self._monotonic_s()
        try:
            offer = self._balancer.choose(route, tried, now_s, call.need)
        except MiraError as none_left:
            if not _waitable(none_left) or self._waiting >= MOST_WAITING:
                raise soonest(last, none_left) from None
            return None
        call.attempt = self._balancer.begin(offer, now_s, call.need)
        return offer

    async def wait(self, call: Call, route: Route, tried: list[object], last: MiraError | None) -> Offer:
        """As `begin`, with the next offer that is not limited any more; MiraError where there is none within 5 s."""
        exchange = call.exchange
        exchange.on_gone = exchange.cancel
        self._waiting += 1
        until_s = self._monotonic_s() + LONGEST_WAIT_S
        try:
            while True:
                if exchange.gone:
                    raise ClientLeft
                now_s = self._monotonic_s()
                try:
                    offer = self._balancer.choose(route, tried, now_s, call.need)
                except MiraError as none_left:
                    wait_s = max(none_left.retry_after_s or 0.0, LOOK_S)
                    if not _waitable(none_left) or now_s + wait_s > until_s:
                        raise soonest(last, none_left) from None
                    await asyncio.sleep(wait_s)
                else:
                    call.attempt = self._balancer.begin(offer, now_s, call.need)
                    return offer
        except asyncio.CancelledError:
            # Nobody was asked: there is nothing to pay.
            if exchange.gone:
                raise ClientLeft from None
            raise
        finally:
            self._waiting -= 1
            exchange.on_gone = None

    def failed(self, call: Call, failure: AttemptFailed) -> None:
        """Tells the node's health why the attempt failed."""
        if call.attempt is not None and not call.attempt.ended:
            error = failure.error
            reason = error.kind.name.lower()
            now_s, jitter = self._monotonic_s(), self._balancer.random()
            call.attempt.failed(failure.trouble, reason, now_s, jitter, error.retry_after_s)

    def content(self, call: Call) -> None:
        """The first content came."""
        now_s = self._monotonic_s()
        call.record.first_content_ms = int((now_s - call.started_s) * 1000)
        if call.attempt is not None:
            call.attempt.content(now_s)

    def succeeded(self, call: Call) -> None:
        """The node's answer is complete; one that came whole had no content before."""
        now_s = self._monotonic_s()
        if call.record.first_content_ms is None:
            call.record.first_content_ms = int((now_s - call.started_s) * 1000)
        if call.attempt is not None:
            call.attempt.succeeded(now_s)

    def end(self, call: Call) -> None:
        """The attempt is over, however."""
        if call.attempt is not None:
            call.attempt.over(self._monotonic_s())

    def may_retry(self, call: Call, route: Route, tried: list[object], most_attempts: int = MAX_ATTEMPTS) -> bool:
        """Whether one more node may be asked: there is one, and time, and the fleet has attempts to spare."""
        if len(tried) >= min(most_attempts, len(route.offers)):
            return False
        now_s = self._monotonic_s()
        if call.limit_s is not None and now_s - call.started_s >= call.limit_s:
            return False
        return self._balancer.budget.take(now_s)

    def timeouts(self, call: Call, offer: Offer, *, others: bool) -> Timeouts:
        """What the attempt at this offer may take."""
        own: Timeouts = offer.node.timeouts
        left_s = own.total_s
        passed_s = self._monotonic_s() - call.started_s
        if passed_s > PROMPT_S:
            left_s -= passed_s
        if call.limit_s is not None:
            left_s = min(left_s, call.limit_s - passed_s)
        whole_cap = None if call.envelope.stream else call.output_cap
        return for_attempt(own, left_s, whole_cap=whole_cap, others=others)

    def failure(self, call: Call, offer: Offer, error: MiraError) -> AttemptFailed:
        """An attempt that ended in this error, and whose fault that is: a limit that the client set is not the node's.

        How long it took is noted all the same when the attempt ends, so a node that only hangs is left too.
        """
        if error.kind is Kind.UPSTREAM_TIMEOUT and call.limit_s is not None and call.attempt is not None:
            own: Timeouts = offer.node.timeouts
            waited_s = self._monotonic_s() - call.attempt.started_s
            if own.head_s is None or waited_s < own.head_s:
                return AttemptFailed(error, Trouble.HASTE)
        return AttemptFailed(error, trouble_of(error))

    def watch(self, call: Call, pump: Pump) -> "Watch | None":
        """Ends a stream whose head is in and whose content does not come in time."""
        if call.timeouts.head_s is None or call.attempt is None:
            return None
        passed_s = self._monotonic_s() - call.attempt.started_s
        return Watch(pump, max(call.timeouts.head_s - passed_s, 0.0))

    def note(self, offer: Offer, response: Response) -> None:
        """Reads how much room a node's rate limits leave."""
        windows = told_windows(response.header, self._monotonic_s())
        if windows:
            offer.lane.windows = windows


class Watch:
    """A timer that closes a node's answer unless its content has begun; `fired` tells that it did."""

    def __init__(self, pump: Pump, after_s: float) -> None:
        self.fired = False
        self._pump = pump
        self._timer = asyncio.get_running_loop().call_later(after_s, self._fire)

    def cancel(self) -> None:
        """The stream is over."""
        self._timer.cancel()

    def _fire(self) -> None:
        if not self._pump.stream.has_content:
            self.fired = True
            self._pump.response.close()


class Failing(Protocol):
    """A protocol's way to fail: a codec, or the shape of a medium."""

    @property
    def parse_error(self) -> Callable[[int, bytes], MiraError]:
        """Reads an answer with an error status."""


def refused(codec: Failing, response: Response, body: bytes) -> AttemptFailed:
    """What a node's answer with an error status means."""
    error = codec.parse_error(response.status, body)
    told_s = told_wait_s(response.header, time.time())
    if told_s is not None:
        # Its words may say less, for they speak of one limit only.
        error.retry_after_s = max(told_s, error.retry_after_s or 0.0)
    return AttemptFailed(error, Trouble.MISSING if response.status == 404 else trouble_of(error))


def trouble_of(error: MiraError) -> Trouble:
    """Whose fault an error of a node is, and of which kind."""
    if error.code in NOT_READY:
        return Trouble.INNOCENT
    return _TROUBLES.get(error.kind, Trouble.FAULT)


def soonest(last: MiraError | None, none_left: MiraError) -> MiraError:
    """What the client is told when nobody is left: what the last node said, and the least time to wait."""
    if last is None:
        return none_left
    if last.kind is none_left.kind is Kind.RATE_LIMITED:
        last.retry_after_s = min(last.retry_after_s or LONGEST_WAIT_S, none_left.retry_after_s or LONGEST_WAIT_S)
    return last


def _waitable(error: MiraError) -> bool:
    return error.kind is Kind.RATE_LIMITED and (error.retry_after_s or 0.0) <= LONGEST_WAIT_S


def limit_s(told: str) -> float:
    """A client's own limit for its call, from milliseconds to seconds; MiraError BAD_REQUEST."""
    if not (told.isascii() and told.isdecimal() and 0 < len(told) < 10 and int(told) > 0):
        raise MiraError(
            Kind.BAD_REQUEST,
            "the header x-mira-timeout-ms must be a whole number of milliseconds above 0",
            param="x-mira-timeout-ms",
        )
    return int(told) / 1000
