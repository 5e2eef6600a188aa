"""The process's log: one line per event on standard error, never a secret, a prompt or an upstream's words."""

import logging


def configure(level: int = logging.INFO) -> None:
    """Sends Mira's log to standard error. Uvicorn's own lines are kept to warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
