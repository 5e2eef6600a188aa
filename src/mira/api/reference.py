"""The API described by itself: an OpenAPI document and a plain page, both made from the table of routes."""

from collections.abc import Iterable
from html import escape
from importlib import resources
from typing import Any

import msgspec
from starlette.responses import HTMLResponse, Response

from mira import __version__
from mira.api.services import Asked, Services

SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "public": [],
    "proxy key": [{"bearer": []}, {"apiKey": []}],
    "inference key": [{"bearer": []}, {"apiKey": []}],
    "operator": [{"bearer": []}, {"session": []}],
    "session": [{"session": []}],
    "loopback or operator": [{"bearer": []}, {}],
}
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


async def openapi(services: Services, _: Asked) -> Response:
    """The OpenAPI document."""
    document = describe(_table(), services.config.base_url)
    return Response(msgspec.json.encode(document), media_type="application/json")


async def docs(services: Services, _: Asked) -> Response:
    """The reference page."""
    page = resources.files("mira.api").joinpath("reference.html").read_text()
    rows = "\n".join(
        f"<tr><td><code>{escape(row.method)}</code></td><td><code>{escape(row.path)}</code></td>"
        f"<td>{escape(row.policy.value)}</td><td>{escape(row.billing.value)}</td><td>{escape(row.summary)}</td></tr>"
        for row in _table()
    )
    filled = page.replace("{{routes}}", rows).replace("{{base_url}}", escape(services.config.base_url))
    return HTMLResponse(filled.replace("{{version}}", __version__), headers=PAGE_HEADERS)


def describe(table: Iterable[Any], server_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a table of routes."""
    rows = list(table)
    shapes = list(dict.fromkeys(shape for row in rows for shape in (row.body, row.answer) if shape))
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(shapes, schemas, strict=True))
    paths: dict[str, Any] = {}
    for row in rows:
        path = row.path.replace(":path}", "}")
        paths.setdefault(path, {})[row.method.lower()] = _operation(row, path, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Mira", "version": __version__, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {
            "schemas": {
                **components,
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message", "type", "param", "code"],
                            "properties": {
                                "message": {"type": "string"},
                                "type": {"type": "string"},
                                "param": {"type": ["string", "null"]},
                                "code": {"type": ["string", "null"]},
                            },
                        }
                    },
                },
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-mira_session"},
            },
        },
    }


def _operation(row: Any, path: str, schema_of: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": row.summary,
        "tags": [row.group],
        "operationId": f"{row.method.lower()}_{path.strip('/').translate(str.maketrans('/.-', '___', '{}'))}",
        "security": SECURITY[row.policy.value],
        "x-mira-billing": row.billing.value,
        "parameters": [
            {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
            for part in path.split("/")
            if part.startswith("{")
        ],
        "responses": {
            str(row.status): {"description": "The answer", **_answer(row, schema_of)},
            "default": {
                "description": "An error",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if row.body is not None:
        operation["requestBody"] = {"required": True, **_content(schema_of[row.body])}
    return operation


def _answer(row: Any, schema_of: dict[Any, Any]) -> dict[str, Any]:
    return {} if row.status == 204 else _content(schema_of.get(row.answer))


def _content(schema: dict[str, Any] | None) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema or {}}}}


def _table() -> Iterable[Any]:
    from mira.api.table import TABLE  # noqa: PLC0415 - the table names this module's handlers; it is read when they run

    return TABLE
