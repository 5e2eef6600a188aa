"""The tool calls of a conversation so far, to which later messages point by id or, as functions did, by name."""

from heapq import heappop, heappush

from mira.core.conversation import ToolCall


class KnownCalls:
    """Calls by id: one told again takes the place of the earlier one, and keeps its rank."""

    __slots__ = ("_by_id", "_by_name", "_ranks")

    def __init__(self) -> None:
        self._by_id: dict[str, ToolCall] = {}
        self._ranks: dict[str, int] = {}
        #: by name a heap of (-rank, id); calls that have another name by now are left in it until they are met
        self._by_name: dict[str, list[tuple[int, str]]] = {}

    def add(self, call: ToolCall) -> None:
        """One more call, or an earlier one anew."""
        self._by_id[call.id] = call
        rank = self._ranks.setdefault(call.id, len(self._ranks))
        heappush(self._by_name.setdefault(call.name, []), (-rank, call.id))

    def get(self, call_id: str) -> ToolCall | None:
        """The call with that id."""
        return self._by_id.get(call_id)

    def latest(self, name: str) -> ToolCall | None:
        """The last call of that function."""
        heap = self._by_name.get(name, [])
        while heap:
            call = self._by_id[heap[0][1]]
            if call.name == name:
                return call
            heappop(heap)
        return None
