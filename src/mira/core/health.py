"""What this process has seen of a node, and what follows from it: the states of a node and of each model at it. Pure.

A node is `probing` until something good was heard of it, then `active`, and `degraded` while it is slow, failing or
just back. It is left alone for a while as a whole (`ejected` after faults, `exhausted` without credits,
`bad-credentials`) or for one model (`limited` by its rate, `model-missing`). When that while is over it is
`half-open`: one live call at a time shows whether the reason still holds. So every state ends without help.
"""

from enum import Enum, unique

from msgspec import Struct, field

from mira.core.blocks import LONGEST_TOLD_S, Block, Standing, hinted, renewed
from mira.core.headroom import Window
from mira.core.hints import Hint
from mira.core.latency import Latency, faded
from mira.core.outcomes import Outcomes
from mira.core.purse import Purse

#: Faults in a row that eject a node; see also `mira.core.outcomes`.
FAULTS_TO_EJECT = 3
#: Live calls that have to begin well before an ejected node counts as well, and how long its share then grows.
SUCCESSES_TO_RETURN = 3
SLOW_START_S = 30.0
SLOW_START_SHARE = 0.1
#: A node that held out so long since its return begins again with the first ejection's time.
FORGIVEN_S = 60.0
#: A fault of a call without content does not count as one in a row where a call that began so much later had content:
#: what hung while the node was sick must not speak against it when it is well.
OVERTAKEN_S = 5.0
ERROR_WEIGHT = 0.3
ERRORS_HALVE_S = 10.0
#: Above these a node is shown as `degraded`: share of errors, and time to the first content over the fleet's median.
DEGRADED_ERRORS = 0.05
DEGRADED_SLOWNESS = 4.0
SLOWNESS_LASTS_S = 600.0
SCARCE_CREDITS = 0.2


@unique
class Trouble(Enum):
    """Why an attempt failed, as far as routing cares."""

    #: connect, reset, timeout, 5xx, malformed, an error inside 200: the node's own
    FAULT = "fault"
    LIMITED = "limited"
    EXHAUSTED = "exhausted"
    CREDENTIALS = "bad-credentials"
    MISSING = "model-missing"
    #: the client allowed less time than the node's settings do: another may be quicker
    HASTE = "haste"
    #: the request came round to a Mira that it had passed: another node may not lead back there
    LOOP = "loop"
    #: the request itself, the client or Mira: says nothing about the node
    INNOCENT = "innocent"


class Lane(Struct, eq=False):
    """One model at one node. `streams` and `wholes` are timed apart, for a whole answer takes as long as it is.

    `hint` is another process's word, `proved_s` as in `Health`.
    """

    block: Block | None = None
    hint: Hint | None = None
    proved_s: float = float("-inf")
    strikes: int = 0
    streams: Latency = field(default_factory=Latency)
    wholes: Latency = field(default_factory=Latency)
    windows: tuple[Window, ...] = ()

    def timed(self, *, stream: bool) -> Latency:
        """The times of streams or of whole answers."""
        return self.streams if stream else self.wholes

    def slow(self, now_s: float) -> bool:
        """Whether it took much longer than others when last compared, and that is not long ago."""
        return any(
            timed.slowness >= DEGRADED_SLOWNESS and now_s - timed.compared_s < SLOWNESS_LASTS_S
            for timed in (self.streams, self.wholes)
        )


class Health(Struct, eq=False):
    """What this process has seen of a node. `faults` are consecutive, `errors` their moving share as of `errors_s`.

    `ejections` is how often in a row the node was ejected, `returned_s` when it last came back, `proved_s` when the
    youngest call with content began. `hung` are those in flight that hang from before a recovery: they keep the node
    busy no longer. `purse` are the credits of our account there. `hint` is another process's word.
    """

    in_flight: int = 0
    hung: int = 0
    faults: int = 0
    heard: bool = False
    errors: float = 0.0
    errors_s: float = 0.0
    block: Block | None = None
    strikes: int = 0
    returned_s: float = float("-inf")
    proved_s: float = float("-inf")
    outcomes: Outcomes = field(default_factory=Outcomes)
    lanes: dict[str, Lane] = {}
    purse: Purse = field(default_factory=Purse)
    hint: Hint | None = None

    def lane(self, model: str) -> Lane:
        """What is known of a model at this node."""
        lane = self.lanes.get(model)
        if lane is None:
            lane = self.lanes[model] = Lane()
        return lane

    def begin(self, lane: Lane, now_s: float, *, stream: bool, worst_case_nanocredits: int = 0) -> "Attempt":
        """A call goes to this node now; it must end in `Attempt.over`."""
        timed = lane.streams if stream else lane.wholes
        doubted = timed.slowness >= DEGRADED_SLOWNESS
        attempt = Attempt(self, lane, timed, now_s, doubted, worst_case_nanocredits)
        self.in_flight += 1
        timed.waiting[attempt] = timed.asked_s = now_s
        timed.passed_over = 0
        if self.block is not None or lane.block is not None:
            for block in (self.block, lane.block):
                if block is not None and block.ready(now_s):
                    block.trial = attempt
        if worst_case_nanocredits:
            self.purse.reserve(worst_case_nanocredits)
        return attempt

    def share(self, now_s: float) -> float:
        """The part of its weight that a node takes: it grows to 1 for 30 s after a return."""
        passed_s = now_s - self.returned_s
        return 1.0 if passed_s >= SLOW_START_S else max(passed_s / SLOW_START_S, SLOW_START_SHARE)

    def errors_now(self, now_s: float) -> float:
        """The moving share of errors; it fades while nothing new is known."""
        return self.errors and faded(self.errors, now_s - self.errors_s, ERRORS_HALVE_S)

    def alive(self) -> None:
        """The node answered something that cost nothing (its list of models): it is there, and takes our credential.

        What a sick one still has to show, it may show at once.
        """
        self.heard = True
        if self.block is not None and self.block.state == "bad-credentials":
            self.block.until_s = min(self.block.until_s, self.block.since_s)

    def forgive(self) -> None:
        """An operator wants the node to be tried: what spoke against it is forgotten."""
        self.block = None
        self.faults, self.errors, self.outcomes = 0, 0.0, Outcomes()
        for lane in self.lanes.values():
            lane.block = None

    def refused(self, now_s: float, jitter: float) -> None:
        """The node still refuses our credential, as a probe found: no live call needs to find that out."""
        block = self.block
        if block is not None and block.state == "bad-credentials" and block.ready(now_s):
            self.block = renewed(block, block.state, block.reason, now_s, jitter, strikes=block.strikes + 1)

    def told_credits(
        self, available_nanocredits: int | None, now_s: float, spent_before_nanocredits: int | None = None
    ) -> None:
        """The balance of our account at the node; None where it does not tell (see `Purse.tell`).

        One that still refused to pay although it had told of credits has to wait its time.
        """
        self.purse.tell(available_nanocredits, now_s, spent_before_nanocredits)
        block = self.block
        if block is not None and block.state == "exhausted" and available_nanocredits and not block.strikes:
            block.until_s = min(block.until_s, block.since_s)

    def standing(self, now_s: float) -> Standing:
        """The state of the node as a whole."""
        if self.block is not None:
            return self.block.standing(now_s)
        if self.purse.told_nanocredits is not None and self.purse.told_nanocredits <= self.purse.spent_nanocredits:
            return Standing("exhausted", "no credits are left")
        if self.hint is not None and self.hint.holds(now_s, self.proved_s):
            return hinted(self.hint, now_s)
        if self.errors_now(now_s) > DEGRADED_ERRORS:
            return Standing("degraded", "failed lately")
        if now_s - self.returned_s < SLOW_START_S:
            return Standing("degraded", "slow start", round(self.returned_s + SLOW_START_S - now_s, 1))
        if any(lane.slow(now_s) for lane in self.lanes.values()):
            return Standing("degraded", "slow")
        if self.purse.headroom < SCARCE_CREDITS:
            return Standing("degraded", "short of credits")
        return Standing("active") if self.heard else Standing("probing", "nothing was heard of it yet")

    def latency_ms(self) -> int | None:
        """The mean time to the first content of streams, else of whole answers, over the models; None if unknown."""
        for times in (
            [lane.streams.mean_s for lane in self.lanes.values() if lane.streams.mean_s],
            [lane.wholes.mean_s for lane in self.lanes.values() if lane.wholes.mean_s],
        ):
            if times:
                return round(sum(times) / len(times) * 1000)
        return None

    def conditions(self, now_s: float) -> dict[str, Standing]:
        """The models that are limited or missing at this node, by our or another process's word, with their states."""
        found = {name: lane.block.standing(now_s) for name, lane in self.lanes.items() if lane.block is not None}
        for name, lane in self.lanes.items():
            if lane.block is None and lane.hint is not None and lane.hint.holds(now_s, lane.proved_s):
                found[name] = hinted(lane.hint, now_s)
        return found


class Attempt(Struct, eq=False):
    """One call at one node: what it tells of the node is told here. `spent_nanocredits` is what it cost there."""

    health: Health
    lane: Lane
    timed: Latency
    started_s: float
    doubted: bool = False
    reserved_nanocredits: int = 0
    spent_nanocredits: int = 0
    proved: bool = False
    hung: bool = False
    ended: bool = False

    def content(self, now_s: float) -> None:
        """The first content came, or the whole answer: the node is at work."""
        timed = self.timed
        if timed.waiting.pop(self, None) is None:
            return
        self.proved = True
        health, lane, started_s = self.health, self.lane, self.started_s
        if health.proved_s < started_s:
            health.proved_s = lane.proved_s = started_s
        elif lane.proved_s < started_s:
            lane.proved_s = started_s
        timed.sample(now_s - started_s, now_s)
        if health.block is not None or lane.block is not None:
            self._prove(now_s)
        if self.doubted:
            self._pass_by(now_s)

    def succeeded(self, now_s: float) -> None:
        """The answer is complete."""
        self.content(now_s)
        health = self.health
        outcomes = health.outcomes
        if now_s >= outcomes.until_s:
            outcomes.turn(now_s)
        outcomes.good += 1
        health.heard = True
        health.faults = 0
        if health.errors:
            health.errors = health.errors_now(now_s) * (1 - ERROR_WEIGHT)
            health.errors_s = now_s

    def failed(self, trouble: Trouble, reason: str, now_s: float, jitter: float, told_s: float | None = None) -> None:
        """The attempt failed; `told_s` is how long the node wants to be left alone, `jitter` a random number 0 to 1."""
        lane = self.lane
        match trouble:
            case Trouble.FAULT:
                self._fault(reason, now_s, jitter, told_s)
            case Trouble.LIMITED:
                self._limit(reason, now_s, jitter, told_s)
            case Trouble.EXHAUSTED | Trouble.CREDENTIALS:
                self._leave(trouble, reason, now_s, jitter)
            case Trouble.MISSING:
                block = lane.block
                if block is None or block.trial is self:
                    strikes = 0 if block is None else block.strikes + 1
                    lane.block = renewed(block, trouble.value, reason, now_s, jitter, strikes=strikes)
            case Trouble.HASTE | Trouble.LOOP | Trouble.INNOCENT:
                pass

    def over(self, now_s: float) -> None:
        """The attempt has ended, however; must be called once.

        Whoever gave up waiting has learnt that the node takes at least so long.
        """
        if self.ended:
            return
        self.ended = True
        health, lane, timed = self.health, self.lane, self.timed
        health.in_flight -= 1
        if self.hung:
            health.hung -= 1
        if not self.proved and timed.waiting.pop(self, None) is not None and not self._is_past():
            waited_s = now_s - self.started_s
            if 0 < timed.mean_s < waited_s:
                timed.sample(waited_s, now_s)
        if health.block is not None or lane.block is not None:
            for block in (health.block, lane.block):
                if block is not None and block.trial is self:
                    block.trial = None
        health.purse.release(self.reserved_nanocredits, self.spent_nanocredits)

    def _pass_by(self, now_s: float) -> None:
        """The call was to show whether the node has recovered: what still hangs from before is no news."""
        waiting = self.timed.waiting
        self.timed.recovered_s = now_s
        for earlier in [each for each, since_s in waiting.items() if since_s < self.started_s]:
            del waiting[earlier]
            assert isinstance(earlier, Attempt)
            earlier.hung = True
            self.health.hung += 1

    def _is_past(self) -> bool:
        """Whether the call is of a time before the node's recovery: how it ends says nothing of the node as it is."""
        return not self.proved and self.started_s < max(self.health.returned_s, self.timed.recovered_s)

    def _prove(self, now_s: float) -> None:
        """Content of a call that began since a block did speaks against the block."""
        health, lane = self.health, self.lane
        block = health.block
        if block is not None and self.started_s >= block.since_s:
            block.good += 1
            if block.trial is self:
                block.trial = None
            if block.state != "ejected":
                health.block = None
            elif block.good >= SUCCESSES_TO_RETURN:
                health.block = None
                health.strikes, health.returned_s = block.strikes, now_s
                health.faults, health.errors, health.outcomes = 0, 0.0, Outcomes()
        block = lane.block
        if block is not None and self.started_s >= block.since_s:
            lane.block = None

    def _leave(self, trouble: Trouble, reason: str, now_s: float, jitter: float) -> None:
        """The node refused our account."""
        health = self.health
        block = health.block
        if block is None or block.trial is self:
            strikes = 0 if block is None else block.strikes + 1
            health.block = renewed(block, trouble.value, reason, now_s, jitter, strikes=strikes)
        if trouble is Trouble.EXHAUSTED:
            health.purse.exhausted(now_s)

    def _fault(self, reason: str, now_s: float, jitter: float, told_s: float | None) -> None:
        health = self.health
        block = health.block
        overtaken = not self.proved and self.started_s < health.proved_s - OVERTAKEN_S
        if self._is_past() and (block is None or block.trial is not self):
            return
        outcomes = health.outcomes
        if now_s >= outcomes.until_s:
            outcomes.turn(now_s)
        outcomes.bad += 1
        health.faults += not overtaken
        health.errors = health.errors_now(now_s) * (1 - ERROR_WEIGHT) + ERROR_WEIGHT
        health.errors_s = now_s
        if told_s is not None:
            self._limit(reason, now_s, jitter, told_s)
        if block is not None:
            if block.trial is self:
                health.block = renewed(block, "ejected", reason, now_s, jitter, strikes=block.strikes + 1)
        elif health.faults >= FAULTS_TO_EJECT or health.outcomes.mostly_bad():
            strikes = health.strikes + 1 if now_s - health.returned_s < FORGIVEN_S else 0
            health.block = renewed(None, "ejected", reason, now_s, jitter, strikes=strikes)

    def _limit(self, reason: str, now_s: float, jitter: float, told_s: float | None) -> None:
        block = self.lane.block
        if block is not None and block.trial is not self:
            # An echo of what is known: only the node's own word makes it longer.
            if told_s is not None:
                block.until_s = max(block.until_s, now_s + min(told_s, LONGEST_TOLD_S))
            return
        strikes = 0 if block is None else block.strikes + 1
        self.lane.block = renewed(block, "limited", reason, now_s, jitter, strikes=strikes, told_s=told_s)
