"""The limits of a key or a member: budget, rates and concurrency, decided on the row that it is given.

Each of these has one row, a `Cap`, with what is allowed and how much of it is taken. The store loads caps under their
locks, these functions decide on them and change them, and the store writes the result: so a limit holds whoever asks.

Rates are GCRA in its form as a leaky bucket: a request fills it by one, it drains by `rpm` a minute and holds `rpm`, so
that any window of t seconds admits at most rpm + rpm * t / 60. Levels are counted in 1/60,000 of a request or token,
which makes a millisecond's drain a whole number: nothing is rounded. Tokens of calls under way are set aside beside the
bucket and do not drain; what a call used goes into the bucket when it is settled.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal

from msgspec import Struct

Period = Literal["day", "week", "month", "total"]
PERIODS: tuple[Period, ...] = ("day", "week", "month", "total")
#: A level's unit is what one request per minute drains in a millisecond.
UNITS = 60_000
MAX_RATE = 10**12
#: What nobody can foresee (the end of a call under way) is worth another try after this long.
UNFORESEEN_MS = 1000


class Limits(Struct, frozen=True, kw_only=True):
    """What is allowed; None for no limit. `rpm` requests and `tpm` tokens a minute, `concurrency` calls at a time."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    budget_nanocredits: int | None = None
    budget_period: Period | None = None


UNLIMITED = Limits()


class Cap(Struct, gc=False):
    """The limits of one key or member, and what is taken of them.

    `spent` counts in the period that ends at `period_ends_ms` (None: never). Levels are as of `levels_at_ms`.
    """

    id: str
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    budget_nanocredits: int | None = None
    budget_period: Period | None = None
    spent_nanocredits: int = 0
    held_nanocredits: int = 0
    period_ends_ms: int | None = None
    requests_level: int = 0
    tokens_level: int = 0
    tokens_held: int = 0
    levels_at_ms: int = 0
    live: int = 0

    @property
    def left_nanocredits(self) -> int | None:
        """What the budget still allows to hold, below 0 where it was lowered; None without a budget."""
        if self.budget_nanocredits is None:
            return None
        return self.budget_nanocredits - self.spent_nanocredits - self.held_nanocredits


class Refusal(Struct, frozen=True):
    """Which limit refuses a call, how much it allows, and after how long it is worth asking again."""

    limit: Literal["rpm", "tpm", "concurrency"]
    allowed: int
    retry_ms: int


def key_cap(key_id: str) -> str:
    """The id of a key's cap."""
    return "key:" + key_id


def member_cap(member_id: str) -> str:
    """The id of a member's cap."""
    return "member:" + member_id


def period_end_ms(period: Period | None, now_ms: int) -> int | None:
    """When the period that `now_ms` lies in ends, in UTC; a week begins on Monday. None where it never does."""
    if period is None or period == "total":
        return None
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        end = day + timedelta(days=1)
    elif period == "week":
        end = day + timedelta(days=7 - day.weekday())
    else:
        end = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return int(end.timestamp()) * 1000


def period_start_ms(period: Period | None, now_ms: int) -> int:
    """When the period that `now_ms` lies in began, in UTC; 0 where it always lasts."""
    if period is None or period == "total":
        return 0
    day = datetime.fromtimestamp(now_ms // 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        day -= timedelta(days=day.weekday())
    elif period == "month":
        day = day.replace(day=1)
    return int(day.timestamp()) * 1000


def refresh(cap: Cap, now_ms: int) -> None:
    """Brings a cap to the present: drains its levels and begins a new period. A clock that stands back changes nothing.

    Where nothing else happens to the cap this need not be written: it would be found again from the older row.
    """
    elapsed_ms = now_ms - cap.levels_at_ms
    if elapsed_ms > 0:
        cap.levels_at_ms = now_ms
        cap.requests_level = max(0, cap.requests_level - cap.rpm * elapsed_ms) if cap.rpm is not None else 0
        cap.tokens_level = max(0, cap.tokens_level - cap.tpm * elapsed_ms) if cap.tpm is not None else 0
    if cap.period_ends_ms is not None and now_ms >= cap.period_ends_ms:
        cap.spent_nanocredits = 0
        cap.period_ends_ms = period_end_ms(cap.budget_period, now_ms)


def granted_tokens(cap: Cap, tokens: int) -> int:
    """What a call may reserve of the cap's token rate: a call larger than the limit is clamped to it."""
    return tokens if cap.tpm is None else min(tokens, cap.tpm)


def refusal(cap: Cap, tokens: int) -> Refusal | None:
    """Which rate or count of a refreshed cap stands against a call of `tokens` now; changes nothing."""
    if cap.concurrency is not None and cap.live >= cap.concurrency:
        return Refusal("concurrency", cap.concurrency, UNFORESEEN_MS)
    if cap.rpm is not None:
        over = cap.requests_level + UNITS - cap.rpm * UNITS
        if over > 0:
            return Refusal("rpm", cap.rpm, -(-over // cap.rpm))
    if cap.tpm is not None:
        over = cap.tokens_level + (cap.tokens_held + min(tokens, cap.tpm) - cap.tpm) * UNITS
        if over > 0:
            drains = over <= cap.tokens_level
            return Refusal("tpm", cap.tpm, -(-over // cap.tpm) if drains else UNFORESEEN_MS)
    return None


def take(cap: Cap, amount_nanocredits: int, tokens: int) -> None:
    """Counts an admitted call."""
    cap.held_nanocredits += amount_nanocredits
    cap.tokens_held += tokens
    cap.live += 1
    if cap.rpm is not None:
        cap.requests_level += UNITS


def give_back(cap: Cap, hold_nanocredits: int, billed_nanocredits: int, tokens: int, used_tokens: int) -> None:
    """Ends a call on a refreshed cap: what it held is free, what it was billed and what it used is counted.

    A use above the limit fills the bucket at most twice, so that an absurd figure of a node does not stop a key for
    longer than two minutes.
    """
    cap.held_nanocredits -= hold_nanocredits
    cap.spent_nanocredits += billed_nanocredits
    cap.tokens_held -= tokens
    cap.live -= 1
    if cap.tpm is not None:
        cap.tokens_level = min(cap.tokens_level + max(used_tokens, 0) * UNITS, 2 * cap.tpm * UNITS)
