"""One local model for several processes: whoever runs it writes down where it answers, the others read that."""

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

State = Literal["fetching", "starting", "ready", "failed", "stopped"]
FILE = "local-node.json"


class Loan(msgspec.Struct, frozen=True):
    """What a process must know of a model that another runs. The file has mode 0600: it holds the model's key."""

    state: State = "starting"
    detail: str = "not started"
    progress: tuple[int, int] = (0, 0)
    base_url: str = ""
    api_key: str = ""
    context_tokens: int = 0


def lend(node: Any, path: Path) -> None:
    """Writes down how a `LocalNode` is, whole or not at all."""
    loan = Loan(node.state, node.detail, node.progress, node.base_url, node.api_key, node.context_tokens)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(loan))
    fresh.replace(path)


def borrowed(path: Path) -> Loan:
    """What was written down last."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Loan)
    except (OSError, msgspec.DecodeError):
        return Loan()
