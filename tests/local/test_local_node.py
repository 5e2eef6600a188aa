"""The supervisor and the runtime with the real small model: what is asserted is protocol and lifetime, not wisdom."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from mira.core.conversation import Conversation, FunctionTool, JsonSchema, SystemTurn, Text, ToolMode, UserTurn
from mira.errors import MiraError
from mira.nodes.local.adapter import prepare
from mira.nodes.local.node import LocalNode, tokenize_body, tokens_counted
from mira.nodes.local.packs import SMOLLM2

WAIT_S = 120


class Watcher:
    """Collects the states of a node and lets a test wait for one."""

    def __init__(self):
        self.states: list[tuple[str, str]] = []
        self.changed = asyncio.Event()

    def __call__(self, node: LocalNode):
        self.states.append((node.state, node.detail))
        self.changed.set()

    async def until(self, state: str, after: int = 0) -> str:
        """The detail of the first `state` among the changes from number `after` on."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for seen, detail in self.states[after:]:
                    if seen == state:
                        return detail
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def running(model, cache_dir: Path):
    watcher = Watcher()
    node = LocalNode(model, cache_dir, watcher)
    node.start()
    try:
        yield node, watcher
    finally:
        await node.stop()


@asynccontextmanager
async def ready(cache_dir: Path):
    async with running(SMOLLM2, cache_dir) as (node, watcher):
        await watcher.until("ready")
        yield node, watcher


def request(url: str, headers: dict[str, str], body: bytes) -> bytes:
    asked = urllib.request.Request(url, data=body, headers={"content-type": "application/json"} | headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(asked, timeout=WAIT_S) as answer:
        return answer.read()


async def chat(node: LocalNode, **fields) -> bytes:
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8} | fields
    headers = {"authorization": f"Bearer {node.api_key}"}
    return await asyncio.to_thread(request, f"{node.base_url}/chat/completions", headers, json.dumps(body).encode())


def runtimes() -> list[int]:
    """Process ids of the runtimes that this process started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        # Threads and children that are none of these may end while this looks.
        with suppress(OSError):
            for pid in (task / "children").read_text().split():
                with suppress(OSError):
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    if b"mira.nodes.local.runtime" in command:
                        found.append(int(pid))
    return found


async def test_a_chat_is_answered_with_usage(models_dir):
    async with ready(models_dir) as (node, _):
        assert node.model_id == "mira/local-mini"
        assert node.context_tokens == SMOLLM2.context_tokens
        answer = json.loads(await chat(node))
    assert answer["model"] == "mira/local-mini"
    assert answer["choices"][0]["message"]["content"]
    assert 0 < answer["usage"]["completion_tokens"] <= 8
    assert answer["usage"]["prompt_tokens"] > 0


async def test_a_chat_streams_and_ends_with_usage(models_dir):
    async with ready(models_dir) as (node, _):
        stream = await chat(node, stream=True, stream_options={"include_usage": True})
    lines = [line.removeprefix("data: ") for line in stream.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert chunks[-1]["usage"]["completion_tokens"] > 0


async def test_tokens_are_counted_by_the_model_itself(models_dir):
    async with ready(models_dir) as (node, _):
        target = node.tokenize_target
        counts = [
            tokens_counted(await asyncio.to_thread(request, target.url, target.headers, tokenize_body(text)))
            for text in ("", "Hello world", "<|im_start|>")
        ]
    assert counts[:2] == [0, 2]
    assert counts[2] > 1, "the words of a prompt never become control tokens"


async def test_the_child_answers_only_to_its_key(models_dir):
    async with ready(models_dir) as (node, _):
        assert len(node.api_key) >= 32
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(request, f"{node.base_url}/chat/completions", {}, b"{}")
        refused.value.close()
    assert refused.value.code == 401


async def test_a_prompt_longer_than_the_context_is_refused_by_the_child(models_dir):
    async with ready(models_dir) as (node, _):
        with pytest.raises(urllib.error.HTTPError) as refused:
            await chat(node, messages=[{"role": "user", "content": "a b c d " * 3000}])
        body = json.loads(refused.value.read())
        refused.value.close()
    assert refused.value.code == 400
    assert body["error"]["type"] == "exceed_context_size_error"


async def test_a_forced_call_is_valid_json_even_from_the_smallest_model(models_dir):
    schema = {
        "type": "object",
        "properties": {"place": {"$ref": "#/$defs/place"}},
        "required": ["place"],
        "additionalProperties": False,
        "$defs": {"place": {"type": "string", "enum": ["Paris", "Rome"]}},
    }
    tool = FunctionTool(name="weather", parameters=msgspec.Raw(json.dumps(schema).encode()))
    asked = UserTurn(parts=(Text(text="What is the weather in Paris?"),))
    prepared = prepare(
        Conversation(model="mira/local-mini", turns=(asked,), tools=(tool,), tool_choice=ToolMode.REQUIRED)
    )
    system, user = prepared.turns
    assert isinstance(system, SystemTurn)
    assert isinstance(user, UserTurn)
    assert isinstance(prepared.response_format, JsonSchema)
    assert prepared.response_format.schema is not None
    messages = [{"role": "system", "content": system.parts[0].text}, {"role": "user", "content": asked.parts[0].text}]
    form = {"name": "call", "schema": json.loads(bytes(prepared.response_format.schema))}
    async with ready(models_dir) as (node, _):
        answer = await chat(
            node, messages=messages, max_tokens=60, response_format={"type": "json_schema", "json_schema": form}
        )
    call = json.loads(json.loads(answer)["choices"][0]["message"]["content"])
    assert call["name"] == "weather"
    assert call["arguments"]["place"] in {"Paris", "Rome"}


async def test_a_killed_child_is_started_again(models_dir):
    async with ready(models_dir) as (node, watcher):
        (pid,) = runtimes()
        key, seen = node.api_key, len(watcher.states)
        os.kill(pid, signal.SIGKILL)
        assert "ended with code" in await watcher.until("failed", after=seen)
        await watcher.until("ready", after=seen)
        assert node.api_key != key
        assert json.loads(await chat(node))["choices"]
    assert node.state == "stopped"
    assert runtimes() == []


async def test_a_node_that_is_not_ready_says_when_to_come_back(models_dir):
    async with running(SMOLLM2, models_dir) as (node, watcher):
        await watcher.until("starting")
        refusal = node.refusal()
        assert refusal.status == 503
        assert refusal.retry_after_s == node.retry_after_s >= 1
        with pytest.raises(MiraError):
            _ = node.tokenize_target


async def test_a_file_that_is_no_model_fails_with_words_and_is_not_tried_again(tmp_path):
    path = tmp_path / "own.gguf"
    path.write_bytes(b"something else")
    async with running(path, tmp_path) as (node, watcher):
        assert "is not a GGUF file" in await watcher.until("failed")
        assert node.model_id == "mira/local"
    assert [state for state, _ in watcher.states] == ["starting", "failed", "stopped"]


async def test_a_cut_model_file_fails_with_words(tmp_path, models_dir):
    path = tmp_path / "cut.gguf"
    with SMOLLM2.model_path(models_dir).open("rb") as whole:
        path.write_bytes(whole.read(3_000_000))
    async with running(path, tmp_path) as (_, watcher):
        assert "cannot load" in await watcher.until("failed")


async def test_a_file_of_ones_own_is_served_as_mira_local(models_dir, tmp_path):
    async with running(SMOLLM2.model_path(models_dir), tmp_path) as (node, watcher):
        await watcher.until("ready")
        assert node.context_tokens == 8_192
        assert json.loads(await chat(node))["model"] == "mira/local"


async def test_without_a_network_the_node_fails_with_advice_and_keeps_trying(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    async with running(SMOLLM2, tmp_path) as (node, watcher):
        detail = await watcher.until("failed")
        assert "MIRA_LOCAL_NODE=off" in detail
        assert 1 <= node.retry_after_s <= 30
        assert watcher.states[0][0] == "fetching"


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from mira.nodes.local.node import LocalNode
from mira.nodes.local.packs import SMOLLM2

async def main():
    node = LocalNode(SMOLLM2, Path(sys.argv[1]), lambda node: print(node.state, flush=True))
    node.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_child_is_gone_when_its_supervisor_is_killed(models_dir):
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(models_dir)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        while supervisor.stdout.readline().strip() != "ready":
            assert supervisor.poll() is None
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text().split()
        watched = {pid: os.pidfd_open(int(pid)) for pid in children}
        assert watched
        supervisor.kill()
        for pid, handle in watched.items():
            ended, _, _ = select.select([handle], [], [], WAIT_S)
            os.close(handle)
            assert ended, f"the child {pid} outlived its supervisor"


def test_without_the_runtime_the_program_names_the_extra(tmp_path):
    program = (
        "import sys; sys.modules['xllamacpp'] = None\n"
        "from mira.nodes.local.runtime import main\n"
        "main(['/nowhere.gguf', 'mira/local', '512'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"MIRA_LOCAL_KEY": "k"},
    ) as process:
        assert process.stdout is not None
        hello = json.loads(process.stdout.readline())
        assert process.wait(WAIT_S) == 1
    assert "pip install 'mira[local]'" in hello["error"]


def test_wrong_arguments_of_the_runtime_are_told():
    done = subprocess.run(
        [sys.executable, "-m", "mira.nodes.local.runtime"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "MODEL_PATH ALIAS N_CTX" in done.stderr
