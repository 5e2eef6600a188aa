"""Sending a job's request to a node: what comes back surely, and what leaves a doubt."""

import asyncio

from msgspec import Struct

from mira.calls.call import AttemptFailed
from mira.calls.routing import refused, trouble_of
from mira.codecs.media.shape import Outgoing, Received, Target
from mira.codecs.media.video import VideoRequest, variants
from mira.core import media
from mira.core.deadlines import Timeouts
from mira.core.fleet import Offer
from mira.core.health import Trouble
from mira.core.jobs import Job, Refused
from mira.errors import MiraError

TIMEOUTS = Timeouts(head_s=90.0, idle_s=60.0, total_s=120.0)
MAX_ANSWER_BYTES = 4 * 2**20
#: Answers of proxies that do not say whether what is behind them has the request.
_DOUBTFUL = frozenset((408, 502, 504))


class Asked(Struct, frozen=True):
    """A request as it is sealed in its job: what is wanted, and the Miras that it has passed."""

    video: VideoRequest
    via: str = ""


class DoubtError(Exception):
    """Whether the node has the request is not known."""


async def send(job: Job, offer: Offer, asked: Asked) -> str:
    """Sends a job's request; the node's id of the work. AttemptFailed where it surely does not have it, DoubtError."""
    node = offer.node
    shape = node.media("video")
    outgoing: Outgoing = shape.render(asked.video, Target(offer.upstream_model, node.dialect))
    response = None
    try:
        response = await node.post(
            outgoing.path,
            outgoing.body,
            job.hold_id,
            model=offer.upstream_model,
            passed=None,
            timeouts=TIMEOUTS,
            via=asked.via,
            content_type=outgoing.content_type,
            idempotency_key=job.id,
        )
        body = await response.read(MAX_ANSWER_BYTES)
        if response.status in _DOUBTFUL:
            raise DoubtError(str(response.status))
        if not 200 <= response.status < 300:
            raise refused(shape, response, body)
        return str(shape.read(Received(body=body), asked.video).content)
    except MiraError as unread:
        raise DoubtError(unread.message) from None
    except (AttemptFailed, DoubtError, asyncio.CancelledError):
        raise
    except Exception as broken:  # noqa: BLE001 - whatever the transport says
        fault = node.fault(broken)
        if getattr(broken, "reached", True):
            raise DoubtError(fault.message) from None
        raise AttemptFailed(fault, trouble_of(fault)) from None
    finally:
        if response is not None:
            response.close()


def rate_of(offer: Offer, request: VideoRequest) -> int | None:
    """Pico-credits for a second of this video at an offer; None where it has no price or its node makes no videos."""
    shape = offer.node.media("video")
    if offer.price is None or shape is None or shape.lacks(request) is not None:
        return None
    if offer.price.free:
        return 0
    # The dearest is for holds: where the client leaves the choice to the model, it makes what is usual.
    usual = tuple(name for name in variants(request) if name != "*")
    rate = media.at(offer.price, usual).second_picocredits
    return rate or media.at(offer.price, variants(request)).second_picocredits or None


def refusal(failure: AttemptFailed) -> Refused:
    """What a node's refusal means for the job."""
    error = failure.error
    elsewhere = failure.trouble is not Trouble.INNOCENT
    wait_ms = round(min(error.retry_after_s or 0, 60) * 1000)
    return Refused(elsewhere, error.code or error.kind.name.lower(), error.message, wait_ms)


def markup_text(markup: tuple[int, int]) -> str:
    """A markup as the decimal text that it was read from."""
    numerator, denominator = markup
    digits = 0
    while numerator * 10**digits % denominator:
        digits += 1
    whole = str(numerator * 10**digits // denominator).rjust(digits + 1, "0")
    return whole if digits == 0 else f"{whole[:-digits]}.{whole[-digits:]}"
