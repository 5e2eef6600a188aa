"""One upstream of the fleet at run time: its address, its credential, its models and its health."""

import logging
from collections.abc import Awaitable
from typing import Any, Protocol

from msgspec import Struct

from mira.codecs.codec import NodeCodec
from mira.codecs.media.shape import Shape
from mira.codecs.media.video import Looking
from mira.codecs.responses import RESPONSES
from mira.config_tables import NodeConfig
from mira.core.blocks import Standing
from mira.core.deadlines import LOCAL_TIMEOUTS, Timeouts
from mira.core.health import Health
from mira.core.pricing import Markup, Price
from mira.core.via import HEADER as VIA
from mira.errors import Kind as ErrorKind
from mira.errors import MiraError
from mira.nodes.kinds import KINDS, Kind, dialect_of, ways_of
from mira.nodes.media import LOOKING, shape_of

log = logging.getLogger("mira.nodes")

Headers = tuple[tuple[bytes, bytes], ...]


class Listing(Struct, frozen=True, kw_only=True):
    """A model as a node offers it: the node's own spelling, limits in tokens, and the node's own price if it told.

    `outputs` is what the node says that it puts out, in the words of `mira.core.media`; empty where it does not.
    """

    upstream_model: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    price: Price | None = None
    note: str | None = None
    outputs: tuple[str, ...] = ()


class RequestHead(Protocol):
    """The head of a client's request."""

    def header(self, name: bytes) -> str | None:
        """A header by its lower-case name."""


class Upstream(Protocol):
    """What a node needs of an HTTP client (see `mira.transport`)."""

    async def request(
        self, method: str, target: str, headers: Headers, body: bytes, *, request_id: bytes = ..., timeouts: Any = None
    ) -> Any:
        """Sends a request; returns once the head of the answer is in."""

    async def get_json(
        self, target: str, headers: Headers, *, timeouts: Any = None, limit_bytes: int = ...
    ) -> tuple[int, Any]:
        """Fetches and decodes a JSON document."""

    async def close(self) -> None:
        """Closes every connection."""


def root_url(config: NodeConfig) -> str:
    """The base URL of a node without a surplus suffix, as users copy it from elsewhere."""
    url = config.base_url.rstrip("/")
    for suffix in KINDS[config.kind].surplus:
        url = url.removesuffix(suffix)
    return url


class Node:
    """One upstream. `models` maps canonical ids to listings; it is replaced whole when the node is asked again.

    `obstacle` is set while the node cannot take calls for a reason of its own (drained, disabled, still loading): the
    error that a client gets where no other node serves the model. `adapter` changes requests and answers for models
    that need more than the wire protocol (the local node's tools). `checked_s` is when its models were last asked for.
    """

    def __init__(self, config: NodeConfig, pool: Upstream, *, markup: Markup) -> None:
        kind = KINDS[config.kind]
        self.config = config
        self.kind: Kind = kind
        self.name = config.name
        self.cap_field = kind.cap_field
        self.ways = ways_of(config)
        #: by the codec's name, and for streams or not
        self._paths = {(way.codec.name, False): way.path for way in self.ways}
        self._paths |= {(way.codec.name, True): way.stream_path or way.path for way in self.ways}
        self.dialect = dialect_of(config)
        self.trusts_cost = kind.trusts_cost or config.reported_cost
        self.keeps_statement = kind.name == "mira"
        self.remembers = self.keeps_statement or self.dialect == "openrouter"
        self.weight = config.weight
        self.max_in_flight = config.max_in_flight
        self.markup = markup
        self.health = Health()
        self.timeouts = LOCAL_TIMEOUTS if kind.embedded else Timeouts(head_s=config.first_token_s or None)
        self.adapter: Any | None = None
        self.models: dict[str, Listing] = {}
        self.draining = False
        self.disabled = False
        self.loading: MiraError | None = None
        self.last_error: str | None = None
        self.checked_s: float | None = None
        self.counts_running = 0
        self.pool = pool
        self.authorize(config.api_key)

    def authorize(self, api_key: str) -> None:
        """Sets the credential; the local node has a new one with every start of its process."""
        headers: Headers = ((b"accept", b"*/*"), (b"user-agent", b"mira"))
        if api_key:
            bearer = b"Bearer " if self.kind.key_header == b"authorization" else b""
            headers = (*headers, (self.kind.key_header, bearer + api_key.encode()))
        self._headers = headers
        self._json_headers = (*headers, (b"content-type", b"application/json"))

    @property
    def obstacle(self) -> MiraError | None:
        """Why the node takes no calls, if it does not."""
        if self.loading is not None:
            return self.loading
        if self.draining or self.disabled:
            return MiraError(ErrorKind.UNAVAILABLE, f"the node {self.name} is out of service", retry_after_s=30)
        return None

    def standing(self, now_s: float) -> Standing:
        """The node's state as people see it (see `mira.core.health`); what an operator said stands first."""
        if self.disabled:
            return Standing("disabled", "by the operator")
        if self.draining:
            return Standing("draining", "by the operator")
        if self.loading is not None:
            return Standing("loading", self.loading.message)
        return self.health.standing(now_s)

    def state(self, now_s: float) -> str:
        """One word for people."""
        return self.standing(now_s).state

    def codec_for(self, client: NodeCodec, *, responses: bool = False) -> NodeCodec:
        """The client's own protocol where the node speaks it, else the node's first.

        `responses`: the model takes the request under Responses alone, which is spoken where the node can.
        """
        if responses:
            client = next((way.codec for way in self.ways if way.codec is RESPONSES), client)
        for way in self.ways:
            if way.codec is client:
                return client
        return self.ways[0].codec

    def open(
        self,
        codec: NodeCodec,
        body: bytes,
        request_id: str,
        *,
        model: str,
        stream: bool,
        passed: RequestHead | None,
        timeouts: Timeouts | None = None,
        via: str = "",
    ) -> Awaitable[Any]:
        """Sends a model request in a protocol that the node speaks; gives the response once its head is in.

        `passed` is the client's head where its request passes through: what the kind forwards is taken from there.
        `timeouts` are this attempt's, where they are not the node's own; `via` names the Miras that the request has
        passed, for a node that is one.
        """
        path = self._paths[codec.name, stream]
        limits = timeouts or self.timeouts
        return self.post(path, body, request_id, model=model, passed=passed, timeouts=limits, via=via)

    def post(
        self,
        path: str,
        body: bytes,
        request_id: str,
        *,
        model: str,
        passed: RequestHead | None,
        timeouts: Timeouts | None = None,
        via: str = "",
        content_type: str | None = None,
        idempotency_key: str | None = None,
    ) -> Awaitable[Any]:
        """Sends a body to a path of the node's, where `{model}` stands for the model; `passed`, `via` as in `open`.

        The body is JSON, unless another `content_type` is given. An `idempotency_key` tells the node that a request
        may be one that it has already.
        """
        if "{model}" in path:
            path = path.replace("{model}", model)
        headers = self._json_headers
        if content_type is not None:
            headers = (*self._headers, (b"content-type", content_type.encode()))
        if via and self.kind.chains:
            headers = (*headers, (VIA, via.encode()))
        if idempotency_key is not None:
            headers = (*headers, (b"idempotency-key", idempotency_key.encode()))
        if self.kind.headers:
            headers = (*headers, *self._kind_headers(passed))
        return self.pool.request("POST", path, headers, body, request_id=request_id.encode(), timeouts=timeouts)

    def _kind_headers(self, passed: RequestHead | None) -> Headers:
        """What the kind asks for, with the client's own words where its request passes through."""
        if passed is None:
            return self.kind.headers
        told = {name: value for name in self.kind.forwarded if (value := passed.header(name)) is not None}
        return tuple(
            (dict(self.kind.headers) | {name: value.encode("latin-1") for name, value in told.items()}).items()
        )

    def media(self, output: str) -> Shape | None:
        """How the node is asked for an image, a video and the like; None where it makes none."""
        return shape_of(self.kind.name, output, self.config.image_route)

    def looking(self) -> Looking | None:
        """How the node's jobs for videos are looked at; None where it has none."""
        return LOOKING.get(self.kind.name)

    def path_of(self, url: str) -> str | None:
        """A URL as a path behind the node's base URL; None where it lies elsewhere, and must not see the credential."""
        root = root_url(self.config)
        return url.removeprefix(root) if url.startswith(root + "/") and "/../" not in url else None

    async def get(self, path: str, *, timeouts: Timeouts | None = None, method: str = "GET") -> Any:
        """Asks for a path of the node's with its credential; returns the response once its head is in."""
        return await self.pool.request(method, path, (*self._headers, *self.kind.headers), b"", timeouts=timeouts)

    async def fetch_models(self) -> tuple[int, Any]:
        """Asks the node for its models: (status, decoded body)."""
        return await self.fetch(self.kind.models_path)

    async def fetch(self, path: str) -> tuple[int, Any]:
        """Reads a JSON document of the node's: (status, decoded body)."""
        status, body = await self.pool.get_json(path, (*self._headers, *self.kind.headers))
        return status, body

    def fault(self, error: BaseException) -> MiraError:
        """What a broken transport means for the client, without the node's address."""
        phase = str(getattr(error, "phase", ""))
        log.warning("node %s: %s (%s)", self.name, type(error).__name__, phase or "cut")
        if phase.startswith("timeout"):
            return MiraError(ErrorKind.UPSTREAM_TIMEOUT, "the upstream did not answer in time")
        if phase in ("connect", "tls"):
            return MiraError(ErrorKind.UPSTREAM_FAILED, "the upstream could not be reached")
        return MiraError(ErrorKind.UPSTREAM_FAILED, "the upstream cut its answer short")
