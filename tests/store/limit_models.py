"""Limits and Idempotency-Keys as a test believes them to be: by looking at everything that ever happened."""

from typing import Any

from mira.core.limits import Limits
from mira.store.claims import CLAIM_TTL_MS

DAY_MS = 86_400_000


class LimitModel:
    """One cap, with a budget of a day or in total. Rates are judged over every window that ends now."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.admitted: list[int] = []
        self.used: list[tuple[int, int]] = []
        self.billed: list[tuple[int, int]] = []
        self.live: dict[str, tuple[int, int]] = {}

    def left(self, now_ms: int) -> int | None:
        """What the budget allows to hold."""
        if self.limits.budget_nanocredits is None:
            return None
        today = now_ms // DAY_MS if self.limits.budget_period == "day" else 0
        spent = sum(
            amount
            for moment_ms, amount in self.billed
            if self.limits.budget_period == "total" or moment_ms // DAY_MS == today
        )
        return max(0, self.limits.budget_nanocredits - spent - sum(amount for amount, _ in self.live.values()))

    def refuses(self, tokens: int, now_ms: int) -> str | None:
        """Which rate or count stands against a call."""
        limits = self.limits
        if limits.concurrency is not None and len(self.live) >= limits.concurrency:
            return "concurrency"
        if limits.rpm is not None:
            counts = [(moment_ms, 1) for moment_ms in self.admitted]
            if not fits(counts, 1, limits.rpm, now_ms):
                return "rpm"
        if limits.tpm is not None:
            reserved = sum(tokens for _, tokens in self.live.values())
            if not fits(self.used, reserved + min(tokens, limits.tpm), limits.tpm, now_ms):
                return "tpm"
        return None

    def admit(self, hold_id: str, amount: int, tokens: int, now_ms: int) -> None:
        self.live[hold_id] = (amount, tokens)
        self.admitted.append(now_ms)

    def close(self, hold_id: str, billed: int, used: int, now_ms: int) -> None:
        del self.live[hold_id]
        self.billed.append((now_ms, billed))
        self.used.append((now_ms, used))


def fits(taken: list[tuple[int, int]], more: int, a_minute: int, now_ms: int) -> bool:
    """Whether `more` now leaves every window of t milliseconds at most `a_minute` and its share of t."""
    total = more
    if total > a_minute:
        return False
    for moment_ms, amount in reversed(taken):
        total += amount
        if total * 60_000 > a_minute * (60_000 + now_ms - moment_ms):
            return False
    return True


class ClaimModel:
    """The Idempotency-Keys of all workspaces: what a request under one has to be told."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], dict[str, Any]] = {}

    def told(self, workspace_id: str, key: str, digest: bytes, now_ms: int) -> Any:
        """None where it may go on; else 409, 422, or the body of the stored answer."""
        known = self._claims.get((workspace_id, key))
        if known is None or known["expires_ms"] <= now_ms:
            return None
        if known["digest"] != digest:
            return 422
        return known["body"] if known["body"] is not None else 409

    def open(self, workspace_id: str, key: str, digest: bytes, now_ms: int) -> None:
        self._claims[workspace_id, key] = {"digest": digest, "body": None, "expires_ms": now_ms + CLAIM_TTL_MS}

    def close(self, workspace_id: str, key: str, body: bytes | None, billed: int, now_ms: int) -> None:
        if (workspace_id, key) not in self._claims:
            return  # it expired while the call ran, and who had it since has left it free
        if body is None and not billed:
            del self._claims[workspace_id, key]
        else:
            self._claims[workspace_id, key] |= {"body": body, "expires_ms": now_ms + CLAIM_TTL_MS}
