"""Idempotency-Keys inside one batch: who asks first has the claim, everybody else gets its outcome."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from mira.core.ledger import Answered, Claim, Reserve, StoredAnswer
from mira.errors import Kind, MiraError
from mira.store.operations import CloseOp, FoundHold, Hold

CLAIM_TTL_MS = 24 * 60 * 60 * 1000
#: A longer answer is not kept; who asks for it again is told so.
MOST_BYTES = 2**20

log = logging.getLogger("mira.ledger")


class _Claim(Struct, frozen=True):
    """A row of `claim`, without what is its key. One that was closed without a look at its row has no digest."""

    request_id: str
    digest: bytes
    state: str
    expires_at_ms: int
    status: int | None = None
    headers: bytes | None = None
    body: bytes | None = None


class Claims:
    """The claims that a batch looks at. Those of a workspace are guarded by the lock on its account."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._known: dict[tuple[str, str], _Claim | None] = {}
        self._changed: set[tuple[str, str]] = set()
        self._freed: dict[tuple[str, str], str] = {}

    def take_in(self, rows: Iterable[Sequence[Any]], now_ms: int) -> None:
        """Takes in the rows of claims, as of a time."""
        self._now_ms = now_ms
        for workspace_id, key, request_id, digest, state, status, headers, body, expires_at_ms in rows:
            self._known[workspace_id, key] = _Claim(
                request_id, bytes(digest), state, expires_at_ms, status, headers, body
            )

    def check(self, workspace_id: str, claim: Claim) -> None:
        """Passes where the claim is free; `Answered` with the stored answer, MiraError CONFLICT or KEY_REUSED."""
        known = self._known.get((workspace_id, claim.key))
        if known is None or known.expires_at_ms <= self._now_ms:
            return
        if known.digest != claim.digest:
            raise MiraError(
                Kind.KEY_REUSED,
                "this Idempotency-Key was used with another request; take a new key for each request",
                param="Idempotency-Key",
            )
        if known.state == "done":
            assert known.status is not None
            raise Answered(StoredAnswer(known.status, bytes(known.headers or b""), bytes(known.body or b"")))
        raise MiraError(
            Kind.CONFLICT,
            {
                "open": "a request with this Idempotency-Key is under way",
                "large": "the answer to this Idempotency-Key was larger than 1 MiB and was not kept",
            }.get(known.state, "the request with this Idempotency-Key was cut, and charged for what had come"),
            param="Idempotency-Key",
        )

    def open(self, request: Reserve, claim: Claim) -> None:
        """Takes the claim of an admitted call."""
        taken = _Claim(request.hold_id, claim.digest, "open", self._now_ms + CLAIM_TTL_MS)
        if request.opening is not None:
            # A job is answered when it begins: who asks again is told of the same job.
            told = request.opening.answer
            taken = replace(taken, state="done", status=told.status, headers=told.headers, body=told.body)
        self._set((request.workspace_id, claim.key), taken)

    def close(self, op: CloseOp, found: Hold | FoundHold, billed_nanocredits: int) -> None:
        """Stores the outcome of a call. One that was neither answered nor charged leaves the key free.

        A call that ran longer than its key was kept has no say in it any more where another call took the key.
        """
        if found.claim is None:
            return
        name = (found.workspace_id, found.claim)
        known = self._known.get(name)
        if known is not None and known.request_id != op.hold_id:
            return
        answer = _answer(op, billed_nanocredits)
        if answer is None and not billed_nanocredits:
            self._set(name, None)
            self._freed[name] = op.hold_id
            return
        claim = _Claim(op.hold_id, known.digest if known is not None else b"", "lost", self._now_ms + CLAIM_TTL_MS)
        if answer is not None:
            claim = replace(claim, state="large")
            if len(answer.headers) + len(answer.body) <= MOST_BYTES:
                claim = replace(claim, state="done", status=answer.status, headers=answer.headers, body=answer.body)
        self._set(name, claim)

    def changed(self) -> dict[str, list[Any]]:
        """What to write: claims that are new or known whole, outcomes, and those that are free again."""
        if not self._changed:
            return {}
        opened: list[Any] = []
        closed: list[Any] = []
        freed: list[Any] = []
        for name in sorted(self._changed):
            now = self._known[name]
            if now is None:
                freed.append((*name, self._freed[name]))
                continue
            row = (now.state, now.status, now.headers, now.body, now.expires_at_ms)
            if now.digest:
                opened.append((*name, now.request_id, now.digest, *row))
            else:
                closed.append((*row, *name, now.request_id))
        return {"claim_open": opened, "claim_close": closed, "claim_free": freed}

    def _set(self, name: tuple[str, str], claim: _Claim | None) -> None:
        self._known[name] = claim
        self._changed.add(name)


def _answer(op: CloseOp, billed_nanocredits: int) -> StoredAnswer | None:
    """What is kept. An answer that cannot be written is the fault of one call: the others of its batch go through."""
    try:
        return op.render(billed_nanocredits) if op.render is not None else None
    except Exception:
        log.exception("the answer to request %s cannot be kept for its Idempotency-Key", op.hold_id)
        return None
