"""What the portal says of calls and models that are priced by the piece, and of fetched pages."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.accounts.browser import Browser, invited
from tests.support.gateway import ADMIN_KEY, Gateway, eventually, openai_node, price
from tests.support.pictures import openai_images
from tests.support.upstream import Upstream, answers, streams

CHAT = "openai/gpt-4o-mini"
MEDIA = ("gpt-image-1", "gpt-image-each", "tts-1", "whisper-1", "text-embedding-3-small")
TEXT = "Words that are spoken."
#: Half a second of sound, by its size.
SOUND = b"ID3\x04" + bytes(3996)
MARKUP = Decimal("1.3")


class Site(BaseHTTPRequestHandler):
    """A site of one page."""

    def do_GET(self) -> None:
        body = b"<html><title>Rivers</title><p>Water flows downhill.</p></html>"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream(["gpt-4o-mini"]).start()
    upstream.script("gpt-image-1", answers(openai_images(2, usage=None)))
    upstream.script("gpt-image-each", answers(openai_images(1, usage=None, quality="high")))
    upstream.script("tts-1", streams([b"\xff\xf3\x84\xc4" + bytes(200)], content_type="audio/mpeg"))
    upstream.script("whisper-1", answers({"text": "Words."}))
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, site: str) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path_factory.mktemp("pieces"),
        nodes=[openai_node(upstream.url, models=["gpt-4o-mini", *MEDIA], markup=str(MARKUP))],
        prices=[
            price(CHAT),
            {"model": "openai/gpt-image-1", "image": "0.0421"},
            {"model": "openai/gpt-image-each", "image": {"*": "0.04", "high": "0.17"}},
            {"model": "openai/tts-1", "character": "0.000015"},
            {"model": "openai/whisper-1", "second": "0.0001"},
            {"model": "openai/text-embedding-3-small", "free": True},
        ],
        tables={"fetch": {"allow": [site], "price": "0.0025"}},
    ).start()
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def member(gateway: Gateway) -> Iterator[Browser]:
    member = invited(gateway, "m@pieces.test")
    yield member
    member.close()


@pytest.fixture
def detail(gateway: Gateway):
    def of(answer: Any) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        path = f"/admin/v1/calls/{answer.headers['x-request-id']}/detail"
        eventually(lambda: gateway.request("GET", path, key=ADMIN_KEY).status_code == 200)
        told: dict[str, Any] = gateway.request("GET", path, key=ADMIN_KEY).json()
        return told

    return of


def check(told: dict[str, Any], billed: Decimal, unit: str, quantity: str, each: Decimal) -> None:
    """The call has one line, which comes exactly to what was billed."""
    sums = told["arithmetic"]
    assert (sums["rule"], sums["exact"]) == ("price", True), sums
    [line] = sums["lines"]
    assert (line["unit"], line["quantity"], Decimal(line["price"]) / line["per"]) == (unit, quantity, each)
    assert Decimal(line["price"]) * Decimal(line["quantity"]) == Decimal(line["cost"]) * line["per"]
    assert Decimal(line["cost"]) == Decimal(sums["total"]) == Decimal(sums["billed"]) == billed
    assert sums["billed"] == told["call"]["cost"]


def test_images_come_to_their_cost_by_their_number(gateway, detail):
    told = detail(gateway.post("/v1/images/generations", {"model": "openai/gpt-image-1", "prompt": "gulls", "n": 2}))
    check(told, 2 * Decimal("0.0421") * MARKUP, "image", "2", Decimal("0.0421") * MARKUP)


def test_speech_comes_to_its_cost_by_its_characters(gateway, detail):
    told = detail(gateway.post("/v1/speech", {"model": "openai/tts-1", "text": TEXT}))
    each = Decimal("0.000015") * MARKUP
    check(told, len(TEXT) * each, "character", str(len(TEXT)), each)


def test_transcriptions_come_to_their_cost_by_their_seconds(gateway, detail):
    sound = {"file": ("talk.mp3", SOUND, "audio/mpeg")}
    fields = {"model": "openai/whisper-1"}
    told = detail(gateway.request("POST", "/v1/audio/transcriptions", files=sound, data=fields))
    each = Decimal("0.0001") * MARKUP
    seconds = Decimal(str(told["call"]["usage"]["seconds"]))
    assert seconds > 0
    check(told, seconds * each, "second", format(seconds.normalize(), "f"), each)


def test_a_fetched_page_comes_to_the_price_of_a_page(gateway, detail, site):
    told = detail(gateway.post("/v1/fetch", {"url": f"http://{site}/"}))
    check(told, Decimal("0.0025"), "page", "1", Decimal("0.0025"))
    assert told["call"]["usage"]["pages"] == 1


def test_a_price_by_quality_has_no_line_since_the_record_does_not_keep_the_quality(gateway, detail):
    body = {"model": "openai/gpt-image-each", "prompt": "gulls", "quality": "high"}
    told = detail(gateway.post("/v1/images/generations", body))
    sums = told["arithmetic"]
    assert Decimal(sums["billed"]) == Decimal("0.17") * MARKUP
    assert (sums["rule"], sums["exact"]) == ("price", False)
    assert (sums["lines"], Decimal(sums["total"])) == ([], 0)


def test_only_models_that_chat_are_offered_to_clients_that_chat(member):
    told = member.get("/portal/v1/connect")
    assert (told["model"], told["models"]) == (CHAT, [CHAT])
    assert member.ask("GET", "/portal/v1/connect?model=openai/tts-1").status_code == 404
    assert member.get("/portal/v1/docs")["example_model"] == CHAT
    rows = member.get("/portal/v1/models")["data"]
    assert [row["id"] for row in rows if any(row["abilities"].values())] == [CHAT]
    outputs = {row["id"]: row["outputs"] for row in rows}
    assert outputs == {
        CHAT: ["text"],
        "openai/gpt-image-1": ["image"],
        "openai/gpt-image-each": ["image"],
        "openai/tts-1": ["speech"],
        "openai/whisper-1": ["transcription"],
        "openai/text-embedding-3-small": ["embedding"],
    }


def test_a_price_by_the_piece_and_a_free_model_are_prices(gateway, member):
    rows = {row["id"]: row["pricing"] for row in member.get("/portal/v1/models")["data"]}

    def units(model: str) -> list[tuple[str, int, Decimal, Decimal]]:
        told = rows[f"openai/{model}"]["units"]
        return [(row["unit"], row["per"], Decimal(row["least"]), Decimal(row["most"])) for row in told]

    assert units("gpt-image-each") == [("image", 1, Decimal("0.04") * MARKUP, Decimal("0.17") * MARKUP)]
    assert units("tts-1") == [("character", 10**6, 15 * MARKUP, 15 * MARKUP)]
    assert units("whisper-1") == [("second", 1, Decimal("0.0001") * MARKUP, Decimal("0.0001") * MARKUP)]
    assert units("gpt-4o-mini") == []
    assert rows["openai/text-embedding-3-small"]["free"]
    told = gateway.admin("GET", "/prices")
    assert told["unpriced"] == 0
    assert {row["model"]: row["sale"]["units"] for row in told["data"]}["openai/tts-1"][0]["unit"] == "character"
    assert gateway.admin("GET", "/fleet/scripted")["unpriced_models"] == []
