"""What is written to the upstream, and what refuses to be."""

import pytest
from raw_upstream import OK, always

from mira.transport.client import TransportError
from mira.transport.head import HeadWriter
from mira.transport.origin import is_loopback, parse_origin


async def test_a_small_request_arrives_as_one_head_with_its_length(upstream, pool):
    up = await upstream(always(OK))
    response = await pool(up.url + "/inference/v1/").request(
        b"POST", "/chat?x=1", [(b"authorization", b"Bearer k")], b'{"a":1}'
    )
    assert await response.read(10) == b"{}"
    head, body = up.peers[0].requests[0]
    assert head.split(b"\r\n") == [
        b"POST /inference/v1/chat?x=1 HTTP/1.1",
        b"host: 127.0.0.1:%d" % up.port,
        b"authorization: Bearer k",
        b"accept-encoding: identity",
        b"content-length: 7",
        b"",
        b"",
    ]
    assert body == b'{"a":1}'


async def test_a_large_body_arrives_whole_while_the_upstream_takes_its_time(upstream, pool):
    body = bytes(range(256)) * 40_000

    async def script(peer):
        while await peer.request():
            peer.send(OK)

    up = await upstream(script)
    client = pool(up.url)
    for _ in range(2):
        assert (await client.request("POST", "/", [], body)).status == 200
    assert [b for _, b in up.peers[0].requests] == [body, body]


async def test_an_answer_before_the_end_of_a_large_body_ends_the_upload(upstream, pool):
    async def script(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await peer.gone()

    up = await upstream(script)
    response = await pool(up.url).request(b"POST", "/", [], b"x" * 50_000_000)
    assert (response.status, await response.read(10)) == (413, b"big")
    await up.peers[0].ended()


async def test_a_hang_up_during_a_large_body_is_a_failed_write(upstream, pool):
    async def script(peer):
        await peer.reader.readuntil(b"\r\n\r\n")
        peer.abort()

    with pytest.raises(TransportError) as caught:
        await pool((await upstream(script)).url).request(b"POST", "/", [], b"x" * 50_000_000)
    assert (caught.value.phase, caught.value.reached) == ("write", True)


@pytest.mark.parametrize(
    ("method", "body", "line"),
    [
        (b"POST", b"", b"content-length: 0"),
        (b"GET", b"", None),
        ("HEAD", b"", None),
        ("DELETE", b"", b"content-length: 0"),
        (b"GET", b"x", b"content-length: 1"),
    ],
)
def test_the_length_is_told_unless_there_can_be_no_body(method, body, line):
    head = HeadWriter("h", "").write(method, "/", [], len(body))
    assert (line is None) == (b"content-length" not in head)
    assert line is None or line in head


def test_the_callers_accept_encoding_is_kept():
    writer = HeadWriter("h", "")
    for _ in range(2):
        head = writer.write(b"GET", "/", [(b"Accept-Encoding", b"gzip")], 0)
        assert head.lower().count(b"accept-encoding") == 1
    assert b"identity" in writer.write(b"GET", "/", [(b"accept", b"gzip")], 0)


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b", b"a\r\n", b"\r\n\r\nGET / HTTP/1.1"])
def test_a_header_value_with_a_line_break_is_refused_without_repeating_it(value):
    with pytest.raises(ValueError, match="line break") as caught:
        HeadWriter("h", "").write(b"GET", "/", [(b"x-key", b"secret" + value)], 0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name", [b"", b"a b", b"a:", b"a\r\nb", b"a\n", b"host", b"Content-Length", b"transfer-encoding", b"Connection"]
)
def test_a_header_name_that_breaks_or_frames_the_head_is_refused(name):
    writer = HeadWriter("h", "")
    for _ in range(2):
        with pytest.raises(ValueError, match="header"):
            writer.write(b"GET", "/", [(name, b"1")], 0)


@pytest.mark.parametrize("target", ["", "x", "/a b", "/a\r\nb", "/é", "/#a", "http://h/", "/a\0"])
def test_a_target_that_is_no_path_is_refused(target):
    with pytest.raises(ValueError, match="target"):
        HeadWriter("h", "").write(b"GET", target, [], 0)


@pytest.mark.parametrize("method", [b"get", "G ET", b"GET\r\n", b"", "GÉT"])
def test_a_method_that_is_none_is_refused(method):
    with pytest.raises(ValueError, match="method"):
        HeadWriter("h", "").write(method, "/", [], 0)


def test_what_the_writer_remembers_is_bounded():
    writer = HeadWriter("h", "")
    for i in range(2000):
        writer.write(b"GET", f"/{i}", [(b"x-%d" % i, b"1"), (b"accept-encoding", b"%d" % i)], 0)
    assert len(writer._starts) <= 256


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://api.example.com/v1/", "api.example.com", "/v1"),
        ("https://api.example.com:443", "api.example.com", ""),
        ("http://API.example.com:443", "api.example.com:443", ""),
        ("http://[::1]:8080/x", "[::1]:8080", "/x"),
        ("http://[2001:DB8::1]", "[2001:db8::1]", ""),
        ("https://bücher.example", "xn--bcher-kva.example", ""),
    ],
)
def test_the_host_header_follows_the_base_url(url, authority, path):
    origin = parse_origin(url)
    assert (origin.authority, origin.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h",
        "h:80",
        "http://",
        "http://user:secret@h",
        "http://h?secret",
        "http://h#a",
        "http://h:99999",
        "http://[::1",
        "http://secret h/",
        "http://secret..h/",
        "http://secret%00b/",
        "http://secret_ü..b/",
    ],
)
def test_a_base_url_that_is_none_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="URL") as caught:
        parse_origin(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("localhost", True),
        ("a.localhost.", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_known_by_its_name_or_address(host, is_one):
    assert is_loopback(host) == is_one
