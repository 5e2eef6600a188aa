"""Who is calling: the workspace and key behind a request."""

from enum import Enum

from msgspec import Struct

from mira.core.models import folded


class Face(Enum):
    """The two faces of Mira; a key opens exactly one of them."""

    PROXY = "proxy"
    INFERENCE = "inference"


class Caller(Struct, frozen=True):
    """An authenticated key.

    `models` is the scope as canonical ids, None for all. `expires_at_ms` is Unix time in milliseconds, None for never.
    """

    workspace_id: str
    key_id: str
    face: Face
    models: frozenset[str] | None = None
    expires_at_ms: int | None = None

    def may_use(self, model: str) -> bool:
        """Whether a canonical id is in the scope, in which it may stand in its dot or its dash form."""
        if self.models is None or model in self.models:
            return True
        return bool(self.models) and folded(model) in {folded(name) for name in self.models}
