import asyncio

import pytest
import uvloop
from raw_upstream import Upstream

from mira.transport.client import Pool


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
async def upstream():
    """Start scripted upstreams; they are stopped after the test."""
    started = []

    async def start(script, **settings):
        started.append(await Upstream(script).start(**settings))
        return started[-1]

    yield start
    for one in started:
        await one.stop()


@pytest.fixture
async def pool():
    """Make pools; they are closed after the test."""
    made = []

    def make(url, **settings):
        made.append(Pool(url, **settings))
        return made[-1]

    yield make
    for one in made:
        async with asyncio.timeout(120):
            await one.close()
