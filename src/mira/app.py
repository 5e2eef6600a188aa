"""The composition root: the only place that names concrete classes."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import msgspec
from msgspec import Struct

from mira import __version__
from mira.api import application, video_services
from mira.api.accounts import Accounts, accounts
from mira.api.services import Fetching, Reloading, Services
from mira.api.standing import standing
from mira.bootstrap import SECRET_KEY, bootstrap, check_secret, installation_secret, instance_name, make_home
from mira.calls.media import Media
from mira.cli.program import Asgi, FirstRun
from mira.config import Config
from mira.core.fleet import Balancer
from mira.core.operator_rows import operator_models, operator_prices
from mira.fetch.egress import Egress
from mira.fetch.extract.pool import Extractor
from mira.fetch.links import Loader
from mira.fetch.render.browser import Browser
from mira.fetch.service import Fetcher
from mira.fetch.settings import allowed_addresses, price_of_page
from mira.files.objects import Objects
from mira.files.uploads import Uploads
from mira.ids import Ids
from mira.nodes.doubts import Doubts
from mira.nodes.embedded_media import OUTPUTS
from mira.nodes.fleet import Fleet
from mira.nodes.hinting import Hinting
from mira.nodes.local.packs import MEDIA_PACKS
from mira.nodes.reconciler import Reconciler
from mira.observe.calls import Observer
from mira.observe.metrics import Metrics, Standing
from mira.relay import Relay
from mira.store.answers import Answers
from mira.store.calls import Calls
from mira.store.copying import copy_all
from mira.store.database import Database, without_password
from mira.store.fetch_domains import FetchDomains
from mira.store.files import Files
from mira.store.glances import Glances
from mira.store.hints import Hints
from mira.store.keyring import Keyring
from mira.store.keys import Keys
from mira.store.leases import Leases
from mira.store.ledger import Ledger
from mira.store.members import Members
from mira.store.nodes import Nodes
from mira.store.retention import Retention
from mira.store.secretbox import SecretBox
from mira.store.settings import Settings
from mira.store.transfers import Transfers
from mira.store.usage import UsageSheets
from mira.store.versions import HINTS, KEYS, NODES, USERS, Versions
from mira.store.workspaces import Workspaces
from mira.transport.pinned import open_tunnel
from mira.transport.pools import Pools
from mira.transport.resolver import system_lookup
from mira.workers.counter import Counter
from mira.workers.side import SideProcess


class App:
    """An assembled Mira: the store is open and the API answers, but nothing listens and no model runs yet."""

    def __init__(
        self,
        services: Services,
        egress: Egress,
        first: FirstRun | None,
        *,
        retention: Retention,
        leases: Leases,
        doubts: Doubts,
    ) -> None:
        self.services = services
        self.leases = leases
        self.retention = retention
        self.doubts = doubts
        self.first = first
        self.draining = False
        self.egress = egress
        self.asgi = application.build(services)


class Grounds(Struct, frozen=True, kw_only=True):
    """What all else stands on: the configuration, the open store with its ledger and its secret, who may use them.

    `epoch_id` names this process and is never used again.
    """

    config: Config
    metrics: Metrics
    ids: Ids
    epoch_id: str
    database: Database
    ledger: Ledger
    settings: Settings
    workspaces: Workspaces
    keys: Keys
    box: SecretBox
    keyring: Keyring
    leases: Leases
    pools: Pools
    people: Accounts


@asynccontextmanager
async def open_app(config: Config, *, first_start: bool = True) -> AsyncIterator[App]:
    """Opens the store under the data folder's lock and assembles Mira around it; ConfigError says what is wrong.

    `first_start` makes the first rows where there are none; only who can show their secrets should.
    """
    allowed, page_price = allowed_addresses(config), price_of_page(config)
    make_home(config.home)
    async with AsyncExitStack() as stack:
        metrics = Metrics(
            version=__version__,
            models=lambda: fleet.catalog.routes,
            nodes=lambda: {node.name for node in fleet.nodes},
            standing=lambda: _standing(services),
        )
        doubts = Doubts(lambda: fleet.nodes, lambda lost, cost: grounds.ledger.close_lost(lost, cost), now_ms)  # noqa: PLW0108 - made below
        # A command that opens the store for a moment asks nobody.
        grounds = await _grounds(config, stack, metrics, doubts if first_start else None)
        versions = Versions(grounds.database, monotonic_s=time.monotonic)
        await versions.poll()
        first: FirstRun | None = None
        if first_start:
            first = await bootstrap(
                config,
                settings=grounds.settings,
                leases=grounds.leases,
                workspaces=grounds.workspaces,
                keyring=grounds.keyring,
                ledger=grounds.ledger,
                users=grounds.people.users,
                hash_password=grounds.people.passwords.hash,
                now_ms=now_ms,
            )
        side = SideProcess()
        stack.push_async_callback(side.close)
        fleet = Fleet(
            saved=Nodes(grounds.database, grounds.box, now_ms=now_ms),
            new_pool=grounds.pools.upstream,
            list_prices=side.prices,
            monotonic_s=time.monotonic,
        )
        stack.push_async_callback(fleet.stop)
        await fleet.load(config.nodes, operator_prices(config), operator_models(config))
        egress = Egress(grounds.pools.pinned, system_lookup, allowed=allowed, open_tunnel=open_tunnel)
        counter = Counter(side)
        fetching = _fetching(stack, grounds, egress, counter, page_price)
        services = await _services(
            grounds, fleet, counter, egress, fetching, not_ready=lambda: "draining" if app.draining else None
        )
        kept = config.ledger
        retention = Retention(
            grounds.database, now_ms=now_ms, keep_days=kept.retention_days, audit_days=kept.audit_days
        )
        app = App(services, egress, first, retention=retention, leases=grounds.leases, doubts=doubts)
        if grounds.database.shared:
            hints = Hints(grounds.database, epoch_id=grounds.epoch_id, monotonic_s=time.monotonic)
            hinting = Hinting(hints, lambda: fleet.nodes, monotonic_s=time.monotonic)
            _follow(versions, app, hinting)
            stack.push_async_callback(cancel, asyncio.create_task(versions.run()))
            stack.push_async_callback(cancel, asyncio.create_task(hinting.run()))
        yield app


async def _grounds(config: Config, stack: AsyncExitStack, metrics: Metrics, doubts: Doubts | None) -> Grounds:
    ids = Ids()
    epoch_id = ids("epoch")
    database = Database.open(config.database_url, late_s=config.ledger.late_s)
    stack.push_async_callback(database.close)
    ledger = Ledger(
        database,
        epoch_id=epoch_id,
        on_batch=metrics.batch_committed,
        on_doubt=doubts.take if doubts is not None else None,
    )
    await ledger.start()
    stack.push_async_callback(ledger.close)
    settings, workspaces, keys = Settings(database), Workspaces(database), Keys(database)
    box = SecretBox(await installation_secret(config, settings, shared=database.shared))
    await check_secret(settings, box.fingerprint())
    pools = Pools()
    return Grounds(
        config=config,
        metrics=metrics,
        ids=ids,
        epoch_id=epoch_id,
        database=database,
        ledger=ledger,
        settings=settings,
        workspaces=workspaces,
        keys=keys,
        box=box,
        keyring=Keyring(keys, box, now_ms=now_ms, new_id=ids),
        leases=Leases(database, holder=epoch_id),
        pools=pools,
        people=accounts(config, database, box, now_ms, time.monotonic, new_id=ids, new_client=pools.upstream),
    )


def _fetching(stack: AsyncExitStack, grounds: Grounds, egress: Egress, counter: Counter, page_price: int) -> Fetching:
    extractor = Extractor()
    stack.push_async_callback(extractor.close)
    browser = Browser(egress, grounds.config.fetch.chromium)
    stack.push_async_callback(browser.close)
    return Fetching(
        fetcher=Fetcher(egress, extractor, counter, browser, now_ms=now_ms),
        domains=FetchDomains(grounds.database),
        price_nanocredits=page_price,
    )


async def _services(
    grounds: Grounds,
    fleet: Fleet,
    counter: Counter,
    egress: Egress,
    fetching: Fetching,
    *,
    not_ready: Callable[[], str | None],
) -> Services:
    config, database, ledger, metrics = grounds.config, grounds.database, grounds.ledger, grounds.metrics
    objects, calls = Objects.open(config.files_url), Calls(database)
    uploads = Uploads(
        objects,
        Files(database),
        max_bytes=config.files.max_mib * 2**20,
        quota_bytes=config.files.quota_mib * 2**20,
        new_id=lambda: f"file_{secrets.token_hex(16)}",
        now_ms=now_ms,
    )
    relay = await _relay(grounds, fleet, counter, egress, uploads)
    return Services(
        config=config,
        relay=relay,
        keyring=grounds.keyring,
        ledger=ledger,
        workspaces=grounds.workspaces,
        keys=grounds.keys,
        members=Members(database),
        calls=calls,
        transfers=Transfers(database),
        usage=UsageSheets(database),
        glances=Glances(database),
        fetching=fetching,
        fleet=fleet,
        reloading=Reloading(),
        reconciler=Reconciler(calls, lambda: fleet.nodes, now_ms=now_ms, on_result=metrics.reconciled),
        counter=counter,
        uploads=uploads,
        media=_media(grounds, fleet, relay),
        videos=video_services.assemble(
            config.video,
            database,
            holder=grounds.epoch_id,
            ledger=ledger,
            fleet=fleet,
            relay=relay,
            box=grounds.box,
            store=objects,
            way_out=egress,
            now_ms=now_ms,
        ),
        metrics=metrics,
        accounts=grounds.people,
        now_ms=now_ms,
        monotonic_s=time.monotonic,
        new_id=grounds.ids,
        not_ready=not_ready,
    )


async def _relay(grounds: Grounds, fleet: Fleet, counter: Counter, egress: Egress, uploads: Uploads) -> Relay:
    config, ids = grounds.config, grounds.ids
    return Relay(
        keyring=grounds.keyring,
        catalog=fleet.catalog,
        ledger=grounds.ledger,
        counter=counter,
        memory=Answers(grounds.database, now_ms=now_ms),
        loader=Loader(egress),
        files=uploads,
        observer=Observer(grounds.metrics),
        most_calls=config.server.max_streams,
        instance=await instance_name(grounds.settings),
        now_ms=now_ms,
        balancer=Balancer(random.random),
        monotonic_s=time.monotonic,
        new_id=partial(ids, "req"),
        wait_for_durable_hold=config.ledger.dispatch == "durable",
    )


def _media(grounds: Grounds, fleet: Fleet, relay: Relay) -> Media:
    return Media(
        catalog=fleet.catalog,
        ledger=grounds.ledger,
        gate=relay.gate,
        balancer=relay.balancer,
        observer=relay.observer,
        defaults=defaults_of(grounds.config),
        instance=relay.instance,
        now_ms=now_ms,
        monotonic_s=time.monotonic,
    )


@asynccontextmanager
async def open_application(config: Config) -> AsyncIterator[Asgi]:
    """The API without listening, for the commands while no gateway runs."""
    async with open_app(config, first_start=False) as app:
        yield app.asgi


def migrate(config: Config, to: str | None = None, version: str | None = None) -> list[str]:
    """Brings the database up to date or to a `version`, or copies it `to` another that is empty; lines to print."""

    async def run() -> list[str]:
        async with AsyncExitStack() as stack:
            database = Database.open(config.database_url)
            stack.push_async_callback(database.close)
            name = without_password(config.database_url)
            if version is not None:
                database.engine.migrate(version)
                return [f"{name} is at version {version}; the next start of this Mira brings it up to date again"]
            if to is None:
                return [f"{name} is up to date"]
            target = Database.open(to)
            stack.push_async_callback(target.close)
            return await _copy(config, database, target)

    make_home(config.home)
    return asyncio.run(run())


async def _copy(config: Config, database: Database, target: Database) -> list[str]:
    # A ledger that starts ends the calls that a dead process left.
    ledger = Ledger(database, epoch_id=Ids()("epoch"))
    await ledger.start()
    await ledger.close()
    secret = await installation_secret(config, Settings(database), shared=database.shared)
    kept = {SECRET_KEY: secret} if target.shared and config.secret_key is None else {}
    copied = await copy_all(database, target, kept)
    return [
        *(f"{name}: {rows} rows" for name, rows in copied.rows.items()),
        "the ledger balances: every invariant holds",
    ]


def _follow(versions: Versions, app: App, hinting: Hinting) -> None:
    """Takes in what other processes change: keys are forgotten, nodes loaded again, hints read."""
    keyring, fleet = app.services.keyring, app.services.fleet

    async def forget() -> None:
        keyring.forget()

    async def forget_operators() -> None:
        app.services.accounts.forget()

    versions.watch(KEYS, forget)
    versions.watch(NODES, fleet.reload)
    versions.watch(USERS, forget_operators)
    versions.watch(HINTS, hinting.changed)
    versions.distrust(keyring.forget)


def _standing(services: Services) -> Standing:
    now_s, fleet = time.monotonic(), services.fleet
    return standing(
        [fleet.describe(node, now_s) for node in fleet.nodes],
        *services.ledger.held(),
        waiting=services.relay.gate.places.waiting,
        jobs=services.videos.runner.counts,
    )


def defaults_of(config: Config) -> dict[str, str]:
    """The models for bodies without one, by what is asked for."""
    named = {output: model for output, model in msgspec.to_builtins(config.defaults).items() if model}
    # An installation with nothing configured speaks and listens all the same.
    embedded = {OUTPUTS[pack.use]: model for model, pack in MEDIA_PACKS.items()} if config.local_node else {}
    return embedded | named


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


async def cancel(task: "asyncio.Task[None]") -> None:
    """Ends a task and waits for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
