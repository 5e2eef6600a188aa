"""What a scripted model says, once, in a neutral form; the wires beside this file put it on a node's protocol.

said = Said(thinking="Hm.", texts=("Hel", "lo."), calls=(Called("call_1", "weather", '{"city":"Oslo"}'),))
upstream.script("claude-sonnet-4-5", *MESSAGES_WIRE.says(said))
"""

import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from msgspec import Struct
from tests.support.upstream import Cut, Moment, Script, Turn, answers, streams

#: How many pieces a call's arguments come in, where the protocol has pieces.
FRAGMENTS = 4
SIGNATURE = "c2lnbmF0dXJlLW9mLXRoZS1ub2Rl"


class Called(Struct, frozen=True):
    """One tool call; `arguments` are JSON text."""

    id: str
    name: str
    arguments: str


class Counts(Struct, frozen=True, kw_only=True):
    """Disjoint token counts, as `mira.core.usage.Usage` has them."""

    input: int = 11
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 3
    reasoning: int = 0

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write

    @property
    def completion(self) -> int:
        return self.output + self.reasoning


class Said(Struct, frozen=True, kw_only=True):
    """One answer. `texts` come one delta each; `length` says that the cap cut it.

    `refusal` are the words with which the model declines, `stopped_at` is the stop sequence that ended it. The
    arguments of `interleaved` calls come in turns, where the protocol has room for that.
    """

    texts: tuple[str, ...] = ()
    thinking: str = ""
    calls: tuple[Called, ...] = ()
    refusal: str = ""
    length: bool = False
    stopped_at: str | None = None
    interleaved: bool = False
    counts: Counts = Counts()

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Wire(Struct, frozen=True, kw_only=True):
    """The wire protocol of a kind of node. `whole` is the body of an answer, `frames` are those of a stream.

    `fault` is the error frame that its vendor sends in a stream; `early_counts` says that a stream tells its input
    before the content.
    """

    whole: Callable[[Said, str], dict[str, Any]]
    frames: Callable[[Said, str], list[bytes]]
    streamed: Callable[[Turn], bool] = lambda turn: bool(turn.request.json.get("stream"))
    fault: bytes
    early_counts: bool = False

    def says(self, *said: Said) -> tuple[Script, ...]:
        """Scripts that answer one request after the other, streamed where the request asks for a stream."""
        return tuple(self._script(one) for one in said)

    def begins(self, said: Said, then: list[bytes | Moment | Cut], *, texts: int = 1) -> Script:
        """A stream that goes on otherwise behind the first `texts` of what is said."""

        async def script(turn: Turn) -> None:
            frames = self.frames(said, str(turn.request.model))
            at = next(index for index, one in enumerate(frames) if said.texts[texts - 1].encode() in one)
            await streams([*frames[: at + 1], *then])(turn)

        return script

    def _script(self, said: Said) -> Script:
        async def script(turn: Turn) -> None:
            model = str(turn.request.model)
            if self.streamed(turn):
                await streams(self.frames(said, model))(turn)
            else:
                await answers(self.whole(said, model))(turn)

        return script


def fragments(text: str, count: int = FRAGMENTS) -> list[str]:
    """The text in so many pieces, or fewer where it is short."""
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)]


def named(kind: str, **fields: Any) -> bytes:
    """One SSE frame with its type as the event's name."""
    body = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {body}\n\n".encode()


def in_turns(tracks: list[list[Any]]) -> list[Any]:
    """The first of every track, then the second of every track, and so on."""
    return [one for step in zip_longest(*tracks) for one in step if one is not None]
