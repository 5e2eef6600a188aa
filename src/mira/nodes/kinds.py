"""The kinds of node as a table: a new provider is a row, not code."""

from msgspec import Struct

from mira.codecs.chat import CHAT
from mira.codecs.codec import Codec


class Kind(Struct, frozen=True, kw_only=True):
    """How to speak to one kind of upstream.

    `provider` is the prefix of its canonical model ids; None where the node's own ids carry it (a Mira) or where the
    configuration names it. `cap_field` carries the output cap; `trusts_cost` takes the node's `usage.cost` for its
    charge. `dialect` is a row of the codec's quirks; where it is empty, the provider's name is one. `chat_path` and
    `models_path` are appended to the base URL, of which `surplus` suffixes are cut first.
    """

    name: str
    codec: Codec
    provider: str | None
    cap_field: str
    dialect: str = ""
    trusts_cost: bool = False
    chat_path: str = "/chat/completions"
    models_path: str = "/models"
    surplus: tuple[str, ...] = ("/chat/completions",)


KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        Kind(name="openai", codec=CHAT, provider="openai", cap_field="max_completion_tokens", dialect="openai"),
        Kind(name="openai-compatible", codec=CHAT, provider=None, cap_field="max_tokens"),
        Kind(name="mira", codec=CHAT, provider=None, cap_field="max_tokens", dialect="mira", trusts_cost=True),
        Kind(name="local", codec=CHAT, provider="mira", cap_field="max_tokens", dialect="local"),
    )
}
