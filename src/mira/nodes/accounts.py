"""The account that Mira has at a node of kind `mira`: what is left in it, and what the node says it charged."""

from typing import Any, Protocol
from urllib.parse import urlencode

from mira.core.money import nanocredits
from mira.core.reconciliation import Entry
from mira.errors import Kind, MiraError

CREDITS_PATH = "/credits"
USAGE_PATH = "/usage"
PAGE = 1000
#: A statement of more rows than this is asked for in parts.
MAX_ROWS = 200_000


class Account(Protocol):
    """What is needed of a node."""

    name: str

    async def fetch(self, path: str) -> tuple[int, Any]:
        """Reads a JSON document of the node's: (status, decoded body)."""


async def available(node: Account) -> int | None:
    """Nano-credits that the node still gives, None where it does not tell (401, 403, 404 or another answer)."""
    status, body = await node.fetch(CREDITS_PATH)
    if status != 200 or not isinstance(body, dict):
        return None
    told = body.get("available", body.get("balance"))
    try:
        return nanocredits(str(told))
    except ValueError:
        return None


async def statement(node: Account, since_ms: int, until_ms: int) -> list[Entry]:
    """What the node charged for our requests that it began in [since, until), by our request ids.

    Rows without a client's request id are not ours to compare. MiraError UPSTREAM_FAILED where the node has no
    statement that can be read, BAD_REQUEST where it has more rows than can be compared at once.
    """
    query = {"since_ms": str(since_ms), "until_ms": str(until_ms), "limit": str(PAGE)}
    entries: list[Entry] = []
    while True:
        status, body = await node.fetch(f"{USAGE_PATH}?{urlencode(query)}")
        if status != 200 or not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows no statement (status {status})")
        for row in body["data"]:
            entries += _entry(node, row)
        if len(entries) > MAX_ROWS:
            raise MiraError(Kind.BAD_REQUEST, "since: too many calls to compare at once; choose a shorter time")
        following = body.get("next")
        if not isinstance(following, str) or following == query.get("cursor"):
            return entries
        query["cursor"] = following


def _entry(node: Account, row: Any) -> list[Entry]:
    if not isinstance(row, dict):
        raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows a statement that cannot be read")
    request_id = row.get("client_request_id")
    if not isinstance(request_id, str):
        return []
    try:
        return [Entry(request_id, nanocredits(str(row.get("cost", "0"))))]
    except ValueError:
        raise MiraError(Kind.UPSTREAM_FAILED, f"the node {node.name} shows a cost that is not a number") from None
