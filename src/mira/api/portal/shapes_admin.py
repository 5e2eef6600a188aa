"""What the older routes of the operator API answer: workspaces, keys, calls, sums, and the ledger's check."""

from typing import Any, Literal

from msgspec import Struct

from mira.api.portal.shapes import BudgetShown
from mira.api.portal.shapes_calls import Bar, CallLine


class WorkspaceRow(Struct, kw_only=True):
    """A workspace with its credits."""

    id: str
    name: str
    created_at_ms: int
    balance: str
    held: str
    available: str
    currency: str


class WorkspaceList(Struct, kw_only=True):
    """`GET /admin/v1/workspaces`."""

    data: list[WorkspaceRow]
    object: str = "list"


class TransferLine(Struct, kw_only=True):
    """A transfer between two accounts."""

    id: str
    reference: str
    debit: str
    credit: str
    amount: str
    created_at_ms: int


class TransferLines(Struct, kw_only=True):
    """`GET /admin/v1/workspaces/{id}/transfers`: newest first."""

    data: list[TransferLine]
    next: str | None
    object: str = "list"


class KeyLine(Struct, kw_only=True):
    """A key without its secret. `member` is an id."""

    id: str
    workspace_id: str
    member: str | None
    name: str
    kind: Literal["proxy", "inference"]
    prefix: str
    last4: str
    models: list[str] | None
    expires_at_ms: int | None
    disabled: bool
    revoked_at_ms: int | None
    created_at_ms: int
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    budget: BudgetShown | None


class KeyLines(Struct, kw_only=True):
    """`GET /admin/v1/workspaces/{id}/keys`."""

    data: list[KeyLine]
    object: str = "list"


class KeyLineMade(KeyLine, kw_only=True):
    """A new key with its secret, which is shown this once."""

    secret: str


class MemberLine(Struct, kw_only=True):
    """A member of a workspace with its limits."""

    id: str
    workspace_id: str
    name: str
    email: str | None
    disabled: bool
    created_at_ms: int
    rpm: int | None
    tpm: int | None
    concurrency: int | None
    budget: BudgetShown | None


class MemberLines(Struct, kw_only=True):
    """`GET /admin/v1/workspaces/{id}/members`."""

    data: list[MemberLine]
    object: str = "list"


class CallLines(Struct, kw_only=True):
    """`GET /admin/v1/calls`: newest first, with a histogram as in `CallPage`."""

    data: list[CallLine]
    next: str | None
    histogram: list[Bar] | None
    step: Literal["hour", "day"] | None
    object: str = "list"


class SumLine(Struct, kw_only=True):
    """The sums of a group, or a call where no groups were asked for; of the groups those are there that were."""

    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: str
    workspace_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    node: str | None = None
    day_ms: int | None = None
    hour_ms: int | None = None


class SumLines(Struct, kw_only=True):
    """`GET /admin/v1/usage` with `group_by`."""

    data: list[SumLine]
    next: str | None
    object: str = "list"


class LedgerCheck(Struct, kw_only=True):
    """`GET /admin/v1/ledger/check`: each invariant has `ok`, its `promise`, and its own figures."""

    ok: bool
    invariants: dict[str, dict[str, Any]]
    alarms: dict[str, Any]
