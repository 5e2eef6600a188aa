"""The process's log: one line per event on standard error, never a secret, a prompt or an upstream's words."""

import logging


def configure(level: int = logging.INFO) -> None:
    """Sends Mira's log to standard error. What libraries say is kept to warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("alembic", "asyncio", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
