"""The embedded model as a node of the fleet: it joins when its process is ready and says meanwhile what is missing."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from mira.config_tables import NodeConfig
from mira.core.conversation import Answer, Conversation
from mira.core.pricing import PAR
from mira.nodes.fleet import Fleet, local_listing
from mira.nodes.local import adapter, interpreter
from mira.nodes.local.node import LocalNode, tokenize_body, tokens_counted
from mira.nodes.node import Node, Upstream

NAME = "local"
#: Calls that the model has or that wait for one of its slots; more are refused with a 503.
QUEUE_LENGTH = 16


class ToolAdapter(Struct, frozen=True):
    """The local node's `Adapter`: tools and calls as text (see `mira.nodes.local.adapter`)."""

    def prepare(self, conversation: Conversation) -> Conversation:
        """The conversation as the model is to see it."""
        return adapter.prepare(conversation)

    def interpreter(self, conversation: Conversation, seed: str) -> interpreter.Interpreter:
        """Reads the model's stream."""
        return interpreter.Interpreter(conversation, seed=seed)

    def interpret(self, answer: Answer, conversation: Conversation, seed: str) -> Answer:
        """Reads the model's whole answer."""
        return interpreter.interpret(answer, conversation, seed=seed)


class Embedded:
    """Keeps the fleet's local node in step with its process. `new_pool` makes an HTTP client for a base URL."""

    def __init__(
        self,
        local: LocalNode,
        fleet: Fleet,
        *,
        new_pool: Callable[[str], Upstream],
        on_progress: Callable[[LocalNode], None],
    ) -> None:
        self.local = local
        self._fleet = fleet
        self._new_pool = new_pool
        self._on_progress = on_progress
        self._tasks: set[asyncio.Task[None]] = set()
        self._address = ""
        config = NodeConfig(name=NAME, kind="local", max_in_flight=QUEUE_LENGTH, origin="environment")
        self.node = Node(config, new_pool("http://127.0.0.1:9"), markup=PAR)
        self.node.adapter = ToolAdapter()
        self.node.models = local_listing(local.model_id, local.context_tokens)
        local.on_change = self._changed

    async def start(self) -> None:
        """Joins the fleet and begins to fetch and start the model, without waiting for it."""
        self.node.loading = self.local.refusal()
        self._fleet.add_local(self.node)
        await self._fleet.rebuilt()
        self.local.start()

    async def stop(self) -> None:
        """Ends the process."""
        await self.local.stop()

    async def count_tokens(self, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer; MiraError while it is not ready."""
        target = self.local.tokenize_target
        path = target.url.partition("/tokenize")[1]
        headers = tuple((name.encode(), value.encode()) for name, value in target.headers.items())
        root = self._new_pool(target.url.removesuffix(path))
        try:
            response = await root.request("POST", path, headers, tokenize_body(text))
            return tokens_counted(await response.read(2**24))
        finally:
            await root.close()

    def _changed(self, local: LocalNode) -> None:
        if local.state == "ready":
            if local.base_url != self._address:
                self._address = local.base_url
                task = asyncio.ensure_future(self.node.pool.close())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self.node.pool = self._new_pool(local.base_url)
                self.node.authorize(local.api_key)
            self.node.loading = None
            self.node.health.alive()
        else:
            self.node.loading = local.refusal()
        self._on_progress(local)
