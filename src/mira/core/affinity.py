"""Keeps the calls of a session at one node, where its cache is warm. Pure.

A session's home is found by rendezvous hashing, which gives the same answer in every process and after a restart, and
moves only the sessions of a node that goes away. What is remembered is only where sessions of the last minutes are, so
that no node gets many more of them than its share: a full node's sessions go to the next one of their own order.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct

#: A session that was silent for so long is not counted any more: caches of providers are cold by then.
IDLE_S = 600.0
MOST_SESSIONS = 10_000
#: How many sessions a node may have before new ones go on to the next: this much of its share, and a half.
CROWD = 1.1
SPARE = 0.5
#: So few are no crowd, whatever the others have: else chance would send the first sessions after a restart elsewhere.
NO_CROWD = 10

_MASK = 2**64 - 1


class Place(Struct, gc=False):
    """Where a session is, and when it was last heard of."""

    node: str
    seen_s: float


class Sessions:
    """The sessions of one model and where they are."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._counts: dict[str, int] = {}
        self._seeds: dict[str, int] = {}

    def home(self, session: int, nodes: Sequence[tuple[str, float]], now_s: float) -> str:
        """The node of a session among `nodes` (name, weight; at least one): where it is, else where it belongs."""
        self._forget_idle(now_s)
        place = self._places.get(session)
        if place is not None and any(name == place.node for name, _ in nodes):
            self.settle(session, place.node, now_s)
            return place.node
        per_weight = CROWD * (len(self._places) + (place is None)) / sum(weight for _, weight in nodes)
        ordered = sorted(nodes, key=lambda node: self._rank(session, *node))
        for name, weight in ordered:
            if self._counts.get(name, 0) < max(per_weight * weight + SPARE, NO_CROWD):
                break
        else:
            name = ordered[0][0]
        self.settle(session, name, now_s)
        return name

    def where(self, session: int) -> str | None:
        """The node at which a session is, if it was heard of lately."""
        place = self._places.get(session)
        return None if place is None else place.node

    def count(self, node: str) -> int:
        """How many sessions a node has."""
        return self._counts.get(node, 0)

    def settle(self, session: int, node: str, now_s: float) -> None:
        """The session is at this node from now on."""
        place = self._places.pop(session, None)
        if place is not None:
            self._leave(place.node)
        elif len(self._places) >= MOST_SESSIONS:
            self._leave(self._places.pop(next(iter(self._places))).node)
        self._places[session] = Place(node, now_s)
        self._counts[node] = self._counts.get(node, 0) + 1

    def _leave(self, node: str) -> None:
        if self._counts[node] == 1:
            del self._counts[node]
        else:
            self._counts[node] -= 1

    def _forget_idle(self, now_s: float) -> None:
        while self._places:
            session = next(iter(self._places))
            if now_s - self._places[session].seen_s < IDLE_S:
                return
            self._leave(self._places.pop(session).node)

    def _rank(self, session: int, node: str, weight: float) -> float:
        """Lower is nearer: a draw from the exponential distribution whose rate is the weight."""
        seed = self._seeds.get(node)
        if seed is None:
            seed = self._seeds[node] = digest(node.encode())
        return -math.log((mixed(session ^ seed) + 1) / (_MASK + 2)) / weight


def session_key(workspace_id: str, model: str, told: bytes) -> int:
    """A session's number: of the workspace, the model, and what its requests have in common."""
    return digest(b"\0".join((workspace_id.encode(), model.encode(), told)))


def digest(data: bytes) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def mixed(value: int) -> int:
    """Spreads 64 bits over 64 bits (the finalizer of splitmix64)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
