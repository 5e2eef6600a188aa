"""The operator API answers what its table says: the pages are typed by it."""

from typing import Any

import msgspec
import pytest
from tests.portal.stage import Stage

from mira.api.table import TABLE

READ = [row for row in TABLE if row.method == "GET" and row.path.startswith("/admin/v1/") and row.answer is not None]
#: What a route needs to be asked with, where it is not asked as it stands.
QUERIES = {"/admin/v1/usage": "?group_by=model,workspace,key,node,day,hour"}


@pytest.mark.parametrize("row", READ, ids=[row.path for row in READ])
def test_an_operators_route_answers_in_the_shape_of_its_row(row: Any, furnished: Stage) -> None:
    gateway = furnished.gateway
    path = row.path.removeprefix("/admin/v1").replace("{name}", "openai-main")
    if "{id}" in path:
        kind = path.split("/")[1]
        ids = {
            "workspaces": lambda: gateway.admin("GET", "/workspaces")["data"][1]["id"],
            "keys": lambda: gateway.admin("GET", "/workspaces/ws_default/keys")["data"][0]["id"],
            "calls": lambda: gateway.admin("GET", "/calls")["data"][0]["id"],
        }
        path = path.replace("{id}", ids[kind]())
    answer = gateway.admin("GET", path + QUERIES.get(row.path, ""))
    told = msgspec.to_builtins(msgspec.convert(answer, row.answer))
    for field in msgspec.structs.fields(row.answer):
        assert field.encode_name in told
    rows = answer.get("data", [])
    for given, kept in zip(rows, told.get("data", []), strict=True):
        # Sums tell more than pages read, and only of the groups that were asked for.
        unknown = set(given) - set(kept) if row.path != "/admin/v1/usage" else set()
        assert not unknown, f"the shape does not know {unknown}"
