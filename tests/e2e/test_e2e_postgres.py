"""Several gateways on one PostgreSQL."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.support import postgres
from tests.support.gateway import PROXY_KEY, Gateway, openai_node, price

MODEL = "gpt-4o-mini"


@pytest.fixture
def fleet(postgres_url, scripted, tmp_path):
    """Makes gateways of one database that is empty before them."""
    name = f"e2e_{tmp_path.name}".lower().replace("-", "_")
    postgres.create(postgres_url, name, "template0")
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
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


def test_a_mira_moves_from_sqlite_to_postgresql_with_its_keys_and_balance(postgres_url, upstream, tmp_path):
    settings = {"nodes": [openai_node(upstream.url, models=[MODEL])], "prices": [price(f"openai/{MODEL}")]}
    old = Gateway(tmp_path, **settings).start()
    assert call(old).status_code == 200
    balance = old.admin("GET", "/workspaces")["data"][0]["balance"]
    old.close()

    name = f"moved_{os.getpid()}"
    postgres.create(postgres_url, name, "template0")
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    moved = subprocess.run(
        [sys.executable, "-m", "mira", "migrate", "--to", url],
        env=old.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "call: 1 rows" in moved.stdout
    assert "the ledger balances" in moved.stdout
    again = subprocess.run(
        [sys.executable, "-m", "mira", "migrate", "--to", url],
        env=old.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert "empty database" in again.stderr

    (tmp_path / "secret").unlink()
    new = Gateway(tmp_path, **settings, MIRA_DATABASE_URL=url).start()
    assert new.admin("GET", "/workspaces")["data"][0]["balance"] == balance
    assert call(new).status_code == 200
    assert new.admin("GET", "/ledger/check")["ok"]
    new.close()
    postgres.drop(postgres_url, name)
