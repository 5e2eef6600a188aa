"""Writes `multipart/form-data`, for nodes that take files that way. Pure: the boundary follows from the content."""

from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct


class Part(Struct, frozen=True):
    """One field of a form; a file where it has a `filename`."""

    name: str
    data: bytes
    filename: str | None = None
    mime_type: str | None = None


def write_form(parts: Sequence[Part]) -> tuple[str, bytes]:
    """The content type and the body. Names are our own words; a filename loses what could end its quotes."""
    digest = blake2b(digest_size=16, person=b"mira-form")
    for part in parts:
        digest.update(part.name.encode())
        digest.update(part.data)
    boundary = f"mira-{digest.hexdigest()}"
    pieces: list[bytes] = []
    for part in parts:
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{part.name}"'
        if part.filename is not None:
            head += f'; filename="{_plain(part.filename)}"'
        if part.mime_type is not None:
            head += f"\r\ncontent-type: {part.mime_type}"
        pieces += [head.encode(), b"\r\n\r\n", part.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _plain(filename: str) -> str:
    return "".join(letter for letter in filename if letter.isprintable() and letter not in '"\\')[:200] or "file"
