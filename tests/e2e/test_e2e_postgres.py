"""Several gateways on one PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from tests.support import postgres
from tests.support.gateway import PROXY_KEY, Gateway, openai_node, price

MODEL = "gpt-4o-mini"


@pytest.fixture
def fleet(postgres_url, scripted, tmp_path):
    """Makes gateways of one database that is empty before them."""
    name = f"e2e_{tmp_path.name}".lower().replace("-", "_")
    postgres.create(postgres_url, name, "template0")
    url = postgres_url.replace("/postgres?", f"/{name}?")
    made: list[Gateway] = []

    def make(**environ: str) -> Gateway:
        gateway = Gateway(
            tmp_path / f"home{len(made)}",
            nodes=[openai_node(scripted.url, models=[MODEL])],
            prices=[price(f"openai/{MODEL}")],
            MIRA_DATABASE_URL=url,
            **environ,
        )
        made.append(gateway)
        return gateway

    make.url = url  # type: ignore[attr-defined]
    yield make
    for gateway in made:
        gateway.close()
    postgres.drop(postgres_url, name)


def call(gateway: Gateway):
    body = {"model": f"openai/{MODEL}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    return gateway.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {PROXY_KEY}"})


def test_gateways_that_start_at_once_on_an_empty_database_share_one_first_start(fleet, upstream):
    gateways = [fleet() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda gateway: gateway.start(), gateways))
    assert [call(gateway).status_code for gateway in gateways] == [200] * 3
    told = [gateway for gateway in gateways if "These secrets are shown once" in gateway.log]
    assert len(told) == 1
    with psycopg.connect(fleet.url) as connection:

        def count(table: str) -> int:
            return connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]

        assert (count("workspace"), count("user"), count("key"), count("call"), count("epoch")) == (1, 1, 2, 3, 3)
    balances = {gateway.admin("GET", "/workspaces")["data"][0]["balance"] for gateway in gateways}
    assert len(balances) == 1
    assert all(gateway.admin("GET", "/ledger/check")["ok"] for gateway in gateways)
