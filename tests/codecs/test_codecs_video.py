"""Jobs for videos on the wire: what each kind of node is sent, what its answers mean, and that nonsense is no surprise."""

import base64
from email.parser import BytesParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mira.codecs.media.images import Picture
from mira.codecs.media.shape import Received, Shape, Target
from mira.codecs.media.video import Looking, VideoRequest, orientation, resolution, variants
from mira.codecs.media.video_gemini import LOOKING_GEMINI, SIZES, VIDEO_GEMINI
from mira.codecs.media.video_openai import LOOKING_MIRA, LOOKING_OPENAI, VIDEO_OPENAI
from mira.codecs.media.video_openrouter import LOOKING_OPENROUTER, VIDEO_OPENROUTER
from mira.core.jobs import Failed, Happening, Progressed, Ready
from mira.errors import Kind, MiraError

SHAPES = [(VIDEO_OPENAI, LOOKING_OPENAI), (VIDEO_GEMINI, LOOKING_GEMINI), (VIDEO_OPENROUTER, LOOKING_OPENROUTER)]
PICTURE = Picture("image/png", b"\x89PNG...")
FULL = VideoRequest(prompt="A sea", seconds=8, size="1280x720", image=PICTURE)
BARE = VideoRequest(prompt="A sea")
TARGET = Target("m-1")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "id name status done error code message response generateVideoResponse generatedSamples video uri "
                "unsigned_urls usage cost seconds progress metadata progressPercent".split()
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


def sent(shape: Shape, request: VideoRequest) -> tuple[str, Any]:
    outgoing = shape.render(request, TARGET)
    assert outgoing.content_type is None
    return outgoing.path, msgspec.json.decode(outgoing.body)


def test_openai_is_sent_json_and_a_form_with_a_picture() -> None:
    assert sent(VIDEO_OPENAI, BARE) == ("/videos", {"model": "m-1", "prompt": "A sea"})
    outgoing = VIDEO_OPENAI.render(FULL, TARGET)
    form = BytesParser().parsebytes(f"content-type: {outgoing.content_type}\r\n\r\n".encode() + outgoing.body)
    parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
    fields = {name: part.get_payload(decode=True) for name, part in parts.items()}
    assert fields == {
        "model": b"m-1",
        "prompt": b"A sea",
        "seconds": b"8",
        "size": b"1280x720",
        "input_reference": PICTURE.data,
    }
    assert parts["input_reference"].get_content_type() == "image/png"


def test_gemini_is_sent_an_instance_and_parameters() -> None:
    path, body = sent(VIDEO_GEMINI, FULL)
    assert path == "/v1beta/models/{model}:predictLongRunning"
    data = base64.b64encode(PICTURE.data).decode()
    assert body == {
        "instances": [{"prompt": "A sea", "image": {"bytesBase64Encoded": data, "mimeType": "image/png"}}],
        "parameters": {"durationSeconds": 8, "aspectRatio": "16:9", "resolution": "720p"},
    }
    assert sent(VIDEO_GEMINI, BARE)[1] == {"instances": [{"prompt": "A sea"}]}


def test_openrouter_is_sent_a_first_frame() -> None:
    path, body = sent(VIDEO_OPENROUTER, FULL)
    url = "data:image/png;base64," + base64.b64encode(PICTURE.data).decode()
    frame = {"type": "image_url", "image_url": {"url": url}, "frame_type": "first_frame"}
    assert (path, body) == (
        "/videos",
        {"model": "m-1", "prompt": "A sea", "duration": 8, "size": "1280x720", "frame_images": [frame]},
    )


@pytest.mark.parametrize(
    ("looking", "told", "meant"),
    [
        (LOOKING_OPENAI, {"status": "queued"}, Progressed(None)),
        (LOOKING_OPENAI, {"status": "in_progress", "progress": 33}, Progressed(33)),
        (LOOKING_OPENAI, {"status": "in_progress", "progress": -1}, Progressed(None)),
        (LOOKING_OPENAI, {"status": "completed", "seconds": "12"}, Ready("/videos/job/content", 12, None)),
        (
            LOOKING_MIRA,
            {"status": "completed", "seconds": "4", "usage": {"cost": 0.123456789}},
            Ready("/videos/job/content", 4, 123_456_789),
        ),
        (LOOKING_OPENROUTER, {"status": "pending"}, Progressed(None)),
        (
            LOOKING_OPENROUTER,
            {"status": "completed", "unsigned_urls": ["https://a/b"], "usage": {"cost": 1}},
            Ready("https://a/b", None, 10**9),
        ),
        (LOOKING_OPENROUTER, {"status": "completed"}, Ready("/videos/job/content?index=0", None, None)),
        (LOOKING_GEMINI, {"name": "operations/1"}, Progressed(None)),
        (
            LOOKING_GEMINI,
            {
                "done": True,
                "response": {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": "https://g/f"}}]}},
            },
            Ready("https://g/f", None, None),
        ),
        (
            LOOKING_GEMINI,
            {"done": True, "response": {"generateVideoResponse": {}}},
            Failed("upstream_error", "the upstream made no video"),
        ),
    ],
)
def test_an_answer_means_what_the_vendor_says(looking: Looking, told: dict[str, Any], meant: Happening) -> None:
    assert looking.read(msgspec.json.encode(told), "job") == meant


@pytest.mark.parametrize(("_", "looking"), SHAPES)
@given(value=JSON)
def test_no_answer_is_a_surprise(_: Shape, looking: Looking, value: Any) -> None:
    try:
        happened = looking.read(msgspec.json.encode(value), "job")
    except MiraError:
        return
    if isinstance(happened, Progressed):
        assert happened.progress is None or 0 <= happened.progress <= 100
    elif isinstance(happened, Ready):
        assert happened.reported_nanocredits is None or 0 <= happened.reported_nanocredits < 2**63
        assert happened.seconds is None or 0 < happened.seconds < 10**5
    else:
        assert isinstance(happened, Failed)


@pytest.mark.parametrize(("shape", "_"), SHAPES)
@pytest.mark.parametrize(
    "name", ["", "../x", "a/../b", "a?b", "a b", "a\r\nb", "/a", "a//b", 5, None, "x" * 600, ".", "é"]
)
def test_an_id_that_would_lead_elsewhere_is_refused(shape: Shape, _: Looking, name: object) -> None:
    with pytest.raises(MiraError) as refused:
        shape.read(Received(body=msgspec.json.encode({"id": name, "name": name})), BARE)
    assert refused.value.kind is Kind.UPSTREAM_FAILED


@pytest.mark.parametrize(("shape", "_"), SHAPES)
@pytest.mark.parametrize("name", ["video_68e", "models/veo-3.1/operations/a-1", "a.b~c:d=1"])
def test_an_id_is_read(shape: Shape, _: Looking, name: str) -> None:
    assert shape.read(Received(body=msgspec.json.encode({"id": name, "name": name})), BARE).content == name


@pytest.mark.parametrize(
    ("size", "means", "form"),
    [
        ("1280x720", "720p", "16:9"),
        ("1080x1920", "1080p", "9:16"),
        ("3840x2160", "4k", "16:9"),
        ("big", None, None),
        (None, None, None),
    ],
)
def test_a_size_has_a_resolution_and_a_form(size: str | None, means: str | None, form: str | None) -> None:
    assert (resolution(size), orientation(size)) == (means, form)


def test_the_dearest_is_meant_where_no_size_is_said() -> None:
    assert variants(BARE) == ("*",)
    assert variants(FULL) == ("1280x720", "720p")


@pytest.mark.parametrize("size", SIZES)
def test_veo_is_told_only_resolutions_that_it_knows(size: str) -> None:
    request = VideoRequest(prompt="A sea", size=size)
    assert VIDEO_GEMINI.lacks(request) is None
    parameters = sent(VIDEO_GEMINI, request)[1]["parameters"]
    assert parameters["resolution"] in ("720p", "1080p", "4k")
    width, height = map(int, size.split("x"))
    assert parameters["aspectRatio"] == ("16:9" if width * 9 == height * 16 else "9:16")


@pytest.mark.parametrize("size", ["1792x1024", "1024x1792", "854x480", "720x720", "7680x4320", "1280x721"])
def test_veo_lacks_every_other_size(size: str) -> None:
    assert VIDEO_GEMINI.lacks(VideoRequest(prompt="A sea", size=size)) == "size"
    assert VIDEO_OPENAI.lacks(VideoRequest(prompt="A sea", size=size)) is None
