"""The embedded models for speech, transcription and embeddings as a node of the fleet."""

import asyncio
from collections.abc import Callable
from typing import Any

from mira.config_tables import NodeConfig
from mira.core.pricing import FREE, PAR
from mira.errors import Kind, MiraError
from mira.nodes.fleet import Fleet
from mira.nodes.local.media.keeper import Address, Keeper
from mira.nodes.local.packs import KOKORO, MEDIA_PACKS, MINILM, WHISPER
from mira.nodes.node import Headers, Listing, Node, Upstream

NAME = "local-media"
#: Calls that the models have or that wait for their turn; more are refused with a 503.
QUEUE_LENGTH = 16
RETRY_AFTER_S = 5.0
#: The packs behind the paths; to encode needs none.
ANSWERED_BY = {
    "/embeddings": MINILM,
    "/audio/speech": KOKORO,
    "/audio/transcriptions": WHISPER,
}
NOTES = {
    KOKORO.name: "Kokoro-82M, embedded in Mira: English, six voices.",
    WHISPER.name: "Whisper base, embedded in Mira: small; expect mistakes with names, noise and rarer languages.",
    MINILM.name: "MiniLM-L6-v2, embedded in Mira: English, 384 dimensions, 256 tokens at most.",
}
OUTPUTS = {"speech": "speech", "transcription": "transcription", "embeddings": "embedding"}
EMBEDDED_TOKENS = 256


def listings() -> dict[str, Listing]:
    """The models by their ids: free, and honest about what they are."""
    return {
        model: Listing(
            upstream_model=model,
            max_input_tokens=EMBEDDED_TOKENS if pack is MINILM else None,
            price=FREE,
            note=NOTES[pack.name],
            outputs=(OUTPUTS[pack.use],),
        )
        for model, pack in MEDIA_PACKS.items()
    }


class EmbeddedMedia:
    """The fleet's node for media, whose process starts with the first call. `new_pool` makes clients for addresses."""

    def __init__(self, keeper: Keeper, fleet: Fleet, *, new_pool: Callable[[str], Upstream]) -> None:
        self.keeper = keeper
        self._fleet = fleet
        config = NodeConfig(name=NAME, kind="local-media", max_in_flight=QUEUE_LENGTH, origin="environment")
        self.node = Node(config, _Upstream(keeper, new_pool), markup=PAR)
        self.node.models = listings()
        # There is nobody to ask: the process starts with the first call.
        self.node.health.alive()

    async def start(self) -> None:
        """Joins the fleet; nothing is started or fetched."""
        self._fleet.add_local(self.node)
        await self._fleet.rebuilt()

    async def stop(self) -> None:
        """Ends the process."""
        await self.keeper.stop()


class _Upstream:
    """The process as an HTTP client knows it, wherever it answers at the moment."""

    def __init__(self, keeper: Keeper, new_pool: Callable[[str], Upstream]) -> None:
        self._keeper = keeper
        self._new_pool = new_pool
        self._address: Address | None = None
        self._pool: Upstream | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def request(
        self,
        method: str,
        target: str,
        headers: Headers,
        body: bytes,
        *,
        request_id: bytes = b"",
        timeouts: Any = None,
    ) -> Any:
        """Sends a request, the process started if need be; once more where it had just ended."""
        pack = ANSWERED_BY.get(target.partition("?")[0])
        for _ in range(2):
            address = await self._keeper.ready(pack)
            key = (b"authorization", b"Bearer " + address.key.encode())
            try:
                return await self._at(address).request(
                    method, target, (*headers, key), body, request_id=request_id, timeouts=timeouts
                )
            except Exception as error:
                if getattr(error, "reached", True):
                    raise
            await self._keeper.lost(address)
        raise MiraError(Kind.UNAVAILABLE, "the local media process does not answer", retry_after_s=RETRY_AFTER_S)

    async def get_json(
        self,
        target: str,
        headers: Headers,  # noqa: ARG002 - of the protocol
        *,
        timeouts: Any = None,  # noqa: ARG002
        limit_bytes: int = 0,  # noqa: ARG002
    ) -> tuple[int, Any]:
        """Nothing can be read here: the node is never asked for its models."""
        raise MiraError(Kind.NOT_FOUND, f"the embedded models list nothing at {target}")

    async def close(self) -> None:
        """Closes every connection."""
        if self._pool is not None:
            await self._pool.close()

    def _at(self, address: Address) -> Upstream:
        if address != self._address or self._pool is None:
            if self._pool is not None:
                task = asyncio.ensure_future(self._pool.close())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            self._address, self._pool = address, self._new_pool(f"{address.url}/v1")
        return self._pool
