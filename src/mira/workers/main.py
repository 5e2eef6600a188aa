"""The side process itself: answers requests from its standard input until that closes.

    python -m mira.workers.main

It ends with its parent, whose end of the pipe is the only one. It writes nothing but replies: no log, no traceback,
since a request holds a client's text.
"""

import os
import signal
import sys
from typing import BinaryIO

from mira.workers.frames import (
    LENGTH_BYTES,
    Counts,
    CountTokens,
    Failed,
    ListPrices,
    PriceList,
    Reply,
    Request,
    decode_request,
    frame,
)


def main() -> int:
    """Serves until the parent is gone; the exit code is always 0."""
    # Ctrl-C goes to the whole terminal; the parent decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Counting a long text must not take the processor from the gateway.
    os.nice(5)
    # A library that prints must not write between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)
    return 0


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """One reply per request, in order."""
    while len(header := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        size = int.from_bytes(header, "big")
        body = requests.read(size)
        if len(body) < size:
            return
        try:
            reply = answer(decode_request(body))
        except Exception as error:  # noqa: BLE001 - whatever a library raises, the next request is served
            reply = Failed(type(error).__name__)
        try:
            replies.write(frame(reply))
            replies.flush()
        except BrokenPipeError:
            return


def answer(request: Request) -> Reply:
    """Does what was asked; each library is loaded when it is first needed."""
    match request:
        case CountTokens(texts, encoding):
            from mira.workers.counting import count  # noqa: PLC0415 - 63 MB

            return Counts(count(texts, encoding))
        case ListPrices(model_ids):
            from mira.workers.list_prices import prices  # noqa: PLC0415 - 30 MB, 0.3 s

            return PriceList(prices(model_ids))


if __name__ == "__main__":
    sys.exit(main())
