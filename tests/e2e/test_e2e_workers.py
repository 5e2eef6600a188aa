"""`mira serve --workers`: several gateways behind one socket, replaced one after another while calls go on."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.engine import make_url
from tests.support import postgres
from tests.support.gateway import PATIENCE_S, PROXY_KEY, Gateway, eventually, openai_node, price

MODEL = "gpt-4o-mini"
BODY = {"model": f"openai/{MODEL}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
HEADERS = {"authorization": f"Bearer {PROXY_KEY}"}


@pytest.fixture
def gateway(postgres_url, scripted, tmp_path):
    """Two workers on a database of their own."""
    postgres.create(postgres_url, "workers", "template0")
    gateway = Gateway(
        tmp_path,
        nodes=[openai_node(scripted.url, models=[MODEL])],
        prices=[price(f"openai/{MODEL}")],
        tables={"server": {"workers": 2}},
        MIRA_DATABASE_URL=make_url(postgres_url).set(database="workers").render_as_string(hide_password=False),
    )
    gateway.start()
    eventually(lambda: gateway.admin("GET", "/ledger/check")["ok"] and len(workers_of(gateway)) == 2)
    yield gateway
    gateway.close()
    postgres.drop(postgres_url, "workers")


def workers_of(gateway: Gateway) -> set[int]:
    pid = gateway.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Traffic:
    """Clients that call all the time, and whatever they were told but 200."""

    def __init__(self, gateway: Gateway, clients: int = 4) -> None:
        self.failed: list[object] = []
        self.calls = 0
        self._ending = threading.Event()
        self._gateway = gateway
        self._threads = [threading.Thread(target=self._call) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        with httpx2.Client(base_url=self._gateway.url, timeout=PATIENCE_S, trust_env=False) as client:
            while not self._ending.is_set():
                try:
                    response = client.post("/v1/chat/completions", json=BODY, headers=HEADERS)
                except httpx2.HTTPError as error:
                    self.failed.append(error)
                    continue
                self.calls += 1
                if response.status_code != 200:
                    self.failed.append(response.text)

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()


def test_workers_are_replaced_one_after_another_and_no_call_fails(gateway, upstream):
    traffic = Traffic(gateway)
    for _ in range(2):
        known = workers_of(gateway)
        done = traffic.calls
        told = len(gateway.log.splitlines())
        gateway.process.send_signal(signal.SIGUSR1)
        gateway.says(lambda line: "all workers were replaced" in line, since=told)
        assert len(workers_of(gateway) - known) == 2
        eventually(lambda done=done: traffic.calls > done + 20)
    traffic.end()
    assert traffic.failed == []
    assert gateway.admin("GET", "/ledger/check")["ok"]
    assert gateway.log.count("Mira is running.") == 1


def test_a_worker_that_is_killed_is_replaced(gateway, upstream):
    victim, other = workers_of(gateway)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(workers_of(gateway) - {victim, other}) == 1)
    eventually(lambda: gateway.http.post("/v1/chat/completions", json=BODY, headers=HEADERS).status_code == 200)


def test_a_key_revoked_through_one_worker_is_refused_by_the_other_within_a_moment(gateway, upstream):
    made = gateway.admin("POST", "/workspaces/ws_default/keys", {"name": "short-lived"}, status=None)
    headers = {"authorization": f"Bearer {made['secret']}"}

    def statuses() -> set[int]:
        # A connection each, so that both workers are asked.
        return {
            httpx2.post(
                f"{gateway.url}/v1/chat/completions", json=BODY, headers=headers, timeout=PATIENCE_S, trust_env=False
            ).status_code
            for _ in range(12)
        }

    eventually(lambda: statuses() == {200})
    gateway.admin("DELETE", f"/keys/{made['id']}")
    eventually(lambda: statuses() == {401})


def test_a_reload_over_the_api_reaches_every_worker(gateway, upstream, scripted):
    gateway.write_config(
        nodes=[openai_node(scripted.url, name="another", models=[MODEL])],
        prices=[price(f"openai/{MODEL}")],
        tables={"server": {"workers": 2}},
    )
    assert gateway.admin("POST", "/reload") == {"reloaded": True, "nodes": 1}

    def nodes() -> set[str]:
        # A connection each, so that both workers are asked.
        return {
            httpx2.post(
                f"{gateway.url}/v1/chat/completions", json=BODY, headers=HEADERS, timeout=PATIENCE_S, trust_env=False
            ).headers["x-mira-node"]
            for _ in range(12)
        }

    eventually(lambda: nodes() == {"another"})


def test_workers_need_postgresql(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.environ["MIRA_HOME"] = str(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "mira", "serve", "--workers", "2"],
        env=gateway.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    gateway.http.close()
    assert ended.returncode == 1
    assert "need PostgreSQL" in ended.stderr
