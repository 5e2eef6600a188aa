"""Nodes made by the operator API, what operators switched on any node, and the prices that they set.

A node from the file or the environment is not stored; draining or disabling it is, as an overlay under its name.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Executable, delete, select

from mira.store.audit import Also, nothing
from mira.store.database import Database
from mira.store.schema import node, node_overlay, price
from mira.store.secretbox import SecretBox
from mira.store.statements import upsert
from mira.store.versions import NODES, changed


class Nodes:
    """Keeps nodes and overlays; credentials are sealed under the node's name. `now_ms` is Unix milliseconds."""

    def __init__(self, database: Database, box: SecretBox, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._box = box
        self._now_ms = now_ms

    async def all(self) -> Sequence[tuple[dict[str, Any], str]]:
        """Every stored node, the oldest first: its settings, and its credential ("" where it has none).

        ValueError where a credential was sealed with another secret.
        """
        query = select(node.c.name, node.c.config, node.c.secret).order_by(node.c.created_at_ms, node.c.name)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return [
            (msgspec.json.decode(config), self._box.open(sealed, name) if sealed is not None else "")
            for name, config, sealed in rows
        ]

    async def put(self, name: str, settings: dict[str, Any], api_key: str, *, also: Also = nothing) -> None:
        """Stores a node or replaces the one of its name."""
        await self._write(self._stored(name, settings, api_key), also=also)

    def _stored(self, name: str, settings: dict[str, Any], api_key: str) -> Executable:
        text = msgspec.json.encode(settings).decode()
        sealed = self._box.seal(api_key, name) if api_key else None
        now_ms = self._now_ms()
        insert = upsert(node).values(name=name, config=text, secret=sealed, created_at_ms=now_ms, updated_at_ms=now_ms)
        return insert.on_conflict_do_update(
            index_elements=["name"], set_={"config": text, "secret": sealed, "updated_at_ms": now_ms}
        )

    async def remove(self, name: str, *, also: Also = nothing) -> None:
        """Forgets a node and its overlay."""
        await self._write(
            delete(node_overlay).where(node_overlay.c.name == name), delete(node).where(node.c.name == name), also=also
        )

    async def overlays(self) -> Mapping[str, tuple[bool, bool]]:
        """(drained, disabled) by node name."""
        query = select(node_overlay)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return {name: (drained, disabled) for name, drained, disabled in rows}

    async def set_overlay(
        self,
        name: str,
        *,
        drained: bool,
        disabled: bool,
        replaced: tuple[dict[str, Any], str] | None = None,
        also: Also = nothing,
    ) -> None:
        """Keeps what an operator switched on a node; `replaced` are its new settings and credential, if it has any."""
        insert = upsert(node_overlay).values(name=name, drained=drained, disabled=disabled)
        change = insert.on_conflict_do_update(index_elements=["name"], set_={"drained": drained, "disabled": disabled})
        stored = [] if replaced is None else [self._stored(name, *replaced)]
        await self._write(*stored, change, also=also)

    async def prices(self) -> Mapping[str, dict[str, Any]]:
        """By model: the prices that operators set at the portal."""
        query = select(price.c.model, price.c.price)
        rows = await self._database.read(lambda connection: connection.execute(query).fetchall())
        return {model: msgspec.json.decode(text) for model, text in rows}

    async def put_price(self, model: str, row: dict[str, Any] | None, *, also: Also = nothing) -> None:
        """Keeps the price of a model, or forgets it."""
        if row is None:
            await self._write(delete(price).where(price.c.model == model), also=also)
            return
        values = {"price": msgspec.json.encode(row).decode(), "updated_at_ms": self._now_ms()}
        first = upsert(price).values(model=model, **values)
        await self._write(first.on_conflict_do_update(index_elements=["model"], set_=values), also=also)

    async def _write(self, *changes: Executable, also: Also) -> None:
        def write(connection: Connection) -> None:
            for change in changes:
                connection.execute(change)
            changed(connection, NODES)
            also(connection, None)

        await self._database.write(write)
