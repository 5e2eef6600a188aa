"""Where the fleet keeps what operators make and change of it, as the fleet sees it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from mira.config_tables import NodeConfig

#: Runs in the transaction of a change, with what the change leaves behind: the audit log's.
Also = Callable[[Any, Any], None]


class Kept(Struct, frozen=True):
    """A node as a change leaves it."""

    config: NodeConfig
    draining: bool = False
    disabled: bool = False


class SavedNodes(Protocol):
    """Where nodes made by the API, and the overlay over all others, are kept. Credentials are sealed by the store."""

    async def all(self) -> Sequence[tuple[dict[str, Any], str]]:
        """Every saved node: its settings without the credential, and the credential."""

    async def put(self, name: str, settings: dict[str, Any], api_key: str, *, also: Also) -> None:
        """Saves a node, replacing one of the same name."""

    async def remove(self, name: str, *, also: Also) -> None:
        """Forgets a node and its overlay."""

    async def overlays(self) -> Mapping[str, tuple[bool, bool]]:
        """By node name: whether it drains, whether it is disabled."""

    async def set_overlay(
        self, name: str, *, drained: bool, disabled: bool, replaced: tuple[dict[str, Any], str] | None, also: Also
    ) -> None:
        """Keeps the overlay of a node, and what its settings and credential are `replaced` by."""

    async def prices(self) -> Mapping[str, dict[str, Any]]:
        """By model: the prices that operators set at the portal, as rows of `core.price_rows`."""

    async def put_price(self, model: str, row: dict[str, Any] | None, *, also: Also) -> None:
        """Keeps the price of a model, or forgets it."""
