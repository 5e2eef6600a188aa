"""The vendors' JavaScript SDKs and OpenCode, through Mira, to the other vendor's node. `make clients` runs these.

Needs the packages that `scripts/clients` installs, and their folder in `MIRA_TEST_PACKAGES`.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, Behind
from tests.support.gateway import PROXY_KEY, UPSTREAM_KEY, Gateway, price
from tests.support.said import Called, Counts, Said
from tests.support.upstream import Turn, Upstream

from mira.core.money import credits_text

pytestmark = pytest.mark.clients

HERE = Path(__file__).parent
PATIENCE_S = 120
HELLO = Said(texts=("Grüezi ", "from ", "afar ☀."), counts=Counts(input=101, output=7))
CALLS = (Called("call_1", "weather", '{"city":"Zürich"}'), Called("call_2", "weather", '{"city":"Oslo"}'))
#: The models of the mission's own `opencode.json`, with what serves them here.
CHAT_MODEL, CHAT_BARE = "openai/gpt-5.1", "gpt-5.1"
ANTHROPIC_MODEL, ANTHROPIC_BARE = "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"


@pytest.fixture(scope="module")
def packages() -> Path:
    """The folder of the npm packages."""
    folder = os.environ.get("MIRA_TEST_PACKAGES")
    assert folder, "run `make clients`, which installs the packages that these tests need"
    return Path(folder)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Both vendors at once: its scripts decide which it is."""
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def gateway(upstream: Upstream, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway with a Chat node and an Anthropic node, both before the scripted upstream."""
    root = upstream.url.removesuffix("/v1")
    chat = {"name": "chat", "kind": "openai-compatible", "provider": "openai", "base_url": upstream.url}
    anthropic = {"name": "anthropic", "kind": "anthropic", "base_url": root}
    gateway = Gateway(
        tmp_path / "mira",
        nodes=[
            {**chat, "api_key": UPSTREAM_KEY, "models": [CHAT_BARE]},
            {**anthropic, "api_key": UPSTREAM_KEY, "models": [ANTHROPIC_BARE]},
        ],
        prices=[price(CHAT_MODEL), price(ANTHROPIC_MODEL)],
    )
    yield gateway.start()
    gateway.close()


def check_bills(gateway: Gateway, upstream: Upstream, said: list[Said]) -> None:
    """What the ledger took is exactly what the node told, call by call."""
    requests = upstream.received(len(said))
    assert len(requests) == len(said)
    expected = sum(1_000 * one.counts.prompt + 2_000 * one.counts.completion for one in said)
    records = [gateway.call(request.headers["x-request-id"]) for request in requests]
    assert sorted(record["status"] for record in records) == [200] * len(said)
    balance = gateway.balance()
    assert balance["balance"] == credits_text(10 * 10**9 - expected)
    assert float(balance["held"]) == 0
    gateway.check_ledger()


@pytest.mark.parametrize(
    ("script", "behind", "model", "bare", "finish"),
    [
        ("chat.mjs", BEHIND_ANTHROPIC, ANTHROPIC_MODEL, ANTHROPIC_BARE, "stop"),
        ("messages.mjs", BEHIND_CHAT, CHAT_MODEL, CHAT_BARE, "end_turn"),
        ("responses.mjs", BEHIND_CHAT, CHAT_MODEL, CHAT_BARE, "completed"),
        ("responses.mjs", BEHIND_ANTHROPIC, ANTHROPIC_MODEL, ANTHROPIC_BARE, "completed"),
    ],
)
def test_an_sdks_streaming_helper_and_tool_runner_reach_the_other_vendor(
    gateway: Gateway,
    upstream: Upstream,
    packages: Path,
    script: str,
    behind: Behind,
    model: str,
    bare: str,
    finish: str,
) -> None:
    first = Said(texts=("Let me look.",), calls=CALLS, counts=Counts(input=40, output=22))
    second = Said(texts=("Sun ", "in both."), counts=Counts(input=90, output=5))
    said = [HELLO, first, second, first, second]
    upstream.script(bare, *behind.wire.says(*said))
    environ = {
        **os.environ,
        "MIRA_TEST_URL": gateway.url,
        "MIRA_TEST_KEY": PROXY_KEY,
        "MIRA_TEST_MODEL": model,
        "MIRA_TEST_PACKAGES": str(packages),
    }
    told = run(["node", str(HERE / script)], HERE, environ)
    assert json.loads(told) == {
        "deltas": "Grüezi from afar ☀.",
        "text": "Grüezi from afar ☀.",
        "finish": finish,
        "input": 101,
        "output": 7,
        "asked": ["Zürich", "Oslo"] * 2,
        "streamed": "Sun in both.",
        "whole": "Sun in both.",
    }
    for request in (upstream.received(5)[2], upstream.received(5)[4]):
        results = [text for _, text in behind.results(request.json)]
        assert results == ["Zürich: ☀ 21 °C", "Oslo: ☀ 21 °C"]
    check_bills(gateway, upstream, said)


@pytest.mark.parametrize(
    ("behind", "model", "bare"),
    [(BEHIND_CHAT, CHAT_MODEL, CHAT_BARE), (BEHIND_ANTHROPIC, ANTHROPIC_MODEL, ANTHROPIC_BARE)],
    ids=["chat", "anthropic"],
)
@pytest.mark.parametrize("npm", ["@ai-sdk/openai-compatible", "@ai-sdk/anthropic", "@ai-sdk/openai"])
def test_opencode_reads_and_writes_a_file_in_a_tool_loop(
    gateway: Gateway,
    upstream: Upstream,
    packages: Path,
    tmp_path: Path,
    behind: Behind,
    model: str,
    bare: str,
    npm: str,
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    project.mkdir()
    (project / "input.txt").write_text("The word is Xylophon-4711.\n")
    write_config(home, gateway, npm)
    said: list[Said] = []
    upstream.script(bare, works(behind, project, said))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "OPENCODE", "MIRA_"))}
    environ |= {
        "HOME": str(home),
        "PWD": str(project),
        "MIRA_API_KEY": PROXY_KEY,
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    opencode = str(packages / "node_modules/.bin/opencode")
    told = run([opencode, "run", "-m", f"mira/{model}", "Copy the word of input.txt to output.txt."], project, environ)
    assert (project / "output.txt").read_text() == "Copied: Xylophon-4711\n"
    assert "It is done." in told
    working = [request for request in upstream.received(3) if request.json.get("tools")]
    assert len(working) == 3
    reading, writing = [name for _, name in behind.calls(working[-1].json)]
    assert (reading, writing in {"write", "apply_patch"}) == ("read", True)
    check_bills(gateway, upstream, said)


def write_config(home: Path, gateway: Gateway, npm: str) -> None:
    """The configuration as the mission's API reference has it, but for the port."""
    models = {
        "anthropic/claude-sonnet-4.5": {"name": "Claude Sonnet 4.5"},
        "anthropic/claude-haiku-4.5": {"name": "Claude Haiku 4.5"},
        "openai/gpt-5.1": {"name": "GPT-5.1"},
        "google/gemini-3-flash": {"name": "Gemini 3 Flash"},
    }
    options = {"baseURL": f"{gateway.url}/v1", "apiKey": "{env:MIRA_API_KEY}"}
    provider = {"mira": {"npm": npm, "name": "Mira AI Proxy", "options": options, "models": models}}
    folder = home / ".config/opencode"
    folder.mkdir(parents=True)
    told = {"$schema": "https://opencode.ai/config.json", "provider": provider}
    (folder / "opencode.json").write_text(json.dumps(told, indent=2))


def works(behind: Behind, project: Path, said: list[Said]) -> Callable[[Turn], Any]:
    """A model that reads a file, writes what it read into another and says so; without tools it names the talk."""

    def decide(body: Any) -> Said:
        results = behind.results(body)
        if not body.get("tools"):
            return Said(texts=("A word",), counts=Counts(input=20, output=2))
        if not results:
            return Said(texts=("I read.",), calls=(called("read", filePath=str(project / "input.txt")),))
        if len(results) == 1:
            word = results[0][1].partition("The word is ")[2].partition(".")[0]
            return Said(calls=(writing(body, project / "output.txt", f"Copied: {word}"),))
        return Said(texts=("It is ", "done."), counts=Counts(input=300, output=4))

    async def script(turn: Turn) -> None:
        said.append(decide(turn.request.json))
        await behind.wire.says(said[-1])[0](turn)

    return script


def writing(body: Any, path: Path, line: str) -> Called:
    """The call that writes a file of one line, with the tool that OpenCode gives to this model."""
    names = {(tool.get("function") or tool)["name"] for tool in body["tools"]}
    if "write" in names:
        return called("write", filePath=str(path), content=f"{line}\n")
    patch = f"*** Begin Patch\n*** Add File: {path}\n+{line}\n*** End Patch"
    return called("apply_patch", patchText=patch)


def called(name: str, **arguments: str) -> Called:
    return Called(f"call_{name}", name, json.dumps(arguments))


def run(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    """What a command wrote to its standard output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
