"""Asks a site's robots.txt whether a page may be fetched, by RFC 9309."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct
from protego import Protego

from mira.errors import Kind, MiraError
from mira.fetch.egress import Egress, Inquiry, Limits, Permit, Wishes
from mira.fetch.urls import Destination

AGENT = "mira"
#: The same for all who ask: a site is not closed to everybody because somebody was in a hurry.
LIMITS = Limits(total_s=10.0, wire_bytes=512 * 1024, body_bytes=512 * 1024)
_KEPT_MS = 3600 * 1000
#: How long a site is left alone whose robots.txt did not answer.
_RETRY_MS = 60 * 1000
_MOST_KEPT = 200


class _Rules(Struct, frozen=True):
    """`parsed` None stands for one answer to all: `allowed`."""

    parsed: Protego | None
    allowed: bool
    until_ms: int


class Robots:
    """The robots.txt of sites, loaded through the egress and kept for an hour. `now_ms` is Unix milliseconds."""

    def __init__(self, egress: Egress, now_ms: Callable[[], int]) -> None:
        self._egress = egress
        self._now_ms = now_ms
        self._kept: OrderedDict[str, _Rules] = OrderedDict()

    async def check(self, destination: Destination, permit: Permit, enter: Inquiry) -> None:
        """MiraError FORBIDDEN (`url_not_allowed`) where the site does not wish it, or cannot be asked.

        `enter` waits for a turn at a site before it is asked; MiraError where there is none.
        """
        rules = self._known(destination)
        if rules is None:
            await enter(destination)
            # Who was before in the line may have loaded it.
            rules = self._known(destination)
        if rules is None:
            rules = await self._load(destination, permit, enter)
            self._kept[destination.origin] = rules
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        allowed = rules.allowed if rules.parsed is None else rules.parsed.can_fetch(destination.url, AGENT)
        if not allowed:
            raise MiraError(Kind.FORBIDDEN, "The site's robots.txt does not allow this page.", code="url_not_allowed")

    def _known(self, destination: Destination) -> _Rules | None:
        rules = self._kept.get(destination.origin)
        return rules if rules is not None and rules.until_ms > self._now_ms() else None

    async def _load(self, destination: Destination, permit: Permit, enter: Inquiry) -> _Rules:
        now_ms = self._now_ms()
        try:
            loaded = await self._egress.get(
                f"{destination.origin}/robots.txt", limits=LIMITS, wishes=Wishes(permit=permit, inquiry=enter)
            )
        except MiraError as error:
            if error.code in ("invalid_url", "url_not_allowed", "rate_limited"):
                raise
            return _Rules(None, allowed=False, until_ms=now_ms + _RETRY_MS)
        if loaded.status >= 500:
            return _Rules(None, allowed=False, until_ms=now_ms + _RETRY_MS)
        if loaded.status >= 400:
            return _Rules(None, allowed=True, until_ms=now_ms + _KEPT_MS)
        # In a thread: half a megabyte of rules would hold the event loop for a noticeable time.
        parsed = await asyncio.to_thread(Protego.parse, loaded.data.decode("utf-8", "replace"))
        return _Rules(parsed, allowed=True, until_ms=now_ms + _KEPT_MS)
