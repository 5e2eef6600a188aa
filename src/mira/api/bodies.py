"""The shapes of request and answer bodies outside the model protocols, and how they are read and written."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from mira.api.arrival import deadline_s, too_slow
from mira.api.services import Asked
from mira.core.limits import MAX_RATE, Period
from mira.errors import Kind, MiraError

MAX_BODY_BYTES = 2**20
MAX_TOKEN_COUNT_BYTES = 32 * 2**20
PAGE_DEFAULT = 50
PAGE_MOST = 1000

Name = Annotated[str, Meta(min_length=1, max_length=200)]
T = TypeVar("T")


class NewWorkspace(Struct, forbid_unknown_fields=True):
    """`POST /admin/v1/workspaces` and its PATCH."""

    name: Name


class NewCredits(Struct, forbid_unknown_fields=True):
    """A top-up: a decimal amount of credits; the same reference twice counts once."""

    amount: str
    reference: Name


Rate = Annotated[int, Meta(ge=1, le=MAX_RATE)]


class Budget(Struct, forbid_unknown_fields=True):
    """What may be spent in each day, week (from Monday), month (UTC) or in total: decimal credits."""

    amount: str
    period: Period


class NewKey(Struct, forbid_unknown_fields=True):
    """A key to be made. `expires_at` is an RFC 3339 time; the limits are those of `mira.core.limits`."""

    name: Name
    kind: Literal["proxy", "inference"] = "proxy"
    models: list[str] | None = None
    expires_at: str | None = None
    member: str | None = None
    rpm: Rate | None = None
    tpm: Rate | None = None
    concurrency: Rate | None = None
    budget: Budget | None = None


class KeyChange(Struct, forbid_unknown_fields=True):
    """What can be changed of a key; what is absent stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    models: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: str | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    member: str | msgspec.UnsetType | None = msgspec.UNSET
    rpm: Rate | msgspec.UnsetType | None = msgspec.UNSET
    tpm: Rate | msgspec.UnsetType | None = msgspec.UNSET
    concurrency: Rate | msgspec.UnsetType | None = msgspec.UNSET
    budget: Budget | msgspec.UnsetType | None = msgspec.UNSET


class NewMember(Struct, forbid_unknown_fields=True):
    """A member of a workspace to be made; the limits count all keys of the member together."""

    name: Name
    email: Name | None = None
    rpm: Rate | None = None
    tpm: Rate | None = None
    concurrency: Rate | None = None
    budget: Budget | None = None


class MemberChange(Struct, forbid_unknown_fields=True):
    """What can be changed of a member; what is absent stays. The keys of a disabled member are refused."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    email: Name | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    rpm: Rate | msgspec.UnsetType | None = msgspec.UNSET
    tpm: Rate | msgspec.UnsetType | None = msgspec.UNSET
    concurrency: Rate | msgspec.UnsetType | None = msgspec.UNSET
    budget: Budget | msgspec.UnsetType | None = msgspec.UNSET


class NodeChange(Struct, forbid_unknown_fields=True):
    """What can be changed of a node; nodes of the file and the environment take `draining` and `disabled` only."""

    draining: bool | msgspec.UnsetType = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    base_url: str | msgspec.UnsetType = msgspec.UNSET
    api_key: str | msgspec.UnsetType = msgspec.UNSET
    weight: float | msgspec.UnsetType = msgspec.UNSET
    models: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    markup: str | msgspec.UnsetType = msgspec.UNSET
    max_in_flight: int | msgspec.UnsetType | None = msgspec.UNSET
    first_token_s: float | msgspec.UnsetType = msgspec.UNSET
    reported_cost: bool | msgspec.UnsetType = msgspec.UNSET
    endpoint: Literal["auto", "chat", "responses"] | msgspec.UnsetType = msgspec.UNSET
    image_route: Literal["auto", "chat", "images"] | msgspec.UnsetType = msgspec.UNSET


class NewNode(Struct, forbid_unknown_fields=True):
    """A node, in the words of `[[nodes]]`."""

    name: str
    kind: Literal["mira", "openai", "anthropic", "gemini", "openai-compatible"]
    base_url: str
    api_key: str = ""
    weight: float = 1.0
    models: list[str] | None = None
    markup: str = "1.0"
    reported_cost: bool = False
    max_in_flight: int | None = None
    first_token_s: float = 60.0
    provider: str | None = None
    endpoint: Literal["auto", "chat", "responses"] = "auto"
    image_route: Literal["auto", "chat", "images"] = "auto"


class TokenCount(Struct):
    """`POST /v1/extras/token-count`: either `text`, or `messages` with `system` and `tools`."""

    model: str | None = None
    text: str | None = None
    messages: list[Any] | None = None
    system: Any = None
    tools: list[Any] | None = None


class CountedTokens(Struct):
    """The answer to a token count. `method` tells how far the figure can be trusted."""

    model: str | None
    tokens: int
    input_tokens: int
    method: Literal["upstream", "exact", "estimate"]
    tokenizer: str


class Credits(Struct):
    """Credits of a workspace, decimal text."""

    balance: str
    held: str
    available: str
    currency: str = "credit"


class NodeShown(Struct):
    """A node as clients may see it. `latency_ms` is a moving mean of its time to first content, where known."""

    name: str
    state: str
    reason: str | None
    latency_ms: float | None
    models: list[str]


class Nodes(Struct):
    """`GET /v1/extras/nodes`."""

    data: list[NodeShown]
    object: str = "list"


class Health(Struct):
    """`GET /inference/v1/health`."""

    status: str
    service: str
    version: str


async def read_into(asked: Asked, limit_bytes: int) -> bytearray:
    """Reads a body into one buffer; MiraError TOO_LARGE, BAD_REQUEST where it comes too slowly.

    Nothing is read where the declared length is too large.
    """
    declared = asked.request.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdigit() and int(declared) > limit_bytes):
        async for piece in in_time(asked.request.stream()):
            body += piece
            if len(body) > limit_bytes:
                break
        else:
            return body
    raise MiraError(Kind.TOO_LARGE, f"the body is larger than {limit_bytes // 2**20} MiB")


async def in_time(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces of a body; MiraError BAD_REQUEST where they come too slowly."""
    began_s = asyncio.get_running_loop().time()
    size = 0
    while True:
        try:
            async with asyncio.timeout_at(deadline_s(began_s, size)):
                piece = await anext(stream, None)
        except TimeoutError:
            raise too_slow() from None
        if piece is None:
            return
        size += len(piece)
        yield piece


async def read_raw(asked: Asked, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Reads a body as it came; MiraError TOO_LARGE, BAD_REQUEST where it comes too slowly."""
    return bytes(await read_into(asked, limit_bytes))


async def read(asked: Asked, shape: type[T], limit_bytes: int = MAX_BODY_BYTES) -> T:
    """Reads a JSON body into a shape; MiraError BAD_REQUEST with the field's name."""
    return decode(await read_into(asked, limit_bytes), shape)


def decode(body: bytes | bytearray, shape: type[T]) -> T:
    """A JSON body as a shape; MiraError BAD_REQUEST with the field's name."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise wrong_field(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MiraError(Kind.BAD_REQUEST, "the body is not valid JSON") from None


def wrong_field(error: msgspec.ValidationError) -> MiraError:
    """The refusal of a value that does not fit its shape, with the field's name."""
    message, param = _named(str(error))
    return MiraError(Kind.BAD_REQUEST, message, param=param)


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def page_limit(asked: Asked) -> int:
    """The `limit` of a listing, from the query."""
    return number(asked, "limit", PAGE_DEFAULT, 1, PAGE_MOST)


def number(asked: Asked, name: str, default: int, least: int, most: int) -> int:
    """A whole number from the query; MiraError BAD_REQUEST outside its bounds."""
    text = asked.request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,15}", text) or not least <= int(text) <= most:
        raise MiraError(Kind.BAD_REQUEST, f"{name} must be a whole number from {least} to {most}", param=name)
    return int(text)


def _named(message: str) -> tuple[str, str | None]:
    """Turns msgspec's "… - at `$.name`" into a sentence with the field's own name."""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    text, _, path = message.partition(" - at `$")
    field = path.strip("`").lstrip(".") or None
    if unknown:
        field = f"{field}.{unknown[1]}" if field else unknown[1]
        return f"{field}: this field is not known here", field
    missing = re.search(r"missing required field `([^`]+)`", text)
    if missing:
        field = f"{field}.{missing[1]}" if field else missing[1]
        return f"{field}: this field is required", field
    return f"{field}: {text[0].lower()}{text[1:]}" if field else text, field
