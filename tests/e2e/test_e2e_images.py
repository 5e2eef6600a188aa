"""Images as clients and their bills see them, at nodes of every kind."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openai
import pytest
from tests.support.gateway import PROXY_KEY, UPSTREAM_KEY, eventually, openai_node, price
from tests.support.pictures import (
    B64,
    PNG,
    chat_images,
    check_bill,
    draws,
    gemini_images,
    openai_events,
    openai_images,
    png,
)
from tests.support.upstream import FIN, Moment, answers, hangs, streams

#: 20 tokens of words at 5 and 1,000 of a picture at 40 credits a million.
COST = Decimal("0.0401")
#: 20 tokens of words at 0.3 and 1,290 of a picture at 30 credits a million.
EACH_GEMINI = (1290 * 30 + 20 * Decimal("0.3")) / 10**6
EACH = {"*": "0.04", "high": "0.17", "high/1024x1536": "0.25"}
PAINTERS = ("gpt-image-1", "gpt-image-mute", "gpt-image-each", "gpt-image-free", "gpt-image-gold")


@pytest.fixture
def router(others):
    others[1].reset()
    return others[1]


@pytest.fixture
def second(others):
    others[2].reset()
    return others[2]


@pytest.fixture(scope="module")
def gateway(scripted, others, make_gateway):
    gemini, router, second = others
    routed = {"kind": "openai-compatible", "provider": "", "api_key": UPSTREAM_KEY}
    return make_gateway(
        nodes=[
            openai_node(scripted.url, models=[*PAINTERS, "gpt-4o-mini", "gpt-image-spare"]),
            openai_node(second.url, name="second", models=["gpt-image-spare"]),
            {
                "name": "gemini",
                "kind": "gemini",
                "base_url": gemini.url.removesuffix("/v1"),
                "api_key": UPSTREAM_KEY,
                "models": ["gemini-2.5-flash-image", "imagen-3.0-generate-001"],
            },
            {"name": "router", "base_url": router.url, "models": ["some/painter"], "reported_cost": True, **routed},
            {"name": "untrusted", "base_url": router.url, "models": ["other/painter"], **routed},
            {
                "name": "studio",
                "base_url": router.url,
                "models": ["studio/painter"],
                "image_route": "images",
                **routed,
            },
        ],
        prices=[
            price("openai/gpt-4o-mini"),
            price("openai/gpt-image-1", "5", "40"),
            price("openai/gpt-image-mute", "5", "40"),
            {"model": "openai/gpt-image-each", "image": EACH},
            {"model": "openai/gpt-image-free", "free": True},
            price("openai/gpt-image-spare", "5", "40"),
            price("some/painter", "1", "10", image_output="30"),
            {"model": "other/painter", "image": "0.05"},
            {"model": "studio/painter", "image": "0.02"},
        ],
        models=[{"id": "some/painter", "outputs": ["image", "text"]}],
        tables={"defaults": {"image": "openai/gpt-image-1"}},
    )


@pytest.fixture
def client(gateway):
    with openai.OpenAI(api_key=PROXY_KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        yield client


def test_the_short_body_makes_an_image(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    answer = gateway.post("/v1/image", {"prompt": "A futuristic cyberpunk city"})
    record = check_bill(gateway, answer, COST)
    body = answer.json()
    assert body["data"] == [{"b64_json": B64}]
    assert body["model"] == answer.headers["x-mira-model"] == "openai/gpt-image-1"
    assert answer.headers["x-mira-node"] == "scripted"
    assert (record["protocol"], record["usage"]["images"], record["status"]) == ("images", 1, 200)
    assert upstream.received(1)[0].json == {"model": "gpt-image-1", "prompt": "A futuristic cyberpunk city"}
    assert upstream.received(1)[0].path == "/v1/images/generations"


def test_the_sdk_makes_images_with_every_option(client, gateway, upstream):
    upstream.script("gpt-image-1", draws(size="1024x1536", quality="high"))
    made = client.images.generate(
        model="gpt-image-1",
        prompt="two gulls",
        n=2,
        size="1024x1536",
        quality="high",
        background="opaque",
        output_format="webp",
        output_compression=80,
        moderation="low",
        user="u1",
    )
    assert [image.b64_json for image in made.data] == [B64, B64]
    assert (made.size, made.quality, made.usage.output_tokens) == ("1024x1536", "high", 1000)
    assert upstream.received(1)[0].json == {
        "model": "gpt-image-1",
        "prompt": "two gulls",
        "n": 2,
        "size": "1024x1536",
        "quality": "high",
        "background": "opaque",
        "output_format": "webp",
        "output_compression": 80,
        "moderation": "low",
        "user": "u1",
    }


def test_the_sdk_changes_pictures(client, gateway, upstream):
    upstream.script("gpt-image-1", draws())
    first, other, mask = png(1), png(2), png(3)
    made = client.images.edit(
        model="openai/gpt-image-1",
        image=[("a.png", first, "image/png"), ("b.png", other, "image/png")],
        mask=("m.png", mask, "image/png"),
        prompt="add a moon",
        input_fidelity="high",
    )
    assert made.data[0].b64_json == B64
    request = upstream.received(1)[0]
    assert request.path == "/v1/images/edits"
    assert request.form["model"] == b"gpt-image-1"
    assert request.form["prompt"] == b"add a moon"
    assert request.form["input_fidelity"] == b"high"
    assert request.form["image[]"] == other
    assert request.form["mask"] == mask
    assert first in request.body


def test_a_stream_shows_pictures_on_the_way_and_ends_with_its_cost(client, gateway, upstream):
    gate = Moment()
    upstream.script("gpt-image-1", streams(openai_events(partial=2, gate=gate)))
    stream = client.images.generate(model="gpt-image-1", prompt="a tree", stream=True, partial_images=2)
    first = next(stream)
    assert (first.type, first.b64_json, first.partial_image_index) == ("image_generation.partial_image", B64, 0)
    gate.happen()
    rest = list(stream)
    assert [event.type for event in rest] == ["image_generation.partial_image", "image_generation.completed"]
    assert rest[-1].b64_json == B64
    request_id = stream.response.headers["x-request-id"]
    record = eventually(lambda: gateway.call(request_id))
    assert Decimal(str(rest[-1].usage.cost)) == Decimal(record["cost"]) == COST
    assert record["stream"] is True


def test_a_stream_of_an_edit_speaks_of_an_edit(client, upstream):
    upstream.script("gpt-image-1", draws())
    events = list(client.images.edit(model="gpt-image-1", prompt="x", image=("a.png", PNG, "image/png"), stream=True))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]


def test_a_node_that_does_not_stream_answers_a_stream_in_one_event(client, gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images()))
    (event,) = client.images.generate(model="google/gemini-2.5-flash-image", prompt="a tree", stream=True)
    assert (event.type, event.b64_json) == ("image_generation.completed", B64)
    assert event.usage.cost == pytest.approx(1290 * 30e-6 + 20 * 0.3e-6)


def test_gemini_makes_images_at_its_list_price(gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images()))
    body = {"model": "gemini-2.5-flash-image", "prompt": "a boat", "size": "1024x1536", "quality": "high"}
    answer = gateway.post("/v1/images/generations", body)
    check_bill(gateway, answer, Decimal(1290 * 30 + 20 * Decimal("0.3")) / 10**6)
    assert answer.headers["x-mira-dropped"] == "quality"
    request = gemini.received(1)[0]
    assert request.path == "/v1beta/models/gemini-2.5-flash-image:generateContent"
    assert request.json["generationConfig"] == {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "2:3"}}


def test_gemini_changes_a_picture(gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images()))
    body = {"model": "gemini-2.5-flash-image", "prompt": "bluer", "image": f"data:image/png;base64,{B64}"}
    assert gateway.post("/v1/image", body).status_code == 200
    parts = gemini.received(1)[0].json["contents"][0]["parts"]
    assert parts == [{"inlineData": {"mimeType": "image/png", "data": B64}}, {"text": "bluer"}]


def test_imagen_is_billed_by_the_image_and_changes_none(gateway, gemini):
    model = {"model": "google/imagen-3.0-generate-001", "prompt": "x"}
    gemini.script("imagen-3.0-generate-001", answers({"predictions": [{"bytesBase64Encoded": B64}]}))
    check_bill(gateway, gateway.post("/v1/images/generations", {**model, "n": 2}), Decimal("0.08"))
    assert [request.path for request in gemini.received(2)] == ["/v1beta/models/imagen-3.0-generate-001:predict"] * 2
    refused = gateway.post("/v1/image", {**model, "image": B64})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "image")
    assert len(gemini.chats()) == 2
    assert Decimal(gateway.balance()["held"]) == 0


def test_a_node_that_makes_one_image_at_a_time_is_asked_for_each(gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images()))
    answer = gateway.post("/v1/images/generations", {"model": "gemini-2.5-flash-image", "prompt": "a boat", "n": 3})
    record = check_bill(gateway, answer, 3 * Decimal(1290 * 30 + 20 * Decimal("0.3")) / 10**6)
    assert len(answer.json()["data"]) == len(gemini.received(3)) == record["usage"]["images"] == 3


def test_a_filter_that_was_set_off_is_told_and_costs_nothing(gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images("IMAGE_SAFETY", pictures=False)))
    answer = gateway.post("/v1/image", {"model": "gemini-2.5-flash-image", "prompt": "something bad"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "moderation_blocked")
    assert Decimal(gateway.call(answer.headers["x-request-id"])["cost"]) == 0
    assert Decimal(gateway.balance()["held"]) == 0


def lost(gateway, answer) -> Decimal:
    """What the operator paid for a call that brought its customer nothing and cost them nothing."""
    record = gateway.call(answer.headers["x-request-id"])
    assert Decimal(record["cost"]) == 0
    assert {line["debit"] for line in record["transfers"]} <= {"attempt-cost"}
    assert Decimal(gateway.balance()["held"]) == 0
    cost = sum(Decimal(line["amount"]) for line in record["transfers"])
    assert sum(Decimal(tried["cost"]) for tried in record["tried"]) == cost
    return cost


def test_what_was_made_of_a_set_that_failed_is_the_operators_cost(gateway, gemini):
    failing = answers({"error": {"code": 500, "message": "boom", "status": "INTERNAL"}}, 500)
    late = answers(gemini_images(), hold=(made := Moment()))
    gemini.script("gemini-2.5-flash-image", failing, answers(gemini_images()), late)
    asked = {"model": "gemini-2.5-flash-image", "prompt": "a boat", "n": 3}
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, "/v1/images/generations", asked)
        gemini.received(3)
        made.happen()
        answer = waiting.result()
    assert answer.status_code == 502, answer.text
    assert lost(gateway, answer) == 2 * EACH_GEMINI


def test_what_a_node_charges_for_no_image_is_the_operators_cost(gateway, gemini, router):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images("IMAGE_SAFETY", pictures=False)))
    answer = gateway.post("/v1/image", {"model": "gemini-2.5-flash-image", "prompt": "something bad"})
    assert (answer.status_code, lost(gateway, answer)) == (400, EACH_GEMINI)
    told = chat_images(cost=0.0388)
    told["choices"][0]["message"].pop("images")
    router.script("some/painter", answers(told))
    answer = gateway.post("/v1/image", {"model": "some/painter", "prompt": "a boat"})
    assert (answer.status_code, lost(gateway, answer)) == (502, Decimal("0.0388"))


def test_an_image_that_its_node_names_and_does_not_hand_out_is_the_nodes_failure(gateway, upstream):
    told = openai_images()
    told["data"] = [{"url": "http://127.0.0.1:1/image.png"}]
    upstream.script("gpt-image-1", answers(told))
    answer = gateway.post("/v1/image", {"prompt": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")
    assert lost(gateway, answer) == COST


def test_openrouters_shape_is_charged_what_it_reports(gateway, router):
    router.script("some/painter", answers(chat_images(cost=0.0388)))
    answer = gateway.post("/v1/image", {"model": "some/painter", "prompt": "a boat", "size": "1792x1024"})
    check_bill(gateway, answer, Decimal("0.0388"))
    asked = router.received(1)[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.json["modalities"] == ["image", "text"]
    assert asked.json["image_config"] == {"aspect_ratio": "16:9"}
    assert answer.json()["data"] == [{"b64_json": B64}]
    assert answer.json()["text"] == "Here it is."


def test_a_node_that_is_not_trusted_is_charged_by_the_price_of_an_image(gateway, router):
    router.script("other/painter", answers(chat_images(cost=9.0)))
    answer = gateway.post("/v1/image", {"model": "other/painter", "prompt": "a boat"})
    record = check_bill(gateway, answer, Decimal("0.05"))
    assert Decimal(record["reported_cost"]) == 9


def test_a_compatible_node_may_have_openais_route(gateway, router):
    router.script("studio/painter", draws(usage=None))
    answer = gateway.post("/v1/image", {"model": "studio/painter", "prompt": "a boat", "n": 2})
    check_bill(gateway, answer, Decimal("0.04"))
    request = router.received(1)[0]
    assert request.path == "/v1/images/generations"
    assert request.json["response_format"] == "b64_json"


@pytest.mark.parametrize(
    ("fields", "told", "cost"),
    [
        ({}, {}, "0.25"),  # the model may choose: what it says that it made decides, else the dearest
        ({}, {"quality": "low", "size": "1024x1024"}, "0.04"),
        ({"quality": "high", "size": "1024x1024"}, {}, "0.17"),
        ({"quality": "high", "size": "1024x1536"}, {}, "0.25"),
        ({"quality": "low", "size": "1024x1024", "n": 3}, {}, "0.12"),
    ],
)
def test_an_image_costs_by_its_quality_and_size(gateway, upstream, fields, told, cost):
    upstream.script("gpt-image-each", draws(usage=None, **told))
    answer = gateway.post("/v1/images/generations", {"model": "gpt-image-each", "prompt": "x", **fields})
    check_bill(gateway, answer, Decimal(cost))


def test_a_node_that_tells_no_usage_does_not_work_for_nothing(gateway, upstream):
    upstream.script("gpt-image-mute", answers(openai_images(usage=None)))
    body = {"model": "gpt-image-mute", "prompt": "four", "quality": "high", "size": "1024x1536"}
    answer = gateway.post("/v1/images/generations", body)
    record = check_bill(gateway, answer, (1 * 5 + 6240 * Decimal(40)) / 10**6)
    assert record["usage"]["estimated"] is True


def test_a_free_model_is_free_and_recorded(gateway, upstream):
    upstream.script("gpt-image-free", draws())
    record = check_bill(gateway, gateway.post("/v1/image", {"model": "gpt-image-free", "prompt": "x"}), Decimal(0))
    assert record["usage"]["images"] == 1


def test_a_model_without_a_price_is_refused_before_it_is_called(gateway, upstream):
    answer = gateway.post("/v1/image", {"model": "gpt-image-gold", "prompt": "x"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "model_not_priced", "model")
    assert "[[prices]]" in error["message"]
    assert upstream.chats() == []


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, None, "prompt"),
        ({"prompt": "x", "n": 11}, 400, None, "n"),
        ({"prompt": "x", "size": "huge"}, 400, None, "size"),
        ({"prompt": "x", "nonsense": 1}, 400, None, "nonsense"),
        ({"prompt": "x", "model": "gpt-4o-mini"}, 400, "unsupported_parameter", "model"),
        ({"prompt": "x", "model": "no-such-model"}, 404, "model_not_found", "model"),
        ({"prompt": "x", "image": "file_" + "0" * 32}, 404, "not_found", "image"),
        ({"prompt": "x", "image": "http://127.0.0.1:1/secret.png"}, 400, "url_not_loaded", "image"),
        ({"prompt": "x", "image": "data:image/png;base64,AAAA"}, 415, "unsupported_media_type", "image"),
        ({"prompt": "x", "image": "not base64 at all"}, 400, None, "image"),
        ({"prompt": "x", "mask": B64}, 400, None, "mask"),
        ({"prompt": "x", "model": "some/painter", "image": B64, "mask": B64}, 400, "unsupported_parameter", "mask"),
    ],
)
def test_a_wrong_body_is_refused_by_the_fields_name(gateway, upstream, router, body, status, code, param):
    answer = gateway.post("/v1/image", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), answer.text
    assert "regex" not in error["message"]
    assert upstream.chats() == router.chats() == []
    assert Decimal(gateway.balance()["held"]) == 0


def test_images_that_are_wanted_as_urls_lie_in_the_workspace_alone(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    body = {"model": "gpt-image-1", "prompt": "x", "response_format": "url"}
    answer = gateway.post("/v1/images/generations", body)
    check_bill(gateway, answer, COST)
    (image,) = answer.json()["data"]
    path = image["url"].partition("/v1/")[2]
    assert gateway.get(f"/v1/{path}").content == PNG
    _, other_key = gateway.new_key(gateway.new_workspace())
    assert gateway.get(f"/v1/{path}", key=other_key).status_code == 404
    # and the address is a reference like any other
    again = gateway.post("/v1/image", {"prompt": "bluer", "image": image["url"]})
    assert again.status_code == 200
    assert upstream.received(2)[1].form["image"] == PNG
    stolen = gateway.post("/v1/image", {"prompt": "bluer", "image": image["url"]}, key=other_key)
    assert stolen.status_code == 404


def test_an_upload_is_a_reference(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    file_id = gateway.post("/v1/upload", {"data": B64, "mime_type": "image/png"}).json()["id"]
    body = {
        "model": "gpt-image-1",
        "prompt": "x",
        "images": [{"file_id": file_id}, {"image_url": f"data:;base64,{B64}"}],
    }
    assert gateway.post("/v1/images/edits", body).status_code == 200
    assert upstream.received(1)[0].form["image[]"] == PNG


def test_a_field_that_nobody_knows_is_told_and_not_lost_in_silence(gateway, upstream):
    upstream.script("gpt-image-1", draws())
    odd = {"prompt": "x", "seed": 7, "partial_images": 2, "with\nline": 1}
    told = gateway.post("/v1/images/generations", odd)
    assert (told.status_code, told.headers["x-mira-dropped"]) == (200, "seed,partial_images")
    told = gateway.post("/v1/images/edits", {"prompt": "x", "image": B64, "strength": 0.5})
    assert (told.status_code, told.headers["x-mira-dropped"]) == (200, "strength")
    form = {"prompt": "x", "strength": "0.5"}
    told = gateway.request("POST", "/v1/images/edits", data=form, files={"image": ("a.png", PNG, "image/png")})
    assert (told.status_code, told.headers["x-mira-dropped"]) == (200, "strength")
    told = gateway.post("/v1/images/generations", {"prompt": "x", "n": 1})
    assert "x-mira-dropped" not in told.headers


def test_another_node_is_asked_where_one_fails(gateway, upstream, second):
    refusing, drawing = answers({"error": {"message": "boom"}}, 500), draws()
    upstream.script("gpt-image-spare", refusing)
    second.script("gpt-image-spare", drawing)
    seen = set()
    for _ in range(20):
        answer = gateway.post("/v1/image", {"model": "gpt-image-spare", "prompt": "x"})
        record = check_bill(gateway, answer, COST)
        seen.add(record["attempts"])
        if seen == {1, 2}:
            break
    assert 2 in seen
    assert record["node"] == "second"
    # What the nodes charged is there to be compared with what they say.
    assert [Decimal(tried["cost"]) for tried in record["tried"]][-1] == COST


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_node_that_refuses_our_account_is_not_told_as_such(gateway, upstream, status):
    upstream.script("gpt-image-1", answers({"error": {"message": f"bad key {UPSTREAM_KEY}"}}, status))
    answer = gateway.post("/v1/image", {"prompt": "x"})
    assert answer.status_code == 502
    assert UPSTREAM_KEY not in answer.text
    assert "x-mira-cost" not in answer.headers
    gateway.admin("POST", "/nodes/scripted/probe")


def test_who_leaves_pays_the_words_and_its_node_is_let_go(gateway, upstream):
    upstream.script("gpt-image-1", hangs())
    before = Decimal(gateway.balance()["balance"])
    body = json.dumps({"prompt": "1234" * 10})
    head = f"POST /v1/image HTTP/1.1\r\nhost: mira\r\nauthorization: Bearer {PROXY_KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall((head + body).encode())
        (request,) = upstream.received(1)
    request.closed.wait()
    eventually(lambda: Decimal(gateway.balance()["held"]) == 0)
    assert before - Decimal(gateway.balance()["balance"]) == Decimal(10 * 5) / 10**6
    (record,) = gateway.admin("GET", "/calls?limit=1")["data"]
    assert (record["status"], record["usage"]["estimated"]) == (499, True)


def test_who_leaves_a_set_lets_its_node_go_and_what_was_made_is_the_operators_cost(gateway, gemini):
    gemini.script("gemini-2.5-flash-image", answers(gemini_images()), hangs())
    before = Decimal(gateway.balance()["balance"])
    asked = {"model": "gemini-2.5-flash-image", "prompt": "1234" * 10, "n": 3}
    with pytest.raises(Exception, match="timed out"):
        gateway.post("/v1/images/generations", asked, timeout=4)
    for request in gemini.received(3):
        request.closed.wait()
    eventually(lambda: Decimal(gateway.balance()["held"]) == 0)
    assert before - Decimal(gateway.balance()["balance"]) == 10 * Decimal("0.3") / 10**6
    (record,) = gateway.admin("GET", "/calls?limit=1")["data"]
    record = gateway.call(record["id"])
    lost = [Decimal(line["amount"]) for line in record["transfers"] if line["debit"] == "attempt-cost"]
    assert (record["status"], lost) == (499, [EACH_GEMINI])


def test_who_leaves_a_stream_pays_for_the_image_that_was_begun(gateway, upstream):
    gate = Moment()
    upstream.script("gpt-image-1", streams(openai_events(gate=gate)))
    body = {"model": "gpt-image-1", "prompt": "1234", "stream": True, "quality": "low", "size": "1024x1024"}
    with gateway.http.stream(
        "POST", "/v1/images/generations", json=body, headers={"authorization": f"Bearer {PROXY_KEY}"}
    ) as answer:
        next(answer.iter_raw())
    upstream.received(1)[0].closed.wait()
    record = eventually(
        lambda: next((r for r in gateway.admin("GET", "/calls?limit=1")["data"] if r["status"] == 499), None)
    )
    assert Decimal(record["cost"]) == Decimal(1 * 5 + 272 * 40) / 10**6
    assert Decimal(gateway.balance()["held"]) == 0


def test_a_stream_that_is_cut_ends_in_an_error_and_is_charged(gateway, upstream):
    upstream.script("gpt-image-1", streams([openai_events()[0], FIN]))
    body = {"model": "gpt-image-1", "prompt": "x", "stream": True, "quality": "low", "size": "1024x1024"}
    answer = gateway.post("/v1/images/generations", body)
    last = answer.text.strip().rpartition("\n\n")[2]
    assert last.startswith("event: error\n")
    record = gateway.call(answer.headers["x-request-id"])
    assert record["error"] == "upstream_failed"
    assert Decimal(record["cost"]) > 0
    assert Decimal(gateway.balance()["held"]) == 0


def test_what_each_node_charged_for_a_stream_that_was_cut_is_on_record(gateway, upstream, second):
    turns = iter((answers({"error": {"message": "boom"}}, 500), streams([openai_events()[0], FIN])))

    async def in_turns(turn):
        await next(turns)(turn)

    for node in (upstream, second):
        node.script("gpt-image-spare", in_turns)
    body = {"model": "gpt-image-spare", "prompt": "x", "stream": True, "quality": "low", "size": "1024x1024"}
    record = gateway.call(gateway.post("/v1/images/generations", body).headers["x-request-id"])
    assert [Decimal(tried["cost"]) for tried in record["tried"]] == [0, Decimal(record["cost"])]
    assert Decimal(record["cost"]) > 0


def test_models_tell_that_they_make_images_and_at_what_price(gateway):
    rows = {row["id"]: row for row in gateway.get("/v1/models").json()["data"]}
    each = rows["openai/gpt-image-each"]
    assert each["architecture"]["output_modalities"] == ["image"]
    assert each["pricing"]["units"] == {"image": {"*": "0.04", "high": "0.17", "high/1024x1536": "0.25"}}
    assert rows["openai/gpt-4o-mini"]["architecture"]["output_modalities"] == ["text"]
    both = rows["google/gemini-2.5-flash-image"]
    assert both["architecture"]["output_modalities"] == ["text", "image"]
    assert both["pricing"]["image_output"] == "0.00003"


def test_a_model_that_makes_images_is_not_asked_for_text(gateway, upstream):
    answer = gateway.chat("openai/gpt-image-1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert "/v1/images/generations" in answer.json()["error"]["message"]
    assert upstream.chats() == []


def test_the_ledger_is_well_after_all_this(gateway):
    gateway.check_ledger()
