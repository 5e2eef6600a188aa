"""Renders pages in the system's Chromium."""

from mira.errors import Kind, MiraError
from mira.fetch.egress import Egress, Loaded, Permit


class Browser:
    """One browser for all."""

    def __init__(self, egress: Egress, chromium: str | None) -> None:
        self._egress = egress
        self._chromium = chromium

    @property
    def obstacle(self) -> str | None:
        """Why nothing can be rendered, in words for the client; None where it can."""
        return "rendering is not installed"

    async def render(
        self, url: str, *, permit: Permit, wait_for: str | None, language: str | None, total_s: float
    ) -> Loaded:
        """The page as HTML once its scripts have run; MiraError as of the egress."""
        raise MiraError(Kind.UNSUPPORTED, "x")

    async def close(self) -> None:
        """Ends it."""
