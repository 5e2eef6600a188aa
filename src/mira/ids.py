"""Ids that grow with time, so that rows of one time lie beside each other."""

import secrets
import time
from itertools import count


class Ids:
    """Makes ids that grow with time and never meet those of another process."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(5)
        self._numbers = count()

    def __call__(self, prefix: str) -> str:
        """`req_` and the like: milliseconds, the process, a running number."""
        return f"{prefix}_{time.time_ns() // 1_000_000:011x}{self._process}{next(self._numbers):06x}"
