"""The vendors' own SDKs as clients of the table: they ask and read, and the bytes that they read are kept."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
from msgspec import Struct
from openai.lib.streaming.chat import ChatCompletionStreamState
from tests.e2e.asking import Seen, Surface
from tests.support.gateway import PROXY_KEY, Gateway
from tests.support.said import Called


class View(Struct, frozen=True, kw_only=True):
    """What an SDK makes of an answer."""

    text: str
    calls: tuple[Called, ...]
    finish: str | None
    prompt_tokens: int
    completion_tokens: int


class Recorded(httpx2.SyncByteStream):
    """A body that is kept while it is read."""

    def __init__(self, stream: Any, data: bytearray) -> None:
        self._stream = stream
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            self._data += piece
            yield piece

    def close(self) -> None:
        self._stream.close()


class Tee(httpx2.BaseTransport):
    """An ordinary transport; `headers` and `data` are those of the last answer."""

    def __init__(self) -> None:
        self._inner = httpx2.HTTPTransport()
        self.headers = httpx2.Headers()
        self.data = bytearray()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        self.headers, self.data = response.headers, bytearray()
        stream = Recorded(response.stream, self.data)
        return httpx2.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    def close(self) -> None:
        self._inner.close()


class Vendors:
    """Both SDKs in front of a gateway. `ask` gives what the SDK made of the answer; `tee` has its bytes."""

    def __init__(self, gateway: Gateway) -> None:
        self.tee = Tee()
        http = httpx2.Client(transport=self.tee, trust_env=False, timeout=120)
        settings: dict[str, Any] = {"api_key": PROXY_KEY, "max_retries": 0, "http_client": http}
        self._gpt = openai.OpenAI(base_url=f"{gateway.url}/v1", **settings)
        self._claude = anthropic.Anthropic(base_url=gateway.url, **settings)

    def close(self) -> None:
        self._gpt.close()
        self._claude.close()

    def ask(self, surface: Surface, body: dict[str, Any]) -> View:
        asked = {"chat": self._chat, "messages": self._message, "responses": self._response}[surface.name]
        return asked(body)

    def _chat(self, body: dict[str, Any]) -> View:
        told: Any = self._gpt.chat.completions.create(**body)
        if body["stream"]:
            state = ChatCompletionStreamState()
            for chunk in told:
                state.handle_chunk(chunk)
            told = state.current_completion_snapshot
        (choice,) = told.choices
        return View(
            text=choice.message.content or "",
            calls=tuple(
                Called(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()
            ),
            finish=choice.finish_reason,
            prompt_tokens=told.usage.prompt_tokens,
            completion_tokens=told.usage.completion_tokens,
        )

    def _message(self, body: dict[str, Any]) -> View:
        if body["stream"]:
            with self._claude.messages.stream(**{name: body[name] for name in body if name != "stream"}) as stream:
                told: Any = stream.get_final_message()
        else:
            told = self._claude.messages.create(**body)
        usage = told.usage
        return View(
            text="".join(block.text for block in told.content if block.type == "text"),
            calls=tuple(
                Called(block.id, block.name, json.dumps(block.input, ensure_ascii=False, separators=(",", ":")))
                for block in told.content
                if block.type == "tool_use"
            ),
            finish=told.stop_reason,
            prompt_tokens=usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
            completion_tokens=usage.output_tokens,
        )

    def _response(self, body: dict[str, Any]) -> View:
        told: Any = self._gpt.responses.create(**body)
        if body["stream"]:
            *_, last = told
            told = last.response
        return View(
            text=told.output_text,
            calls=tuple(
                Called(item.call_id, item.name, item.arguments) for item in told.output if item.type == "function_call"
            ),
            finish=told.incomplete_details.reason if told.incomplete_details else told.status,
            prompt_tokens=told.usage.input_tokens,
            completion_tokens=told.usage.output_tokens,
        )


def check_view(view: View, seen: Seen) -> None:
    """The SDK and the reader of the bytes agree."""
    assert seen.counts is not None
    # Messages has the words of a translated refusal among the text, and again as its explanation.
    assert view.text in (seen.text, seen.text + seen.refusal)
    assert view.calls == seen.calls
    assert view.finish == seen.finish
    assert (view.prompt_tokens, view.completion_tokens) == (seen.counts.prompt, seen.counts.completion)
