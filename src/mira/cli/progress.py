"""Progress of a transfer: a bar on a terminal, a line every tenth elsewhere."""

from typing import Any, TextIO

from mira.cli.output import heard_or_not, printable

TENTHS = 10


class TransferProgress:
    """Follows one transfer at a time; `at` may be called as often as there is news, `finish` ends the bar."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._bar: Any = None
        self._task: Any = None
        self._told: tuple[str, int] | None = None

    def at(self, detail: str, done_bytes: int, total_bytes: int) -> None:
        """The transfer stands at `done_bytes` of `total_bytes` (0 where unknown); `detail` says of what."""
        with heard_or_not(self._out):
            if self._out.isatty():
                self._draw(printable(detail), done_bytes, total_bytes)
            else:
                self._tell(printable(detail), done_bytes, total_bytes)

    def finish(self) -> None:
        """Leaves the line of the bar, if there is one."""
        bar, self._bar, self._told = self._bar, None, None
        if bar is not None:
            with heard_or_not(self._out):
                bar.stop()

    def _tell(self, detail: str, done_bytes: int, total_bytes: int) -> None:
        # What is done by its first word: a check that follows a download starts its tenths again.
        tenth = TENTHS * done_bytes // total_bytes if total_bytes else 0
        now = (detail.partition(" ")[0], min(tenth, TENTHS))
        if now == self._told:
            return
        self._told = now
        share = f" ({100 * done_bytes // total_bytes} %)" if total_bytes else ""
        print(f"  {detail}{share}", file=self._out, flush=True)

    def _draw(self, detail: str, done_bytes: int, total_bytes: int) -> None:
        if self._bar is None:
            # Rich is heavy and only terminals need it.
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

            columns = TextColumn("  {task.description}", markup=False), BarColumn(), TimeRemainingColumn()
            # Drawn on news only: a gateway should not carry a thread for its bar.
            self._bar = Progress(*columns, console=Console(file=self._out), auto_refresh=False, transient=True)
            self._task = self._bar.add_task(detail, total=None)
            self._bar.start()
        self._bar.update(self._task, description=detail, completed=done_bytes, total=total_bytes or None, refresh=True)
