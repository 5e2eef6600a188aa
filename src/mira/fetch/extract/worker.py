"""The extraction worker itself: converts what it is sent until its standard input closes.

    python -m mira.fetch.extract.worker

It ends with its parent, whose end of the pipe is the only one, and is killed by the system where a page takes more
memory or processor time than it may. It writes nothing but replies: no log, no traceback, since pages are private.
"""

import gc
import logging
import math
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from mira.fetch.extract.documents import Refusing, convert
from mira.fetch.extract.frames import LENGTH_BYTES, Done, Job, Refused, Reply, decode_job, frame
from mira.fetch.extract.warm import warm_up

MEMORY_BYTES = 1024 * 1024 * 1024


def main() -> int:
    """Serves until the parent is gone; the exit code is always 0."""
    # Ctrl-C goes to the whole terminal; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Pages must not take the processor from the gateway.
    os.nice(5)
    # A library that prints must not write between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    # What libraries say of a page may quote it.
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Some systems do not know these limits.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY_BYTES, 2 * MEMORY_BYTES))
    warm_up()
    # What is there now stays. Pages are collected between two of them, when nobody waits.
    gc.freeze()
    gc.disable()
    serve(sys.stdin.buffer, replies)
    return 0


def serve(jobs: BinaryIO, replies: BinaryIO) -> None:
    """One reply per job, in order."""
    while len(header := jobs.read(LENGTH_BYTES)) == LENGTH_BYTES:
        size = int.from_bytes(header, "big")
        body = jobs.read(size)
        if len(body) < size:
            return
        reply = answer(decode_job(body))
        try:
            data = frame(reply)
        except UnicodeEncodeError:
            data = frame(Refused(reason="unreadable"))
        try:
            replies.write(data)
            replies.flush()
        except BrokenPipeError:
            return
        del reply, data, body
        gc.collect()


def answer(job: Job) -> Reply:
    """Does one job under its own limit of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed_s = math.ceil(used.ru_utime + used.ru_stime) + job.cpu_s
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (allowed_s, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    start = time.perf_counter()
    try:
        extracted = convert(job.source, job.options)
    except Refusing as refusal:
        return Refused(reason=refusal.reason, param=refusal.param, resident_bytes=resident_bytes())
    except MemoryError:
        os._exit(1)
    except Exception:  # noqa: BLE001 - whatever a library raises, the next page is served
        return Refused(reason="failed", resident_bytes=resident_bytes())
    took_ms = (time.perf_counter() - start) * 1000
    return Done(extracted=msgspec.structs.replace(extracted, convert_ms=took_ms), resident_bytes=resident_bytes())


def resident_bytes() -> int:
    """What the process holds now; the most it ever held where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    sys.exit(main())
