"""Puts a workspace's own files into a request that names them by id or address."""

import base64
from typing import Any

import msgspec
from msgspec import Raw

from mira.calls.call import Call
from mira.collaborators import Files
from mira.core.attachments import MARK, Attachment, attached, references
from mira.core.media_types import family
from mira.errors import Kind, MiraError

#: What one request may name.
MAX_FILES = 20
MAX_BYTES = 20 * 2**20


async def attach(files: Files, call: Call) -> None:
    """Puts the data of the files that a request names into it; MiraError NOT_FOUND with the field, TOO_LARGE."""
    envelope = call.asked = call.envelope
    trees = {name: msgspec.json.decode(raw) for name, raw in envelope.fields.items() if MARK in bytes(raw)}
    wanted = {
        file_id: path
        for name, tree in trees.items()
        for file_id, path in references({name: tree}, MAX_FILES + 1).items()
    }
    if not wanted:
        return
    if len(wanted) > MAX_FILES:
        raise MiraError(Kind.BAD_REQUEST, f"a request may name at most {MAX_FILES} files")
    data = await _load(files, call.caller.workspace_id, wanted)
    fields: dict[str, Any] = dict(envelope.fields)
    for name, tree in trees.items():
        fields[name] = Raw(msgspec.json.encode(attached({name: tree}, data)[name]))
    call.envelope = call.surface.codec.open_request(msgspec.json.encode(fields))


async def _load(files: Files, workspace_id: str, wanted: dict[str, str]) -> dict[str, Attachment]:
    found: dict[str, Attachment] = {}
    left_bytes = MAX_BYTES
    for file_id, path in wanted.items():
        try:
            file = await files.find(workspace_id, file_id)
        except MiraError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            raise MiraError(Kind.NOT_FOUND, f"{path}: there is no such file", param=path) from None
        left_bytes -= file.size_bytes
        if left_bytes < 0:
            mib = MAX_BYTES // 2**20
            raise MiraError(Kind.TOO_LARGE, f"{path}: the files of a request may have {mib} MiB together", param=path)
        data = await files.data(file)
        text = data.decode() if family(file.mime_type) == "text" else None
        found[file_id] = Attachment(file.filename, file.mime_type, base64.b64encode(data).decode(), text)
    return found
