"""What nodes of each kind say when they make images, byte for byte."""

import base64
import json
import struct
import zlib
from decimal import Decimal
from typing import Any

from tests.support.upstream import Moment, Piece, Script, Turn, answers, streams


def png(shade: int = 0) -> bytes:
    """A real picture of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((0, shade)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PNG = png()
B64 = base64.b64encode(PNG).decode()
#: 20 tokens of words in, 1,000 of a picture out.
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"text_tokens": 20, "image_tokens": 0},
    "output_tokens": 1000,
    "total_tokens": 1020,
}


def openai_images(count: int = 1, usage: dict[str, Any] | None = USAGE, **more: Any) -> dict[str, Any]:
    """OpenAI's answer."""
    body = {"created": 1_700_000_000, "data": [{"b64_json": B64} for _ in range(count)], **more}
    return body if usage is None else {**body, "usage": usage}


def openai_events(
    partial: int = 1, usage: dict[str, Any] | None = USAGE, kind: str = "image_generation", gate: Moment | None = None
) -> list[Piece]:
    """OpenAI's stream: pictures on the way, then the finished one."""
    pieces: list[Piece] = []
    for number in range(partial):
        pieces.append(_event(f"{kind}.partial_image", b64_json=B64, partial_image_index=number, created_at=1))
        if gate is not None:
            pieces.append(gate)
    pieces.append(_event(f"{kind}.completed", b64_json=B64, created_at=1, usage=usage))
    return pieces


def chat_images(count: int = 1, cost: float | None = 0.04, **usage: Any) -> dict[str, Any]:
    """OpenRouter's answer."""
    images = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{B64}"}}] * count
    told: dict[str, Any] = {"prompt_tokens": 20, "completion_tokens": 1290, "total_tokens": 1310, **usage}
    if cost is not None:
        told["cost"] = cost
    message = {"role": "assistant", "content": "Here it is.", "images": images}
    return {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 1,
        "model": "some/painter",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": told,
    }


def gemini_images(finish: str = "STOP", *, pictures: bool = True) -> dict[str, Any]:
    """Gemini's answer."""
    parts = [{"text": "Here it is."}]
    if pictures:
        parts.append({"inlineData": {"mimeType": "image/png", "data": B64}})
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 20,
            "candidatesTokenCount": 1290,
            "totalTokenCount": 1310,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        },
        "modelVersion": "gemini-2.5-flash-image",
        "responseId": "r-1",
    }


def draws(**more: Any) -> Script:
    """OpenAI's answer to whatever is asked: as many images, streamed where that is wanted."""

    async def script(turn: Turn) -> None:
        asked = turn.request.form if "multipart" in turn.request.headers["content-type"] else turn.request.json
        edit = turn.request.path.endswith("/edits")
        if asked.get("stream") in (True, b"true"):
            await streams(openai_events(kind="image_edit" if edit else "image_generation"))(turn)
        else:
            await answers(openai_images(int(asked.get("n", 1)), **more))(turn)

    return script


def check_bill(gateway: Any, answer: Any, cost: Decimal) -> dict[str, Any]:
    """The cost is the same in the answer, its header, its record and the ledger; returns the record."""
    assert answer.status_code == 200, answer.text
    assert Decimal(answer.headers["x-mira-cost"]) == cost
    body = json.loads(answer.text, parse_float=Decimal)
    assert body["cost"] == body["usage"]["cost"] == cost
    record: dict[str, Any] = gateway.call(answer.headers["x-request-id"])
    assert Decimal(record["cost"]) == cost
    charged = [line for line in record["transfers"] if line["credit"] == "revenue"]
    assert sum(Decimal(line["amount"]) for line in charged) == cost
    assert Decimal(gateway.balance()["held"]) == 0
    return record


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
