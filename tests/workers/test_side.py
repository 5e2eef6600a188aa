"""The side process is exact, bounded, replaceable, and never outlives its work or its parent."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mira.errors import Kind, MiraError
from mira.workers.side import MAX_TEXT_CHARS, SideProcess

#: What is slow here is the machine.
PATIENT_S = 120.0


@pytest.fixture
async def side():
    process = SideProcess(timeout_s=PATIENT_S)
    yield process
    await process.close()


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()


async def ended(pidfd):
    """Waits until the process behind a pidfd is over."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, over.set)
    try:
        await asyncio.wait_for(over.wait(), PATIENT_S)
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


@pytest.mark.parametrize(
    ("encoding", "text", "tokens"),
    [
        ("o200k_base", "hello world", 2),
        ("o200k_base", "", 0),
        ("o200k_base", "<|endoftext|>", 7),
        ("o200k_base", "a" * 200_000, 25_000),
        ("o200k_base", "中" * 1000, 1000),
        ("o200k_base", "\ud800", 1),
        ("cl100k_base", "def f(x):\n    return x", 7),
        ("o200k_harmony", "hello world", 2),
    ],
)
async def test_counts_are_exact(side, encoding, text, tokens):
    assert await side.count([text, "hello world"], encoding) == [tokens, 2]


async def test_a_very_long_text_counts_as_the_sum_of_its_words(side):
    words = 2_000_000
    assert await side.count([" hello" * words, "", " hello"], "o200k_base") == [words, 0, 1]


async def test_nothing_is_started_before_it_is_needed_nor_for_nothing(side):
    assert await side.count([], "o200k_base") == []
    assert side.pid is None


async def test_too_much_text_is_refused_before_it_is_sent(side):
    with pytest.raises(MiraError) as raised:
        await side.count(["a" * MAX_TEXT_CHARS, "a"], "o200k_base")
    assert raised.value.kind is Kind.TOO_LARGE
    assert side.pid is None


async def test_an_unknown_encoding_is_a_mistake_of_the_caller(side):
    with pytest.raises(ValueError, match="p50k"):
        await side.count(["x"], "p50k_base")


async def test_a_killed_process_is_replaced_unnoticed(side):
    assert await side.count(["hello world"], "o200k_base") == [2]
    first = side.pid
    gone = os.pidfd_open(first)
    os.kill(first, signal.SIGKILL)
    await ended(gone)
    assert await side.count(["hello world"], "o200k_base") == [2]
    assert side.pid != first


async def test_a_process_killed_at_work_is_replaced_and_the_work_done(side):
    await side.count(["x"], "o200k_base")
    os.kill(side.pid, signal.SIGSTOP)
    stopped = side.pid
    work = asyncio.create_task(side.count(["hello world"], "o200k_base"))
    gone = os.pidfd_open(stopped)
    os.kill(stopped, signal.SIGKILL)
    await ended(gone)
    assert await work == [2]


async def test_a_process_that_hangs_is_replaced():
    side = SideProcess(timeout_s=PATIENT_S)
    try:
        await side.count(["x"], "o200k_base")
        side._timeout_s = 0.5
        hung = side.pid
        gone = os.pidfd_open(hung)
        os.kill(hung, signal.SIGSTOP)
        with pytest.raises(MiraError) as raised:
            await side.count(["x"], "o200k_base")
        assert raised.value.kind is Kind.UNAVAILABLE
        await ended(gone)
    finally:
        await side.close()


async def test_an_idle_process_gives_its_memory_back_and_returns_when_asked():
    side = SideProcess(idle_s=0.05, timeout_s=PATIENT_S)
    try:
        assert await side.count(["hello world"], "o200k_base") == [2]
        await ended(os.pidfd_open(side.pid))
        assert await side.count(["hello world"], "o200k_base") == [2]
    finally:
        await side.close()


async def test_a_flood_is_bounded():
    side = SideProcess(max_waiting=3, timeout_s=PATIENT_S)
    try:
        calls = [asyncio.create_task(side.count(["hello world"], "o200k_base")) for _ in range(50)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, MiraError)]
        assert {error.kind for error in refused} == {Kind.UNAVAILABLE}
        assert len(refused) == 47
        assert [answer for answer in answers if not isinstance(answer, MiraError)] == [[2]] * 3
    finally:
        await side.close()


async def test_a_caller_that_leaves_does_not_confuse_the_next(side):
    await side.count(["x"], "o200k_base")
    leaving = asyncio.create_task(side.count([" hello" * 500_000], "o200k_base"))
    waiting = asyncio.create_task(side.count(["hello world"], "o200k_base"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await waiting == [2]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_after_close_nothing_runs_and_calls_are_refused():
    side = SideProcess(timeout_s=PATIENT_S)
    await side.count(["x"], "o200k_base")
    gone = os.pidfd_open(side.pid)
    pending = [asyncio.create_task(side.count([" hello" * 500_000], "o200k_base")) for _ in range(3)]
    await asyncio.sleep(0)
    await side.close()
    await ended(gone)
    for answer in await asyncio.gather(*pending, return_exceptions=True):
        assert isinstance(answer, MiraError)
    with pytest.raises(MiraError):
        await side.count(["x"], "o200k_base")
    await side.close()


PARENT = """
import asyncio, sys
from mira.workers.side import SideProcess

async def main():
    side = SideProcess(timeout_s=120)
    await side.count(["x"], "o200k_base")
    print(side.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_the_process_ends_with_its_parent_however_that_dies():
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    try:
        child = os.pidfd_open(int(await asyncio.wait_for(parent.stdout.readline(), PATIENT_S)))
    finally:
        parent.kill()
        await parent.wait()
    await ended(child)


async def test_the_child_knows_no_secret_of_its_parent(side):
    os.environ["MIRA_TEST_SECRET"] = "a secret"
    try:
        await side.count(["x"], "o200k_base")
    finally:
        del os.environ["MIRA_TEST_SECRET"]
    assert b"MIRA_TEST_SECRET" not in environment_of(side.pid)


async def test_the_heavy_libraries_stay_out_of_this_process():
    script = "import sys, mira.workers.side; sys.exit('toktok' in sys.modules or 'genai_prices' in sys.modules)"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await child.wait() == 0
