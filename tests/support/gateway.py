"""A gateway as people run it: `mira serve` in a process of its own, with a data folder and a configuration file."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx2
from tests.support.ports import free_port

PATIENCE_S = 120.0
PROXY_KEY = "sk-mira-the-first-key-of-the-tests-0001"
INFERENCE_KEY = "mk_inference_the-first-key-of-the-tests-0002"
ADMIN_KEY = "the-operator-key-of-the-tests-00000003"
UPSTREAM_KEY = "sk-upstream-secret-that-nobody-may-see-0004"


class Gateway:
    """A `mira serve` process. `nodes`, `prices`, `models` and `tables` become its `mira.toml`, `environ` its settings.

    Starts with one workspace (`ws_default`, 10 credits) and the keys above.
    """

    def __init__(
        self,
        home: Path,
        *,
        nodes: Iterable[dict[str, Any]] = (),
        prices: Iterable[dict[str, Any]] = (),
        models: Iterable[dict[str, Any]] = (),
        tables: dict[str, dict[str, Any]] | None = None,
        **environ: str,
    ) -> None:
        self.home = home
        self.port = free_port()
        home.mkdir(parents=True, exist_ok=True)
        self.config_path = home / "mira.toml"
        self.write_config(nodes=nodes, prices=prices, models=models, tables=tables)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MIRA_")}
        for name in [name for name in clean if name.endswith("_API_KEY")]:
            del clean[name]
        self.environ = {
            **clean,
            "MIRA_HOME": str(home),
            "MIRA_CONFIG": str(self.config_path),
            "MIRA_HOST": "127.0.0.1",
            "MIRA_PORT": str(self.port),
            "MIRA_ADMIN_KEY": ADMIN_KEY,
            "MIRA_BOOTSTRAP_KEY": PROXY_KEY,
            "MIRA_BOOTSTRAP_INFERENCE_KEY": INFERENCE_KEY,
            "MIRA_LOCAL_NODE": "off",
            **environ,
        }
        self.http = httpx2.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self._reader: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_config(
        self,
        *,
        nodes: Iterable[dict[str, Any]] = (),
        prices: Iterable[dict[str, Any]] = (),
        models: Iterable[dict[str, Any]] = (),
        tables: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        told = tables or {}
        # Nobody balances load before these gateways, so none waits at its end for a balancer to notice. What is slow here
        # is the machine, not the database.
        ours: dict[str, dict[str, Any]] = {"server": {"unready_s": 0}, "ledger": {"late_s": 60}}
        tables = {**told, **{name: {**table, **told.get(name, {})} for name, table in ours.items()}}
        parts = [_table(f"[{name}]", table) for name, table in tables.items()]
        parts += [_table("[[nodes]]", node) for node in nodes]
        parts += [_table("[[prices]]", price) for price in prices]
        parts += [_table("[[models]]", model) for model in models]
        self.config_path.write_text("\n".join(parts))

    # Its life

    def start(self, *flags: str) -> "Gateway":
        """Starts it, here or again in the same data folder; returns once it is ready."""
        assert self.process is None or self.process.poll() is not None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mira", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environ,
            cwd=self.home,
        )
        told = len(self._lines)
        # Not left to the thread, which may begin after somebody has asked whether the process ended.
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(self.process,))
        self._reader.start()
        try:
            # Its sockets listen before it says that it runs, so the request below waits in line until it serves.
            self.says(lambda line: "Mira is running." in line or '"started"' in line, since=told)
            assert self.http.get("/ready").status_code == 200
        except BaseException:
            self.kill()
            raise
        return self

    def says(self, found: Callable[[str], bool], *, since: int = 0, timeout_s: float = PATIENCE_S) -> str:
        """The first line of output (after the first `since`) that is looked for."""

        def match() -> str | None:
            return next((line for line in self._lines[since:] if found(line)), None)

        with self._said:
            over = self._said.wait_for(lambda: match() is not None or self._ended, timeout_s)
            line = match()
        assert line is not None, f"{'it ended' if over else 'nothing came'}; the log:\n{self.log}"
        return line

    def terminate(self) -> None:
        """Asks it to drain, without waiting."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit status."""
        assert self.process is not None
        status = self.process.wait(PATIENCE_S)
        if self._reader is not None:
            self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def stop(self) -> None:
        """Ends it as an operator would."""
        self.terminate()
        assert self.wait() == 0, self.log

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.wait()

    def close(self) -> None:
        """Ends it if it still runs, and lets go of every connection."""
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.stop()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that it wrote, standard output and error."""
        return "\n".join(self._lines)

    def _read(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._said:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    # Its API

    def request(self, method: str, path: str, *, key: str | None = PROXY_KEY, **more: Any) -> httpx2.Response:
        """One request with a key as bearer (None for none)."""
        headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        return self.request("POST", path, json=body, **more)

    def admin(self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any) -> Any:
        """A request to the operator API; the decoded answer (None where it has no body), or the whole one.

        With `status` None any 2xx is expected.
        """
        response = self.request(method, f"/admin/v1{path}", key=ADMIN_KEY, json=body, **more)
        expected = response.is_success if status is None else response.status_code == status
        assert expected, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def chat(
        self, model: str, text: str = "Hi", *, key: str = PROXY_KEY, path: str = "/v1/chat/completions", **fields: Any
    ) -> httpx2.Response:
        """A chat request with one user message; the whole answer, streamed or not, is read."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.post(path, body, key=key)

    def new_key(self, workspace_id: str = "ws_default", **fields: Any) -> tuple[str, str]:
        """A new key's id and secret."""
        key = self.admin("POST", f"/workspaces/{workspace_id}/keys", {"name": "a key", **fields})
        return key["id"], key["secret"]

    def new_workspace(self, amount: str | None = "10", name: str = "a workspace") -> str:
        """A new workspace's id."""
        workspace_id: str = self.admin("POST", "/workspaces", {"name": name})["id"]
        if amount is not None:
            self.admin("POST", f"/workspaces/{workspace_id}/credits", {"amount": amount, "reference": "first"})
        return workspace_id

    def balance(self, workspace_id: str = "ws_default") -> dict[str, Any]:
        """The credits of a workspace: `balance`, `held`, `available`."""
        found: dict[str, Any] = self.admin("GET", f"/workspaces/{workspace_id}")
        return found

    def call(self, request_id: str) -> dict[str, Any]:
        """The record of a call. It is written with the settlement, so an answered call has one."""
        found: dict[str, Any] = self.admin("GET", f"/calls/{request_id}")
        return found

    def check_ledger(self) -> dict[str, Any]:
        """The check of the ledger, which must be well."""
        checked: dict[str, Any] = self.admin("GET", "/ledger/check")
        assert checked["ok"], checked
        return checked


def openai_node(
    url: str, name: str = "scripted", models: Iterable[str] = ("gpt-4o-mini",), **more: Any
) -> dict[str, Any]:
    """A node of kind openai in front of a scripted upstream."""
    return {"name": name, "kind": "openai", "base_url": url, "api_key": UPSTREAM_KEY, "models": list(models), **more}


def price(model: str, input_: str = "1", output: str = "2", **more: Any) -> dict[str, Any]:
    """A price in credits per million tokens: by default 1,000 and 2,000 nano-credits a token."""
    return {"model": model, "input": input_, "output": output, **more}


def eventually(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """What the condition gives once it holds; for facts that nobody announces."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, "it did not come to hold"
        time.sleep(0.01)
    return value


def _table(head: str, table: dict[str, Any]) -> str:
    """A TOML table of strings, numbers, booleans and lists of them, which JSON writes alike, and of inline tables."""
    return "\n".join([head, *(f"{name} = {_value(value)}" for name, value in table.items()), ""])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    return json.dumps(value)
