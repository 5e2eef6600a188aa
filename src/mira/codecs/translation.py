"""Answers on their way from one protocol to another: decode, let an interpreter change the events, encode.

To the relay a translated answer looks like one that passes through.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec.structs import replace

from mira.codecs.codec import AnswerStream, Codec, Context, NodeCodec, PassedAnswer, Tally
from mira.codecs.restoring import Restorer, renamed_tools, restored
from mira.codecs.stopping import Stopper, own_stops, stopped
from mira.core.conversation import Answer, Choice, Conversation, FinishReason, Reasoning, Refusal, Text, ToolCall
from mira.core.events import (
    ErrorEvent,
    Event,
    Finish,
    ImageBlock,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageEvent,
)
from mira.core.usage import Usage
from mira.errors import MiraError

#: what is not taken back once a client has seen it
_CONTENT = (TextDelta, ReasoningDelta, RefusalDelta, ImageBlock, ToolCallStart, Finish)


class Interpreter(Protocol):
    """Changes the events of a node whose words mean more than they say (tool calls written as text)."""

    def feed(self, event: Event) -> list[Event]:
        """The events that are certain after this one."""

    def close(self) -> list[Event]:
        """What was held back when the stream ended."""


class Adapter(Protocol):
    """What a node's models need beyond the wire protocol. `seed` makes ids that the answer lacks."""

    def prepare(self, conversation: Conversation) -> Conversation:
        """The conversation as the model is to see it."""

    def interpreter(self, conversation: Conversation, seed: str) -> Interpreter:
        """Reads the model's stream."""

    def interpret(self, answer: Answer, conversation: Conversation, seed: str) -> Answer:
        """Reads the model's whole answer."""


class TranslatedStream:
    """A streamed answer in translation (see `mira.codecs.codec.AnswerStream`)."""

    def __init__(self, node: NodeCodec, client: Codec, context: Context, interpreters: Sequence[Interpreter]) -> None:
        self.answer_id: str | None = None
        self.usage: Usage | None = None
        self.failed: MiraError | None = None
        self.ended = False
        self.has_content = False
        self._decoder = node.decoder()
        self._encoder = client.encoder(context)
        self._interpreters = interpreters
        self._tally = Tally(text=[])
        self._finished = False

    def feed(self, data: bytes) -> bytes:
        """Takes the node's bytes, gives the client's."""
        return b"".join([self._take(event) for event in self._decoder.feed(data)])

    def close(self) -> bytes:
        """The node's stream is over: a clean end needs a `Finish` and no error."""
        out = [self._take(event) for event in self._decoder.close()]
        if self.failed is None:
            for place, interpreter in enumerate(self._interpreters):
                out += [self._pass_on(event, place + 1) for event in interpreter.close()]
        self.ended = self._finished and self.failed is None
        return b"".join(out)

    def tally(self) -> Tally:
        """What was delivered so far."""
        return self._tally

    def finish(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The end of a successful stream."""
        return self._encoder.finish(usage, cost_nanocredits)

    def abort(self, error: MiraError) -> bytes:
        """The end of a failed stream."""
        return self._encoder.abort(error)

    def _take(self, event: Event) -> bytes:
        match event:
            case TextDelta(text=text) | RefusalDelta(text=text) | ReasoningDelta(text=text):
                self._count(text)
            case ToolCallDelta(fragment=fragment):
                self._count(fragment)
            case UsageEvent(usage=usage):
                self.usage = usage
                return b""
            case ErrorEvent(error=error):
                self.failed = error
                return b""
            case Start(usage=prompt, id=answer_id):
                self._tally.prompt = prompt
                self.answer_id = answer_id or None
            case _:
                pass
        return self._pass_on(event, 0)

    def _pass_on(self, event: Event, place: int) -> bytes:
        """Takes an event through the interpreters from `place` on, then to the client."""
        if place < len(self._interpreters):
            certain = self._interpreters[place].feed(event)
            return b"".join([self._pass_on(each, place + 1) for each in certain])
        if isinstance(event, Finish):
            self._finished = True
        if not self.has_content and isinstance(event, _CONTENT):
            self.has_content = True
        return self._encoder.feed(event)

    def _count(self, text: str) -> None:
        if text:
            self._tally.deltas += 1
            self._tally.text.append(text)


class TranslatedAnswer:
    """A whole answer in translation (see `mira.codecs.codec.PassedAnswer`)."""

    def __init__(self, answer: Answer, client: Codec, context: Context) -> None:
        self.usage = answer.usage
        self._answer = answer
        self._client = client
        self._context = context

    @classmethod
    def parse(
        cls, raw: bytes, node: NodeCodec, client: Codec, context: Context, interpret: Callable[[Answer], Answer]
    ) -> "TranslatedAnswer":
        """Reads a node's body; MiraError where it is not an answer."""
        return cls(interpret(node.parse_answer(raw)), client, context)

    def tally(self) -> Tally:
        """What the answer says, as one delta a part: too few to pass for tokens, so the text is counted."""
        texts: list[str] = []
        for choice in self._answer.choices:
            for part in choice.parts:
                match part:
                    case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                        texts.append(text)
                    case ToolCall(name=name, input=arguments):
                        texts += [name, arguments]
                    case _:
                        pass
        return Tally(deltas=0, text=texts)

    def render(self, usage: Usage, cost_nanocredits: int | None) -> bytes:
        """The body for the client."""
        return self._client.render_answer(replace(self._answer, usage=usage), self._context, cost_nanocredits)


def empty_answer(client: Codec, context: Context, model: str, *, stream: bool) -> bytes:
    """An answer that says nothing because its cap is 0: the whole body, or the whole stream."""
    usage = Usage()
    if not stream:
        choice = Choice(finish=FinishReason.LENGTH)
        answer = Answer(id=context.answer_id, model=model, choices=(choice,), usage=usage)
        return client.render_answer(answer, context, 0)
    encoder = client.encoder(context)
    begun = encoder.feed(Start(model=model, usage=usage)) + encoder.feed(Finish(reason=FinishReason.LENGTH))
    return begun + encoder.finish(usage, 0)


def read_answer(client: Codec, node: NodeCodec, adapter: Adapter | None, raw: bytes, context: Context) -> PassedAnswer:
    """A node's whole answer for a client: passed through, or translated where `context.request` holds the conversation.

    MiraError where the body is no answer.
    """
    asked = context.request
    if asked is None:
        return client.pass_answer(raw, context)

    def interpret(answer: Answer) -> Answer:
        if adapter is not None:
            answer = adapter.interpret(answer, asked, context.answer_id)
        return stopped(restored(answer, renamed_tools(asked)), own_stops(asked))

    return TranslatedAnswer.parse(raw, node, client, context, interpret)


def open_stream(client: Codec, node: NodeCodec, adapter: Adapter | None, context: Context) -> AnswerStream:
    """A node's stream for a client, as `read_answer`."""
    asked = context.request
    if asked is None:
        return client.pass_stream(context)
    tools = renamed_tools(asked)
    interpreters: list[Interpreter] = [Restorer(tools)] if tools else []
    if stops := own_stops(asked):
        interpreters.append(Stopper(stops))
    if adapter is not None:
        interpreters.insert(0, adapter.interpreter(asked, context.answer_id))
    return TranslatedStream(node, client, context, interpreters)
