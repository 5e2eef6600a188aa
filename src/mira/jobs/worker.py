"""One look at a job: sends it, asks after it, fetches what was made, ends it. What it may do next tells `core.jobs`.

Every step is written before the next begins. The one step that cannot be written and done at once is sending: a job is
`submitting` before its request leaves. Who finds it so cannot know whether the node has it; a node that does the work
of one key once is sent it again, with every other the job fails, its customer gets the money back, and the operator's
books expect the node's charge.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mira.calls.call import AttemptFailed
from mira.codecs.media.video import VideoRequest, bound
from mira.collaborators import Observer
from mira.core.deadlines import Timeouts
from mira.core.fleet import Balancer, Need, Offer, Route
from mira.core.health import Trouble
from mira.core.jobs import (
    MOST_SUBMISSIONS,
    Accepted,
    Again,
    Cancelled,
    Chosen,
    Failed,
    Happening,
    Job,
    Kept,
    Missed,
    Overdue,
    Refused,
    Rules,
    State,
    Unread,
    WrongStateError,
    step,
    told,
)
from mira.errors import Kind, MiraError
from mira.jobs import webhooks
from mira.jobs.content import DEFAULT_TYPE, WayOut, open_content
from mira.jobs.ending import Ends, Ledger, end, node_cost_nanocredits
from mira.jobs.sending import Asked, DoubtError, markup_text, rate_of, refusal, send

LOOK_TIMEOUTS = Timeouts(head_s=20.0, idle_s=20.0, total_s=30.0)
MAX_ANSWER_BYTES = 4 * 2**20
#: After a refusal of all nodes a job is tried again this much later.
NOBODY_WAIT_MS = 2000
_ORPHAN = "whether the upstream took the job is not known, so it was given up"

log = logging.getLogger("mira.jobs")


class Table(Ends, Protocol):
    """What a look needs of the table of jobs (see `mira.store.jobs`)."""

    async def move(self, before: Job, after: Job, *, keep_lease: bool = False) -> bool:
        """Writes the next state; False where somebody else has moved the job."""

    async def request(self, job_id: str) -> bytes | None:
        """The sealed request."""


class Box(webhooks.Secrets, Protocol):
    """Opens what was sealed."""

    def open(self, sealed: bytes, label: str) -> str:
        """The text; ValueError where the secret is another one."""


class Store(Protocol):
    """Where results are kept (see `mira.files.objects`)."""

    async def put(self, key: str, pieces: AsyncIterator[bytes]) -> None:
        """Stores an object from its pieces; MiraError STORE_DOWN, and what `pieces` raises."""


class Fleet(Protocol):
    """The nodes and their models."""

    nodes: list[Any]
    catalog: Any


class Settings(Struct, frozen=True, kw_only=True):
    """`most_bytes` is the largest result that is kept here; 0 keeps none, and every download comes from its node."""

    rules: Rules = Rules()
    most_bytes: int = 0


class _TooLarge(Exception):  # noqa: N818 - an outcome
    """The result is larger than what is kept."""


class Worker:
    """Does what a job wants next. `now_ms` is Unix milliseconds, `jitter` gives random numbers from 0 to 1."""

    def __init__(
        self,
        *,
        table: Table,
        ledger: Ledger,
        fleet: Fleet,
        balancer: Balancer,
        observer: Observer,
        box: Box,
        store: Store,
        way_out: WayOut,
        settings: Settings,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        storing: int = 2,
    ) -> None:
        self._table = table
        self._ledger = ledger
        self._fleet = fleet
        self._balancer = balancer
        self._observer = observer
        self._box = box
        self._store = store
        self._way_out = way_out
        self._settings = settings
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        # Each holds some pieces of its result in memory.
        self._storing = asyncio.Semaphore(storing)

    async def look(self, job: Job) -> None:
        """Does what is due; the lease is the caller's."""
        if job.ended:
            await self._tell(job)
        elif self._now_ms() >= job.deadline_at_ms:
            await self.give_up(job, Overdue())
        else:
            looks: dict[State, Callable[[Job], Awaitable[None]]] = {
                State.QUEUED: self._submit,
                State.SUBMITTING: self._submit_again,
                State.RUNNING: self._poll,
                State.STORING: self._keep,
            }
            await looks[job.state](job)

    async def cancel(self, job: Job) -> None:
        """Ends a job whose client wants it no longer, whoever is looking at it now."""
        await self.give_up(job, Cancelled())

    async def give_up(self, job: Job, why: Happening) -> None:
        """Ends a job that its node may still be at work on: the node is told, else the operator expects its charge."""
        cost = 0
        if job.state is not State.QUEUED and not await self._told_off(job):
            cost = node_cost_nanocredits(job)
        await self._end(self._step(job, why), cost)

    def node_of(self, job: Job) -> Any | None:
        """The node that has a job, None where it is gone."""
        return next((node for node in self._fleet.nodes if node.name == job.node), None)

    # Sending

    async def _submit(self, job: Job) -> None:
        asked = await self._request(job)
        if asked is None:
            failed = Failed("internal_error", "the request of this job cannot be read any more")
            await self._end(self._step(job, failed))
            return
        try:
            offer, rate = self._choose(job, asked.video)
        except MiraError as nobody:
            await self._refused(job, self._nobody(job, nobody))
            return
        chosen = Chosen(offer.node.name, offer.upstream_model, rate, markup_text(offer.markup))
        after = self._step(job, chosen)
        if await self._table.move(job, after, keep_lease=True):
            await self._send(after, offer, asked)

    async def _submit_again(self, job: Job) -> None:
        """The request may have been sent: by a process that died, or without an answer."""
        asked, node = await self._request(job), self.node_of(job)
        offer = None if node is None or asked is None else self._offer_of(job, node)
        looking = None if node is None else node.looking()
        if looking is None or not looking.works_once or offer is None or job.submissions >= MOST_SUBMISSIONS:
            await self._lose(job)
            return
        assert asked is not None
        after = self._step(job, Again())
        if await self._table.move(job, after, keep_lease=True):
            await self._send(after, offer, asked)

    async def _send(self, job: Job, offer: Offer, asked: Asked) -> None:
        attempt = self._balancer.begin(offer, self._monotonic_s(), Need(media=bound(asked.video)))
        try:
            upstream_id = await send(job, offer, asked)
        except AttemptFailed as failure:
            error = failure.error
            now_s, jitter = self._monotonic_s(), self._balancer.random()
            attempt.failed(failure.trouble, error.kind.name.lower(), now_s, jitter, error.retry_after_s)
            await self._refused(job, refusal(failure))
            return
        except DoubtError as doubt:
            attempt.failed(Trouble.FAULT, "doubt", self._monotonic_s(), self._balancer.random())
            log.warning("job %s: %s did not say whether it took it (%s)", job.id, job.node, doubt)
            if offer.node.looking().works_once and job.submissions < MOST_SUBMISSIONS:
                await self._table.move(job, self._step(job, Missed()))
            else:
                await self._lose(job)
            return
        finally:
            attempt.over(self._monotonic_s())
        attempt.succeeded(self._monotonic_s())
        after = self._step(job, Accepted(upstream_id))
        if not await self._table.move(job, after):
            # Cancelled, or taken for lost, while the node took it.
            await self._told_off(after)

    async def _lose(self, job: Job) -> None:
        await self._end(self._step(job, Failed("upstream_error", _ORPHAN)), node_cost_nanocredits(job))

    async def _refused(self, job: Job, refused: Refused) -> None:
        after = self._step(job, refused)
        if after.ended:
            await self._end(after)
        else:
            await self._table.move(job, after)

    async def _request(self, job: Job) -> Asked | None:
        sealed = await self._table.request(job.id)
        if sealed is None:
            return None
        try:
            text = await asyncio.to_thread(self._box.open, sealed, job.id)
            return msgspec.json.decode(text, type=Asked)
        except (ValueError, msgspec.DecodeError):
            return None

    def _choose(self, job: Job, request: VideoRequest) -> tuple[Offer, int]:
        """The next offer and what a second of it costs; MiraError where there is none now."""
        route: Route = self._fleet.catalog.find(job.model)
        tried = set(job.tried.split())
        rates = {id(offer): rate for offer in route.offers if (rate := rate_of(offer, request)) is not None}
        offers = tuple(offer for offer in route.offers if id(offer) in rates and offer.node.name not in tried)
        if not offers:
            raise MiraError(Kind.UPSTREAM_FAILED, "no node is left that could make this video")
        need = Need(media=bound(request))
        offer = self._balancer.choose(replace(route, offers=offers), [], self._monotonic_s(), need)
        return offer, rates[id(offer)]

    def _offer_of(self, job: Job, node: Any) -> Offer | None:
        """The offer of a job's own node; the catalog may not know its models yet."""
        try:
            route = self._fleet.catalog.find(job.model)
        except MiraError:
            return None
        return next((offer for offer in route.offers if offer.node is node), None)

    def _nobody(self, job: Job, nobody: MiraError) -> Refused:
        if nobody.kind is Kind.UPSTREAM_FAILED:
            message = job.error_message or nobody.message
            return Refused(elsewhere=False, code=job.error or "upstream_error", message=message)
        wait_ms = max(round((nobody.retry_after_s or 0) * 1000), NOBODY_WAIT_MS)
        return Refused(elsewhere=True, code="upstream_error", message=nobody.message, wait_ms=wait_ms)

    # Asking after it

    async def _poll(self, job: Job) -> None:
        node = self.node_of(job)
        looking = None if node is None else node.looking()
        if node is None or looking is None or node.disabled:
            await self._table.move(job, self._step(job, Missed()))
            return
        assert job.upstream_id is not None
        after = self._step(job, await self._asked(node, looking, job.upstream_id))
        if after.ended:
            await self._end(after)
            return
        is_done = after.state is State.STORING
        if await self._table.move(job, after, keep_lease=is_done) and is_done:
            await self._keep(after)

    async def _asked(self, node: Any, looking: Any, upstream_id: str) -> Happening:
        response = None
        try:
            response = await node.get(looking.look(upstream_id), timeouts=LOOK_TIMEOUTS)
            body = await response.read(MAX_ANSWER_BYTES)
            if response.status in (404, 410):
                return Missed(gone=True)
            if not 200 <= response.status < 300:
                return Missed()
            happened: Happening = looking.read(body, upstream_id)
            return happened
        except MiraError:
            return Missed()
        except asyncio.CancelledError:
            raise
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, it is asked again
            node.fault(broken)
            return Missed()
        finally:
            if response is not None:
                response.close()

    async def _told_off(self, job: Job) -> bool:
        """Whether the job's node was told to stop, and agreed."""
        node = self.node_of(job)
        looking = None if node is None else node.looking()
        if node is None or looking is None or looking.cancel is None or job.upstream_id is None:
            return False
        try:
            response = await node.get(looking.cancel(job.upstream_id), timeouts=LOOK_TIMEOUTS, method="DELETE")
        except asyncio.CancelledError:
            raise
        except Exception as broken:  # noqa: BLE001 - it was a wish
            node.fault(broken)
            return False
        response.close()
        return bool(200 <= response.status < 300)

    # Fetching what was made

    async def _keep(self, job: Job) -> None:
        node = self.node_of(job)
        kept: Happening
        if self._settings.most_bytes == 0:
            kept = Kept(None, DEFAULT_TYPE)
        elif node is None:
            kept = Unread()
        else:
            async with self._storing:
                kept = await self._stored(job, node)
        after = self._step(job, kept)
        if not after.ended:
            await self._table.move(job, after)
            return
        await self._end(after, 0 if after.state is State.COMPLETED else node_cost_nanocredits(job))

    async def _stored(self, job: Job, node: Any) -> Happening:
        size_bytes, most_bytes = 0, self._settings.most_bytes
        assert job.content is not None
        try:
            async with open_content(node, job.content, self._way_out) as content:
                if (content.size_bytes or 0) > most_bytes:
                    raise _TooLarge

                async def pieces() -> AsyncIterator[bytes]:
                    nonlocal size_bytes
                    while (piece := await content.pieces.next()) is not None:
                        size_bytes += len(piece)
                        if size_bytes > most_bytes:
                            raise _TooLarge
                        yield piece

                await self._store.put(job.id, pieces())
                if size_bytes == 0:
                    return Unread()
                return Kept(size_bytes, content.mime_type)
        except _TooLarge:
            return Kept(None, DEFAULT_TYPE)
        except MiraError as error:
            log.warning("the result of job %s could not be kept: %s", job.id, error.message)
            # Made it is, and can be had from its node.
            return Kept(None, DEFAULT_TYPE) if error.kind is Kind.STORE_DOWN else Unread()
        except asyncio.CancelledError:
            raise
        except Exception as broken:  # noqa: BLE001 - whatever the transport says, it is fetched again
            node.fault(broken)
            return Unread()

    # Ending it

    async def _end(self, after: Job, attempt_cost_nanocredits: int = 0) -> None:
        await end(
            after,
            self.node_of(after),
            self._ledger,
            self._table,
            self._observer,
            attempt_cost_nanocredits=attempt_cost_nanocredits,
        )

    async def _tell(self, job: Job) -> None:
        delivered = await webhooks.tell(job, self._way_out, self._box, self._now_ms() // 1000)
        await self._table.move(
            job, told(job, delivered=delivered, now_ms=self._now_ms(), jitter=self._balancer.random())
        )

    def _step(self, job: Job, happened: Happening) -> Job:
        try:
            return step(job, happened, self._now_ms(), self._balancer.random(), self._settings.rules)
        except WrongStateError:
            # A node that says something strange is asked again.
            return step(job, Missed(), self._now_ms(), self._balancer.random(), self._settings.rules)
