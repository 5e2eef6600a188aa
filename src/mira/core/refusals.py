"""What a caller is told who is not admitted: which limit refuses, its figures, and when it frees."""

from datetime import UTC, datetime

from mira.core.ledger import Account
from mira.core.limits import Cap, Refusal
from mira.core.money import credits_text
from mira.errors import Kind, MiraError

_RATES = {
    "rpm": "{owner} may make {allowed} request{s} a minute (rpm)",
    "tpm": "{owner} may use {allowed} token{s} a minute (tpm)",
    "concurrency": "{owner} may have {allowed} call{s} under way at a time (concurrency)",
}
_PERIODS = {"day": " a day", "week": " a week", "month": " a month"}


def no_credits(account: Account, needed_nanocredits: int) -> MiraError:
    """The 402 of a workspace, with its figures as decimal credits."""
    balance, held = credits_text(account.posted_nanocredits), credits_text(account.held_nanocredits)
    available, needed = credits_text(account.available_nanocredits), credits_text(needed_nanocredits)
    return MiraError(
        Kind.NO_CREDITS,
        f"Not enough credits: this call needs {needed}, available are {available} "
        f"(balance {balance}, held for calls under way {held}).",
        details={"balance": balance, "held": held, "available": available, "needed": needed},
    )


def over_budget(cap: Cap, needed_nanocredits: int) -> MiraError:
    """The 402 of a budget, with its figures as decimal credits and the time at which its period ends."""
    assert cap.budget_nanocredits is not None
    budget, spent = credits_text(cap.budget_nanocredits), credits_text(cap.spent_nanocredits)
    held, needed = credits_text(cap.held_nanocredits), credits_text(needed_nanocredits)
    details = {
        "scope": _scope(cap),
        "budget": budget,
        "period": cap.budget_period or "total",
        "spent": spent,
        "held": held,
        "needed": needed,
    }
    ends = ""
    if cap.period_ends_ms is not None:
        details["resets_at"] = datetime.fromtimestamp(cap.period_ends_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ends = f"; the next period begins at {details['resets_at']}"
    period = _PERIODS.get(details["period"], " in total")
    return MiraError(
        Kind.BUDGET_EXCEEDED,
        f"The budget of {_owner(cap)} is used up: it allows {budget}{period}, spent are {spent}, held for calls under "
        f"way {held}, and this call needs {needed}{ends}.",
        details=details,
    )


def too_fast(cap: Cap, refusal: Refusal) -> MiraError:
    """The 429 of a rate or a count, with the time after which it is worth asking again."""
    owner = _owner(cap)
    plural = "" if refusal.allowed == 1 else "s"
    rule = _RATES[refusal.limit].format(owner=owner[0].upper() + owner[1:], allowed=refusal.allowed, s=plural)
    retry_after_s = refusal.retry_ms / 1000
    return MiraError(
        Kind.RATE_LIMITED,
        f"{rule}; try again in {retry_after_s:.3g} s.",
        retry_after_s=retry_after_s,
        details={"scope": _scope(cap), "limit": refusal.limit, "allowed": str(refusal.allowed)},
    )


def _scope(cap: Cap) -> str:
    return cap.id.partition(":")[0]


def _owner(cap: Cap) -> str:
    return "this key" if _scope(cap) == "key" else "this key's member"
