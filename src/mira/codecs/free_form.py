"""Free-form tools for protocols and nodes that know only functions: one string goes in, and is taken out again."""

import msgspec
from msgspec import Raw

from mira.codecs.lenient import loose
from mira.codecs.tool_names import plain_name
from mira.core.conversation import CustomTool, FunctionTool

#: What such a function takes.
FREE_TEXT = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
)


def as_function(tool: CustomTool, parameters: Raw = FREE_TEXT) -> FunctionTool:
    """The function that stands for the tool; a grammar is told in its description."""
    return FunctionTool(
        name=plain_name(tool.name, tool.namespace),
        description=_described(tool),
        parameters=parameters,
        cache=tool.cache,
    )


def wrapped(text: str, name: str = "input") -> str:
    """The arguments that hold a text."""
    return msgspec.json.encode({name: text}).decode()


def unwrapped(arguments: str) -> str:
    """The text in the arguments; the arguments where they have another form."""
    told = loose(arguments.encode())
    text = told.get("input") if isinstance(told, dict) else None
    return text if isinstance(text, str) else arguments


def _described(tool: CustomTool) -> str | None:
    if tool.grammar is None:
        return tool.description
    rule = f"The input must match this {tool.grammar.syntax} grammar:\n{tool.grammar.definition}"
    return f"{tool.description}\n\n{rule}" if tool.description else rule
