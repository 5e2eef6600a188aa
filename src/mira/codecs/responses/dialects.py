"""What the nodes that speak Responses differ in: a table, so that no code asks for a provider's name."""

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """The quirks of one kind of node.

    `breakpoints`: it takes cache marks. `encrypted`: it is asked for reasoning that only it reads, where the model
    thinks (others refuse the question). `carries`: it unpacks foreign thinking (`mira.codecs.carried`), and takes
    sounds. The flags say what else it takes beside the common ground: free-form tools, `allowed_tools`, OpenAI's side
    notes.
    """

    breakpoints: bool = False
    encrypted: bool = False
    carries: bool = False
    custom_tools: bool = False
    allowed_tools: bool = False
    notes: bool = False


DIALECTS: dict[str, Dialect] = {
    "": Dialect(),
    "mira": Dialect(breakpoints=True, encrypted=True, carries=True, custom_tools=True, allowed_tools=True, notes=True),
    "openai": Dialect(breakpoints=True, encrypted=True, custom_tools=True, allowed_tools=True, notes=True),
}


def dialect_of(name: str) -> Dialect:
    """The row of that name; unknown names are the common ground."""
    return DIALECTS.get(name, DIALECTS[""])
