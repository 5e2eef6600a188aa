"""How the nodes of a protocol are asked what a request's input counts, before it is sent.

Source: the API references of Anthropic, Google and OpenAI (2026-11). These routes refuse fields that do not count.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_MESSAGES = frozenset(
    ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
     "context_management", "compaction", "mcp_servers", "speed")
)  # fmt: skip
_RESPONSES = frozenset(
    ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation")
)


class Counting(Struct, frozen=True):
    """One protocol's way to count: `body` makes the question of a rendered request and the node's name of the model.

    `field` holds the count in the answer.
    """

    body: Callable[[bytes, str], bytes]
    field: str

    def read(self, answer: bytes) -> int | None:
        """The count, None where the answer is something else."""
        try:
            told = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
            return msgspec.json.decode(told[self.field], type=int)
        except (msgspec.DecodeError, KeyError, RecursionError, UnicodeDecodeError):
            return None


def _only(names: frozenset[str]) -> Callable[[bytes, str], bytes]:
    def body(rendered: bytes, _model: str) -> bytes:
        fields = _FIELDS.decode(rendered)
        return msgspec.json.encode({name: value for name, value in fields.items() if name in names})

    return body


def _whole(rendered: bytes, model: str) -> bytes:
    name = model if "/" in model else f"models/{model}"
    return msgspec.json.encode({"generateContentRequest": {"model": name, **_FIELDS.decode(rendered)}})


MESSAGES_COUNTING = Counting(_only(_MESSAGES), "input_tokens")
RESPONSES_COUNTING = Counting(_only(_RESPONSES), "input_tokens")
GEMINI_COUNTING = Counting(_whole, "totalTokens")
