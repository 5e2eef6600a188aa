"""The small web that the tests of this folder share."""

import pytest
from loopback_web import PUBLIC, Server, Web, ok


@pytest.fixture
async def web():
    """A site, known to the resolver as public.test, and a canary on IPv4 and IPv6."""
    site = await Server(lambda path: ok(path.encode())).start()
    canary = await Server(lambda path: ok(b"CANARY")).start("0.0.0.0")
    twin = await Server(lambda path: ok(b"CANARY")).start("::1", canary.port)
    told = Web(site, canary)
    told.twin = twin
    told.names["public.test"] = [[PUBLIC]]
    for name in ("localhost", "ip6-localhost"):
        told.names[name] = [["127.0.0.1", "::1"]]
    yield told
    assert canary.connections == 0, "the canary was touched"
    assert twin.connections == 0, "the canary was touched"
    for server in (site, canary, twin):
        await server.stop()
