"""What a command prints: the API's JSON as it came, or a table, in plain text where the output is no terminal."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

if TYPE_CHECKING:
    from mira.cli.client import Reply


class Column(NamedTuple):
    """A column: its title, how a row's cell is found, and whether it is a number."""

    title: str
    value: Callable[[dict[str, Any]], object]
    right: bool = False


def field(name: str, title: str | None = None, *, right: bool = False) -> Column:
    """A column that shows a member of the row by its name."""
    return Column(title or name.upper().replace("_", " "), lambda row: row.get(name), right)


def moment(name: str, title: str) -> Column:
    """A column with a time in Unix milliseconds."""
    return Column(title, lambda row: time_text(row.get(name)))


def time_text(time_ms: int | None) -> str | None:
    """Unix milliseconds as UTC text; None stays."""
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


class Output:
    """Prints answers, as JSON where `as_json`."""

    def __init__(self, *, as_json: bool, out: TextIO | None = None) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout

    def json(self, body: bytes) -> None:
        """The body of an answer, unchanged, and a newline; an answer without a body prints nothing."""
        if body:
            self._out.write(body.decode() + "\n")

    def line(self, text: str) -> None:
        """A line for people."""
        self._out.write(printable(text) + "\n")

    def text(self, text: str) -> None:
        """Text of several lines, whose caller has taken out what steers a terminal."""
        self._out.write(text)

    def listing(self, reply: "Reply", columns: Sequence[Column], *, empty: str) -> None:
        """The rows of a list; `empty` is said where there is none."""
        if self.as_json:
            self.json(reply.body)
            return
        rows = reply.value["data"]
        if not rows:
            self.line(empty)
            return
        self.rows(rows, columns)
        if reply.value.get("next"):
            self.line(f"more: --cursor {reply.value['next']}")

    def details(self, reply: "Reply", columns: Sequence[Column]) -> None:
        """One object, a line for each of its members."""
        if self.as_json:
            self.json(reply.body)
            return
        width = max(len(column.title) for column in columns)
        for column in columns:
            self.line(f"{column.title.lower():<{width}}  {_cell(column.value(reply.value))}")

    def done(self, reply: "Reply", text: str) -> None:
        """A line that says what was done."""
        if self.as_json:
            self.json(reply.body)
        else:
            self.line(text)

    def rows(self, rows: Sequence[dict[str, Any]], columns: Sequence[Column]) -> None:
        """A table with whole cells; only a terminal gets it with a rule and bold titles."""
        cells = [[_cell(column.value(row)) for column in columns] for row in rows]
        if self._out.isatty():
            _rich_table(cells, columns, self._out)
            return
        cells.insert(0, [column.title for column in columns])
        widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
        for row in cells:
            padded = (
                cell.rjust(width) if column.right else cell.ljust(width)
                for cell, width, column in zip(row, widths, columns, strict=True)
            )
            self._out.write("  ".join(padded).rstrip() + "\n")


@contextmanager
def heard_or_not(out: TextIO) -> Iterator[None]:
    """Lets a long run go on where its reader has left: what is still said goes nowhere."""
    try:
        yield
    except OSError:
        # Also what is left in the buffer, or the interpreter would complain of it at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, out.fileno())
        os.close(nowhere)


def printable(text: str) -> str:
    """The text without control characters: names come from elsewhere and must not steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value) or "-"
    return printable(str(value))


def _rich_table(cells: Iterable[list[str]], columns: Sequence[Column], out: TextIO) -> None:
    # Rich is heavy and only terminals need it.
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=out)
    # A table that is too wide is left to the terminal to wrap: an id cut into pieces cannot be copied.
    wide = Console(file=out, width=10_000)
    console.width = max(console.width, wide.measure(table).maximum)
    console.print(table)
