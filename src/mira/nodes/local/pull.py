"""Starts the fetching process and follows it: what the local node and `mira models pull` have in common."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from mira.nodes.local.packs import Pack
from mira.nodes.local.progress import Report

STOP_TIMEOUT_S = 5.0


class PullError(Exception):
    """The pack could not be fetched; the message says what to do about it."""


async def pull(pack: Pack, cache_dir: Path, tell: Callable[[Report], None]) -> Path:
    """Fetches `pack` in a process of its own and returns the path of the model.

    `tell` receives every report of the process. Raises PullError where no source delivered. Cancelling it ends the
    process and leaves nothing half-fetched in place.
    """
    if pack.is_complete(cache_dir):
        return pack.model_path(cache_dir)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mira.nodes.local.fetch", pack.name, str(cache_dir)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment(os.environ),
        start_new_session=True,
    )
    assert process.stdout is not None
    last = Report("failed")
    try:
        async for line in process.stdout:
            last = msgspec.json.decode(line, type=Report)
            tell(last)
        code = await process.wait()
    finally:
        await end(process)
    if last.state != "done":
        raise PullError(last.detail if last.state == "failed" and last.detail else f"the fetch ended with code {code}")
    return pack.model_path(cache_dir)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: all of ours (pip's settings, proxies), less the secrets of Mira and of providers."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("MIRA_") and not name.endswith(("_API_KEY", "_SECRET_KEY"))
    }


async def end(process: asyncio.subprocess.Process) -> None:
    """Sees a child to its end: asks it, and kills it where it does not listen."""
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except ProcessLookupError:
        await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
