"""A client's server hears of the end of its video: signed, again until it has heard, and never at a private address."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import openai
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tests.support.gateway import PATIENCE_S, Gateway
from tests.support.videos import VideoUpstream


class Receiver:
    """A client's server: keeps what it is sent and answers with the next of `statuses`, else 204."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self._came = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()
                with receiver._came:
                    receiver.got.append((dict(self.headers.items()), body))
                    receiver._came.notify_all()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_port}"

    def wait(self, number: int) -> list[tuple[dict[str, str], bytes]]:
        with self._came:
            assert self._came.wait_for(lambda: len(self.got) >= number, PATIENCE_S), self.got
        return self.got

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def upstream() -> Iterator[VideoUpstream]:
    upstream = VideoUpstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def receiver(shared: Receiver, upstream: VideoUpstream) -> Receiver:
    upstream.reset()
    shared.got.clear()
    return shared


@pytest.fixture(scope="module")
def gateway(upstream: VideoUpstream, shared: Receiver, make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway(
        nodes=upstream.nodes("sora"),
        prices=[{"model": "openai/sora-2", "second": "0.1"}],
        tables={"video": {"poll_s": 0.05}},
        MIRA_ALLOW_PRIVATE_NETWORKS=shared.address,
    )


def make(gateway: Gateway, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    body = {"prompt": "On", "webhook": f"http://{receiver.address}/hook", **fields}
    job: dict[str, Any] = gateway.post("/v1/video?wait=100", body).json()
    return job


@pytest.mark.parametrize(("fate", "kind"), [("completed", "video.completed"), ("failed", "video.failed")])
def test_the_end_is_told_and_signed(
    gateway: Gateway, upstream: VideoUpstream, receiver: Receiver, fate: str, kind: str
) -> None:
    upstream.fate = fate
    job = make(gateway, receiver)
    ((headers, body),) = receiver.wait(1)
    secret = gateway.get("/v1/extras/webhook-secret").json()["secret"]
    event = Webhook(secret).verify(body, headers)
    assert event["type"] == kind
    assert event["object"] == "event"
    assert event["data"] == {"id": job["id"]}
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(body, headers)
    client.close()
    _, other = gateway.new_key(gateway.new_workspace())
    with pytest.raises(WebhookVerificationError):
        Webhook(gateway.get("/v1/extras/webhook-secret", key=other).json()["secret"]).verify(body, headers)


def test_who_did_not_hear_is_told_again_under_the_same_id(gateway: Gateway, receiver: Receiver) -> None:
    receiver.statuses[:] = [302]
    make(gateway, receiver)
    first, second = receiver.wait(2)
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    assert json.loads(first[1]) == json.loads(second[1])


def test_who_is_owed_a_word_is_told_after_a_kill(gateway: Gateway, upstream: VideoUpstream, receiver: Receiver) -> None:
    receiver.statuses[:] = [500]
    job = make(gateway, receiver)
    receiver.wait(1)
    gateway.kill()
    gateway.start()
    assert json.loads(receiver.wait(2)[1][1])["data"] == {"id": job["id"]}


@pytest.mark.parametrize(
    "address", ["127.0.0.1:{p}", "localhost:{p}", "2130706433:{p}", "10.0.0.1", "169.254.169.254", "1.1.1.1:22", "u@a"]
)
def test_a_job_whose_webhook_would_never_be_told_is_refused(
    gateway: Gateway, upstream: VideoUpstream, receiver: Receiver, address: str
) -> None:
    other = Receiver()
    try:
        host = address.replace("{p}", other.address.rpartition(":")[2])
        before = gateway.balance()
        refused = gateway.post("/v1/video", {"prompt": "On", "webhook": f"http://{host}/hook"})
        error = refused.json()["error"]
        assert (refused.status_code, error["param"], error["type"]) == (400, "webhook", "invalid_request_error")
        assert error["message"].startswith("webhook: ")
        assert host not in error["message"]
        assert upstream.submissions == []
        assert gateway.balance() == before
        assert other.got == []
    finally:
        other.stop()


def test_a_webhook_whose_name_is_not_known_yet_is_taken(gateway: Gateway, receiver: Receiver) -> None:
    job = gateway.post("/v1/video?wait=100", {"prompt": "On", "webhook": "https://later.invalid/hook"}).json()
    assert job["status"] == "completed"
