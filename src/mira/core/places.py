"""Who may run now, who waits for a place, and who is sent away. Pure; the caller passes the time and keeps the waiting.

Places are given round the workspaces that wait, one each in turn, so that one that floods delays only itself. A place
is never idle while somebody waits. Whoever would not get one in time is sent away at once: a client that knows can go
elsewhere, and telling it costs little.
"""

import math
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

#: Calls of one workspace that may wait, and how many workspaces may have so many.
MOST_WAITING = 100
WORKSPACES_WAITING = 10
#: Nobody waits longer than this, and nobody begins to wait who would probably have to wait longer than half of it: what
#: is known of the rate at which places come free is an estimate.
LONGEST_WAIT_S = 1.0
EXPECTED_WAIT_S = 0.5
#: How fast the estimate of that rate forgets.
RATE_LASTS_S = 1.0

#: The loop is later than this: the process has more to do than it can. Below half of it there is room for more.
LATE_S = 0.05
#: So many measures in a row have to say so; one long step of one call does not count.
MEASURES = 3
#: However late the loop is, so many calls run.
LEAST_PLACES = 16
SHRINK, GROW = 0.9, 1.05


class Places(Generic[T]):
    """So many places, and a line of tickets for each workspace. `T` is the caller's ticket. Its time never goes back.

    `limit` may be changed at any time; who runs goes on. `running` counts the places that are taken, `waiting` the
    tickets in line.
    """

    def __init__(self, limit: int, *, most_waiting: int = MOST_WAITING) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self._most_waiting = most_waiting
        #: in the order of whose turn it is; a workspace without a ticket is not in it
        self._lines: dict[str, deque[T]] = {}
        self._freed = 0.0
        self._freed_s = 0.0

    def take(self) -> bool:
        """Takes a place where one is free and nobody waits for it. Whoever has one must `leave`."""
        if self.running >= self.limit or self.waiting:
            return False
        self.running += 1
        return True

    def line_up(self, workspace_id: str, ticket: T, now_s: float) -> bool:
        """Puts a ticket into the line of its workspace, where it may be called or `withdraw`; False: sent away."""
        if self.waiting >= max(self.limit, WORKSPACES_WAITING * self._most_waiting):
            return False
        line = self._lines.get(workspace_id)
        if line is None:
            # The first of each workspace is let in on the chance, or none would ever wait where calls are long.
            self._lines[workspace_id] = deque((ticket,))
        elif len(line) < self._most_waiting and self._wait_s(len(line) + 1, now_s) <= EXPECTED_WAIT_S:
            line.append(ticket)
        else:
            return False
        self.waiting += 1
        return True

    def leave(self, now_s: float) -> None:
        """Gives a place back. Whose turn it is now is told by `next`."""
        self.running -= 1
        self._freed = 1.0 + self._freed * math.exp((self._freed_s - now_s) / RATE_LASTS_S)
        self._freed_s = now_s

    def next(self) -> T | None:
        """The ticket whose turn it is, which then runs; None where nobody waits or nothing is free."""
        if not self.waiting or self.running >= self.limit:
            return None
        workspace_id, line = next(iter(self._lines.items()))
        ticket = line.popleft()
        del self._lines[workspace_id]
        if line:
            self._lines[workspace_id] = line  # at the end: the others come first
        self.waiting -= 1
        self.running += 1
        return ticket

    def unused(self) -> None:
        """Takes back the turn of a ticket that gave up before it heard of it."""
        self.running -= 1

    def withdraw(self, workspace_id: str, ticket: T) -> bool:
        """Takes a ticket out of its line; False where it is not in it any more."""
        line = self._lines.get(workspace_id)
        if line is None or ticket not in line:
            return False
        line.remove(ticket)
        self.waiting -= 1
        if not line:
            del self._lines[workspace_id]
        return True

    def _wait_s(self, position: int, now_s: float) -> float:
        """How long the ticket at a position of its line will wait, if places go on coming free as they did."""
        ahead = min(self.waiting + 1, position * len(self._lines))
        rate = self._freed * math.exp((self._freed_s - now_s) / RATE_LASTS_S) / RATE_LASTS_S
        return ahead / rate if rate > 0 else math.inf


class Tide:
    """Moves the number of places with how late the event loop is: fewer while it is late, slowly more while it is not.

    Calls are long and mostly wait for their nodes; how many of them a process can carry depends on what they do. The
    loop's lag says when they are too many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._last: deque[float] = deque(maxlen=MEASURES)

    def limit(self, limit: int, running: int, late_s: float) -> int:
        """The new number of places after a measure of the loop."""
        self._last.append(late_s)
        if len(self._last) == MEASURES and min(self._last) > LATE_S:
            self._last.clear()
            return min(self._most, max(LEAST_PLACES, int(min(limit, running) * SHRINK)))
        if max(self._last) < LATE_S / 2:
            return min(self._most, math.ceil(limit * GROW))
        return limit
