"""Coding agents after `mira connect`, run by the line it prints, and the portal's JavaScript. `make clients` runs these."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.accounts.browser import invited
from tests.support.gateway import PROXY_KEY, UPSTREAM_KEY, Gateway, price
from tests.support.upstream import Upstream, answers_as_asked

pytestmark = pytest.mark.clients

MODEL, BARE = "openai/llama", "llama"
WORDS = "Grüezi from the other side."
PATIENCE_S = 120


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder of the npm packages."""
    folder = os.environ.get("MIRA_TEST_PACKAGES")
    assert folder, "run `make clients`, which installs the packages that these tests need"
    return Path(folder)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway before a node that always says the same."""
    upstream = Upstream([BARE]).start()
    upstream.script(BARE, answers_as_asked(WORDS))
    node = {"name": "chat", "kind": "openai-compatible", "provider": "openai", "base_url": upstream.url}
    gateway = Gateway(
        tmp_path_factory.mktemp("connected") / "mira",
        nodes=[{**node, "api_key": UPSTREAM_KEY, "models": [BARE]}],
        prices=[price(MODEL)],
    )
    yield gateway.start()
    gateway.close()
    upstream.stop()


@pytest.mark.parametrize("client", ["opencode", "claude-code", "codex", "cline", "qwen-code"])
def test_a_client_that_was_connected_gets_an_answer(
    client: str, gateway: Gateway, packages: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MIRA_", "ANTHROPIC_"))}
    environ = {
        **kept,
        "HOME": str(tmp_path),
        "PATH": f"{packages / 'node_modules/.bin'}:{kept['PATH']}",
        "MIRA_API_KEY": PROXY_KEY,
        "NO_PROXY": "127.0.0.1,localhost",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    command = [sys.executable, "-m", "mira", "connect", client, "--url", gateway.url, "--model", MODEL, "--json"]
    told = json.loads(subprocess.run(command, env=environ, capture_output=True, check=True, timeout=PATIENCE_S).stdout)
    try:
        ran = run(["bash", "-c", told["run"]], project, environ)
        assert WORDS in ran.stdout + ran.stderr
    finally:
        end_what_lives_in(tmp_path)


def test_the_portals_javascript_runs_as_it_is_shown(gateway: Gateway, packages: Path, tmp_path: Path) -> None:
    """In a folder with the package that it asks for, under the ending that it asks for, the key put in by the page."""
    member = invited(gateway, "script@example.com")
    told = member.get(f"/portal/v1/connect?model={MODEL}")
    member.close()
    [shown] = [client for client in told["clients"] if client["id"] == "javascript"]
    assert shown["notes"][0] == "npm install openai"
    assert ".mjs" in shown["notes"][1]
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    program = tmp_path / "ask.mjs"
    program.write_text(shown["snippet"]["text"].replace(told["placeholder"], PROXY_KEY))
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ran = run(["node", str(program)], tmp_path, environ)
    assert (ran.returncode, ran.stdout.strip(), ran.stderr) == (0, WORDS, "")


def end_what_lives_in(home: Path) -> None:
    """Ends what a client left running (Cline keeps a process of its own), known by its home folder."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGTERM)


def run(command: list[str], folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
