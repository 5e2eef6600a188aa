"""What `mira serve` tells its operator: addresses, the secrets of the first start, a curl line that works."""

import shlex
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from mira.cli.output import heard_or_not, printable
from mira.cli.program import Announcer as Announcing
from mira.cli.program import FirstRun
from mira.cli.progress import TransferProgress

EXAMPLE_MESSAGES = [{"role": "user", "content": "Say hello."}]
KEY_VARIABLE = "MIRA_API_KEY"


def curl_line(base_url: str, model: str, key: str | None) -> str:
    """A chat request as one shell command; without a key it takes `$MIRA_API_KEY`."""
    body = msgspec.json.encode({"model": model, "messages": EXAMPLE_MESSAGES}).decode()
    authorization = (
        f'"Authorization: Bearer ${KEY_VARIABLE}"' if key is None else shlex.quote(f"Authorization: Bearer {key}")
    )
    url = shlex.quote(f"{base_url}/v1/chat/completions")
    return f"curl {url} -H {authorization} -H 'Content-Type: application/json' -d {shlex.quote(body)}"


class PlainAnnouncer:
    """Tells people, on the standard output, on a terminal and in a pipe alike (see `program.Announcer`)."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._progress = TransferProgress(self._out)
        self._base_url = ""
        self._local: tuple[str, str] | None = None
        self._answered = False

    def started(
        self,
        *,
        base_url: str,
        docs_url: str,
        home: str,
        nodes: list[tuple[str, str]],
        notices: Sequence[str],
        first_run: FirstRun | None,
    ) -> None:
        """Prints addresses, nodes and notices, and on the first start the secrets."""
        self._base_url = base_url
        rows = [
            ("portal", f"{base_url}/"),
            ("address", f"{base_url}/v1"),
            ("reference", docs_url),
            ("data", home),
            ("nodes", ", ".join(f"{name} ({origin})" for name, origin in nodes) or "none yet; `mira nodes add --help`"),
            *(("notice", notice) for notice in notices),
        ]
        self._print("Mira is running.", *_labelled(rows))
        if first_run is not None:
            self._print("", "This is the first start. These secrets are shown once:", *self._secrets(first_run))
        self._print("")

    def local_progress(self, *, state: str, done_bytes: int, total_bytes: int, detail: str) -> None:
        """Shows the fetch as progress, every other state as a line, but for `stopped`: the gateway tells its end."""
        if state == "fetching":
            self._local = None
            self._progress.at(detail, done_bytes, total_bytes)
            return
        self._progress.finish()
        if state != "stopped" and (state, detail) != self._local:
            self._local = (state, detail)
            self._print(f"  local model {state}: {printable(detail)}" if detail else f"  local model {state}")

    def answerable(self, *, model: str, key: str | None) -> None:
        """Prints the curl line, for the first model that can answer."""
        if self._answered:
            return
        self._answered = True
        self._progress.finish()
        how = (
            f"A model can answer. With a key in {KEY_VARIABLE} (`mira keys create NAME` makes one), try:"
            if key is None
            else "A model can answer. Try:"
        )
        self._print("", how, "", f"  {curl_line(self._base_url, model, key)}", "")

    def stopped(self) -> None:
        """Says that the end was in order."""
        self._progress.finish()
        self._print("Mira has stopped.")

    def _secrets(self, first_run: FirstRun) -> list[str]:
        user = shlex.quote(f"{first_run.email}:{first_run.password}")
        rows = [("sign-in", f"{first_run.email}  password {first_run.password}")]
        if first_run.key is not None:
            rows.append(("key", first_run.key))
        # The label keeps this line from being taken for the one that asks a model.
        rows.append(("operator API", f"curl -u {user} {shlex.quote(f'{self._base_url}/admin/v1/workspaces')}"))
        return _labelled(rows)

    def _print(self, *lines: str) -> None:
        # Whoever waits for a line in a pipe gets it now.
        with heard_or_not(self._out):
            print(*lines, sep="\n", file=self._out, flush=True)


class JsonAnnouncer:
    """Tells programs: one JSON object per line, its `event` first (see `program.Announcer`)."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._base_url = ""

    def started(
        self,
        *,
        base_url: str,
        docs_url: str,
        home: str,
        nodes: list[tuple[str, str]],
        notices: Sequence[str],
        first_run: FirstRun | None,
    ) -> None:
        """`first_run` is null except on the very first start."""
        self._base_url = base_url
        self._tell(
            "started",
            base_url=base_url,
            docs_url=docs_url,
            home=home,
            nodes=[{"name": name, "origin": origin} for name, origin in nodes],
            notices=list(notices),
            first_run=first_run,
        )

    def local_progress(self, *, state: str, done_bytes: int, total_bytes: int, detail: str) -> None:
        """Every change of the local node."""
        self._tell("local", state=state, done_bytes=done_bytes, total_bytes=total_bytes, detail=detail)

    def answerable(self, *, model: str, key: str | None) -> None:
        """A model that can answer; the key stands in `curl` only."""
        self._tell("answerable", model=model, curl=curl_line(self._base_url, model, key))

    def stopped(self) -> None:
        """The end."""
        self._tell("stopped")

    def _tell(self, event: str, **members: object) -> None:
        line = msgspec.json.encode({"event": event, **members}).decode()
        with heard_or_not(self._out):
            print(line, file=self._out, flush=True)


def _labelled(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(label) for label, _ in rows)
    return [f"  {label:<{width}}  {printable(text)}" for label, text in rows]


class WorkerAnnouncer:
    """Has one of several workers tell what there is to tell, and leaves the end to their supervisor."""

    def __init__(self, announcer: Announcing, *, speaks: bool) -> None:
        def nothing(**_: Any) -> None:
            pass

        self.started = announcer.started if speaks else nothing
        self.local_progress = announcer.local_progress if speaks else nothing
        self.answerable = announcer.answerable if speaks else nothing

    def stopped(self) -> None:
        """Nothing: the gateway goes on without this worker."""
