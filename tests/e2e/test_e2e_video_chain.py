"""Videos through another Mira, results that lie elsewhere, and what a cancelled job costs its operator."""

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from tests.support.gateway import INFERENCE_KEY, Gateway, eventually
from tests.support.videos import VideoUpstream

PRICES = [{"model": "openai/sora-2", "second": "0.1"}]
#: What is held at least covers what the next Mira charges with its markup.
DEARER = [{"model": "openai/sora-2", "second": "0.2"}]


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
def far(shared: VideoUpstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The Mira before the vendor. It may reach the host where results lie."""
    return make_gateway(
        nodes=shared.nodes("sora", markup="1.5"),
        prices=PRICES,
        tables={"video": {"poll_s": 0.05}},
        MIRA_ALLOW_PRIVATE_NETWORKS=shared.url.removeprefix("http://"),
    )


@pytest.fixture(scope="module")
def near(far: Gateway, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The Mira before that one, which keeps no videos itself and may reach no private host."""
    node = {"name": "far", "kind": "mira", "base_url": f"{far.url}/inference/v1", "api_key": INFERENCE_KEY}
    gateway = make_gateway(nodes=[node], tables={"video": {"poll_s": 0.05, "store_mib": 0}}, prices=DEARER)
    eventually(lambda: "openai/sora-2" in gateway.get("/v1/models").text)
    return gateway


@pytest.fixture(autouse=True)
def paid(near: Gateway, far: Gateway) -> Iterator[None]:
    yield
    for gateway in (near, far):
        eventually(lambda gateway=gateway: gateway.balance()["held"] == "0")
        gateway.check_ledger()


def balance(gateway: Gateway) -> Decimal:
    return Decimal(gateway.balance()["balance"])


def test_a_video_through_another_mira_is_charged_what_that_one_charges(
    near: Gateway, far: Gateway, upstream: VideoUpstream
) -> None:
    before = balance(near), balance(far)
    job = near.post("/v1/video?wait=100", {"prompt": "On", "seconds": 8}).json()
    assert job["status"] == "completed", job
    assert (before[0] - balance(near), before[1] - balance(far)) == (Decimal("1.2"), Decimal("1.2"))
    assert near.get(f"/v1/video/{job['id']}/content").content == upstream.video
    assert len(upstream.works) == 1


def test_cancelling_reaches_through_to_the_vendor_and_costs_nobody(
    near: Gateway, far: Gateway, upstream: VideoUpstream
) -> None:
    upstream.polls_until_done = 10_000
    before = balance(near), balance(far)
    job = near.post("/v1/video", {"prompt": "On", "seconds": 8}).json()
    eventually(lambda: near.get(f"/v1/video/{job['id']}").json()["progress"] > 0)
    near.request("DELETE", f"/v1/video/{job['id']}")
    eventually(lambda: upstream.deleted)
    assert (balance(near), balance(far)) == before
    assert far.check_ledger()["alarms"]["attempt_cost"] == "0"


def test_a_job_that_is_cancelled_while_it_is_sent_is_taken_back_from_its_node(
    far: Gateway, upstream: VideoUpstream
) -> None:
    stage = upstream.stages["submitted"]
    stage.shut()
    before, lost = balance(far), Decimal(far.check_ledger()["alarms"]["attempt_cost"])
    job = far.post("/v1/video", {"prompt": "On", "seconds": 8}).json()
    stage.wait()
    far.request("DELETE", f"/v1/video/{job['id']}")
    stage.open.set()
    eventually(lambda: upstream.deleted == list(upstream.works))
    assert far.get(f"/v1/video/{job['id']}").json()["error"]["code"] == "cancelled"
    assert balance(far) == before
    # What the node takes for it was not known then: the operator's books expect its price.
    assert Decimal(far.check_ledger()["alarms"]["attempt_cost"]) - lost == Decimal("0.8")


def test_a_result_that_lies_elsewhere_is_fetched_without_a_key(far: Gateway, upstream: VideoUpstream) -> None:
    upstream.redirect = f"{upstream.url}/public/1.mp4"
    job = far.post("/v1/video?wait=100", {"prompt": "On"}).json()
    assert job["status"] == "completed", job
    upstream.content_status = 500  # it is ours by now
    assert far.get(f"/v1/video/{job['id']}/content").content == upstream.video


def test_a_result_at_a_private_address_is_not_fetched_and_not_charged(far: Gateway, upstream: VideoUpstream) -> None:
    upstream.redirect = "http://127.0.0.1:9/1.mp4"
    before = balance(far)
    job = far.post("/v1/video?wait=100", {"prompt": "On"}).json()
    assert (job["status"], job["error"]["code"]) == ("failed", "upstream_error")
    assert balance(far) == before


def test_a_job_that_is_not_done_in_time_is_given_up_and_refunded(
    upstream: VideoUpstream, make_gateway: Callable[..., Gateway]
) -> None:
    upstream.polls_until_done = 10_000
    gateway = make_gateway(
        nodes=upstream.nodes("sora"), prices=PRICES, tables={"video": {"poll_s": 0.05, "deadline_s": 1}}
    )
    before = balance(gateway)
    job = gateway.post("/v1/video?wait=100", {"prompt": "On"}).json()
    assert (job["status"], job["error"]["code"]) == ("failed", "expired")
    assert upstream.deleted == list(upstream.works)
    assert balance(gateway) == before
    assert gateway.balance()["held"] == "0"
    gateway.check_ledger()
