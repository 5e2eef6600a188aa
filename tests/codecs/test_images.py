"""Images on the wire: what goes to each kind of node, what comes back, and streams however they are cut."""

import json
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pictures import B64, PNG, USAGE, chat_images, gemini_images, openai_events, openai_images

from mira.codecs.media.forms import Part, write_form
from mira.codecs.media.images import (
    ImageRequest,
    Picture,
    answer_body,
    bound,
    estimate,
    events,
    joined,
    one_by_one,
    tokens_of,
    variants,
)
from mira.codecs.media.images_chat import IMAGES_CHAT
from mira.codecs.media.images_gemini import IMAGES_GEMINI
from mira.codecs.media.images_openai import IMAGES_OPENAI, ImageStream
from mira.codecs.media.images_talk import aspect_ratio
from mira.codecs.media.shape import Made, Received, Target
from mira.core.usage import Usage
from mira.errors import Kind, MiraError

PICTURE = Picture("image/png", PNG)
SHAPES = {"openai": IMAGES_OPENAI, "chat": IMAGES_CHAT, "gemini": IMAGES_GEMINI}
IMAGEN = Target("imagen-4.0-generate-001")
SIZES = st.sampled_from([None, "auto", "1024x1024", "1024x1536", "1536x1024", "256x256", "4096x4096", "2048x1152"])
QUALITIES = st.sampled_from([None, "auto", "low", "medium", "high", "hd"])
REQUESTS = st.builds(
    ImageRequest,
    prompt=st.text(min_size=1, max_size=200),
    n=st.integers(1, 10),
    size=SIZES,
    quality=QUALITIES,
    partial_images=st.none() | st.integers(0, 3),
    images=st.lists(st.just(PICTURE), max_size=3).map(tuple),
)


def received(body, **more) -> Received:
    return Received(body=body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


@pytest.mark.parametrize(
    ("shape", "target", "body"),
    [
        (IMAGES_OPENAI, Target("gpt-image-1", "openai"), {"model": "gpt-image-1", "prompt": "x", "size": "1024x1536"}),
        (
            IMAGES_OPENAI,
            Target("dall-e-3", "openai"),
            {"model": "dall-e-3", "prompt": "x", "size": "1024x1536", "response_format": "b64_json"},
        ),
        (
            IMAGES_OPENAI,
            Target("openai/gpt-image-1", "mira"),
            {"model": "openai/gpt-image-1", "prompt": "x", "size": "1024x1536", "response_format": "b64_json"},
        ),
        (
            IMAGES_CHAT,
            Target("g/m"),
            {
                "model": "g/m",
                "messages": [{"role": "user", "content": "x"}],
                "modalities": ["image", "text"],
                "usage": {"include": True},
                "image_config": {"aspect_ratio": "2:3"},
            },
        ),
        (
            IMAGES_GEMINI,
            Target("gemini-2.5-flash-image"),
            {
                "contents": [{"role": "user", "parts": [{"text": "x"}]}],
                "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "2:3"}},
            },
        ),
    ],
)
def test_a_request_as_each_kind_of_node_reads_it(shape, target, body):
    sent = shape.render(ImageRequest(prompt="x", size="1024x1536"), target)
    assert (json.loads(sent.body), sent.content_type, sent.dropped) == (body, None, ())


@pytest.mark.parametrize(
    ("size", "ratio", "dropped"),
    [("768x1024", "3:4", ()), ("1024x1536", None, ("size",)), ("auto", None, ()), (None, None, ())],
)
def test_imagen_is_asked_in_its_own_words(size, ratio, dropped):
    sent = IMAGES_GEMINI.render(ImageRequest(prompt="x", size=size), IMAGEN)
    told = {"sampleCount": 1} | ({"aspectRatio": ratio} if ratio else {})
    assert json.loads(sent.body) == {"instances": [{"prompt": "x"}], "parameters": told}
    assert (sent.path, sent.dropped) == ("/v1beta/models/{model}:predict", dropped)
    with pytest.raises(MiraError) as caught:
        IMAGES_GEMINI.render(ImageRequest(prompt="x", images=(PICTURE,)), IMAGEN)
    assert (caught.value.status, caught.value.param) == (400, "image")


def test_an_answer_of_imagen_is_read():
    rows = [{"bytesBase64Encoded": B64, "mimeType": "image/png"}, {"raiFilteredReason": "a child"}]
    made = IMAGES_GEMINI.read(received({"predictions": rows}), ImageRequest(prompt="x"))
    assert ([image.b64_json for image in made.content.data], made.usage) == ([B64], None)
    for told, code in ((rows[1:], "moderation_blocked"), ([], "upstream_error"), ([7], "upstream_error")):
        with pytest.raises(MiraError) as caught:
            IMAGES_GEMINI.read(received({"predictions": told}), ImageRequest(prompt="x"))
        assert caught.value.code == code


@given(REQUESTS)
def test_what_a_node_is_not_told_is_named(request):
    told = {"openai": ("quality", "size", "partial_images"), "chat": ("size",), "gemini": ("size",)}
    for name, shape in SHAPES.items():
        sent = shape.render(request, Target("m", "openai"))
        for field in ("quality", "partial_images"):
            if getattr(request, field) is not None:
                assert (field in sent.dropped) == (field not in told[name])
        if request.size not in (None, "auto"):
            heard = request.size.encode() in sent.body or f'"{aspect_ratio(request.size)}"'.encode() in sent.body
            assert heard != ("size" in sent.dropped)


@pytest.mark.parametrize(
    ("shape", "body", "usage"),
    [
        (
            IMAGES_OPENAI,
            openai_images(
                usage={
                    "input_tokens": 50,
                    "input_tokens_details": {"text_tokens": 10, "image_tokens": 30, "cached_tokens": 5},
                    "output_tokens": 1000,
                    "output_tokens_details": {"text_tokens": 40, "image_tokens": 960},
                }
            ),
            Usage(
                input_tokens=15,
                cache_read_tokens=5,
                image_input_tokens=30,
                output_tokens=40,
                image_output_tokens=960,
                images=1,
            ),
        ),
        (IMAGES_OPENAI, openai_images(2), Usage(input_tokens=20, image_output_tokens=1000, images=2)),
        (IMAGES_OPENAI, openai_images(usage=None), None),
        (
            IMAGES_CHAT,
            chat_images(cost=0.0388),
            Usage(input_tokens=20, image_output_tokens=1290, images=1, reported_cost_nanocredits=38_800_000),
        ),
        (
            IMAGES_CHAT,
            chat_images(cost=None, completion_tokens_details={"image_tokens": 1200}),
            Usage(input_tokens=20, output_tokens=90, image_output_tokens=1200, images=1),
        ),
        (IMAGES_GEMINI, gemini_images(), Usage(input_tokens=20, image_output_tokens=1290, images=1)),
    ],
)
def test_an_answer_of_each_kind_of_node(shape, body, usage):
    made = shape.read(received(body), ImageRequest(prompt="x"))
    assert {image.b64_json for image in made.content.data} == {B64}
    assert made.usage == usage


def test_a_mira_tells_its_cost_in_its_usage_or_its_head():
    body = openai_images(usage={**USAGE, "cost": 0.05})
    assert IMAGES_OPENAI.read(received(body), None).usage.reported_cost_nanocredits == 50_000_000
    head = IMAGES_OPENAI.read(received(openai_images(usage=None), cost="0.07"), None)
    assert head.usage == Usage(images=1, reported_cost_nanocredits=70_000_000)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"data": []}', b'{"data": [{"b64_json": 5}]}', b"null"]
)
def test_an_answer_without_an_image_is_a_failure_of_the_node(shape, body):
    with pytest.raises(MiraError) as raised:
        shape.read(received(body), ImageRequest(prompt="x"))
    assert raised.value.kind is Kind.UPSTREAM_FAILED


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_error_under_a_status_of_success_is_an_error(shape):
    with pytest.raises(MiraError):
        shape.read(received({"error": {"message": "no", "code": 429}}), ImageRequest(prompt="x"))


def flow(stream: bytes, cuts: list[int], cost: int = 40_100_000) -> tuple[bytes, ImageStream]:
    reader = ImageStream(ImageRequest(prompt="x", stream=True))
    edges = [0, *sorted(cuts), len(stream)]
    out = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(edges))
    out += reader.close()
    return out + (reader.finish(cost) if reader.ended else b""), reader


STREAM = b"".join(openai_events(partial=2))


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_split_of_a_stream_gives_the_same(cuts):
    whole, _ = flow(STREAM, [])
    out, reader = flow(STREAM, cuts)
    assert out == whole
    assert reader.usage == Usage(input_tokens=20, image_output_tokens=1000, images=1)


def test_the_last_event_tells_the_cost_and_the_others_pass_as_they_came():
    out, reader = flow(STREAM, [])
    frames = out.decode().strip().split("\n\n")
    assert [frame.partition("\n")[0] for frame in frames] == [
        "event: image_generation.partial_image",
        "event: image_generation.partial_image",
        "event: image_generation.completed",
    ]
    assert out.startswith(openai_events()[0])
    last = json.loads(frames[-1].partition("data: ")[2], parse_float=Decimal)
    assert last["usage"] == {**USAGE, "cost": Decimal("0.0401")}
    assert (last["b64_json"], reader.failed) == (B64, None)


@given(st.integers(0, len(STREAM) - 1))
def test_a_cut_stream_has_not_ended_unless_its_image_is_whole(cut):
    _, reader = flow(STREAM[:cut], [])
    assert reader.ended == (cut >= len(STREAM.rstrip(b"\n")))


def test_an_error_in_a_stream_ends_it():
    reader = ImageStream(ImageRequest(prompt="x"))
    assert reader.feed(b'event: error\ndata: {"type": "error", "error": {"message": "no", "code": "x"}}\n\n') == b""
    assert reader.failed is not None
    assert not reader.has_content


def test_several_images_of_a_stream_count_together():
    stream = b"".join([*openai_events(partial=0), *openai_events(partial=0)])
    out, reader = flow(stream, [])
    assert reader.usage == Usage(input_tokens=40, image_output_tokens=2000, images=2)
    assert out.count(b"event: ") == 2
    assert out.count(b'"cost"') == 1


@given(REQUESTS)
def test_an_estimate_stays_within_what_is_held(request):
    most, guess = bound(request), estimate(request, None)
    for name in Usage.__struct_fields__:
        if name not in ("reported_cost_nanocredits", "estimated"):
            assert getattr(guess, name) <= getattr(most, name), name


@pytest.mark.parametrize(
    ("quality", "size", "tokens"),
    [
        ("low", "1024x1024", 272),
        ("low", "1024x1536", 408),
        ("medium", "1024x1024", 1056),
        ("medium", "1536x1024", 1584),
        ("high", "1024x1024", 4160),
        ("high", "1024x1536", 6240),
        ("auto", "auto", 1056),
        ("standard", "512x512", 1056),
        ("high", "2048x3072", 24_960),
    ],
)
def test_the_tokens_of_an_image(quality, size, tokens):
    assert tokens_of(quality, size) == tokens


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ("1024x1024", "1:1"),
        ("1024x1536", "2:3"),
        ("1792x1024", "16:9"),
        ("1024x1792", "9:16"),
        ("1920x1080", "16:9"),
        ("1000x999", None),
        ("auto", None),
        (None, None),
    ],
)
def test_the_ratio_of_a_size(size, ratio):
    assert aspect_ratio(size) == ratio


def test_variants_name_the_most_exact_first():
    assert variants(ImageRequest(prompt="x", quality="high", size="1024x1536")) == (
        "high/1024x1536",
        "high",
        "1024x1536",
    )
    assert variants(ImageRequest(prompt="x", quality="high")) == ("high", "*")
    assert variants(ImageRequest(prompt="x")) == ("*",)


def test_parts_join_to_one_answer():
    made = IMAGES_GEMINI.read(received(gemini_images()), None)
    parts = one_by_one(ImageRequest(prompt="x", n=3))
    assert [part.n for part in parts] == [1, 1, 1]
    whole = joined([made, made, made])
    assert len(whole.content.data) == 3
    assert whole.usage == Usage(input_tokens=60, image_output_tokens=3870, images=3)
    assert joined([made, Made(content=made.content)]).usage is None


def test_an_answer_and_its_events_tell_the_same():
    request = ImageRequest(prompt="x", images=(PICTURE,), size="1024x1024")
    made = IMAGES_OPENAI.read(received(openai_images(2)), request)
    body = json.loads(answer_body(request, made, "a/m", 40_100_000, 7), parse_float=Decimal)
    assert body["cost"] == body["usage"]["cost"] == Decimal("0.0401")
    assert (body["model"], body["created"], body["size"], len(body["data"])) == ("a/m", 7, "1024x1024", 2)
    frames = events(request, made, 40_100_000, 7).decode().strip().split("\n\n")
    told = [json.loads(frame.partition("data: ")[2], parse_float=Decimal) for frame in frames]
    assert [each["type"] for each in told] == ["image_edit.completed"] * 2
    assert sum(each["usage"]["cost"] for each in told) == Decimal("0.0401")
    assert told[-1]["usage"]["total_tokens"] == 1020


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_a_form_can_be_read_again(files):
    content_type, body = write_form([Part("prompt", b"a\r\n--b")] + [Part("image", data, "a.png") for data in files])
    boundary = content_type.partition("boundary=")[2].encode()
    parts = body.split(b"--" + boundary)[1:-1]
    assert [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:]] == files
    assert write_form([Part("a", b"1", 'x"\r\ny')])[1].count(b"\r\n") == 5
