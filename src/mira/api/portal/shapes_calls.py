"""What the portal tells of calls, usage and credits. Times are Unix milliseconds, amounts decimal credits as text."""

from typing import Literal

from msgspec import Struct


class CallUsage(Struct, kw_only=True):
    """Tokens by kind, and what else was made or read. `seconds` are of sound or film."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    images: int
    seconds: float
    characters: int
    pages: int
    estimated: bool


class CallLine(Struct, kw_only=True):
    """One call. `status` 499: its client left. `first_content_ms` and `duration_ms` count from its start."""

    id: str
    client_request_id: str | None
    upstream_request_id: str | None
    workspace_id: str
    key_id: str
    face: str
    protocol: str
    model: str
    node: str | None
    stream: bool
    started_at_ms: int
    first_content_ms: int | None
    duration_ms: int
    attempts: int
    status: int
    error: str | None
    usage: CallUsage
    cost: str
    held: str
    computed_cost: str
    reported_cost: str | None


class CallShown(CallLine, kw_only=True):
    """A call with the name of its key, as its workspace sees it."""

    key_name: str | None


class Bar(Struct, kw_only=True):
    """One bar of a histogram: the calls that began in the hour or day from `begins_ms` on."""

    begins_ms: int
    calls: int
    failed: int
    cost: str


class CallPage(Struct, kw_only=True):
    """`GET /portal/v1/calls`: newest first. `histogram` (oldest first) where `histogram=true` is asked for.

    `step` says how wide its bars are. Of the filters `status` does not count in the histogram.
    """

    data: list[CallShown]
    next: str | None
    histogram: list[Bar] | None
    step: Literal["hour", "day"] | None
    object: str = "list"


class AttemptShown(Struct, kw_only=True):
    """One attempt at a node. `outcome` is `ok` or the kind of the error. `cost` is what the node charged: operators.

    `protocol` is what was spoken with the node; null where it depended on the request, or the node is gone.
    """

    number: int
    node: str
    outcome: str
    started_at_ms: int
    duration_ms: int
    protocol: str | None
    cost: str | None


class CostLine(Struct, kw_only=True):
    """One class of tokens or pieces: how many (decimal text), at what price (markup included), what they come to.

    The price is of `per` units: of a million tokens or characters, of one of the others.
    """

    name: str
    quantity: str
    unit: Literal["token", "search", "image", "second", "character", "page"]
    per: int
    price: str
    cost: str


class Arithmetic(Struct, kw_only=True):
    """How a call's cost adds up.

    `rule`: `price` by the price table, `reported` by the node's own word, `free`, `none` where nothing was charged.
    `exact`: the lines at today's price come to what was billed; else the price has changed since, or the rule is not
    `price`.
    """

    rule: Literal["price", "reported", "free", "none"]
    lines: list[CostLine]
    total: str
    billed: str
    exact: bool


class TransferShown(Struct, kw_only=True):
    """A movement of the workspace's credits; `amount` is signed. `kind`: `call`, `top_up`, `attempt`, `overrun`, other.

    `reference` is the request id of a call, or what a payment was for. `balance` is what stood in the account after it.
    """

    id: str
    kind: str
    reference: str
    call_id: str | None
    debit: str
    credit: str
    amount: str
    balance: str | None
    created_at_ms: int


class CallDetail(Struct, kw_only=True):
    """`GET /portal/v1/calls/{id}`."""

    call: CallShown
    tried: list[AttemptShown]
    arithmetic: Arithmetic
    transfers: list[TransferShown]


class FirstRequest(Struct, kw_only=True):
    """`GET /portal/v1/keys/{id}/first-request`: the key's first call, or null when the wait was over."""

    received: bool
    call: CallShown | None


class UsageSums(Struct, kw_only=True):
    """Sums over calls."""

    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cache_read_tokens: int
    reasoning_tokens: int
    cost: str


class UsageRow(UsageSums, kw_only=True):
    """The sums of a group. Of the groups those are set that were asked for; `day_ms` and `hour_ms` are UTC."""

    model: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    node: str | None = None
    day_ms: int | None = None
    hour_ms: int | None = None


class UsageSpan(Struct, kw_only=True):
    """Sums over one span of time."""

    since_ms: int
    until_ms: int
    totals: UsageSums
    data: list[UsageRow]


class Usage(UsageSpan, kw_only=True):
    """`GET /portal/v1/usage`. `previous` is the span of the same length before, where `compare=previous` is asked for.

    `next` is the cursor of the next page of `data`.
    """

    next: str | None
    previous: UsageSpan | None


class Credits(Struct, kw_only=True):
    """`GET /portal/v1/credits`. `spend_per_day` is the mean of seven days; `days_left` null: nothing is spent."""

    balance: str
    held: str
    available: str
    currency: str
    spend_per_day: str
    days_left: float | None
    spent_today: str
    spent_this_month: str


class Statement(Struct, kw_only=True):
    """`GET /portal/v1/transfers`: newest first."""

    data: list[TransferShown]
    next: str | None
    object: str = "list"


class Checklist(Struct, kw_only=True):
    """The first run: what is done already."""

    has_credits: bool
    has_key: bool
    has_model: bool
    first_request_at_ms: int | None


class ModelSpend(Struct, kw_only=True):
    """What a model was used."""

    model: str
    calls: int
    failed: int
    total_tokens: int
    cost: str


class KeySpend(Struct, kw_only=True):
    """What a key was used."""

    key_id: str
    key_name: str | None
    calls: int
    cost: str


class Overview(Struct, kw_only=True):
    """`GET /portal/v1/overview`. `previous` are the totals of the span of the same length before.

    Times to first content are those of the newest `sampled_calls` calls of the span.
    """

    since_ms: int
    until_ms: int
    credits: Credits
    totals: UsageSums
    previous: UsageSums
    p50_first_content_ms: int | None
    p95_first_content_ms: int | None
    sampled_calls: int
    series: list[Bar]
    step: Literal["hour", "day"]
    by_model: list[ModelSpend]
    top_keys: list[KeySpend]
    checklist: Checklist
