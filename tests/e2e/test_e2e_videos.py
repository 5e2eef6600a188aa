"""Videos against a running gateway: every shape of node, the official SDK, money, cancelling, tenants."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.support.gateway import PROXY_KEY, Gateway, eventually
from tests.support.videos import VideoUpstream

PRICES = [
    {"model": "openai/sora-2", "second": "0.1"},
    {"model": "google/veo-3.1", "second": {"*": "0.2", "1080p": "0.4"}},
    {"model": "acme/film-1", "second": "0.05"},
    {"model": "studio/clip-1", "second": "0.1"},
]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MODELS = ("openai/sora-2", "google/veo-3.1", "acme/film-1", "studio/clip-1")


@pytest.fixture(scope="module")
def shared() -> Iterator[VideoUpstream]:
    upstream = VideoUpstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(shared: VideoUpstream) -> VideoUpstream:
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def gateway(shared: VideoUpstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway(
        nodes=shared.nodes(),
        prices=PRICES,
        models=[{"id": model, "outputs": ["video"]} for model in ("acme/film-1", "studio/clip-1")],
        tables={"defaults": {"video": "openai/sora-2"}, "video": {"poll_s": 0.05}},
        MIRA_BOOTSTRAP_CREDITS="100",
    )


@pytest.fixture(autouse=True)
def paid(gateway: Gateway) -> Iterator[None]:
    """Whatever a test does, the books balance and nothing is held when its jobs have ended."""
    yield
    eventually(lambda: gateway.balance()["held"] == "0")
    gateway.check_ledger()


def spent(gateway: Gateway, before: dict[str, Any]) -> float:
    return round(float(before["balance"]) - float(gateway.balance()["balance"]), 9)


def test_the_seeds_body_makes_a_video(gateway: Gateway, upstream: VideoUpstream) -> None:
    before = gateway.balance()
    made = gateway.post("/v1/video", {"prompt": "A calm sea"})
    assert made.status_code == 202, made.text
    job = made.json()
    assert job["id"].startswith("video_")
    assert job["object"] == "video"
    assert job["model"] == "openai/sora-2"
    assert job["status"] == "queued"
    done = gateway.get(f"/v1/video/{job['id']}", params={"wait": "100"})
    assert done.status_code == 200
    assert done.json()["status"] == "completed", done.text
    assert done.json()["progress"] == 100
    assert done.json()["usage"] == {"seconds": 4, "cost": 0.4}
    assert done.headers["x-mira-cost"] == "0.4"
    content = gateway.get(f"/v1/video/{job['id']}/content")
    assert content.content == upstream.video
    assert content.headers["content-type"] == "video/mp4"
    assert content.headers["content-disposition"].startswith("attachment")
    assert content.headers["x-content-type-options"] == "nosniff"
    assert spent(gateway, before) == 0.4
    record = gateway.call(made.headers["x-request-id"])
    assert (record["status"], record["model"], record["node"]) == (200, "openai/sora-2", "sora")


@pytest.mark.parametrize("model", MODELS)
def test_every_shape_of_node_makes_a_video_from_a_picture(
    gateway: Gateway, upstream: VideoUpstream, model: str
) -> None:
    before = gateway.balance()
    body = {"prompt": "On", "model": model, "seconds": 8, "size": "1280x720", "image": base64.b64encode(PNG).decode()}
    job = gateway.post("/v1/video?wait=100", body).json()
    assert job["status"] == "completed", job
    assert gateway.get(f"/v1/videos/{job['id']}/content").content == upstream.video
    (work,) = upstream.works.values()
    assert work.image == PNG
    rate = {"openai/sora-2": 0.1, "google/veo-3.1": 0.2, "acme/film-1": 0.05, "studio/clip-1": 0.1}[model]
    assert spent(gateway, before) == round(8 * rate, 9)


@pytest.mark.parametrize("model", ["acme/film-1", "studio/clip-1"])
def test_a_trusted_nodes_own_charge_is_what_is_paid(gateway: Gateway, upstream: VideoUpstream, model: str) -> None:
    upstream.cost = 0.123456789
    before = gateway.balance()
    job = gateway.post("/v1/video?wait=100", {"prompt": "On", "model": model, "seconds": 4}).json()
    assert job["usage"]["cost"] == 0.123456789
    assert spent(gateway, before) == 0.123456789


def test_the_most_is_held_and_the_usual_is_charged_where_no_size_is_said(
    gateway: Gateway, upstream: VideoUpstream
) -> None:
    upstream.stages["poll"].shut()
    before = gateway.balance()
    job = gateway.post("/v1/video", {"prompt": "On", "model": "google/veo-3.1", "seconds": 5}).json()
    assert float(gateway.balance()["held"]) == 2.0
    upstream.stages["poll"].open.set()
    assert gateway.get(f"/v1/video/{job['id']}?wait=100").json()["usage"]["cost"] == 1.0
    assert spent(gateway, before) == 1.0


@pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")
def test_the_official_sdk_creates_polls_downloads_and_lists(gateway: Gateway, upstream: VideoUpstream) -> None:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=PROXY_KEY)
    video = client.videos.create_and_poll(
        prompt="A kite", model="sora-2", seconds="4", size="720x1280", input_reference=("a.png", PNG, "image/png")
    )
    assert video.status == "completed"
    assert video.seconds == "4"
    assert client.videos.download_content(video.id).read() == upstream.video
    assert video.id in [each.id for each in client.videos.list(limit=3)]
    assert client.videos.retrieve(video.id).progress == 100
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    with pytest.raises(openai.BadRequestError, match="remixed"):
        client.videos.remix("video_x", prompt="more")
    client.close()


@pytest.mark.parametrize(("fate", "code"), [("failed", "upstream_error"), ("moderation", "moderation_blocked")])
@pytest.mark.parametrize("model", MODELS[:3])
def test_a_failed_job_costs_nothing_and_tells_none_of_the_nodes_words(
    gateway: Gateway, upstream: VideoUpstream, model: str, fate: str, code: str
) -> None:
    upstream.fate = fate
    before = gateway.balance()
    made = gateway.post("/v1/video?wait=100", {"prompt": "On", "model": model})
    job = made.json()
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert "secret words" not in made.text
    assert made.headers["x-mira-cost"] == "0"
    assert spent(gateway, before) == 0
    assert gateway.get(f"/v1/video/{job['id']}/content").status_code == 409


def test_a_job_that_its_node_lost_is_refunded(gateway: Gateway, upstream: VideoUpstream) -> None:
    upstream.fate = "lost"
    before = gateway.balance()
    job = gateway.post("/v1/video?wait=100", {"prompt": "On"}).json()
    assert job["status"] == "failed"
    assert spent(gateway, before) == 0


def test_a_cancelled_job_is_refunded_and_its_node_told(gateway: Gateway, upstream: VideoUpstream) -> None:
    upstream.polls_until_done = 10_000
    before = gateway.balance()
    job = gateway.post("/v1/video", {"prompt": "On"}).json()
    eventually(lambda: gateway.get(f"/v1/video/{job['id']}").json()["progress"] > 0)
    assert float(gateway.balance()["held"]) == 1.2  # twelve seconds, since none were said
    gone = gateway.request("DELETE", f"/v1/video/{job['id']}")
    assert gone.json() == {"id": job["id"], "object": "video.deleted", "deleted": True}
    shown = gateway.get(f"/v1/video/{job['id']}").json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", "cancelled")
    assert list(upstream.works) == upstream.deleted
    assert spent(gateway, before) == 0


def test_an_idempotency_key_makes_one_job(gateway: Gateway, upstream: VideoUpstream) -> None:
    before = gateway.balance()
    headers = {"idempotency-key": "one-video"}
    first = gateway.post("/v1/video", {"prompt": "On", "seconds": 4}, headers=headers)
    again = gateway.post("/v1/video", {"prompt": "On", "seconds": 4}, headers=headers)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = gateway.post("/v1/video", {"prompt": "Off", "seconds": 4}, headers=headers)
    assert other.status_code == 422
    done = gateway.post("/v1/video?wait=100", {"prompt": "On", "seconds": 4}, headers=headers)
    assert (done.json()["id"], done.json()["status"]) == (first.json()["id"], "completed")
    assert len(upstream.submissions) == 1
    assert spent(gateway, before) == 0.4


def test_ranges_of_a_kept_video_are_served(gateway: Gateway, upstream: VideoUpstream) -> None:
    job = gateway.post("/v1/video?wait=100", {"prompt": "On"}).json()
    path, whole = f"/v1/video/{job['id']}/content", upstream.video
    for told, status, span in (
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=299990-", 206, slice(299_990, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=5-1", 200, slice(None)),
        ("bytes=0-1,4-5", 200, slice(None)),
    ):
        part = gateway.get(path, headers={"range": told})
        assert (part.status_code, part.content) == (status, whole[span]), told
    assert gateway.get(path, headers={"range": "bytes=300000-"}).status_code == 416


def test_another_workspaces_job_is_not_there(gateway: Gateway, upstream: VideoUpstream) -> None:
    job = gateway.post("/v1/video?wait=100", {"prompt": "On"}).json()
    _, stranger = gateway.new_key(gateway.new_workspace())
    missing = gateway.get("/v1/video/video_none", key=stranger)
    for method, path in (
        ("GET", f"/v1/video/{job['id']}"),
        ("GET", f"/v1/videos/{job['id']}"),
        ("GET", f"/v1/video/{job['id']}/content"),
        ("GET", f"/v1/videos/{job['id']}/content"),
        ("DELETE", f"/v1/video/{job['id']}"),
        ("DELETE", f"/v1/videos/{job['id']}"),
    ):
        refused = gateway.request(method, path, key=stranger)
        assert (refused.status_code, refused.json()["error"]) == (404, missing.json()["error"]), path
    assert gateway.get("/v1/videos", key=stranger).json()["data"] == []
    assert gateway.get("/v1/videos", params={"after": job["id"]}, key=stranger).json()["data"] == []
    assert gateway.get(f"/v1/video/{job['id']}/content").status_code == 200


def test_who_cannot_pay_the_most_is_refused_before_any_node_is_asked(gateway: Gateway, upstream: VideoUpstream) -> None:
    _, poor = gateway.new_key(gateway.new_workspace("0.39"))
    refused = gateway.post("/v1/video", {"prompt": "On", "seconds": 4}, key=poor)
    assert refused.status_code == 402
    assert upstream.submissions == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x", "seconds": 0}, "seconds"),
        ({"prompt": "x", "seconds": "10000"}, "seconds"),
        ({"prompt": "x", "size": "big"}, "size"),
        ({"prompt": "x", "webhook": "ftp://a"}, "webhook"),
        ({"prompt": "x", "image": "file_00000000000000000000000000000000"}, "image"),
        ({"prompt": "x", "surprise": 1}, "surprise"),
        ({"prompt": "x", "model": "openai/none"}, "model"),
    ],
)
def test_a_wrong_request_names_its_field(
    gateway: Gateway, upstream: VideoUpstream, body: dict[str, Any], param: str
) -> None:
    refused = gateway.post("/v1/video", body)
    assert refused.status_code in (400, 404), refused.text
    assert refused.json()["error"]["param"] == param
    assert upstream.submissions == []


@pytest.mark.parametrize("size", ["1792x1024", "720x720", "7680x4320"])
def test_a_size_that_veo_does_not_know_is_refused_before_anything_is_held(
    gateway: Gateway, upstream: VideoUpstream, size: str
) -> None:
    before = gateway.balance()
    refused = gateway.post("/v1/video", {"prompt": "On", "model": "google/veo-3.1", "seconds": 8, "size": size})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "size")
    assert error["message"].startswith("size: ")
    assert "1920x1080" in error["message"]
    assert gateway.balance() == before
    assert upstream.submissions == []


def test_a_node_that_refuses_is_followed_by_a_refund(gateway: Gateway, upstream: VideoUpstream) -> None:
    upstream.submit_status = 500
    before = gateway.balance()
    job = gateway.post("/v1/video?wait=100", {"prompt": "On", "model": "acme/film-1"}).json()
    assert job["status"] == "failed", job
    assert spent(gateway, before) == 0
