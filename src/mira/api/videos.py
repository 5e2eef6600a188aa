"""Videos: Mira's own short route and OpenAI's, over durable jobs. The answer to a request is a job, not a video."""

import asyncio
import secrets
from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from mira.api import media, video_bodies
from mira.api.bodies import answer as json_answer
from mira.api.bodies import number
from mira.api.services import Asked, Services
from mira.api.video_bodies import Wanted
from mira.calls.call import printable
from mira.calls.charge import Charge
from mira.calls.keeping import claim_for, head_of, lines
from mira.calls.leaving import unless_left
from mira.calls.media_call import MediaCall
from mira.calls.media_choice import choose
from mira.calls.media_wish import Answer, Wish
from mira.codecs.chat.usage import cost_literal
from mira.codecs.media.video import UNSAID_S, VideoRequest, bound, variants
from mira.collaborators import ClientLeft
from mira.core.call import CallRecord
from mira.core.caller import Caller, Face
from mira.core.jobs import Job, State
from mira.core.ledger import Answered, Opening, Reserve, StoredAnswer
from mira.core.money import credits_text
from mira.errors import Kind, MiraError
from mira.jobs.ending import PROTOCOL
from mira.jobs.sending import Asked as Sealed
from mira.jobs.sending import rate_of
from mira.jobs.webhooks import require_reachable
from mira.jobs.webhooks import shown as shown_secret

#: A hold outlives its job's deadline by this much, so that it is always the job that ends it.
HOLD_SURPLUS_MS = 3_600_000
LOOK_S, LONGEST_LOOK_S = 0.1, 1.0
CLIENT_LEFT_STATUS = 499
_STATUS = {
    State.QUEUED: "queued",
    State.SUBMITTING: "in_progress",
    State.RUNNING: "in_progress",
    State.STORING: "in_progress",
    State.COMPLETED: "completed",
}


class Spent(Struct, omit_defaults=True):
    """What a finished video cost: seconds, and credits as a decimal number."""

    seconds: int
    cost: Any


class Trouble(Struct):
    """Why there is no video: `moderation_blocked`, `upstream_error`, `cancelled`, `expired` and the like."""

    code: str
    message: str


class Video(Struct, kw_only=True):
    """A job for a video, in OpenAI's shape, with the model, the address of the finished video and what it cost.

    `status` is queued, in_progress, completed or failed; a cancelled or expired job is failed.
    """

    id: str
    object: str = "video"
    model: str
    status: str
    progress: int
    created_at: int
    completed_at: int | None = None
    expires_at: int | None = None
    seconds: str
    size: str | None = None
    error: Trouble | None = None
    url: str | None = None
    usage: Spent | None = None


class Videos(Struct):
    """A page of jobs."""

    data: list[Video]
    has_more: bool
    first_id: str | None = None
    last_id: str | None = None
    object: str = "list"


async def create(services: Services, asked: Asked) -> Response:
    """Begins a job; waits for it a while where that is asked for."""
    caller = _caller(asked)
    asking = media.Asking(asked)
    record = CallRecord(
        request_id=asked.request_id,
        client_request_id=printable(asked.request.headers.get("x-request-id")),
        workspace_id=caller.workspace_id,
        key_id=caller.key_id,
        face=caller.face.value,
        protocol=PROTOCOL,
        model="",
        started_at_ms=services.now_ms(),
    )
    call = MediaCall(asking, record, Charge(services.ledger, record), services.monotonic_s())
    wait_s = 0.0
    try:
        await services.media.enter(call)
        try:
            wanted = await video_bodies.read(asked)
            wait_s = video_bodies.wait_s(asked, wanted.body)
            job = await _begin(services, asked, call, wanted)
        finally:
            # Who was sent away at the gate has no place to give back.
            if call.placed:
                services.media.gate.leave()
    except MiraError as error:
        # A job has its record when it ends; what never became one has it now.
        services.relay.observer.began(record.request_id)
        if call.placed:
            await call.charge.close(status=error.status, error=error.kind.name.lower())
        else:
            # One of a flood, which must cost little.
            record.status, record.error = error.status, error.kind.name.lower()
        services.relay.observer.ended(record)
        raise
    except Answered as before:
        return await _repeated(services, asked, before.answer, wait_s)
    services.videos.runner.wake()
    return await _waited(services, asked, job, wait_s)


async def listing(services: Services, asked: Asked) -> Response:
    """The workspace's jobs, a page at a time."""
    caller, query = _caller(asked), asked.request.query_params
    limit = number(asked, "limit", 20, 1, 100)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise MiraError(Kind.BAD_REQUEST, "order: must be asc or desc", param="order")
    jobs = await services.videos.jobs.page(
        caller.workspace_id, query.get("after"), limit + 1, newest_first=order == "desc"
    )
    page = [_shown(services, caller, job) for job in jobs[:limit]]
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    return json_answer(Videos(page, len(jobs) > limit, first, last))


async def retrieve(services: Services, asked: Asked) -> Response:
    """A job as it stands; with `?wait=` as soon as it has ended."""
    return await _waited(services, asked, await find(services, asked), video_bodies.wait_s(asked), status=200)


async def remove(services: Services, asked: Asked) -> Response:
    """Cancels a job under way, with its money back; forgets one that has ended, and its video."""
    job = await find(services, asked)
    if job.ended:
        await services.videos.store.remove(job.id)
        await services.videos.jobs.remove(job.id)
    else:
        await asyncio.shield(services.videos.worker.cancel(job))
        services.videos.runner.wake()
    return json_answer({"id": job.id, "object": "video.deleted", "deleted": True})


async def webhook_secret(services: Services, asked: Asked) -> Response:
    """What the webhooks of the caller's workspace are signed with."""
    return json_answer({"secret": shown_secret(services.videos.box.webhook_secret(_caller(asked).workspace_id))})


async def refuse(services: Services, asked: Asked) -> Response:
    """Routes of OpenAI's that no shape of node here has in common."""
    del services, asked
    raise MiraError(
        Kind.UNSUPPORTED,
        "videos cannot be remixed, edited or extended through this gateway, and have no characters; make a new one "
        "with POST /v1/videos, with `input_reference` for the picture that it begins from",
    )


async def find(services: Services, asked: Asked) -> Job:
    """The caller's job that the path names; MiraError NOT_FOUND, the same for another workspace's."""
    job = await services.videos.jobs.get(_caller(asked).workspace_id, asked.request.path_params["id"])
    if job is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such video")
    return job


async def _begin(services: Services, asked: Asked, call: MediaCall, wanted: Wanted) -> Job:
    caller, record, body = _caller(asked), call.record, wanted.body
    record.model = (body.model or "")[:200]
    digest = media.digest(wanted.video, wanted.reference, body.model, body.webhook)
    wish = _wish(wanted.video, body.model, digest)
    choice = choose(services.media.catalog, services.media.defaults, caller, wish)
    record.model = choice.route.model
    if all(rate_of(offer, wanted.video) is None for offer in choice.route.offers):
        raise MiraError(
            Kind.UNPRICED,
            f"the model {choice.route.model} has no price per second, so it is not called; the operator can add "
            "`second` under [[prices]] or mark it free = true",
            param="model",
        )
    if body.webhook is not None:
        await require_reachable(body.webhook, services.videos.way_out)
    key = asked.request.headers.get("idempotency-key")
    claim = claim_for(key, digest, f"{PROTOCOL} {caller.face.value}") if key else None
    video = await video_bodies.completed(services, asked, wanted, choice.hold_nanocredits)
    videos, now_ms = services.videos, services.now_ms()
    job = Job(
        id=f"video_{secrets.token_hex(16)}",
        workspace_id=caller.workspace_id,
        key_id=caller.key_id,
        hold_id=record.request_id,
        client_request_id=record.client_request_id,
        face=record.face,
        model=record.model,
        seconds=video.seconds or UNSAID_S,
        size=video.size,
        held_nanocredits=choice.hold_nanocredits,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        next_at_ms=now_ms,
        deadline_at_ms=now_ms + videos.deadline_ms,
        webhook_url=body.webhook,
    )
    text = msgspec.json.encode(Sealed(video, call.via)).decode()
    # With a large picture this takes longer than other calls should wait.
    sealed = await asyncio.to_thread(videos.box.seal, text, job.id)
    response = _answer(services, caller, job, 202)
    hold = await services.ledger.reserve(
        Reserve(
            hold_id=job.hold_id,
            workspace_id=job.workspace_id,
            key_id=job.key_id,
            amount_nanocredits=job.held_nanocredits,
            least_nanocredits=job.held_nanocredits,
            caps=caller.caps,
            claim=claim,
            model=job.model,
            opening=Opening(
                job,
                sealed,
                job.deadline_at_ms + HOLD_SURPLUS_MS,
                StoredAnswer(202, lines(response.raw_headers), bytes(response.body)),
            ),
        )
    )
    await asyncio.shield(hold.durable)
    return job


def _wish(video: VideoRequest, model: str | None, digest: bytes) -> Wish:
    """The request as the choice of a model and its nodes sees it; a job is answered by itself."""
    most = bound(video)
    return Wish(
        output="video",
        request=video,
        model=model,
        bound=most,
        variants=lambda _: variants(video),
        digest=digest,
        estimate=lambda _: most,
        render=lambda _, __: Answer("application/json", b""),
    )


async def _waited(services: Services, asked: Asked, job: Job, wait_s: float, *, status: int = 202) -> Response:
    """The job as soon as it has ended, or as it stands when the time is over."""
    if wait_s > 0 and not job.ended:
        try:
            job = await unless_left(asked.left, _ended(services, job, wait_s))
        except ClientLeft:
            return Response(status_code=CLIENT_LEFT_STATUS)
    return _answer(services, _caller(asked), job, 200 if job.ended else status)


async def _ended(services: Services, job: Job, wait_s: float) -> Job:
    until_s, look_s = services.monotonic_s() + wait_s, LOOK_S
    while not job.ended and (left_s := until_s - services.monotonic_s()) > 0:
        await asyncio.sleep(min(look_s, left_s))
        look_s = min(look_s * 1.5, LONGEST_LOOK_S)
        job = await services.videos.jobs.get(job.workspace_id, job.id) or job
    return job


async def _repeated(services: Services, asked: Asked, stored: StoredAnswer, wait_s: float) -> Response:
    """The job of an earlier request under the same Idempotency-Key."""
    job_id = msgspec.json.decode(stored.body).get("id")
    job = await services.videos.jobs.get(_caller(asked).workspace_id, job_id) if wait_s > 0 else None
    if job is not None:
        return await _waited(services, asked, job, wait_s)
    response = Response(stored.body, stored.status)
    response.raw_headers = head_of(stored)
    return response


def _answer(services: Services, caller: Caller, job: Job, status: int) -> Response:
    response = json_answer(_shown(services, caller, job), status)
    response.headers["x-mira-model"] = job.model
    if job.node is not None:
        response.headers["x-mira-node"] = job.node
    if job.ended:
        response.headers["x-mira-cost"] = credits_text(job.billed_nanocredits)
    else:
        # OpenAI's SDKs wait so long between two looks.
        response.headers["openai-poll-after-ms"] = str(services.videos.rules.first_wait_ms)
    return response


def _shown(services: Services, caller: Caller, job: Job) -> Video:
    is_done = job.state is State.COMPLETED
    model = job.model
    if caller.face is Face.INFERENCE:
        model = model.partition("/")[2] or model
    face = "/inference/v1" if caller.face is Face.INFERENCE else "/v1"
    failed = job.ended and not is_done
    return Video(
        id=job.id,
        model=model,
        status=_STATUS.get(job.state, "failed"),
        progress=job.progress,
        created_at=job.created_at_ms // 1000,
        completed_at=job.ended_at_ms // 1000 if is_done and job.ended_at_ms else None,
        expires_at=job.expires_at_ms // 1000 if is_done and job.expires_at_ms else None,
        seconds=str(job.seconds),
        size=job.size,
        error=Trouble(job.error or "upstream_error", job.error_message or "") if failed else None,
        url=f"{services.config.base_url}{face}/videos/{job.id}/content" if is_done else None,
        usage=Spent(job.seconds, cost_literal(job.billed_nanocredits)) if is_done else None,
    )


def _caller(asked: Asked) -> Caller:
    assert asked.caller is not None
    return asked.caller
