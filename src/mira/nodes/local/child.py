"""Starts the programs of the local node: children that serve on the loopback address under a key of their own."""

import asyncio
import os
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process

from mira.nodes.local.pull import environment
from mira.nodes.local.runtime import KEY_VARIABLE


async def start(module: str, *arguments: str) -> tuple[Process, str]:
    """Runs a module with a new key: (process, key). Its first line of output is a `Hello`; it ends with its input."""
    key = secrets.token_urlsafe(32)
    # A session of its own keeps Ctrl-C from the child, so that calls in flight can finish. OpenMP's default is to
    # spin while it waits, which takes the processor from the gateway.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment(os.environ) | {KEY_VARIABLE: key, "OMP_WAIT_POLICY": "PASSIVE"},
        start_new_session=True,
    )
    return process, key
