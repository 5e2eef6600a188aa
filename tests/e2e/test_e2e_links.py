"""Pictures and documents by URL: loaded by Mira only for nodes that take the data alone, and only from where it may."""

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator

import pytest
from tests.e2e.protocols import BEHIND_ANTHROPIC, BEHIND_CHAT, BEHIND_GEMINI, nodes, prices
from tests.support.gateway import PROXY_KEY, Gateway, eventually
from tests.support.upstream import FIN, Moment, Request, Turn, Upstream, answers

PNG = b"\x89PNG\r\n\x1a\n and the rest"
PDF = b"%PDF-1.7 and the rest"
GEMINI = BEHIND_GEMINI.model
ANSWERED = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "A cat."}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 300, "candidatesTokenCount": 3, "totalTokenCount": 303},
}


class ImageHost(Upstream):
    """A web server that plays a script for each path and remembers who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: dict[str, Callable] = {}

    def _take(self, connection, request: Request) -> None:
        self.requests.append(request)
        task = self._loop.create_task(self._play(self.pages[request.path], Turn(connection, request)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def link(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def file(data: bytes, mime_type: str = "application/octet-stream") -> Callable:
    return answers(data, content_type=mime_type)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[ImageHost, ImageHost]]:
    """An allowed host, and one that nobody may touch."""
    pair = ImageHost().start(), ImageHost().start()
    yield pair
    for host in pair:
        host.stop()


@pytest.fixture
def host(hosts) -> ImageHost:
    hosts[0].requests.clear()
    hosts[0].pages = {"/cat.png": file(PNG, "image/png"), "/paper": file(PDF)}
    return hosts[0]


@pytest.fixture
def canary(hosts) -> Iterator[ImageHost]:
    yield hosts[1]
    assert not hosts[1].requests
    assert hosts[1].open_connections == 0


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, hosts, make_gateway: Callable[..., Gateway]) -> Gateway:
    """A node of every kind; one place on loopback is allowed."""
    allowed = f"127.0.0.1:{hosts[0].port}"
    return make_gateway(nodes=nodes(scripted), prices=prices(), MIRA_ALLOW_PRIVATE_NETWORKS=allowed)


@pytest.fixture
def told(upstream) -> Upstream:
    upstream.script(BEHIND_GEMINI.bare, answers(ANSWERED))
    return upstream


def asking(model: str, *parts: dict) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}]}


def image(url: str) -> dict:
    return {"type": "image_url", "image_url": {"url": url}}


def messages_image(url: str, kind: str = "image") -> dict:
    return {"type": kind, "source": {"type": "url", "url": url}}


def inlined(request: Request) -> list[tuple[str, bytes]]:
    parts = [part for content in request.json["contents"] for part in content["parts"]]
    assert not any("fileData" in part for part in parts)
    data = [part["inlineData"] for part in parts if "inlineData" in part]
    return [(one["mimeType"], base64.b64decode(one["data"])) for one in data]


def refused(response, param: str | None, code: str = "url_not_loaded") -> str:
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert "127.0.0.1" not in response.text
    return error["message"]


def test_links_are_loaded_for_a_node_that_takes_only_data(gateway, told, host):
    body = asking(
        GEMINI, image(host.link("/cat.png")), image(host.link("/cat.png")), image("data:image/gif;base64,R0lG")
    )
    response = gateway.post("/v1/chat/completions", body)
    assert response.json()["choices"][0]["message"]["content"] == "A cat."
    assert inlined(told.chats()[0]) == [("image/png", PNG), ("image/png", PNG), ("image/gif", b"GIF")]
    assert len(host.requests) == 1
    assert set(host.requests[0].headers) == {"host", "accept", "accept-encoding", "user-agent"}


def test_every_protocol_and_the_results_of_tools_may_link(gateway, told, host):
    cat, paper = host.link("/cat.png"), host.link("/paper")
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [messages_image(cat)]}
    told_so_far = [
        {"role": "user", "content": [messages_image(paper, "document")]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    response = gateway.post("/v1/messages", {"model": GEMINI, "max_tokens": 50, "messages": told_so_far})
    assert response.status_code == 200, response.text
    assert sorted(inlined(told.chats()[0])) == [("application/pdf", PDF), ("image/png", PNG)]
    parts = [{"type": "input_image", "image_url": cat}, {"type": "input_file", "file_url": paper}]
    response = gateway.post("/v1/responses", {"model": GEMINI, "input": [{"role": "user", "content": parts}]})
    assert response.status_code == 200, response.text
    assert sorted(inlined(told.chats()[1])) == [("application/pdf", PDF), ("image/png", PNG)]


def test_a_text_is_what_it_is_declared_to_be(gateway, told, host):
    host.pages["/notes"] = file("Zürich".encode(), "text/markdown; charset=utf-8")
    part = messages_image(host.link("/notes"), "document")
    body = {"model": GEMINI, "max_tokens": 50, "messages": [{"role": "user", "content": [part]}]}
    assert gateway.post("/v1/messages", body).status_code == 200
    assert inlined(told.chats()[0]) == [("text/markdown", "Zürich".encode())]


def test_documents_are_loaded_for_chat_nodes_and_images_are_theirs_to_load(gateway, upstream, host, canary):
    parts = [messages_image(canary.link("/cat.png")), messages_image(host.link("/paper"), "document")]
    body = {"model": BEHIND_CHAT.model, "max_tokens": 50, "messages": [{"role": "user", "content": parts}]}
    assert gateway.post("/v1/messages", body).status_code == 200
    sent = upstream.chats()[0].json["messages"][0]["content"]
    assert sent[0]["image_url"]["url"] == canary.link("/cat.png")
    assert sent[1]["file"]["file_data"] == "data:application/pdf;base64," + base64.b64encode(PDF).decode()


def test_nothing_is_loaded_for_a_node_that_takes_links(gateway, upstream, canary):
    link = canary.link("/cat.png")
    upstream.script(BEHIND_ANTHROPIC.bare, answers({"error": {"message": "no"}}, 400))
    gateway.post("/v1/chat/completions", asking(BEHIND_ANTHROPIC.model, image(link)))
    assert upstream.chats()[0].json["messages"][0]["content"][1]["source"] == {"type": "url", "url": link}
    gateway.post("/v1/chat/completions", asking(BEHIND_CHAT.model, image(link)))
    assert upstream.chats()[1].json["messages"][0]["content"][1]["image_url"]["url"] == link


@pytest.mark.parametrize("stream", [False, True])
def test_a_private_address_is_refused_without_a_connection(gateway, told, canary, stream):
    before = gateway.balance()
    body = asking(GEMINI, image("data:image/gif;base64,R0lG"), image(canary.link("/cat.png")))
    response = gateway.post("/v1/chat/completions", {**body, "stream": stream})
    refused(response, "messages[0].content[2].image_url.url")
    assert not told.chats()
    assert gateway.balance() == before
    assert gateway.call(response.headers["x-request-id"])["status"] == 400


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://no-such-host.invalid/", "gs://b/o", "x"]
)
def test_one_refusal_says_nothing_of_what_is_there(gateway, told, canary, url):
    known = refused(
        gateway.post("/v1/chat/completions", asking(GEMINI, image(canary.link("/")))),
        "messages[0].content[1].image_url.url",
    )
    said = refused(
        gateway.post("/v1/chat/completions", asking(GEMINI, image(url))), "messages[0].content[1].image_url.url"
    )
    assert said == known
    assert not told.chats()


def test_a_redirect_to_a_private_address_is_refused(gateway, told, host, canary):
    host.pages["/away"] = answers(b"", 302, headers=[("location", canary.link("/cat.png"))])
    body = {
        "model": GEMINI,
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": host.link("/away")}]}],
    }
    refused(gateway.post("/v1/responses", body), "input[0].content[0].image_url")
    assert len(host.requests) == 1
    assert not told.chats()


def test_what_is_no_picture_or_fails_is_refused(gateway, told, host):
    async def cut(turn: Turn) -> None:
        await turn.head(length=100)
        turn.cut(FIN)

    host.pages |= {
        "/page": file(b"<html>the secret of the page", "image/png"),
        "/gone": answers(b"no", 404),
        "/cut": cut,
    }
    for path in ("/page", "/gone", "/cut"):
        response = gateway.post("/v1/chat/completions", asking(GEMINI, image(host.link(path))))
        refused(response, "messages[0].content[1].image_url.url")
        assert "secret" not in response.text
    response = gateway.post("/v1/messages", {**asking(GEMINI, messages_image(host.link("/page"))), "max_tokens": 9})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert not told.chats()


def test_one_request_may_name_twenty_links_and_twenty_mebibytes(gateway, told, host):
    host.pages |= {f"/{n}": file(PNG) for n in range(21)} | {f"/big{n}": file(PNG + bytes(8 << 20)) for n in range(3)}
    many = [image(host.link(f"/{n}")) for n in range(21)]
    refused(gateway.post("/v1/chat/completions", asking(GEMINI, *many)), "messages[0].content[21].image_url.url")
    assert not host.requests
    assert gateway.post("/v1/chat/completions", asking(GEMINI, *many[:20])).status_code == 200
    big = [image(host.link(f"/big{n}")) for n in range(3)]
    response = gateway.post("/v1/chat/completions", asking(GEMINI, *big))
    assert "20 MiB" in response.json()["error"]["message"]
    assert response.status_code == 400


def test_a_client_that_leaves_stops_the_loading_and_pays_nothing(gateway, told, host):
    before = gateway.balance()
    never = Moment()
    host.pages["/slow"] = answers(PNG, hold=never)

    async def leave() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        del reader
        body = str(asking(GEMINI, image(host.link("/slow")))).replace("'", '"').encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {PROXY_KEY}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        await asyncio.to_thread(eventually, lambda: host.requests)
        writer.close()

    runner = threading.Thread(target=lambda: asyncio.run(leave()))
    runner.start()
    runner.join()
    host.requests[0].closed.wait()
    never.happen()
    eventually(lambda: gateway.balance() == before)
    assert not told.chats()


def test_nobody_without_a_key_or_credits_makes_mira_load(gateway, told, host):
    body = asking(GEMINI, image(host.link("/cat.png")))
    assert gateway.post("/v1/chat/completions", body, key="sk-mira-no-such-key-of-nobody-at-all").status_code == 401
    _, poor = gateway.new_key(gateway.new_workspace(amount=None))
    assert gateway.post("/v1/chat/completions", body, key=poor).status_code == 402
    assert not host.requests
