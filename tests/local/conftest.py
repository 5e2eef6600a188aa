"""What the tests of the local node share: the real small model, fetched once per machine into the ordinary cache."""

import asyncio
import os
from pathlib import Path

import pytest

from mira.nodes.local.packs import SMOLLM2, default_cache_dir
from mira.nodes.local.pull import pull


@pytest.fixture(scope="session")
def models_dir() -> Path:
    cache_dir = default_cache_dir(os.environ)
    asyncio.run(pull(SMOLLM2, cache_dir, lambda _report: None))
    return cache_dir
