"""The keeper of the child for media, with the real child: first use, crashes, idleness, and what is not installed."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from mira.errors import Kind, MiraError
from mira.nodes.local.media.keeper import NEEDED, Keeper
from mira.nodes.local.packs import KOKORO, MINILM
from mira.transport.pools import Pools

WAIT_S = 120


@pytest.fixture
async def keeper(media_dir):
    running = Keeper(media_dir)
    yield running
    await running.stop()


async def embedded(address, text="hello", key=None):
    """The status of a request for an embedding."""
    pool = Pools().upstream(f"{address.url}/v1")
    try:
        bearer = (b"authorization", b"Bearer " + (key or address.key).encode())
        body = b'{"model":"mira/embed","input":"%s"}' % text.encode()
        response = await pool.request("POST", "/embeddings", [bearer], body)
        await response.read(2**20)
        return response.status
    finally:
        await pool.close()


def gone(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - nobody announces it
            await asyncio.sleep(0.02)


async def test_nothing_runs_before_the_first_call_and_one_process_serves_all_that_follow(keeper):
    assert keeper.pid is None
    first, second = await asyncio.gather(keeper.ready(MINILM), keeper.ready(KOKORO))
    assert first == second
    assert keeper.pid is not None
    assert await embedded(first) == 200


async def test_only_who_has_the_key_is_answered(keeper):
    address = await keeper.ready(MINILM)
    assert await embedded(address, key="another") == 401


async def test_a_child_that_was_killed_is_replaced_at_the_next_call(keeper):
    first = await keeper.ready(MINILM)
    pid = keeper.pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: keeper.pid is None)
    second = await keeper.ready(MINILM)
    assert second.key != first.key
    assert keeper.pid != pid
    assert await embedded(second) == 200


async def test_the_child_ends_with_its_keeper(media_dir):
    running = Keeper(media_dir)
    await running.ready(MINILM)
    pid = running.pid
    await running.stop()
    assert gone(pid)
    assert running.pid is None


async def test_a_child_that_nobody_calls_ends_and_gives_its_memory_back(media_dir):
    running = Keeper(media_dir, idle_s=0.1)
    try:
        first = await running.ready(MINILM)
        await until(lambda: running.pid is None)
        assert await running.ready(MINILM) != first
    finally:
        await running.stop()


async def test_a_pack_that_no_source_delivers_is_refused_with_the_reason_and_the_time_to_come_again(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    told = []
    running = Keeper(tmp_path, on_progress=lambda state, *_: told.append(state))
    try:
        with pytest.raises(MiraError) as first:
            await running.ready(MINILM)
        assert "is being fetched on its first use" in first.value.message

        async def failed():
            with pytest.raises(MiraError) as refused:
                await running.ready(MINILM)
            return refused.value if "no source delivered" in refused.value.message else None

        async with asyncio.timeout(WAIT_S):
            while (refused := await failed()) is None:  # noqa: ASYNC110 - nobody announces it
                await asyncio.sleep(0.05)
        for error in (first.value, refused):
            assert error.kind is Kind.UNAVAILABLE
            assert error.code == "model_not_ready"
            assert error.retry_after_s >= 1
        assert running.pid is None
        assert set(told) == {"fetching", "failed"}
        assert told[-1] == "failed"
    finally:
        await running.stop()


async def test_a_runtime_that_is_not_installed_is_told_with_the_extra_that_brings_it(tmp_path):
    needed = {**NEEDED, "embeddings": ("numpy", "a_module_that_nobody_has")}
    with pytest.raises(MiraError, match=r"a_module_that_nobody_has.*mira\[local\]") as refused:
        await Keeper(tmp_path, needed=needed).ready(MINILM)
    assert refused.value.code == "runtime_missing"
    assert not list(tmp_path.iterdir()), "nothing is fetched that could not be run"
