"""The running fleet: nodes from the file, the environment and the API, their models, and the catalog made of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from mira.config import check_node
from mira.config_tables import NodeConfig
from mira.core.media import SOURCE as MEDIA_SOURCE
from mira.core.media import TEXT, list_price, outputs_of
from mira.core.models import NO_ROWS, Table
from mira.core.money import credits_text
from mira.core.price_rows import price_row
from mira.core.pricing import FREE, Price, parse_markup
from mira.core.purse import Purse
from mira.errors import ConfigError, Kind, MiraError
from mira.nodes import discovery
from mira.nodes.catalog import Catalog, by_canonical_id
from mira.nodes.funds import Funds
from mira.nodes.node import Listing, Node, Upstream, root_url
from mira.nodes.saved import Also, Kept, SavedNodes

log = logging.getLogger("mira.fleet")

REFRESH_S = 300.0
RETRY_S = 15.0
PRICES_LAST_S = 86_400.0


class Fleet:
    """Owns the nodes. `new_pool` makes the HTTP client for a base URL, `list_prices` looks public prices up.

    `on_change` is called after each new catalog.
    """

    def __init__(
        self,
        *,
        saved: SavedNodes,
        new_pool: Callable[[str], Upstream],
        list_prices: Callable[[Sequence[str]], Awaitable[Mapping[str, Price | None]]],
        monotonic_s: Callable[[], float],
    ) -> None:
        self.nodes: list[Node] = []
        self.catalog = Catalog()
        self._saved = saved
        self._new_pool = new_pool
        self._list_prices = list_prices
        self._monotonic_s = monotonic_s
        self.on_change: Callable[[], None] = lambda: None
        self._operator_prices: dict[str, Price] = {}
        self._saved_prices: dict[str, Price] = {}
        self._own_models: Table = NO_ROWS
        self._public_prices: dict[str, Price | None] = {}
        self._prices_asked_s = 0.0
        self._funds = Funds(lambda: self.nodes, monotonic_s)
        self._task: asyncio.Task[None] | None = None
        #: Nodes that are no more, until their last calls have ended.
        self._leaving: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._looked = asyncio.Event()

    async def load(self, configs: Iterable[NodeConfig], prices: Mapping[str, Price], models: Table = NO_ROWS) -> None:
        """Replaces the nodes of file and environment; those whose settings did not change keep their state.

        Nodes made by the API are read from the store. A name in both: the file's stands. `models` is what the operator
        says of models.
        """
        wanted = list(configs)
        names = {config.name for config in wanted}
        for settings, api_key in await self._saved.all():
            if settings["name"] in names:
                log.warning("node %s stands in the file and in the database; the file's is used", settings["name"])
                continue
            wanted.append(_from_settings({**settings, "api_key": api_key}))
        overlays = await self._saved.overlays()
        embedded = [node for node in self.nodes if node.kind.embedded]
        current = {node.name: node for node in self.nodes if node not in embedded}
        kept: list[Node] = []
        for config in wanted:
            node = current.pop(config.name, None)
            if node is None or node.config != config:
                if node is not None:
                    current[f"{config.name} (replaced)"] = node
                node = self._make(config)
            node.draining, node.disabled = overlays.get(config.name, (False, False))
            kept.append(node)
        self.nodes = [*kept, *embedded]
        self._operator_prices = dict(prices)
        await self._load_prices()
        self._own_models = models
        for node in current.values():
            self._let_go(node)
        await self._price_and_rebuild()
        self._wake.set()

    async def known(self) -> None:
        """Returns when every node was asked for its models once, and those that answer are in the catalog."""
        await self._looked.wait()

    async def reload(self) -> None:
        """Reads nodes of the API and overlays again: another process may have changed them."""
        configs = [node.config for node in self.nodes if node.config.origin != "api" and not node.kind.embedded]
        await self.load(configs, self._operator_prices, self._own_models)

    def start(self) -> None:
        """Begins to ask the nodes for their models, now and every five minutes, and for their credits."""
        self._funds.start()
        # The embedded node joins by itself.
        self.catalog.complete = all(node.config.models is not None or node.disabled for node in self.nodes)
        self._task = asyncio.create_task(self._refresh_forever(), name="fleet-refresh")

    async def stop(self) -> None:
        """Stops asking and closes every connection."""
        await self._funds.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for node in self.nodes:
            await node.pool.close()

    def get(self, name: str) -> Node:
        """A node by name; MiraError NOT_FOUND."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise MiraError(Kind.NOT_FOUND, f"there is no node {name[:100]!r}")

    async def add(self, settings: dict[str, Any], *, also: Also) -> Node:
        """Adds a node and keeps it in the store."""
        name = settings["name"]
        if any(node.name == name for node in self.nodes):
            raise MiraError(Kind.CONFLICT, f"there is a node {name!r} already", param="name")
        node = self._make(_from_settings(settings))
        kept = Kept(node.config)
        await self._saved.put(name, _without_key(settings), settings["api_key"], also=lambda to, _: also(to, kept))
        # A reload may have found it already.
        self.nodes = [*(other for other in self.nodes if other.name != name), node]
        await self.probe(node)
        return node

    async def change(self, name: str, changes: dict[str, Any], *, also: Also) -> Node:
        """Drains, disables or changes a node; MiraError where the file owns the setting."""
        node = self.get(name)
        overlay = {"draining": node.draining, "disabled": node.disabled}
        overlay.update({key: changes.pop(key) for key in tuple(overlay) if key in changes})
        settings = self._changed(node, changes) if changes else None
        fresh = node if settings is None else self._make(_from_settings(settings))
        kept = Kept(fresh.config, **overlay)
        await self._saved.set_overlay(
            name,
            drained=kept.draining,
            disabled=kept.disabled,
            replaced=None if settings is None else (_without_key(settings), settings["api_key"]),
            also=lambda to, _: also(to, kept),
        )
        if fresh is not node:
            await self._replace(name, fresh)
        fresh.draining, fresh.disabled = kept.draining, kept.disabled
        await self._price_and_rebuild()
        return fresh

    async def remove(self, name: str, *, also: Also) -> None:
        """Removes a node that was made by the API; its running calls finish."""
        node = self.get(name)
        if node.config.origin != "api":
            raise MiraError(Kind.CONFLICT, f"the node {name!r} comes from the {node.config.origin}; remove it there")
        await self._saved.remove(name, also=lambda to, _: also(to, None))
        # A reload may have removed it already.
        self.nodes = [other for other in self.nodes if other.name != name]
        await self._price_and_rebuild()
        await self._retire(node)

    async def probe(self, node: Node) -> None:
        """Asks a node for its models and credits, forgets what spoke against it, and rebuilds the catalog."""
        node.health.forgive()
        await asyncio.gather(self._ask(node), self._funds.look(node))
        await self._price_and_rebuild()

    async def set_price(self, model: str, row: dict[str, Any] | None, *, also: Also) -> None:
        """Sets the price of a model in the words of `[[prices]]`, or takes back what was set (None).

        MiraError BAD_REQUEST names the field, CONFLICT where the file has a price that stands above it.
        """
        if model in by_canonical_id(self._operator_prices, self._listings()):
            raise MiraError(Kind.CONFLICT, f"the price of {model} stands in the configuration file; change it there")
        if row is not None:
            try:
                price_row(row, "price")
            except ValueError as error:
                told = str(error).removeprefix("price.")
                raise MiraError(Kind.BAD_REQUEST, told, param=told.partition(":")[0]) from None
        await self._saved.put_price(model, row, also=also)
        await self._load_prices()
        await self._price_and_rebuild()

    def price_in_file(self, model: str) -> bool:
        """Whether the configuration file prices a model."""
        return model in by_canonical_id(self._operator_prices, {model})

    async def try_out(self, settings: dict[str, Any]) -> tuple[str | None, dict[str, tuple[Listing, Price | None]]]:
        """Asks a node that is none of the fleet for its models: what went wrong, if anything, and each with its price.

        Nothing of it is kept. MiraError BAD_REQUEST names a setting that is wrong.
        """
        node = self._make(_from_settings(settings))
        try:
            well = await self._ask(node)
            found = dict(node.models) if well and node.last_error is None else {}
            told = await self._list_prices([name for name, listing in found.items() if listing.price is None])
            own = {**by_canonical_id(self._saved_prices, found), **by_canonical_id(self._operator_prices, found)}
        finally:
            await node.pool.close()
        priced = {name: (one, own.get(name) or one.price or told.get(name)) for name, one in found.items()}
        return node.last_error, priced

    def add_local(self, node: Node) -> None:
        """Takes in the embedded node, which the composition root keeps up to date."""
        self.nodes.append(node)

    async def rebuilt(self) -> None:
        """Rebuilds the catalog after a node changed by itself."""
        await self._price_and_rebuild()

    def describe(self, node: Node, now_s: float) -> dict[str, Any]:
        """A node as operators see it; never its credential."""
        config = node.config
        standing, health = node.standing(now_s), node.health
        return {
            "name": node.name,
            "kind": config.kind,
            "base_url": config.base_url or None,
            "origin": config.origin,
            "has_api_key": bool(config.api_key),
            "provider": config.provider,
            "endpoint": config.endpoint,
            "image_route": config.image_route,
            "weight": config.weight,
            "markup": config.markup,
            "max_in_flight": config.max_in_flight,
            "reported_cost": node.trusts_cost,
            "first_token_s": config.first_token_s,
            "state": standing.state,
            "reason": standing.reason,
            "returns_in_s": standing.returns_in_s,
            "conditions": [
                {"model": model, **msgspec.to_builtins(each)}
                for model, each in sorted(health.conditions(now_s).items())
                if model in node.models
            ],
            "draining": node.draining,
            "disabled": node.disabled,
            "in_flight": health.in_flight,
            "consecutive_faults": health.faults,
            "latency_ms": health.latency_ms(),
            "credits": _credits(health.purse),
            "runway_s": _seconds(health.purse.runway_s),
            "last_error": node.last_error or (node.loading.message if node.loading else None),
            "models": sorted(node.models),
        }

    def _make(self, config: NodeConfig) -> Node:
        try:
            markup = parse_markup(config.markup)
        except ValueError as error:
            raise ConfigError(f"node {config.name!r}: `markup`: {error}") from None
        node = Node(config, self._new_pool(root_url(config)), markup=markup)
        node.models = discovery.configured(node)
        return node

    def _changed(self, node: Node, changes: dict[str, Any]) -> dict[str, Any]:
        if node.config.origin != "api":
            field = next(iter(changes))
            raise MiraError(
                Kind.CONFLICT,
                f"the node {node.name!r} comes from the {node.config.origin}; change it there",
                param=field,
            )
        return {**msgspec.to_builtins(node.config), **changes}

    async def _replace(self, name: str, fresh: Node) -> None:
        # A reload may have put another one in its place already, or have taken it away.
        known = [other for other in self.nodes if other.name == name]
        self.nodes = [fresh if other in known else other for other in self.nodes]
        for other in known:
            self._let_go(other)
        await self._ask(fresh)

    def _let_go(self, node: Node) -> None:
        task = asyncio.create_task(self._retire(node))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _retire(self, node: Node) -> None:
        while node.health.in_flight:  # noqa: ASYNC110 - rare, and the hot path should not pay for an event
            await asyncio.sleep(0.2)
        await node.pool.close()

    async def _refresh_forever(self) -> None:
        while True:
            self._wake.clear()
            asked = [node for node in self.nodes if not node.kind.embedded and not node.disabled]
            well = [*await asyncio.gather(*(self._ask(node) for node in asked))]
            well += [node.health.block is None for node in asked]
            await self._price_and_rebuild()
            self._looked.set()
            self.catalog.complete = True
            try:
                async with asyncio.timeout(REFRESH_S if all(well) else RETRY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _ask(self, node: Node) -> bool:
        """Asks for the models where that can teach something; returns whether the node answered.

        A node whose models are configured is only asked for a sign of life, where there is none of calls.
        """
        if node.kind.embedded:
            return True
        needless = node.config.models is not None and not node.trusts_cost
        if needless and node.health.heard and node.health.block is None:
            return True
        node.checked_s = self._monotonic_s()
        try:
            status, body = await node.fetch_models()
            self._heard(node, status)
            if needless:
                return True
        except Exception as error:  # noqa: BLE001 - whatever the transport says, the node did not answer
            node.last_error = f"the list of models could not be read ({getattr(error, 'phase', type(error).__name__)})"
            return needless
        found = discovery.listed(node, body) if status == 200 else None
        if found is None:
            node.last_error = f"the list of models was answered with status {status}"
            return False
        node.last_error = None
        node.models = found
        return True

    def _listings(self) -> dict[str, Listing]:
        models: dict[str, Listing] = {}
        for node in self.nodes:
            models.update(node.models)
        return models

    async def _load_prices(self) -> None:
        """Reads the prices that were set at the portal. One that this version cannot read is as good as none."""
        self._saved_prices = {}
        for model, row in (await self._saved.prices()).items():
            try:
                self._saved_prices[model] = msgspec.structs.replace(price_row(row), source="portal")
            except ValueError:
                log.warning("the price of %s that was set at the portal cannot be read", model)

    def _heard(self, node: Node, status: int) -> None:
        """What an answer that cost nothing says of the node."""
        if status == 200:
            node.health.alive()
        elif status in (401, 403):
            node.health.refused(self._monotonic_s(), jitter=0.5)
        elif status < 500:
            node.health.heard = True

    async def _price_and_rebuild(self) -> None:
        models = self._listings()
        own = {**by_canonical_id(self._saved_prices, models), **by_canonical_id(self._operator_prices, models)}
        if self._monotonic_s() - self._prices_asked_s > PRICES_LAST_S:
            self._public_prices.clear()
        unknown = [
            model
            for model, listing in models.items()
            if model not in own
            and model not in self._public_prices
            and (listing.price is None or not (listing.price.free or outputs_of(model, listing.outputs) == TEXT))
        ]
        if unknown:
            try:
                self._public_prices.update(await self._list_prices(unknown))
                self._prices_asked_s = self._monotonic_s()
            except MiraError:
                log.warning("public prices could not be read; models without an operator's price wait")
        public = {model: price for model, price in self._public_prices.items() if price is not None}
        for model in models.keys() - public.keys():
            row = list_price(model)
            if row is not None:
                public[model] = price_row(row, source=MEDIA_SOURCE)
        self.catalog.rebuild(self.nodes, own, public, self._own_models)
        self.on_change()


def local_listing(model: str, context_tokens: int) -> dict[str, Listing]:
    """The listing of the embedded model: free, and honest about what it is."""
    note = "A small model embedded in Mira, to try things out: expect a demonstration, not a great answer."
    return {
        model: Listing(
            upstream_model=model,
            max_input_tokens=context_tokens,
            max_output_tokens=max(context_tokens // 2, 1),
            price=FREE,
            note=note,
        )
    }


def _from_settings(settings: Mapping[str, Any]) -> NodeConfig:
    """A node of the API as a configuration; MiraError BAD_REQUEST names the setting."""
    try:
        config = msgspec.convert({**settings, "origin": "api"}, NodeConfig)
        check_node(config)
    except (ConfigError, ValueError) as error:
        raise MiraError(Kind.BAD_REQUEST, str(error)) from None
    try:
        parse_markup(config.markup)
    except ValueError as error:
        raise MiraError(Kind.BAD_REQUEST, f"markup: {error}", param="markup") from None
    return msgspec.structs.replace(config, base_url=config.base_url.rstrip("/"))


def _credits(purse: Purse) -> str | None:
    left = purse.available_nanocredits
    return None if left is None else credits_text(left)


def _seconds(runway_s: float | None) -> int | None:
    """A runway for people; None where there is no end in sight."""
    return None if runway_s is None or runway_s == float("inf") else round(runway_s)


def _without_key(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("api_key", "origin")}
