"""The account that Mira has at a node of kind `mira`: what is left in it, and what the node says it charged."""

from typing import Any, Protocol
from urllib.parse import urlencode

from mira.core.money import MAX_NANOCREDITS, NANO_PER_CREDIT, exact_ratio, nanocredits
from mira.core.reconciliation import Entry
from mira.errors import Kind, MiraError

CREDITS_PATH = "/credits"
USAGE_PATH = "/usage"
PAGE = 1000
#: A statement of more rows than this is asked for in parts.
MAX_ROWS = 200_000
#: No call runs longer.
LONGEST_CALL_MS = 7_200_000
OK, TOO_MANY, SERVER_ERROR = 200, 429, 500


class Account(Protocol):
    """What is needed of a node."""

    name: str

    async def fetch(self, path: str) -> tuple[int, Any]:
        """Reads a JSON document of the node's: (status, decoded body)."""


async def available(node: Account) -> int | None:
    """Nano-credits that the node still gives, None where it does not tell (401, 403, 404, or another kind of answer).

    MiraError UPSTREAM_FAILED where it could not answer this time (429, 5xx).
    """
    status, body = await node.fetch(CREDITS_PATH)
    if status == TOO_MANY or status >= SERVER_ERROR:
        raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} could not tell its credits (status {status})")
    if status != OK or not isinstance(body, dict):
        return None
    told = body.get("available", body.get("balance"))
    try:
        numerator, denominator = exact_ratio(str(told))
    except ValueError:
        return None
    # Rounded down, since nobody should count on what is not there.
    return min(numerator * NANO_PER_CREDIT // denominator, MAX_NANOCREDITS)


async def statement(node: Account, since_ms: int, until_ms: int) -> list[Entry]:
    """What the node charged for requests that it began in [since, until), by the request ids of its clients.

    MiraError UPSTREAM_FAILED where the node has no
    statement that can be read, BAD_REQUEST where it has more rows than can be compared at once.
    """
    query = {"since_ms": str(since_ms), "until_ms": str(until_ms), "limit": str(PAGE)}
    entries: list[Entry] = []
    while True:
        status, body = await node.fetch(f"{USAGE_PATH}?{urlencode(query)}")
        if status != OK or not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows no statement (status {status})")
        entries.extend(_entry(node, row) for row in body["data"])
        if len(entries) > MAX_ROWS:
            raise MiraError(Kind.BAD_REQUEST, "since: too many calls to compare at once; choose a shorter time")
        following = body.get("next")
        if not isinstance(following, str) or following == query.get("cursor"):
            return entries
        query["cursor"] = following


async def charge_for(node: Account, request_id: str, since_ms: int) -> int | None:
    """What the node charged for one request of ours, in nano-credits; None where it knows none since then."""
    query = {"since_ms": str(since_ms), "client_request_id": request_id, "limit": str(PAGE)}
    status, body = await node.fetch(f"{USAGE_PATH}?{urlencode(query)}")
    if status != OK or not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return None
    entries = [_entry(node, row) for row in body["data"]]
    charged = [entry.cost_nanocredits for entry in entries if entry.request_id == request_id]
    return sum(charged) if charged else None


def _entry(node: Account, row: Any) -> Entry:
    if not isinstance(row, dict) or "cost" not in row:
        raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows a statement that cannot be read")
    request_id = row.get("client_request_id")
    try:
        return Entry(request_id if isinstance(request_id, str) else "", nanocredits(str(row["cost"])))
    except ValueError:
        raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows a cost that is not a number") from None
