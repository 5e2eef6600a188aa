"""Pictures that a model made, for protocols whose answers have no place for them."""

from mira.core.conversation import Link, Source


def in_words(source: Source) -> str:
    """What stands in a picture's place: its address where it has one, else a note that there was one."""
    if isinstance(source, Link):
        return f"![picture]({source.url})"
    kind = getattr(source, "mime_type", "")
    return f"[Here the model made a picture{f' ({kind})' if kind else ''}, for which this protocol has no place.]"
