"""The command line as people use it: real gateways in processes of their own, real sockets, real data folders."""

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.support.ports import free_port

from mira import app, process
from mira.cli.main import mira
from mira.cli.program import Program

START_TIMEOUT_S = 120.0
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}


class Gateway:
    """A `mira serve` process and its standard output, line by line."""

    def __init__(self, home: Path, *flags: str, **environ: str) -> None:
        self.home = home
        self.port = free_port()
        self.env = environment(home, MIRA_PORT=str(self.port), **environ)
        self.lines: list[str] = []
        self._buffer = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mira", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )

    def read_until(self, found: Callable[[str], bool]) -> str:
        """Reads the output up to the line that is looked for."""
        assert self.process.stdout is not None
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            while b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                self.lines.append(line.decode())
                if found(self.lines[-1]):
                    return self.lines[-1]
            ready, _, _ = select.select([self.process.stdout], [], [], max(deadline_s - time.monotonic(), 0))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                pytest.fail("mira serve did not say what was expected:\n" + "\n".join(self.lines))
            self._buffer += data

    def wait_until_it_answers(self) -> None:
        """Returns once the gateway has announced itself and answered a request."""
        if not self.lines:
            self.read_until(started)
        with urllib.request.urlopen(f"{self.base_url}/health", timeout=START_TIMEOUT_S) as answer:
            assert answer.status == 200

    def stop(self) -> int:
        """Ends it as an operator would; the rest of its output goes to `lines`."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=START_TIMEOUT_S)
        self.lines += (self._buffer + out).decode().splitlines()
        return self.process.returncode

    @property
    def base_url(self) -> str:
        return f"http://localhost:{self.port}"


class Mira:
    """Runs commands in one data folder."""

    def __init__(self, env: dict[str, str], gateway: Gateway | None) -> None:
        self._env = env
        self.gateway = gateway

    def __call__(self, *arguments: str, status: int = 0, stdin: str | None = None) -> Result:
        cleared = {name: None for name in os.environ if name.startswith("MIRA_")}
        result = run_command(arguments, {**cleared, **self._env}, stdin)
        assert result.exit_code == status, result.output
        return result

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json").stdout)


def run_command(arguments: tuple[str, ...], env: dict[str, Any], stdin: str | None = None) -> Result:
    program = Program(serve=process.serve, application=app.open_application, migrate=app.migrate)
    return CliRunner().invoke(mira, list(arguments), obj=program, env=env, input=stdin, catch_exceptions=False)


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a command: this one's without Mira's own settings, and without an embedded model."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MIRA_", "OPENAI_"))}
    return {**clean, "MIRA_HOME": str(home), "MIRA_LOCAL_NODE": "off", **more}


def started(line: str) -> bool:
    return line == "Mira is running."


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(COMPLETION)

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
