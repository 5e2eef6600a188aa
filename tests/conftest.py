"""What many folders of tests share: how much Hypothesis tries, and a PostgreSQL server, started where one is wanted."""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url
from tests.support import postgres

from mira.store.postgres import open_postgres

# Before any test is read: what a test sets for itself lies over the profile of that moment. The same examples every time,
# and no limit of time, which a machine that stalls would break.
settings.register_profile(
    "mira", max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("mira-long", max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("MIRA_HYPOTHESIS", "mira"))


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server's own database: `MIRA_TEST_POSTGRES_URL` (where databases may be made), else a server for this run."""
    given = os.environ.get("MIRA_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with postgres.cluster() as server:
        yield server.url("postgres")


@pytest.fixture(scope="session")
def new_postgres_url(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes databases with Mira's tables, each a copy of one; returns their addresses."""
    prefix = f"mira_test_{os.getpid()}"
    numbers = count()

    def url_of(name: str) -> str:
        return make_url(postgres_url).set(database=name).render_as_string(hide_password=False)

    postgres.create(postgres_url, prefix, "template0")
    open_postgres(url_of(prefix)).release()
    made = [prefix]

    def new() -> str:
        name = f"{prefix}_{next(numbers)}"
        postgres.create(postgres_url, name, prefix)
        made.append(name)
        return url_of(name)

    yield new
    if "MIRA_TEST_POSTGRES_URL" in os.environ:
        for name in made:
            postgres.drop(postgres_url, name)
