"""Ports for servers that are told where to listen, and may be started there again."""

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000


def free_port() -> int:
    """A port of loopback on which nobody listens, and which the system gives to no connection and to no other server.

    The system takes from a range of its own whenever somebody connects or listens on "any" port, and a port from there
    could be gone by the time its server starts.
    """
    first = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(LOWEST, first) if first > 2 * LOWEST else 0
        try:
            with socket.create_server(("127.0.0.1", port)) as server:
                return int(server.getsockname()[1])
        except OSError:
            # Somebody listens there already.
            continue
