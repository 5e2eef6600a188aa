"""A gateway in a process of its own and a scripted upstream behind it, one pair per module."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.gateway import Gateway, openai_node, price
from tests.support.upstream import Upstream

# What these assert for tests, they explain as tests do.
pytest.register_assert_rewrite("tests.e2e.matrix.cells", "tests.e2e.matrix.vendors")

MODELS = ("gpt-4o-mini", "gpt-4o", "o4-mini", "whisper-like")


@pytest.fixture(scope="module")
def scripted() -> Iterator[Upstream]:
    """The module's upstream."""
    upstream = Upstream(MODELS).start()
    yield upstream
    upstream.stop()


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    """The module's upstream without scripts and requests of earlier tests."""
    scripted.reset()
    return scripted


@pytest.fixture(scope="module")
def others() -> Iterator[list[Upstream]]:
    """Three more upstreams of the module, for nodes of other kinds; Gemini is the first."""
    made = [Upstream(()).start() for _ in range(3)]
    yield made
    for each in made:
        each.stop()


@pytest.fixture
def gemini(others: list[Upstream]) -> Upstream:
    """The module's Gemini without scripts and requests of earlier tests."""
    others[0].reset()
    return others[0]


@pytest.fixture(autouse=True)
def well_nodes(request: pytest.FixtureRequest) -> None:
    """What a module's nodes did in earlier tests is forgotten: their states outlast the test that made them sick."""
    if "gateway" in request.fixturenames:
        gateway = request.getfixturevalue("gateway")
        if isinstance(gateway, Gateway):
            for node in gateway.admin("GET", "/nodes")["data"]:
                if node["state"] not in ("active", "probing", "draining", "disabled", "loading") or node["conditions"]:
                    gateway.admin("POST", f"/nodes/{node['name']}/probe")


@pytest.fixture(scope="module")
def make_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways with settings of their own; they must end in order when the module is done."""
    started: list[Gateway] = []

    def make(home: Path | None = None, **settings: Any) -> Gateway:
        gateway = Gateway(home or tmp_path_factory.mktemp("mira"), **settings)
        started.append(gateway)
        return gateway.start()

    yield make
    for gateway in started:
        gateway.close()


@pytest.fixture(scope="module")
def gateway(scripted: Upstream, make_gateway: Callable[..., Gateway]) -> Gateway:
    """The module's gateway: one openai node with priced models in front of the upstream."""
    return make_gateway(
        nodes=[openai_node(scripted.url, models=MODELS)],
        prices=[price(f"openai/{model}") for model in MODELS],
    )
