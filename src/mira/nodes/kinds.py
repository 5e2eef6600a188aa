"""The kinds of node as a table: a new provider is a row, not code."""

from urllib.parse import urlsplit

from msgspec import Struct

from mira.codecs.chat import CHAT
from mira.codecs.codec import NodeCodec
from mira.codecs.counting import GEMINI_COUNTING, MESSAGES_COUNTING, RESPONSES_COUNTING, Counting
from mira.codecs.embeddings import EMBEDDINGS
from mira.codecs.gemini import GEMINI
from mira.codecs.messages import MESSAGES
from mira.codecs.responses import RESPONSES
from mira.config_tables import NodeConfig


class Way(Struct, frozen=True):
    """One protocol that a node speaks: its codec and its path behind the base URL.

    `{model}` in a path stands for the node's own spelling; `stream_path` is the path of streams where it is another.
    """

    codec: NodeCodec
    path: str
    stream_path: str | None = None


class Counter(Struct, frozen=True):
    """Where a node counts the input of requests, and in which protocol it is asked."""

    codec: NodeCodec
    counting: Counting
    path: str


class Kind(Struct, frozen=True, kw_only=True):
    """How to speak to one kind of upstream.

    `ways` are the protocols it speaks: a client's own passes through, else the first is spoken. `provider` is the
    prefix of its canonical model ids; None where the node's own ids carry it (a Mira) or where the configuration names
    it. `cap_field` carries the output cap; `trusts_cost` takes the node's `usage.cost` for its charge. `dialect` is a
    row of the codec's quirks; where it is empty, the host or the provider's name is one. `key_header` carries the
    credential (`Bearer` in `authorization`); `headers` go with every request, `forwarded` are a client's own that pass
    through with its request. `models_path` is appended to the base URL, of which `surplus` suffixes are cut first.
    `counter` is where it counts tokens, None where it does not. `chains` tells it which Miras a request has passed.
    `embedded` ones are processes of this host, which are not configured, asked for models or spoken of to other hosts.
    """

    name: str
    ways: tuple[Way, ...]
    provider: str | None
    cap_field: str = "max_tokens"
    dialect: str = ""
    trusts_cost: bool = False
    key_header: bytes = b"authorization"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    forwarded: tuple[bytes, ...] = ()
    models_path: str = "/models"
    counter: Counter | None = None
    chains: bool = False
    embedded: bool = False
    surplus: tuple[str, ...] = ("/chat/completions",)


_CHAT = Way(CHAT, "/chat/completions")
_EMBEDDINGS = Way(EMBEDDINGS, "/embeddings")

KINDS: dict[str, Kind] = {
    row.name: row
    for row in (
        Kind(
            name="openai",
            ways=(_CHAT, Way(RESPONSES, "/responses"), _EMBEDDINGS),
            provider="openai",
            cap_field="max_completion_tokens",
            dialect="openai",
            counter=Counter(RESPONSES, RESPONSES_COUNTING, "/responses/input_tokens"),
        ),
        Kind(
            name="anthropic",
            ways=(Way(MESSAGES, "/v1/messages"),),
            provider="anthropic",
            dialect="anthropic",
            key_header=b"x-api-key",
            # The older version takes sampling parameters; requests that pass through bring their own.
            headers=((b"anthropic-version", b"2023-06-01"),),
            forwarded=(b"anthropic-version", b"anthropic-beta"),
            models_path="/v1/models?limit=1000",
            counter=Counter(MESSAGES, MESSAGES_COUNTING, "/v1/messages/count_tokens"),
            surplus=("/v1/messages", "/v1"),
        ),
        Kind(
            name="gemini",
            ways=(
                Way(
                    GEMINI,
                    "/v1beta/models/{model}:generateContent",
                    "/v1beta/models/{model}:streamGenerateContent?alt=sse",
                ),
            ),
            provider="google",
            key_header=b"x-goog-api-key",
            models_path="/v1beta/models?pageSize=1000",
            counter=Counter(GEMINI, GEMINI_COUNTING, "/v1beta/models/{model}:countTokens"),
            surplus=("/v1beta",),
        ),
        Kind(name="openai-compatible", ways=(_CHAT, _EMBEDDINGS), provider=None),
        Kind(name="mira", ways=(_CHAT, _EMBEDDINGS), provider=None, dialect="mira", trusts_cost=True, chains=True),
        Kind(name="local", ways=(_CHAT,), provider="mira", dialect="local", embedded=True),
        Kind(name="local-media", ways=(_EMBEDDINGS,), provider="mira", dialect="local", embedded=True),
    )
}

#: Hosts whose dialect is known whatever provider the configuration names; the end of a host's name decides.
HOSTS = {
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zai",
    "generativelanguage.googleapis.com": "google",
}
#: Other names that providers go by.
PROVIDERS = {"moonshotai": "moonshot", "z-ai": "zai"}


def dialect_of(config: NodeConfig) -> str:
    """The dialect of a node: its kind's, else its host's, else the one of its provider's name."""
    if (told := KINDS[config.kind].dialect) != "":
        return told
    host = urlsplit(config.base_url).hostname or ""
    for known, dialect in HOSTS.items():
        if host == known or host.endswith(f".{known}"):
            return dialect
    return PROVIDERS.get(config.provider or "", config.provider or "")


def ways_of(config: NodeConfig) -> tuple[Way, ...]:
    """The protocols that a node is to speak: those of its kind, but for what `endpoint` rules out."""
    ruled_out = {"chat": RESPONSES, "responses": CHAT}.get(config.endpoint)
    return tuple(way for way in KINDS[config.kind].ways if way.codec is not ruled_out)
