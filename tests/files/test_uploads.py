"""Files in a folder and on an S3 server, with a real database: kept whole, swept after a crash, gone when removed."""

import os
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.support.object_store import BUCKET, ObjectStore

from mira.errors import ConfigError, Kind, MiraError
from mira.files.objects import Objects
from mira.files.uploads import Uploads
from mira.store.database import Database
from mira.store.files import Files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory):
    server = ObjectStore(tmp_path_factory.mktemp("objects"))
    yield server.ready()
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def objects(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return Objects.open((tmp_path / "files").as_uri())
    server = request.getfixturevalue("object_store")
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return Objects.open(f"s3://{BUCKET}/{tmp_path.name}")


@pytest.fixture
async def uploads(objects, tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/mira.db")
    yield Uploads(
        objects,
        Files(database),
        max_bytes=20 * 2**20,
        quota_bytes=2**25,
        new_id=lambda: f"file_{secrets.token_hex(16)}",
        now_ms=lambda: 1_700_000_000_000,
    )
    await database.close()


async def names(objects):
    return sorted([key async for key in objects.older_than(timedelta(days=-1))])


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def keep(uploads, *data):
    return await uploads.keep("ws_a", pieces(*data), declared_type="", filename=None)


async def test_what_a_crash_left_is_swept_and_nothing_else(uploads, objects):
    kept = await keep(uploads, PNG)
    orphan, foreign = f"file_{'b' * 32}", "notes.txt"
    for name in (orphan, foreign):
        await objects.put(name, pieces(b"x"))
    assert await uploads.sweep() == 0, "an upload may still be under way"
    assert await uploads.sweep(older_than=timedelta(days=-1)) == 1
    assert await names(objects) == sorted([kept.id, foreign])
    assert await uploads.data(kept) == PNG


async def test_a_file_of_many_parts_comes_back_as_it_was(uploads):
    data = b"%PDF-" + os.urandom(17 * 2**20)
    kept = await keep(uploads, *(data[start : start + 700_000] for start in range(0, len(data), 700_000)))
    assert kept.size_bytes == len(data)
    assert b"".join([piece async for piece in uploads.content(kept)]) == data
    await uploads.remove("ws_a", kept.id)
    with pytest.raises(MiraError):
        await uploads.find("ws_a", kept.id)


async def test_a_part_of_an_object_is_that_part(objects):
    data = os.urandom(3 * 2**20)
    await objects.put("video_a", pieces(data))
    for start, end in ((0, 1), (1000, 2**20 + 7), (len(data) - 5, len(data)), (0, len(data))):
        assert b"".join([piece async for piece in objects.part("video_a", start, end)]) == data[start:end]
    with pytest.raises(MiraError) as missing:
        await anext(objects.part("video_b", 0, 1))
    assert missing.value.kind is Kind.NOT_FOUND


async def test_files_are_listed_by_age_and_the_last_one_leads_on(uploads):
    made = sorted([(await keep(uploads, PNG, bytes([n]))).id for n in range(5)])  # all in the same millisecond
    await uploads.keep("ws_b", pieces(PNG), declared_type="", filename=None)
    for newest_first, expected in ((False, made), (True, made[::-1])):
        found: list[str] = []
        while page := await uploads.page("ws_a", found[-1] if found else None, 2, newest_first=newest_first):
            found += [file.id for file in page]
        assert found == expected
    assert await uploads.page("ws_b", made[0], 2, newest_first=False) == []


@pytest.mark.parametrize("cut", [0, 1, 5, 4095])
async def test_a_refused_or_broken_upload_leaves_nothing(uploads, objects, cut):
    async def breaking() -> AsyncIterator[bytes]:
        yield PNG[:cut]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await uploads.keep("ws_a", breaking(), declared_type="", filename=None)
    with pytest.raises(MiraError) as refused:
        await keep(uploads, PNG, *[bytes(2**20)] * 20)
    assert refused.value.kind is Kind.TOO_LARGE
    assert await names(objects) == []


async def test_a_file_whose_object_is_gone_is_not_found(uploads, objects):
    kept = await keep(uploads, PNG)
    await objects.remove(kept.id)
    await objects.remove(kept.id)
    with pytest.raises(MiraError) as missing:
        await uploads.data(kept)
    assert missing.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("size", [1, 4096, 4097])
async def test_the_type_is_judged_however_the_bytes_arrive(uploads, size):
    data = PNG + bytes(9000)
    kept = await keep(uploads, *(data[start : start + size] for start in range(0, len(data), size)))
    assert kept.mime_type == "image/png"
    assert await uploads.data(kept) == data


@pytest.mark.parametrize("url", ["", "http://x/y", "file://host/x", "s3://", "/a/folder"])
def test_an_address_that_is_no_store_is_refused_at_the_start(url):
    with pytest.raises(ConfigError, match="files_url"):
        Objects.open(url)
