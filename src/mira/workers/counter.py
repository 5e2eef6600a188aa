"""Counts tokens the best way there is for a model: the local model's own, OpenAI's exactly, others as an estimate."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw, Struct

from mira.core import tokens

#: The side process refuses whom it cannot take. Bills wait here instead, and leave room for those who only ask.
BILLS_AT_ONCE = 32


class Side(Protocol):
    """What counts texts in an encoding."""

    async def count(self, texts: Sequence[str], encoding: str) -> list[int]:
        """Tokens of each text."""


class Counted(Struct, frozen=True):
    """A count and how far it can be trusted."""

    tokens: int
    method: Literal["exact", "estimate"]
    tokenizer: str


class Counter:
    """Counts through the side process; the embedded model with its own tokenizer."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._bills = asyncio.Semaphore(BILLS_AT_ONCE)
        self._local_model: str | None = None
        self._local: Callable[[str], Awaitable[int]] | None = None

    def use_local(self, model: str, count: Callable[[str], Awaitable[int]]) -> None:
        """Counts texts for `model` with its own tokenizer from now on."""
        self._local_model = model
        self._local = count

    async def count(self, model: str | None, fields: dict[str, Any]) -> Counted:
        """Counts a text or a request (`text`, or `messages`, `tools`, `system`); MiraError names a wrong field."""
        countable = tokens.countable(fields)
        if self._local is not None and model == self._local_model:
            counts = [await self._local(text) for text in countable.texts]
            method: Literal["exact", "estimate"] = (
                "exact" if countable.plain and not countable.fixed_tokens else "estimate"
            )
            return Counted(sum(counts) + countable.fixed_tokens, method, model or "")
        plan = tokens.plan(model or "")
        counted = await self._side.count(countable.texts, plan.encoding)
        total = tokens.total_tokens(counted, countable.fixed_tokens, plan.factor)
        return Counted(total, plan.method if countable.plain else "estimate", plan.tokenizer)

    async def count_request(self, model: str, fields: dict[str, Raw]) -> int:
        """Tokens of the prompt of a request whose fields are still JSON."""
        return (await self.count_fields(model, fields)).tokens

    async def count_fields(self, model: str, fields: dict[str, Raw]) -> Counted:
        """The same, with how far the count can be trusted."""
        known: dict[str, Any] = {
            name: msgspec.json.decode(fields[name])
            for name in ("messages", "tools", "system", "input", "instructions")
            if name in fields
        }
        async with self._bills:
            return await self.count(model, known)

    async def count_text(self, model: str, text: str) -> int:
        """Tokens of a text."""
        async with self._bills:
            return (await self.count(model, {"text": text})).tokens

    async def count_each(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each of several texts that are for no model in particular: plain o200k."""
        async with self._bills:
            return await self._side.count(texts, tokens.plan("").encoding)
