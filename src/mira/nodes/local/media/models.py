"""The models of the child: each loaded when it is first asked for, and each step of their work watched."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mira.errors import Kind, MiraError
from mira.nodes.local.packs import KOKORO, MINILM, WHISPER, Pack

if TYPE_CHECKING:
    from mira.nodes.local.media.embedding import MiniLm
    from mira.nodes.local.media.speech import Kokoro
    from mira.nodes.local.media.transcription import Whisper

#: A step (a spoken piece, a read segment, a decoded file's frame, a loaded model) that takes longer hangs: no Python
#: code can end it, so the process does, and is started again.
STEP_MOST_S = 180.0
WATCHED_EVERY_S = 5.0
HUNG_STATUS = 70


class Models:
    """Gives the models out. Everything here runs in threads; a model is loaded by the first that asks."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._loading = threading.Lock()
        self._kokoro: Kokoro | None = None
        self._whisper: Whisper | None = None
        self._minilm: MiniLm | None = None

    def kokoro(self) -> "Kokoro":
        """The speech model."""
        with self._loading:
            if self._kokoro is None:
                from mira.nodes.local.media.speech import Kokoro  # noqa: PLC0415 - heavy

                self._kokoro = Kokoro(self._folder(KOKORO) / KOKORO.files[0].name)
            return self._kokoro

    def whisper(self) -> "Whisper":
        """The transcription model."""
        with self._loading:
            if self._whisper is None:
                from mira.nodes.local.media.transcription import Whisper  # noqa: PLC0415 - heavy

                self._whisper = Whisper(self._folder(WHISPER))
            return self._whisper

    def minilm(self) -> "MiniLm":
        """The embeddings model."""
        with self._loading:
            if self._minilm is None:
                from mira.nodes.local.media.embedding import MiniLm  # noqa: PLC0415 - heavy

                self._minilm = MiniLm(self._folder(MINILM))
            return self._minilm

    def _folder(self, pack: Pack) -> Path:
        if not pack.is_complete(self._cache_dir):
            message = f"the pack {pack.name} is not complete; `mira models pull {pack.name}` fetches it"
            raise MiraError(Kind.UNAVAILABLE, message, code="model_not_ready")
        return pack.folder(self._cache_dir)


class Watch:
    """Ends the process where one step hangs."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around a step, in the thread that takes it."""
        me = threading.get_ident()
        self._began[me] = time.monotonic()
        try:
            yield
        finally:
            self._began.pop(me, None)

    def start(self) -> None:
        """Begins to watch, in a thread of its own."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(WATCHED_EVERY_S)
            if any(time.monotonic() - began > STEP_MOST_S for began in tuple(self._began.values())):
                os._exit(HUNG_STATUS)
