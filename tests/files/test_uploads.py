"""Files on a real store and a real database: what a crash leaves is swept, and nothing else."""

import os
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from mira.errors import ConfigError, Kind, MiraError
from mira.files.objects import Objects
from mira.files.uploads import Uploads
from mira.store.database import Database
from mira.store.files import Files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
async def uploads(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/mira.db")
    yield Uploads(
        Objects.open((tmp_path / "files").as_uri()),
        Files(database),
        max_bytes=2**20,
        quota_bytes=2**21,
        new_id=lambda: f"file_{secrets.token_hex(16)}",
        now_ms=lambda: 1_700_000_000_000,
    )
    await database.close()


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def keep(uploads, *data):
    return await uploads.keep("ws_a", pieces(*data), declared_type="", filename=None)


async def test_what_a_crash_left_is_swept_after_an_hour_and_nothing_else(uploads, tmp_path):
    kept = await keep(uploads, PNG)
    folder = tmp_path / "files"
    fresh, old, foreign = folder / f"file_{'a' * 32}", folder / f"file_{'b' * 32}", folder / "notes.txt"
    for path in (fresh, old, foreign):
        path.write_bytes(b"x")
    hours_ago = time.time() - 7200
    for path in (old, foreign, folder / kept.id):
        os.utime(path, (hours_ago, hours_ago))
    assert await uploads.sweep() == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([kept.id, fresh.name, foreign.name])
    assert await uploads.data(kept) == PNG


@pytest.mark.parametrize("cut", [0, 1, 5, 4095])
async def test_a_refused_or_broken_upload_leaves_nothing(uploads, tmp_path, cut):
    async def breaking() -> AsyncIterator[bytes]:
        yield PNG[:cut]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await uploads.keep("ws_a", breaking(), declared_type="", filename=None)
    with pytest.raises(MiraError) as refused:
        await keep(uploads, PNG, bytes(2**20))
    assert refused.value.kind is Kind.TOO_LARGE
    assert list((tmp_path / "files").iterdir()) == []


async def test_a_file_whose_object_is_gone_is_not_found(uploads, tmp_path):
    kept = await keep(uploads, PNG)
    (tmp_path / "files" / kept.id).unlink()
    with pytest.raises(MiraError) as missing:
        await uploads.data(kept)
    assert missing.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("size", [1, 3, 4096, 4097])
async def test_the_type_is_judged_however_the_bytes_arrive(uploads, size):
    data = PNG + bytes(9000)
    kept = await keep(uploads, *(data[start : start + size] for start in range(0, len(data), size)))
    assert kept.mime_type == "image/png"
    assert await uploads.data(kept) == data


@pytest.mark.parametrize("url", ["", "http://x/y", "file://host/x", "s3://", "/a/folder"])
def test_an_address_that_is_no_store_is_refused_at_the_start(url):
    with pytest.raises(ConfigError, match="files_url"):
        Objects.open(url)
