"""What protocols say in plain words where they have no field for it: the same words in each."""

from msgspec.structs import replace

from mira.core.conversation import Document, Image, Inline, Link, ResultPart, SearchResult, Source, Text, UserPart

_ERROR = "Error: "


def picture(source: Source) -> str:
    """What stands for a picture that a model made: its address where it has one, else that there was one."""
    if isinstance(source, Link):
        return f"![picture]({source.url})"
    kind = f" ({source.mime_type})" if isinstance(source, Inline) else ""
    return f"[Here the model made a picture{kind}, for which this protocol has no place.]"


def search_result(part: SearchResult) -> str:
    """A passage that the caller found, under its title and source."""
    return "\n".join((part.title, part.source, "", *part.content))


def document(told: Document, text: str) -> str:
    """A document that is text, under its title."""
    return f"{told.title}\n\n{text}" if told.title else text


def file_name(told: Document) -> str | None:
    """The name of a file; one that is data and has none gets one that says its kind."""
    if told.title is None and isinstance(told.source, Inline):
        return "document." + (told.source.mime_type.rpartition("/")[2] or "bin")
    return told.title


def attached(part: ResultPart) -> str:
    """What stands in a tool's result for media that follow behind it."""
    return f"[{'image' if isinstance(part, Image) else 'file'} attached below]"


def failed(parts: list[UserPart]) -> list[UserPart]:
    """The parts of a tool's result that says of itself that the tool failed."""
    first = parts[0] if parts else None
    if isinstance(first, Text):
        return [replace(first, text=_ERROR + first.text), *parts[1:]]
    return [Text(text=_ERROR.strip()), *parts]
