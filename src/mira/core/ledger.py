"""The rules of the ledger: what may be held and what is charged, decided on the balances it is given.

Every function changes the accounts passed to it and nothing else; the store loads them under their locks, applies the
rules in the order of its queue and writes the result. Amounts are nano-credits in the range of a signed 64-bit integer.

A transfer moves an amount from its debit to its credit account, so that the sum over all accounts is always 0.
"""

from msgspec import Struct

from mira.core.jobs import Job
from mira.core.money import MAX_NANOCREDITS

REVENUE = "revenue"
TOPUP = "topup"
OVERRUN = "overrun"
ATTEMPT_COST = "attempt-cost"
#: What a call may cost the operator beyond what it is charged, and how far the accounts of such losses go down. A node
#: that tells absurd figures must not fill the accounts: no charge of anybody would find room any more.
MOST_LOSS_NANOCREDITS = 2**48
LOWEST_LOSS_NANOCREDITS = -(2**61)


class Account(Struct, gc=False):
    """One account. A capped one (a workspace's) never goes below 0: `posted - held >= 0`."""

    id: str
    posted_nanocredits: int
    held_nanocredits: int = 0

    @property
    def available_nanocredits(self) -> int:
        """What can still be held."""
        return self.posted_nanocredits - self.held_nanocredits


class Claim(Struct, frozen=True, gc=False):
    """A client's Idempotency-Key, and a digest of the request that it stands for."""

    key: str
    digest: bytes


class StoredAnswer(Struct, frozen=True, gc=False):
    """What a client was sent: HTTP status, headers as "name: value" lines, body."""

    status: int
    headers: bytes
    body: bytes


class Doubt(Struct, frozen=True):
    """A call whose process died while a node answered, which may know what it did cost.

    This process holds its credits now and has to close it: at `checkpoint_nanocredits` where nobody can tell.
    """

    hold_id: str
    workspace_id: str
    key_id: str
    model: str
    amount_nanocredits: int
    checkpoint_nanocredits: int
    node: str
    answer_id: str | None


class Opening(Struct, frozen=True, gc=False):
    """A job that begins with a hold, in one transaction: no job without its hold, no hold without its job.

    The hold is the job's: no process has to renew it, and it ends with the job or at `until_ms`, which must lie well
    after the job's own deadline. `request` is the sealed request, `answer` what its client is sent.
    """

    job: Job
    request: bytes
    until_ms: int
    answer: StoredAnswer


class Answered(Exception):  # noqa: N818 - an outcome, not an error
    """The request was answered before, under the same Idempotency-Key: this is what was sent."""

    def __init__(self, answer: StoredAnswer) -> None:
        super().__init__("answered before")
        self.answer = answer


class Reserve(Struct, frozen=True, kw_only=True, gc=False):
    """A wish to hold credits: `amount_nanocredits` if they are there, else whatever is, down to `least_nanocredits`.

    `hold_id` is the request's id. An amount of 0 is a hold like any other, as free models need one to be recorded once.
    `caps` are the limits that apply to the caller, and `tokens` what the call may use of their token rates. A call that
    begins a job has its `opening`.
    """

    hold_id: str
    workspace_id: str
    key_id: str
    amount_nanocredits: int
    least_nanocredits: int
    caps: tuple[str, ...] = ()
    tokens: int = 0
    claim: Claim | None = None
    model: str = ""
    opening: Opening | None = None


def workspace_account(workspace_id: str) -> str:
    """The id of a workspace's account."""
    return "workspace:" + workspace_id


def take_hold(
    account: Account, amount_nanocredits: int, least_nanocredits: int, room_nanocredits: int = MAX_NANOCREDITS
) -> int | None:
    """Holds up to `amount`, at least `least`; returns what was held, or None where even the least is not available.

    `room` is what the narrowest budget allows beside the balance. Whoever takes a wish in has checked that
    0 <= least <= amount within 64 bits.
    """
    grant = account.posted_nanocredits - account.held_nanocredits
    grant = min(grant, amount_nanocredits)
    grant = min(grant, room_nanocredits)
    if grant < least_nanocredits:
        return None
    account.held_nanocredits += grant
    return grant


def close_hold(
    account: Account,
    revenue: Account,
    *,
    hold_nanocredits: int,
    actual_nanocredits: int,
    capped: bool,
    room_nanocredits: int = MAX_NANOCREDITS,
) -> int:
    """Releases a hold and charges the actual cost: first the hold, then the free balance.

    Returns what is billed to the account; the rest is the operator's (`bear`). `room` is what the narrowest budget
    allows beyond the hold: of the free balance no more is taken. `capped` charges the hold at most, for costs that only
    the upstream vouches for. ValueError where the cost is negative, the bill is beyond 64 bits, or the hold is not
    covered by what the account holds.
    """
    held = account.held_nanocredits - hold_nanocredits
    if hold_nanocredits < 0 or held < 0:
        raise ValueError("a hold is closed only once")
    billed = actual_nanocredits
    if billed > hold_nanocredits:
        free = 0 if capped else min(account.posted_nanocredits - account.held_nanocredits, room_nanocredits)
        billed = min(billed, hold_nanocredits + free)
    if actual_nanocredits < 0 or billed + revenue.posted_nanocredits > MAX_NANOCREDITS:
        raise ValueError("a charge is neither negative nor beyond 64 bits")
    account.held_nanocredits = held
    account.posted_nanocredits -= billed
    revenue.posted_nanocredits += billed
    return billed


def bear(losses: Account, revenue: Account, amount_nanocredits: int) -> int:
    """Books what a call costs the operator, as far as such losses are booked; returns what was."""
    booked = min(amount_nanocredits, MOST_LOSS_NANOCREDITS, losses.posted_nanocredits - LOWEST_LOSS_NANOCREDITS)
    move(losses, revenue, booked)
    return booked


def move(debit: Account, credit: Account, amount_nanocredits: int) -> None:
    """Moves an amount; ValueError, with nothing changed, where it is negative or a balance would leave 64 bits."""
    debited = debit.posted_nanocredits - amount_nanocredits
    credited = credit.posted_nanocredits + amount_nanocredits
    if amount_nanocredits < 0 or debited < -MAX_NANOCREDITS or credited > MAX_NANOCREDITS:
        raise ValueError("a transfer is not negative and leaves both balances within 64 bits")
    debit.posted_nanocredits = debited
    credit.posted_nanocredits = credited
