"""Gives tool calls back under the client's own names and kinds, where a node was told others.

A node may have been told a namespaced tool under a flat name, a strange name in plain letters, and a free-form tool as
a function with one string (`{"input": …}`). What it calls is turned back here, the same way for all protocols.
"""

import msgspec
from msgspec import structs

from mira.codecs.free_form import unwrapped
from mira.codecs.tool_names import plain_name
from mira.core.conversation import Answer, AssistantPart, Conversation, CustomTool, FunctionTool, ToolCall
from mira.core.events import Event, Finish, ToolCallDelta, ToolCallStart


class Own(msgspec.Struct, frozen=True):
    """What the client calls a tool."""

    name: str
    namespace: str | None
    custom: bool


def renamed_tools(request: Conversation) -> dict[str, Own]:
    """The tools that nodes may know under another name or kind, by the name they were told."""
    told: dict[str, Own] = {}
    for tool in request.tools:
        if isinstance(tool, FunctionTool | CustomTool):
            sent = plain_name(tool.name, tool.namespace)
            custom = isinstance(tool, CustomTool)
            if custom or sent != tool.name or tool.namespace:
                told[sent] = Own(tool.name, tool.namespace, custom)
    return told


class Restorer:
    """An interpreter of events: renames calls, and holds the input of free-form calls until it is whole."""

    __slots__ = ("_held", "_tools")

    def __init__(self, tools: dict[str, Own]) -> None:
        self._tools = tools
        #: the pieces of input by choice and call, since a choice ends as a whole
        self._held: dict[int, dict[int, list[str]]] = {}

    def feed(self, event: Event) -> list[Event]:
        """The events that are certain after this one."""
        match event:
            case ToolCallStart(name=name) if own := self._tools.get(name):
                if own.custom and event.kind == "function":
                    self._held.setdefault(event.choice, {})[event.index] = []
                kind = "custom" if own.custom else event.kind
                return [structs.replace(event, name=own.name, namespace=own.namespace, kind=kind)]
            case ToolCallDelta() if event.index in (calls := self._held.get(event.choice, {})):
                calls[event.index].append(event.fragment)
                return []
            case Finish():
                return [*self._whole(event.choice), event]
            case _:
                return [event]

    def close(self) -> list[Event]:
        """Nothing: a call that never came whole is not told."""
        return []

    def _whole(self, choice: int) -> list[Event]:
        return [
            ToolCallDelta(index=index, fragment=text, choice=choice)
            for index, pieces in self._held.pop(choice, {}).items()
            if (text := unwrapped("".join(pieces)))
        ]


def restored(answer: Answer, tools: dict[str, Own]) -> Answer:
    """A whole answer with its calls as the client knows them."""
    if not tools:
        return answer
    choices = tuple(
        structs.replace(choice, parts=tuple(_restored(part, tools) for part in choice.parts))
        for choice in answer.choices
    )
    return structs.replace(answer, choices=choices)


def _restored(part: AssistantPart, tools: dict[str, Own]) -> AssistantPart:
    if not isinstance(part, ToolCall) or (own := tools.get(part.name)) is None:
        return part
    wrapped = own.custom and part.kind == "function"
    return structs.replace(
        part,
        name=own.name,
        namespace=own.namespace,
        kind="custom" if own.custom else part.kind,
        input=unwrapped(part.input) if wrapped else part.input,
    )
