"""What comes in many pieces, collected in time that grows with its length alone."""

import re

from mira.codecs.lenient import loose
from mira.core.conversation import Reasoning
from mira.core.events import ReasoningDelta

_STRUCTURE = re.compile(r'["{}\[\]]')
_STRING_END = re.compile(r'["\\]')


class Arguments:
    """The arguments of a tool call, piece by piece: whether they are a whole JSON object is known at any time.

    Every character is looked at once; the text is parsed once, when all its brackets are closed.
    """

    __slots__ = ("_closed", "_depth", "_in_string", "_is_object", "_pieces", "_skip")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._depth = 0
        self._in_string = False
        #: characters of the next piece that are escaped
        self._skip = 0
        #: every bracket is closed and nothing but blanks came behind; whether that is an object, None if not looked at
        self._closed = False
        self._is_object: bool | None = None

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, piece: str) -> None:
        """More of them."""
        self._pieces.append(piece)
        if self._closed:
            # What goes on behind its end is no object, whatever comes.
            if piece.strip():
                self._is_object = False
            return
        at, self._skip = self._skip, 0
        while (found := (_STRING_END if self._in_string else _STRUCTURE).search(piece, at)) is not None:
            at = found.end()
            mark = found[0]
            if mark == "\\":
                at += 1
            elif mark == '"':
                self._in_string = not self._in_string
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self._closed = True
                    self._is_object = False if piece[at:].strip() else None
                    return
        self._skip = max(0, at - len(piece))

    def text(self, start: int = 0) -> str:
        """The pieces from that one on."""
        return "".join(self._pieces[start:])

    def is_whole(self) -> bool:
        """Whether nothing can follow: an object ends in its last brace."""
        if not self._closed:
            return False
        if self._is_object is None:
            self._is_object = isinstance(loose(self.text().encode("utf-8", "replace")), dict)
        return self._is_object


class Thought:
    """A block of reasoning, from its deltas; its text is collected by who tells it."""

    __slots__ = ("_data", "_signature", "format", "id", "kind")

    def __init__(self, begun: ReasoningDelta) -> None:
        self.kind = begun.kind
        self.format = begun.format
        self.id = begun.id
        self._signature: list[str] = []
        self._data: list[str] = []

    def add(self, delta: ReasoningDelta) -> None:
        """More of it."""
        if delta.signature:
            self._signature.append(delta.signature)
        if delta.data:
            self._data.append(delta.data)
        self.format = self.format or delta.format
        self.id = self.id or delta.id

    def block(self, text: str = "") -> Reasoning:
        """What the block is so far, with that text."""
        return Reasoning(
            kind=self.kind,
            text=text,
            signature="".join(self._signature) or None,
            data="".join(self._data) or None,
            format=self.format,
            id=self.id,
        )
