"""The portal's pages: the bundle that `web/` is built to, with the headers that keep other people's code out."""

import gzip
import secrets
from functools import lru_cache
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from mimetypes import guess_type

from starlette.responses import HTMLResponse, RedirectResponse, Response

from mira.api.services import Asked, Services
from mira.errors import Kind, MiraError

#: What stands in the page for the nonce of each answer, with which styles that scripts make are let in.
NONCE = "__MIRA_NONCE__"
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
#: Names of assets hold a hash of what is in them.
FOR_EVER = "public, max-age=31536000, immutable"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json",
         ".webmanifest": "application/manifest+json", ".woff2": "font/woff2"}  # fmt: skip

MISSING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mira</title></head><body>
<h1>Mira runs; its portal was not built</h1>
<p>This installation has no pages. In the project's folder, <code>uv sync</code> builds them, once and after each
change of <code>web/</code>; a wheel has them already. Then start <code>mira serve</code> again.</p>
<p>The API is here all the same: <a href="docs">its reference</a>, at {base_url}.</p></body></html>
"""


async def index(services: Services, asked: Asked) -> Response:
    """The one page; what it shows it decides itself, by the part of the address that stays in the browser."""
    asked_for = asked.request.scope.get("raw_path", b"/").decode("latin-1").partition("?")[0]
    if not asked_for.endswith("/"):
        # The prefix of a proxy without its slash: the page's own files are named relative to the folder.
        return RedirectResponse(f"./{asked_for.rpartition('/')[2]}/", 307)
    try:
        page = _bundle().joinpath("index.html").read_text()
    except FileNotFoundError:
        page = MISSING.format(base_url=escape(services.accounts.front.base_url(asked.request)))
        return HTMLResponse(page, 503, headers={**SAFE_HEADERS, "content-security-policy": "default-src 'none'"})
    nonce = secrets.token_urlsafe(16)
    headers = {
        **SAFE_HEADERS,
        "content-security-policy": POLICY.format(nonce=nonce),
        "cache-control": "no-cache, no-store",
    }
    return HTMLResponse(page.replace(NONCE, nonce), headers=headers)


async def to_index(_: Services, __: Asked) -> Response:
    """Leads from `/portal` to the page."""
    return RedirectResponse("./", 307)


async def asset(_: Services, asked: Asked) -> Response:
    """A file of the bundle whose name tells its content: a browser asks for it once."""
    return _file(asked, ("assets", asked.request.path_params["name"]), FOR_EVER)


async def top_file(_: Services, asked: Asked) -> Response:
    """A file beside the page, under its own name."""
    return _file(asked, (asked.request.scope["path"].rpartition("/")[2],), "no-cache")


def _file(asked: Asked, parts: tuple[str, ...], cache: str) -> Response:
    name = parts[-1]
    plain, packed = _content(parts)
    if plain is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such file")
    ending = f".{name.rpartition('.')[2]}"
    headers = {
        **SAFE_HEADERS,
        "cache-control": cache,
        "vary": "accept-encoding",
        # A picture that is opened by itself runs nothing.
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    if packed is not None and "gzip" in asked.request.headers.get("accept-encoding", ""):
        plain, headers["content-encoding"] = packed, "gzip"
    return Response(plain, headers=headers, media_type=TYPES.get(ending) or guess_type(name)[0] or "text/plain")


@lru_cache(maxsize=512)
def _content(parts: tuple[str, ...]) -> tuple[bytes | None, bytes | None]:
    """A file of the bundle, and the same packed where that is smaller; neither changes while a process runs."""
    if any(part in ("", ".", "..") or "/" in part or "\\" in part or "\0" in part for part in parts):
        return None, None
    file = _bundle().joinpath(*parts)
    if not file.is_file():
        return None, None
    plain = file.read_bytes()
    packed = gzip.compress(plain, mtime=0)
    return plain, packed if len(packed) < len(plain) else None


def _bundle() -> Traversable:
    return resources.files("mira").joinpath("portal", "dist")
