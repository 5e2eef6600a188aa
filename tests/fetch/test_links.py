"""Links of a conversation become data, within bounds, and the wrong one is named as its client wrote it."""

import base64
import json

import msgspec
import pytest
from loopback_web import Web, ok, redirect
from msgspec import Raw

from mira.app import allowed_addresses
from mira.config import load
from mira.core.conversation import Conversation, Document, Image, Inline, Link, Text, UserTurn
from mira.core.links import path_of
from mira.errors import ConfigError, Kind, MiraError
from mira.fetch.links import Loader

BOTH = frozenset(("image", "document"))
PNG = b"\x89PNG\r\n\x1a\n..."


def conversation(*parts) -> Conversation:
    return Conversation(model="m", turns=(UserTurn(parts=(Text(text="What?"), *parts)),))


def fields(*urls: str) -> dict[str, Raw]:
    content = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"model": Raw(b'"m"'), "messages": Raw(json.dumps([{"role": "user", "content": content}]).encode())}


async def sources(web: Web, *parts, **more) -> list:
    told = await Loader(web.egress(), **more).inlined(conversation(*parts), BOTH, {}, {})
    return [part.source for part in told.turns[0].parts[1:]]


@pytest.mark.parametrize(
    ("data", "declared", "as_image", "as_document"),
    [
        (PNG, "text/html", "image/png", "image/png"),
        (b"\xff\xd8\xff\xe0", "", "image/jpeg", "image/jpeg"),
        (b"GIF89a..", "image/png", "image/gif", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", "image/webp", "image/webp"),
        (b"\x00\x00\x00\x18ftypheic", "image/heic", "image/heic", "image/heic"),
        (b"%PDF-1.7", "image/png", None, "application/pdf"),
        (b"Hello", "text/plain; charset=utf-8", None, "text/plain"),
        (b"{}", "application/json", None, "application/json"),
        (b"\xe9t\xe9", "text/plain; charset=latin-1", None, None),
        (b"x" * (2**20 + 1), "text/plain", None, None),
        (b"<svg/>", "image/svg+xml", None, None),
        (b"\x00\x01", "application/octet-stream", None, None),
        (b"", "image/png", None, None),
    ],
)
async def test_media_are_what_they_begin_like(web: Web, data, declared, as_image, as_document) -> None:
    web.site.answer = lambda path: ok(data, mime=declared)
    link = Link(url=f"http://public.test:{web.site.port}/")
    for part, mime_type in ((Image(source=link), as_image), (Document(source=link), as_document)):
        if mime_type is None:
            with pytest.raises(MiraError) as refused:
                await sources(web, part)
            assert (refused.value.kind, refused.value.code) == (Kind.BAD_REQUEST, "url_not_loaded")
        else:
            assert await sources(web, part) == [Inline(mime_type=mime_type, data=base64.b64encode(data).decode())]


async def test_films_and_kinds_that_the_node_takes_stay_links(web: Web) -> None:
    url = f"http://public.test:{web.site.port}/"
    film, image = Document(source=Link(url=url), media="video"), Image(source=Link(url=url))
    assert await sources(web, film) == [Link(url=url)]
    told = await Loader(web.egress()).inlined(conversation(image), frozenset(("document",)), {}, {})
    assert told == conversation(image)
    assert web.site.connections == 0


async def test_what_an_earlier_attempt_loaded_is_not_loaded_again(web: Web) -> None:
    web.site.answer = lambda path: ok(PNG)
    asked, loaded = conversation(Image(source=Link(url=f"http://public.test:{web.site.port}/"))), {}
    loader = Loader(web.egress())
    first = await loader.inlined(asked, BOTH, {}, loaded)
    assert await loader.inlined(asked, BOTH, {}, loaded) == first
    assert web.site.connections == 1


async def test_slow_links_are_given_up_together_and_four_are_open_at_a_time(web: Web) -> None:
    web.site.answer = lambda path: b""
    urls = [f"http://public.test:{web.site.port}/{number}" for number in range(6)]
    asked = conversation(*(Image(source=Link(url=url)) for url in urls))
    with pytest.raises(MiraError) as refused:
        await Loader(web.egress(), total_s=0.5).inlined(asked, BOTH, fields(*urls), {})
    assert (refused.value.kind, refused.value.code) == (Kind.BAD_REQUEST, "url_not_loaded")
    assert refused.value.param.startswith("messages[0].content[")
    assert web.site.connections <= 4


async def test_every_failure_sounds_alike(web: Web) -> None:
    web.names["ten.test"] = [["10.0.0.1"]]
    web.site.answer = lambda path: (
        redirect(f"http://127.0.0.1:{web.canary.port}/")
        if path == "/r"
        else b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"
    )
    site = f"http://public.test:{web.site.port}"
    urls = [
        f"{site}/r", f"{site}/500", "http://ten.test/", "http://unknown.test/", f"http://127.0.0.1:{web.canary.port}/",
        "http://public.test:22/", "ftp://public.test/", "nonsense",
    ]  # fmt: skip
    said = set()
    for url in urls:
        with pytest.raises(MiraError) as refused:
            await Loader(web.egress()).inlined(conversation(Image(source=Link(url=url))), BOTH, fields("x", url), {})
        error = refused.value
        said.add((error.kind, error.code, error.message))
        assert error.param == "messages[0].content[1].image_url.url"
    assert len(said) == 1


def test_a_field_is_named_as_the_client_wrote_it() -> None:
    told = {"input": [{"content": [{"image_url": "a"}, {"file": {"url": "b"}}]}], "user": "c"}
    raws = {name: Raw(msgspec.json.encode(value)) for name, value in told.items()}
    assert path_of(raws, "a") == "input[0].content[0].image_url"
    assert path_of(raws, "b") == "input[0].content[1].file.url"
    assert path_of(raws, "d") is None


def test_the_operators_exceptions_come_from_the_environment_or_the_file(tmp_path) -> None:
    path = tmp_path / "mira.toml"
    path.write_text('allow_private_networks = ["10.1.0.0/16", "studio.lan:8188"]')
    home = {"MIRA_HOME": str(tmp_path)}
    assert allowed_addresses(load(home)).places == {("studio.lan", 8188)}
    told = allowed_addresses(load({**home, "MIRA_ALLOW_PRIVATE_NETWORKS": "127.0.0.1:8099, fd00::/8"}))
    assert told.places == {("127.0.0.1", 8099)}
    assert [str(network) for network in told.networks] == ["fd00::/8"]
    path.write_text("")
    assert not allowed_addresses(load(home)).places
    assert not allowed_addresses(load({**home, "MIRA_ALLOW_PRIVATE_NETWORKS": " "})).places
    with pytest.raises(ConfigError, match=r"MIRA_ALLOW_PRIVATE_NETWORKS.*'10\.0\.0\.1'"):
        allowed_addresses(load({**home, "MIRA_ALLOW_PRIVATE_NETWORKS": "10.1.0.0/16,10.0.0.1"}))
