"""Serves speech, transcription and embeddings: `python -m mira.nodes.local.media.program CACHE_DIR IDLE_S`.

It listens on a free port of the loopback address, under the key in the environment variable `MIRA_LOCAL_KEY`. Its only
output is one line of JSON (`Hello`) once it answers. Models are loaded when they are first asked for. It ends as soon
as its standard input does, so it never outlives its parent, and after IDLE_S seconds without a call, to give its memory
back.
"""

import asyncio
import os
import resource
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import uvicorn

from mira.nodes.local.media.models import Models
from mira.nodes.local.media.service import Service
from mira.nodes.local.runtime import KEY_VARIABLE, NICENESS, Hello, end_with_parent, own_output

#: All three models at work need about one; what asks for more is broken or hostile.
MOST_MEMORY_BYTES = 4 * 2**30
LOOKED_EVERY_S = 1.0


async def _serve(cache_dir: Path, idle_s: float, key: str, output: BinaryIO) -> None:
    service = Service(Models(cache_dir), key)
    config = uvicorn.Config(service.app(), log_config=None, access_log=False, lifespan="off", timeout_keep_alive=30)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    output.write(msgspec.json.encode(Hello(address)) + b"\n")
    output.close()
    while not serving.done():
        await asyncio.sleep(LOOKED_EVERY_S)
        if not service.running and time.monotonic() - service.last_s > idle_s:
            server.should_exit = True
            break
    await serving


def main(arguments: list[str]) -> int:
    """The program: CACHE_DIR IDLE_S; runs until its parent is gone or nobody calls."""
    if len(arguments) != 2 or KEY_VARIABLE not in os.environ:
        usage = "python -m mira.nodes.local.media.program CACHE_DIR IDLE_S"
        print(f"usage: {KEY_VARIABLE}=… {usage}", file=sys.stderr)
        return 2
    threading.Thread(target=end_with_parent, daemon=True).start()
    output = own_output()
    # The gateway on the same machine goes first.
    os.nice(NICENESS)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    asyncio.run(_serve(Path(arguments[0]), float(arguments[1]), os.environ.pop(KEY_VARIABLE), output))
    # Threads in native code would be waited for.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
