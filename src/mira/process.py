"""The life of a gateway's process, from its start to its drain."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack

import msgspec

from mira.api.lent import Lent, lent
from mira.api.server import ListenConfig, Server, listen, listen_unix
from mira.app import App, cancel, defaults_of, open_app
from mira.calls.silence import SILENT_TICKS
from mira.cli.announce import WorkerAnnouncer
from mira.cli.program import Announcer
from mira.config import Config, load
from mira.core.deadlines import LOCAL_TIMEOUTS
from mira.core.operator_rows import operator_models, operator_prices
from mira.errors import ConfigError, MiraError
from mira.fetch.settings import allowed_addresses, price_of_page
from mira.nodes.embedded import Embedded
from mira.nodes.embedded_media import EmbeddedMedia
from mira.nodes.local.lending import FILE
from mira.nodes.local.media.keeper import Keeper
from mira.nodes.local.node import LocalNode
from mira.nodes.local.packs import default_cache_dir, resolve
from mira.nodes.reconciler import EVERY_S as RECONCILED_EVERY_S
from mira.observe import log
from mira.observe.lag import LoopLag
from mira.observe.memory import give_back_large
from mira.transport.pools import Pools

logger = logging.getLogger("mira")
CHECKPOINT_S = 5.0
RETENTION_S = 300.0
FILES_SWEPT_S = 3600.0
#: Requests make short-lived objects by the dozen; looking for cycles every 700 of them would cost more than it frees.
GC_THRESHOLD = 20_000


def serve(config: Config, announcer: Announcer) -> int:
    """Runs the gateway until it is told to stop; returns the exit status."""
    import uvloop  # noqa: PLC0415 - only a gateway needs it

    handler = log.configure(config.log.format, config.log.level)
    give_back_large()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, announcer, handler))


async def _serve(config: Config, announcer: Announcer, handler: log.Handler) -> int:
    asyncio.get_running_loop().set_exception_handler(log.on_loop_error)
    async with AsyncExitStack() as stack:
        loan = lent(os.environ)
        public = stack.enter_context(listen(config.host, config.port) if loan is None else loan.public)
        if loan is not None:
            announcer = WorkerAnnouncer(announcer, speaks=loan.speaks)
        config = msgspec.structs.replace(config, port=public.getsockname()[1])
        app = await stack.enter_async_context(open_app(config, log=handler))
        server, sockets = make_server(config, app, public, loan)
        stack.enter_context(server.signals())
        if loan is None:
            stack.callback(config.socket_path.unlink, missing_ok=True)
        fleet = app.services.fleet
        fleet.start()
        app.doubts.start()
        stack.push_async_callback(app.doubts.stop)
        relay = app.services.relay
        lag = LoopLag(app.services.metrics.loop_lagged, relay.gate.loop_lagged)
        lag.start()
        stack.callback(lag.stop)
        _keep_house(stack, config, app)
        embedded = _embed(config, app, announcer, lent=loan is not None) if config.local_node else None
        if config.local_node:
            # Known before anything is served: nothing has to be started for it.
            media = _embed_media(app, announcer)
            stack.push_async_callback(media.stop)
            await media.start()
        nodes = [(node.name, node.config.origin) for node in fleet.nodes]
        announcer.started(
            base_url=config.base_url,
            docs_url=f"{config.base_url}/docs",
            home=str(config.home),
            nodes=nodes if embedded is None else [*nodes, (embedded.node.name, "embedded")],
            notices=config.notices,
            first_run=app.first,
        )
        if loan is not None:
            # Others serve meanwhile: this one begins when it knows its nodes' models.
            await fleet.known()
            loan.ready()
        serving = asyncio.ensure_future(server.serve(sockets=sockets))
        fleet.on_change = _Announce(app, announcer)
        if embedded is not None:
            stack.push_async_callback(embedded.stop)
            await embedded.start()
        fleet.on_change()
        # What is here now stays: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        await serving
    log.flush()
    announcer.stopped()
    return 0


def make_server(
    config: Config, app: App, public: socket.socket, loan: Lent | None
) -> tuple[Server, list[socket.socket]]:
    """The server and its sockets: the public one, the commands' own, and the operator's where it is set apart."""
    sockets = [public, listen_unix(config.socket_path) if loan is None else loan.commands]
    listeners = {public.getsockname()[1]: "public"}
    if config.admin_listen is not None:
        apart = loan.admin if loan is not None else None
        sockets.append(apart or listen(*config.admin_listen))
        listeners[sockets[-1].getsockname()[1]] = "admin"

    def on_drain() -> None:
        app.draining = True

    async def on_reload() -> None:
        await reload(config, app)

    async def again() -> int:
        nodes = await reread(config, app)
        if loan is not None:
            # The others of its kind hear of it from the supervisor, and this one once more.
            os.kill(os.getppid(), signal.SIGHUP)
        return nodes

    app.services.reloading.again = again

    limits = config.server
    listening = ListenConfig(
        app.asgi, app.routes, listeners, most_per_peer=limits.max_connections_per_ip, drain_s=limits.drain_s
    )
    return Server(listening, on_drain=on_drain, on_reload=on_reload, unready_s=limits.unready_s), sockets


async def reload(config: Config, app: App) -> None:
    """Reads the configuration again, or does nothing and logs why."""
    try:
        await reread(config, app)
    except (ConfigError, MiraError) as error:
        logger.error("the configuration was not reloaded: %s", error)  # noqa: TRY400 - the words say it all


async def reread(config: Config, app: App) -> int:
    """Reads the configuration again and swaps nodes, prices and rules of fetch; the number of nodes then.

    ConfigError or MiraError where something in it is wrong: then nothing changed.
    """
    services = app.services
    fresh = load({**os.environ}, {"config": str(config.path)} if config.path else None)
    allowed, page_price = allowed_addresses(fresh), price_of_page(fresh)
    await services.fleet.load(fresh.nodes, operator_prices(fresh), operator_models(fresh))
    app.egress.allow(allowed)
    services.fetching.price_nanocredits = page_price
    services.media.defaults = defaults_of(fresh)
    logger.info("the configuration was reloaded: %d nodes", len(services.fleet.nodes))
    return len(services.fleet.nodes)


def _keep_house(stack: AsyncExitStack, config: Config, app: App) -> None:
    """Begins what goes on beside the calls, in every process or in one of all."""
    services, relay = app.services, app.services.relay
    for work in (
        _forever(relay.checkpoint, CHECKPOINT_S),
        _forever(relay.keep_alive, config.server.keepalive_s / SILENT_TICKS),
        services.videos.runner.run(),
        app.leases.run_alone("retention", RETENTION_S, app.retention.sweep),
        app.leases.run_alone("files", FILES_SWEPT_S, services.uploads.sweep),
        app.leases.run_alone("videos", RETENTION_S, services.videos.runner.sweep),
        app.leases.run_alone("reconciliation", RECONCILED_EVERY_S, services.reconciler.compare_all),
    ):
        stack.push_async_callback(cancel, asyncio.create_task(work))


def _embed(config: Config, app: App, announcer: Announcer, *, lent: bool) -> Embedded:
    loan = config.home / FILE if lent else None
    local = LocalNode(resolve(config.local_model), default_cache_dir(os.environ), lent=loan)
    pools = Pools(timeouts=LOCAL_TIMEOUTS)

    def on_progress(node: LocalNode) -> None:
        done, total = node.progress
        announcer.local_progress(state=node.state, done_bytes=done, total_bytes=total, detail=node.detail)
        app.services.fleet.on_change()

    embedded = Embedded(local, app.services.fleet, new_pool=pools.upstream, on_progress=on_progress)
    app.services.counter.use_local(local.model_id, embedded.count_tokens)
    return embedded


def _embed_media(app: App, announcer: Announcer) -> EmbeddedMedia:
    pools = Pools(timeouts=LOCAL_TIMEOUTS)

    def on_progress(state: str, detail: str, done: int, total: int) -> None:
        announcer.local_progress(state=state, done_bytes=done, total_bytes=total, detail=detail)

    keeper = Keeper(default_cache_dir(os.environ), on_progress=on_progress)
    return EmbeddedMedia(keeper, app.services.fleet, new_pool=pools.upstream)


class _Announce:
    """Says once that a model can answer: the first priced one, the embedded one before others."""

    def __init__(self, app: App, announcer: Announcer) -> None:
        self._app = app
        self._announcer = announcer
        self._done = False

    def __call__(self) -> None:
        if self._done:
            return
        routes = self._app.services.fleet.catalog.routes
        able = [
            model
            for model, route in routes.items()
            if "text" in route.outputs
            and any(offer.price is not None and offer.node.obstacle is None for offer in route.offers)
        ]
        if able:
            self._done = True
            first = self._app.first
            model = next((model for model in able if model.startswith("mira/local")), able[0])
            self._announcer.answerable(model=model, key=first.key if first else None)


async def _forever(work: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        work()
