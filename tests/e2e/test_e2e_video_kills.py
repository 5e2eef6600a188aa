"""A gateway that is killed at any stage of a video: the job ends once, and is paid for once or not at all.

`make media` does so fifty times.
"""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.gateway import Gateway
from tests.support.video_kills import MODELS, Killing, settings
from tests.support.videos import VideoUpstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[VideoUpstream]:
    upstream = VideoUpstream().start()
    yield upstream
    upstream.stop()


def test_a_job_survives_the_death_of_its_process_at_every_stage(
    upstream: VideoUpstream, make_gateway: Callable[..., Gateway]
) -> None:
    killing = Killing([make_gateway(**settings(upstream))], upstream)
    at = (("submit", MODELS[0]), ("submitted", MODELS[1]), ("content", MODELS[0]))
    ends = [killing.kill(stage, model) for stage, model in at]
    assert killing.wrong == []
    # Sent without an answer: the node that knows the job by its key has done it once, the other's job was given up.
    assert ends == ["failed", "completed", "completed"]


def test_a_process_that_is_told_to_end_does_not_leave_a_job_half_sent(
    upstream: VideoUpstream, make_gateway: Callable[..., Gateway]
) -> None:
    gateway = make_gateway(**settings(upstream))
    upstream.reset()
    stage = upstream.stages["submitted"]
    stage.shut()
    job = gateway.post("/v1/video", {"prompt": "On", "model": MODELS[0]}).json()
    stage.wait()
    gateway.terminate()
    assert gateway.process is not None
    with pytest.raises(subprocess.TimeoutExpired):  # it waits for the node's word
        gateway.process.wait(1.5)
    stage.open.set()
    assert gateway.wait() == 0
    gateway.start()
    ended = gateway.get(f"/v1/video/{job['id']}?wait=100").json()
    assert ended["status"] == "completed", ended
    assert len(upstream.submissions) == 1


def test_another_process_takes_a_dead_ones_jobs_over(
    upstream: VideoUpstream, new_postgres_url: Callable[[], str], tmp_path: Path
) -> None:
    url = new_postgres_url()
    gateways = [
        Gateway(tmp_path / name, **settings(upstream), MIRA_DATABASE_URL=url, MIRA_FILES_URL=f"file://{tmp_path}/files")
        for name in ("one", "two")
    ]
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(Gateway.start, gateways))
        killing = Killing(gateways, upstream)
        assert killing.kill("submitted", MODELS[1], revive=False) == "completed"
        assert killing.wrong == []
    finally:
        for gateway in gateways:
            gateway.close()
