"""Stands between a client and a PostgreSQL server and loses the answer to a commit, as a network can."""

import contextlib
import socket
import tempfile
import threading
from pathlib import Path

#: What the server says when a transaction is committed.
COMMITTED = b"COMMIT\0"


class Severing:
    """A server's Unix socket in a folder of its own. While `doubt` is set, the next commit happens untold."""

    def __init__(self, folder_of_server: str) -> None:
        self._server = str(Path(folder_of_server) / ".s.PGSQL.5432")
        self._folder = tempfile.TemporaryDirectory(prefix="mira-cut-")
        self.folder = self._folder.name
        self.doubt = False
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(f"{self.folder}/.s.PGSQL.5432")
        self._listening.listen()
        self._open: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends every connection."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += (client, server)
                for pair, answers in (((client, server), False), ((server, client), True)):
                    thread = threading.Thread(target=self._carry, args=(*pair, answers))
                    thread.start()
                    self._threads.append(thread)

    def _carry(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self.doubt and COMMITTED in data:
                    self.doubt = False
                    break
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
