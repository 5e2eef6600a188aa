"""What the tests of the local nodes share: real models, fetched once per machine into the ordinary cache."""

import asyncio
import os
from pathlib import Path

import pytest

from mira.nodes.local.packs import MEDIA_PACKS, SMOLLM2, default_cache_dir
from mira.nodes.local.pull import pull


@pytest.fixture(scope="session")
def models_dir() -> Path:
    cache_dir = default_cache_dir(os.environ)
    asyncio.run(pull(SMOLLM2, cache_dir, lambda _report: None))
    return cache_dir


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """The cache with the packs for speech, transcription and embeddings in it."""
    cache_dir = default_cache_dir(os.environ)
    for pack in MEDIA_PACKS.values():
        asyncio.run(pull(pack, cache_dir, lambda _report: None))
    return cache_dir
