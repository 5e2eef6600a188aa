"""Every route that takes an id, as the table lists them: another workspace's object is the 404 of one that is not."""

import base64
from typing import Any

import httpx2
import pytest
from tests.support.gateway import INFERENCE_KEY, PROXY_KEY, Gateway, eventually
from tests.support.pictures import PNG
from tests.support.videos import VideoUpstream

from mira.api import videos
from mira.api.table import TABLE, Policy, Row

FACES = {Policy.PROXY_KEY: ("proxy", PROXY_KEY), Policy.INFERENCE_KEY: ("inference", INFERENCE_KEY)}
#: Ids that belong to nobody: the fleet's models are for all.
FOR_ALL = ("/v1/models/",)


def owned(row: Row) -> bool:
    return "{id" in row.path and row.policy in FACES and not row.path.startswith(FOR_ALL)


@pytest.fixture(scope="module")
def gateway(make_gateway):
    upstream = VideoUpstream().start()
    gateway = make_gateway(
        nodes=upstream.nodes("sora"),
        prices=[{"model": "openai/sora-2", "second": "0.1"}],
        tables={"defaults": {"video": "openai/sora-2"}, "video": {"poll_s": 0.05}},
    )
    yield gateway
    gateway.close()
    upstream.stop()


@pytest.fixture(scope="module")
def strangers(gateway: Gateway) -> dict[str, str]:
    """Keys of another workspace, one for each face."""
    workspace = gateway.new_workspace()
    return {kind: gateway.new_key(workspace, kind=kind)[1] for kind, _ in FACES.values()}


def file_of(gateway: Gateway, _: Row) -> str:
    body = {"data": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
    return str(gateway.post("/v1/upload", body).json()["id"])


def video_of(gateway: Gateway, row: Row) -> str:
    face, key = ("/inference/v1", INFERENCE_KEY) if row.path.startswith("/inference") else ("/v1", PROXY_KEY)
    made = gateway.post(f"{face}/videos", {"prompt": "waves", "seconds": 4}, key=key)
    assert made.status_code in (200, 202), made.text
    video_id = str(made.json()["id"])
    eventually(lambda: gateway.get(f"{face}/videos/{video_id}", key=key).json()["status"] in ("completed", "failed"))
    return video_id


#: beginning of the path -> what makes an object for it
MAKERS = {
    "/v1/files/": file_of,
    "/v1/video/": video_of,
    "/v1/videos/": video_of,
    "/inference/v1/videos/": video_of,
}


def maker_of(row: Row) -> Any:
    found = [make for start, make in MAKERS.items() if row.path.startswith(start)]
    assert found, f"{row.path}: a route with an id needs a maker here, so that this test can ask for another's object"
    return found[0]


def ask(gateway: Gateway, row: Row, object_id: str, key: str) -> httpx2.Response:
    return gateway.request(row.method, row.path.replace("{id}", object_id), key=key)


def said(answer: httpx2.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("row", [row for row in TABLE if owned(row)], ids=lambda row: f"{row.method} {row.path}")
def test_anothers_object_is_not_there(gateway, strangers, row):
    kind, own_key = FACES[row.policy]
    object_id = maker_of(row)(gateway, row)
    stranger = strangers[kind]
    theirs = said(ask(gateway, row, object_id, stranger))
    none = said(ask(gateway, row, object_id[:-6] + "000000", stranger))
    assert theirs == none
    if row.endpoint is videos.refuse:
        return  # it says to everybody that there is no such thing
    assert theirs[0] == 404
    # and it was there all the time, for its owner
    assert ask(gateway, row, object_id, own_key).status_code == 200
    assert ask(gateway, row, object_id, stranger).status_code == 404


def test_no_route_with_an_id_is_open_to_all():
    assert sum(owned(row) for row in TABLE) >= 12
    assert [row.path for row in TABLE if "{id" in row.path and row.policy is Policy.PUBLIC] == []
