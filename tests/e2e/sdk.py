"""The official OpenAI SDK, blocking and asynchronous, behind one set of calls."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
from openai import AsyncOpenAI, OpenAI
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.upstream import Moment


class Sdk:
    """Speaks to a gateway as an application does. `sent` holds the bodies that the SDK put on the wire."""

    def __init__(self, gateway: Gateway, kind: str) -> None:
        self._gateway = gateway
        self._kind = kind
        self.sent: list[bytes] = []

    def call(
        self,
        work: Callable[[Any], Any],
        *,
        key: str = PROXY_KEY,
        face: str = "/v1",
        retries: int = 0,
    ) -> Any:
        """Runs `work(client)`; with the asynchronous SDK its result is awaited."""
        settings: dict[str, Any] = {"api_key": key, "base_url": self._gateway.url + face, "max_retries": retries}
        if self._kind == "sync":
            http = httpx2.Client(event_hooks={"request": [self._note]}, trust_env=False, timeout=120)
            with OpenAI(**settings, http_client=http) as client:
                return work(client)
        return asyncio.run(self._await(work, settings))

    def create(self, *, key: str = PROXY_KEY, face: str = "/v1", retries: int = 0, **fields: Any) -> Any:
        """A whole answer."""
        asked = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **fields}
        return self.call(lambda client: client.chat.completions.create(**asked), key=key, face=face, retries=retries)

    def stream(
        self, *, key: str = PROXY_KEY, face: str = "/v1", seen: Moment | None = None, **fields: Any
    ) -> list[Any]:
        """The chunks of a streamed answer; `seen` happens with the first one."""

        def note(chunk: Any) -> Any:
            if seen is not None:
                seen.happen()
            return chunk

        asked = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **fields}
        if self._kind == "sync":
            return self.call(
                lambda client: [note(chunk) for chunk in client.chat.completions.create(**asked, stream=True)],
                key=key,
                face=face,
            )

        async def read(client: Any) -> list[Any]:
            return [note(chunk) async for chunk in await client.chat.completions.create(**asked, stream=True)]

        return self.call(read, key=key, face=face)

    def streamed_completion(self, **fields: Any) -> Any:
        """The answer that the SDK puts together from a stream."""
        asked = {"model": "openai/gpt-4o-mini", **fields}
        if self._kind == "sync":

            def read(client: Any) -> Any:
                with client.chat.completions.stream(**asked) as stream:
                    return stream.get_final_completion()

            return self.call(read)

        async def read_async(client: Any) -> Any:
            async with client.chat.completions.stream(**asked) as stream:
                return await stream.get_final_completion()

        return self.call(read_async)

    def sent_field(self, name: str) -> bytes:
        """A field of the last body that was sent, as it stood there."""
        return raw_field(self.sent[-1], name)

    async def _await(self, work: Callable[[Any], Any], settings: dict[str, Any]) -> Any:
        http = httpx2.AsyncClient(event_hooks={"request": [self._note_async]}, trust_env=False, timeout=120)
        async with AsyncOpenAI(**settings, http_client=http) as client:
            return await work(client)

    def _note(self, request: httpx2.Request) -> None:
        self.sent.append(request.content)

    async def _note_async(self, request: httpx2.Request) -> None:
        self.sent.append(request.content)


def raw_field(body: bytes, name: str) -> bytes:
    """The bytes of a field of a JSON object."""
    return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[name])
