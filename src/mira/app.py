"""The composition root: the only place that names concrete classes, and the life of a process from start to drain."""

import asyncio
import gc
import logging
import os
import random
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from mira import __version__
from mira.api import application
from mira.api.operator import Operators
from mira.api.server import ListenConfig, Server, listen, listen_unix
from mira.api.services import Fetching, Services
from mira.api.standing import standing
from mira.bootstrap import bootstrap, check_secret, installation_secret, instance_name, make_home
from mira.cli.program import Announcer, Asgi, FirstRun
from mira.config import Config, load
from mira.core.deadlines import LOCAL_TIMEOUTS, Timeouts
from mira.core.fleet import Balancer
from mira.core.model_rows import model_row
from mira.core.models import Table
from mira.core.price_rows import price_row
from mira.core.pricing import Price
from mira.errors import ConfigError, MiraError
from mira.fetch.egress import Egress, Page
from mira.fetch.extract.pool import Extractor
from mira.fetch.links import Loader
from mira.fetch.render.browser import Browser
from mira.fetch.service import Fetcher
from mira.fetch.settings import allowed_addresses, price_of_page
from mira.nodes.embedded import Embedded
from mira.nodes.fleet import Fleet
from mira.nodes.local.node import LocalNode
from mira.nodes.local.packs import default_cache_dir, resolve
from mira.observe import log
from mira.observe.calls import Observer
from mira.observe.lag import LoopLag
from mira.observe.metrics import Metrics, Standing
from mira.relay import SILENT_TICKS, Relay
from mira.store.answers import Answers
from mira.store.calls import Calls
from mira.store.database import Database
from mira.store.fetch_domains import FetchDomains
from mira.store.keyring import Keyring
from mira.store.keys import Keys
from mira.store.ledger import Ledger
from mira.store.nodes import Nodes
from mira.store.secretbox import SecretBox
from mira.store.settings import Settings
from mira.store.transfers import Transfers
from mira.store.users import Users
from mira.store.workspaces import Workspaces
from mira.transport.client import Pool
from mira.transport.pinned import PinnedOpener, open_tunnel
from mira.transport.proxy import proxy_for
from mira.transport.resolver import system_lookup
from mira.transport.tls import system_tls
from mira.workers.counter import Counter
from mira.workers.side import SideProcess

if TYPE_CHECKING:
    from argon2 import PasswordHasher

logger = logging.getLogger("mira")
CHECKPOINT_S = 5.0
#: Requests make short-lived objects by the dozen; looking for cycles every 700 of them would cost more than it frees.
GC_THRESHOLD = 20_000


class Ids:
    """Makes ids that grow with time and never meet those of another process."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(5)
        self._numbers = count()

    def __call__(self, prefix: str) -> str:
        """`req_` and the like: milliseconds, the process, a running number."""
        return f"{prefix}_{time.time_ns() // 1_000_000:011x}{self._process}{next(self._numbers):06x}"


class App:
    """An assembled Mira: the store is open and the API answers, but nothing listens and no model runs yet."""

    def __init__(self, services: Services, egress: Egress, first: FirstRun | None) -> None:
        self.services = services
        self.first = first
        self.draining = False
        self.egress = egress
        self.asgi = application.build(services)


@asynccontextmanager
async def open_app(config: Config, *, first_start: bool = True) -> AsyncIterator[App]:
    """Opens the store under the data folder's lock and assembles Mira around it; ConfigError says what is wrong.

    `first_start` makes the first rows where there are none; only who can show their secrets should.
    """
    allowed, page_price = allowed_addresses(config), price_of_page(config)
    make_home(config.home)
    box = SecretBox(installation_secret(config))
    ids = Ids()
    async with AsyncExitStack() as stack:
        database = Database.open(config.database_url)
        stack.push_async_callback(database.close)
        metrics = Metrics(
            version=__version__,
            models=lambda: fleet.catalog.routes,
            nodes=lambda: {node.name for node in fleet.nodes},
            standing=lambda: _standing(fleet, ledger, relay),
        )
        ledger = Ledger(database, clock=now_ms, epoch_id=ids("epoch"), on_batch=metrics.batch_committed)
        await ledger.start()
        stack.push_async_callback(ledger.close)
        settings, workspaces, keys, users = Settings(database), Workspaces(database), Keys(database), Users(database)
        await check_secret(settings, box.fingerprint())
        keyring = Keyring(keys, box, now_ms=now_ms, new_id=ids)
        passwords = Passwords()
        first: FirstRun | None = None
        if first_start:
            first = await bootstrap(
                config,
                settings=settings,
                workspaces=workspaces,
                keyring=keyring,
                ledger=ledger,
                users=users,
                hash_password=passwords.hash,
                now_ms=now_ms,
            )
        side = SideProcess()
        stack.push_async_callback(side.close)
        pools = Pools()
        fleet = Fleet(
            saved=Nodes(database, box, now_ms=now_ms),
            new_pool=pools.upstream,
            list_prices=side.prices,
            monotonic_s=time.monotonic,
        )
        stack.push_async_callback(fleet.stop)
        await fleet.load(config.nodes, operator_prices(config), operator_models(config))
        counter = Counter(side)
        egress = Egress(pools.pinned, system_lookup, allowed=allowed, open_tunnel=open_tunnel)
        extractor = Extractor()
        stack.push_async_callback(extractor.close)
        browser = Browser(egress, config.fetch.chromium)
        stack.push_async_callback(browser.close)
        relay = Relay(
            keyring=keyring,
            catalog=fleet.catalog,
            ledger=ledger,
            counter=counter,
            memory=Answers(database, now_ms=now_ms),
            loader=Loader(egress),
            observer=Observer(metrics),
            most_calls=config.server.max_streams,
            instance=await instance_name(settings),
            now_ms=now_ms,
            balancer=Balancer(random.random),
            monotonic_s=time.monotonic,
            new_id=lambda: ids("req"),
            wait_for_durable_hold=config.ledger.dispatch == "durable",
        )
        services = Services(
            config=config,
            relay=relay,
            keyring=keyring,
            ledger=ledger,
            workspaces=workspaces,
            keys=keys,
            calls=Calls(database),
            transfers=Transfers(database),
            fetching=Fetching(
                fetcher=Fetcher(egress, extractor, counter, browser, now_ms=now_ms),
                domains=FetchDomains(database),
                price_nanocredits=page_price,
            ),
            fleet=fleet,
            counter=counter,
            metrics=metrics,
            operator=Operators(config.admin_key, users, passwords.verify, monotonic_s=time.monotonic),
            now_ms=now_ms,
            monotonic_s=time.monotonic,
            new_id=ids,
            not_ready=lambda: "draining" if app.draining else None,
        )
        app = App(services, egress, first)
        yield app


@asynccontextmanager
async def open_application(config: Config) -> AsyncIterator[Asgi]:
    """The API without listening, for the commands while no gateway runs."""
    async with open_app(config, first_start=False) as app:
        yield app.asgi


def migrate(config: Config) -> list[str]:
    """Brings the database up to date; lines to print."""

    async def run() -> list[str]:
        database = Database.open(config.database_url)
        await database.close()
        return [f"{config.database_url} is up to date"]

    make_home(config.home)
    return asyncio.run(run())


def serve(config: Config, announcer: Announcer) -> int:
    """Runs the gateway until it is told to stop; returns the exit status."""
    import uvloop  # noqa: PLC0415 - only a gateway needs it

    log.configure(config.log.format, config.log.level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, announcer))


async def _serve(config: Config, announcer: Announcer) -> int:
    asyncio.get_running_loop().set_exception_handler(log.on_loop_error)
    async with AsyncExitStack() as stack:
        public = stack.enter_context(listen(config.host, config.port))
        config = msgspec.structs.replace(config, port=public.getsockname()[1])
        app = await stack.enter_async_context(open_app(config))
        server, sockets = make_server(config, app, public)
        stack.enter_context(server.signals())
        stack.callback(config.socket_path.unlink, missing_ok=True)
        fleet = app.services.fleet
        fleet.start()
        relay = app.services.relay
        lag = LoopLag(app.services.metrics.loop_lagged, relay.gate.loop_lagged)
        lag.start()
        stack.callback(lag.stop)
        stack.push_async_callback(_cancel, asyncio.create_task(_forever(relay.checkpoint, CHECKPOINT_S)))
        keepalive = _forever(relay.keep_alive, config.server.keepalive_s / SILENT_TICKS)
        stack.push_async_callback(_cancel, asyncio.create_task(keepalive))
        embedded = _embed(config, app, announcer) if config.local_node else None
        nodes = [(node.name, node.config.origin) for node in fleet.nodes]
        announcer.started(
            base_url=config.base_url,
            docs_url=f"{config.base_url}/docs",
            home=str(config.home),
            nodes=nodes if embedded is None else [*nodes, (embedded.node.name, "embedded")],
            notices=config.notices,
            first_run=app.first,
        )
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
    announcer.stopped()
    return 0


def make_server(config: Config, app: App, public: socket.socket) -> tuple[Server, list[socket.socket]]:
    """The server and its sockets: the public one, the commands' own, and the operator's where it is set apart."""
    sockets = [public, listen_unix(config.socket_path)]
    listeners = {public.getsockname()[1]: "public"}
    if config.admin_listen is not None:
        sockets.append(listen(*config.admin_listen))
        listeners[sockets[-1].getsockname()[1]] = "admin"

    def on_drain() -> None:
        app.draining = True

    async def on_reload() -> None:
        await reload(config, app)

    limits = config.server
    listening = ListenConfig(app.asgi, listeners, most_per_peer=limits.max_connections_per_ip, drain_s=limits.drain_s)
    return Server(listening, on_drain=on_drain, on_reload=on_reload, unready_s=limits.unready_s), sockets


async def reload(config: Config, app: App) -> None:
    """Reads the configuration again and swaps nodes, prices and rules of fetch, or does nothing and logs why."""
    try:
        fresh = load({**os.environ}, {"config": str(config.path)} if config.path else None)
        allowed, page_price = allowed_addresses(fresh), price_of_page(fresh)
        await app.services.fleet.load(fresh.nodes, operator_prices(fresh), operator_models(fresh))
    except (ConfigError, MiraError) as error:
        logger.error("the configuration was not reloaded: %s", error)  # noqa: TRY400 - the words say it all
    else:
        app.egress.allow(allowed)
        app.services.fetching.price_nanocredits = page_price
        logger.info("the configuration was reloaded: %d nodes", len(app.services.fleet.nodes))


def _standing(fleet: Fleet, ledger: Ledger, relay: Relay) -> Standing:
    now_s = time.monotonic()
    return standing(
        [fleet.describe(node, now_s) for node in fleet.nodes], *ledger.held(), waiting=relay.gate.places.waiting
    )


def _embed(config: Config, app: App, announcer: Announcer) -> Embedded:
    local = LocalNode(resolve(config.local_model), default_cache_dir(os.environ))
    pools = Pools(timeouts=LOCAL_TIMEOUTS)

    def on_progress(node: LocalNode) -> None:
        done, total = node.progress
        announcer.local_progress(state=node.state, done_bytes=done, total_bytes=total, detail=node.detail)
        app.services.fleet.on_change()

    embedded = Embedded(local, app.services.fleet, new_pool=pools.upstream, on_progress=on_progress)
    app.services.counter.use_local(local.model_id, embedded.count_tokens)
    return embedded


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
            if any(offer.price is not None and offer.node.obstacle is None for offer in route.offers)
        ]
        if able:
            self._done = True
            first = self._app.first
            model = next((model for model in able if model.startswith("mira/local")), able[0])
            self._announcer.answerable(model=model, key=first.key if first else None)


class Pools:
    """Makes HTTP clients for nodes. The system's trust store is read once, for the first https address."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts
        self._tls: ssl.SSLContext | None = None

    def upstream(self, base_url: str) -> Pool:
        """A client for a base URL, through the proxy that the environment names for it."""
        tls = self._trusted() if base_url.startswith("https://") else None
        return Pool(base_url, timeouts=self._timeouts, ssl_context=tls, proxy=proxy_for(base_url, os.environ))

    def pinned(
        self,
        origin: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        addresses: Sequence[str],
        *,
        connect_s: float,
        total_s: float,
    ) -> AbstractAsyncContextManager[Page]:
        """One GET to addresses that the guard has checked (see `mira.fetch.egress.Opener`)."""
        opener = PinnedOpener(self._trusted())
        return opener(origin, target, headers, addresses, connect_s=connect_s, total_s=total_s)

    def _trusted(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = system_tls()
        return self._tls


class Passwords:
    """argon2id at 19 MiB, two passes: about 80 ms a time."""

    def hash(self, password: str) -> str:
        """The hash to keep."""
        return self._hasher().hash(password)

    def verify(self, known: str | None, password: str) -> bool:
        """Whether the password is right; as slow where there is no account."""
        from argon2.exceptions import Argon2Error, InvalidHashError  # noqa: PLC0415 - only who signs in needs it

        if known is None:
            self.hash(password)
            return False
        try:
            return self._hasher().verify(known, password)
        except (Argon2Error, InvalidHashError):
            return False

    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher  # noqa: PLC0415 - only who signs in needs it

        return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def operator_prices(config: Config) -> dict[str, Price]:
    """The `[[prices]]` by model; ConfigError names the row and the field."""
    prices: dict[str, Price] = {}
    for number, row in enumerate(config.prices):
        model = row.get("model")
        if not isinstance(model, str) or not model:
            raise ConfigError(f"prices[{number}].model: is missing; write the model's id")
        try:
            prices[model] = price_row(
                {name: value for name, value in row.items() if name != "model"}, f"prices[{number}]"
            )
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return prices


def operator_models(config: Config) -> Table:
    """The `[[models]]` as a table; ConfigError names the row and the field."""
    try:
        return dict(model_row(row, f"models[{number}]") for number, row in enumerate(config.models))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


async def _forever(work: Callable[[], None], every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        work()


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
