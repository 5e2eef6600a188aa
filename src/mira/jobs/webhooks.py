"""Telling a client's server that a job has ended, signed as Standard Webhooks has it.

The signature is HMAC-SHA256 over "id.timestamp.body" with the workspace's secret. The id stays the same however often
a webhook is sent, so that its receiver can tell a repetition.
"""

import base64
import hmac
from typing import Protocol

import msgspec

from mira.core.jobs import Job, State
from mira.errors import Kind, MiraError
from mira.jobs.content import WayOut

TOTAL_S = 15.0
#: A client waits for the look-up; a name that takes longer is judged when its webhook is sent.
LOOKUP_S = 5.0


class Secrets(Protocol):
    """Knows the secrets of workspaces."""

    def webhook_secret(self, workspace_id: str) -> bytes:
        """What a workspace's webhooks are signed with."""


def shown(secret: bytes) -> str:
    """A secret as receivers are given it."""
    return "whsec_" + base64.b64encode(secret).decode()


def event(job: Job) -> bytes:
    """The body: an event as OpenAI's are."""
    kind = "video.completed" if job.state is State.COMPLETED else "video.failed"
    ended_ms = job.ended_at_ms or job.updated_at_ms
    return msgspec.json.encode(
        {"id": event_id(job), "object": "event", "created_at": ended_ms // 1000, "type": kind, "data": {"id": job.id}}
    )


def event_id(job: Job) -> str:
    """The id of the one event that a job has."""
    return "evt_" + job.id.rpartition("_")[2]


def signed(job: Job, body: bytes, secret: bytes, now_s: int) -> list[tuple[bytes, bytes]]:
    """The headers of a webhook."""
    name = event_id(job)
    mac = hmac.digest(secret, f"{name}.{now_s}.".encode() + body, "sha256")
    return [
        (b"content-type", b"application/json"),
        (b"webhook-id", name.encode()),
        (b"webhook-timestamp", str(now_s).encode()),
        (b"webhook-signature", b"v1," + base64.b64encode(mac)),
    ]


async def require_reachable(url: str, way_out: WayOut) -> None:
    """MiraError BAD_REQUEST for a webhook that would never be told, in words that tell nothing of the network."""
    try:
        await way_out.judge(url, total_s=LOOKUP_S)
    except MiraError as error:
        if error.kind is Kind.FORBIDDEN:
            why = (
                "leads to a private address or an unusual port, which is never told; use a public address on port 80, "
                "443, 8080 or 8443, or ask the operator to name this one in MIRA_ALLOW_PRIVATE_NETWORKS"
            )
        else:
            why = f"cannot be told: {error.message} Use the address of a public web server"
        raise MiraError(Kind.BAD_REQUEST, f"webhook: {why}", param="webhook", code=error.code) from None


async def tell(job: Job, way_out: WayOut, secrets: Secrets, now_s: int) -> bool:
    """Sends the event of an ended job; whether its receiver took it."""
    assert job.webhook_url is not None
    body = event(job)
    headers = signed(job, body, secrets.webhook_secret(job.workspace_id), now_s)
    try:
        status = await way_out.post(job.webhook_url, headers, body, total_s=TOTAL_S)
    except MiraError:
        return False
    return 200 <= status < 300
