"""One gateway with every kind of node, and one scripted upstream, for the whole table of protocols."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from tests.e2e.matrix.cells import Ask, matrix_nodes, matrix_prices
from tests.e2e.matrix.vendors import Vendors
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream


@pytest.fixture(scope="session")
def scripted() -> Iterator[Upstream]:
    """The table's upstream."""
    upstream = Upstream().start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def gateway(scripted: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The table's gateway; its ledger must be well when all is done."""
    gateway = Gateway(tmp_path_factory.mktemp("matrix"), nodes=matrix_nodes(scripted), prices=matrix_prices()).start()
    yield gateway
    gateway.check_ledger()
    gateway.close()


@pytest.fixture(scope="session")
def vendors(gateway: Gateway) -> Iterator[Vendors]:
    """The vendors' SDKs in front of the table's gateway."""
    vendors = Vendors(gateway)
    yield vendors
    vendors.close()


@pytest.fixture
def ask(gateway: Gateway, vendors: Vendors) -> Callable[..., Ask]:
    """Asks under a protocol of clients and reads the answer, see `Ask`."""
    return partial(Ask, gateway, vendors)
