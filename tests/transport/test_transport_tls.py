"""TLS with certificates made here, and proxies on the way."""

import asyncio
import datetime
import os
import ssl
from base64 import b64encode
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from raw_upstream import OK, always, descriptors, until

from mira.transport.client import Timeouts, TransportError, proxy_for, system_tls
from mira.transport.proxy import parse_proxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 and node.example: (file for the server, PEM to trust)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.example")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("node.example"), x509.IPAddress(ip_address("127.0.0.1"))]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + pem)
    return path, pem.decode()


@pytest.fixture
def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def trusting(certificate):
    context = system_tls()
    context.load_verify_locations(cadata=certificate[1])
    return context


async def local(host, port):
    return ["127.0.0.1"]


async def ask(client, body=b"x"):
    return await (await client.request(b"POST", "/v1", [], body)).read(1 << 24)


async def test_an_exchange_over_tls_names_the_host_and_speaks_http_1_1(upstream, pool, server_tls, trusting):
    async def script(peer):
        tls = peer.writer.get_extra_info("ssl_object")
        spoken.append((tls.version(), tls.selected_alpn_protocol()))
        await always(OK)(peer)

    spoken, names = [], []
    server_tls.sni_callback = lambda sock, name, context: names.append(name)
    up = await upstream(script, tls=server_tls)
    client = pool(f"https://node.example:{up.port}", ssl_context=trusting, lookup=local)
    for _ in range(3):
        assert await ask(client) == b"{}"
    assert spoken == [("TLSv1.3", "http/1.1")]
    assert names == ["node.example"]


async def test_large_bodies_go_both_ways_over_tls(upstream, pool, server_tls, trusting):
    async def script(peer):
        while got := await peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(got[1]) + got[1])

    up = await upstream(script, tls=server_tls)
    client = pool(up.url, ssl_context=trusting)
    body = os.urandom(3_000_000)
    assert await ask(client, body) == body
    response = await client.request(b"POST", "/", [], body)
    got = []
    loop = asyncio.get_running_loop()

    def on_data(data):
        got.append(data)
        response.pause()
        loop.call_soon(response.resume)

    await response.stream(on_data)
    assert b"".join(got) == body


@pytest.mark.parametrize("host", ["node.example", "other.example"])
async def test_an_untrusted_or_misnamed_certificate_is_refused(host, upstream, pool, server_tls, trusting):
    up = await upstream(always(OK), tls=server_tls)
    context = system_tls() if host == "node.example" else trusting
    client = pool(f"https://{host}:{up.port}", ssl_context=context, lookup=local)
    with pytest.raises(TransportError) as caught:
        await ask(client)
    assert (caught.value.phase, caught.value.reached) == ("tls", False)
    assert host not in str(caught.value)
    assert client._slots == 0


async def test_a_server_without_tls_is_refused(upstream, pool, trusting):
    async def script(peer):
        peer.send(b"HTTP/1.1 400 Bad\r\n\r\n")

    up = await upstream(script)
    with pytest.raises(TransportError) as caught:
        await ask(pool(f"https://127.0.0.1:{up.port}", ssl_context=trusting))
    assert not caught.value.reached
    assert caught.value.phase in {"tls", "connect"}


async def test_a_tls_handshake_that_hangs_runs_into_the_connect_time_out(upstream, pool, trusting):
    async def script(peer):
        await peer.gone()

    up = await upstream(script)
    client = pool(f"https://127.0.0.1:{up.port}", ssl_context=trusting, timeouts=Timeouts(connect_s=0.1))
    with pytest.raises(TransportError) as caught:
        await ask(client)
    assert caught.value.phase == "timeout-connect"
    await up.peers[0].ended()


async def test_cancelled_and_closed_tls_exchanges_leave_no_descriptor(upstream, pool, server_tls, trusting):
    async def script(peer):
        while await peer.request():
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")

    up = await upstream(script, tls=server_tls)
    settled = descriptors()
    client = pool(up.url, ssl_context=trusting)
    for steps in range(30):
        task = asyncio.ensure_future(ask(client))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    for _ in range(5):
        (await client.request(b"GET", "/", [])).close()
    await client.close()
    await until(lambda: descriptors() <= settled)


def test_the_system_context_verifies():
    context = system_tls()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


# Proxies


def tunnelling(reply=b"HTTP/1.1 200 Connection established\r\n\r\n", to_port=None):
    """A proxy's script: answers CONNECT and passes bytes in both directions."""

    async def script(peer):
        await peer.request()
        peer.send(reply)
        if to_port is None:
            await peer.gone()
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", to_port)

        async def pass_on(source, sink):
            try:
                while data := await source.read(65536):
                    sink.write(data)
            finally:
                sink.close()

        try:
            await asyncio.gather(pass_on(peer.reader, writer), pass_on(reader, peer.writer), return_exceptions=True)
        finally:
            writer.transport.abort()

    return script


async def test_https_goes_through_a_tunnel_with_the_proxys_credential(upstream, pool, server_tls, trusting):
    up = await upstream(always(OK), tls=server_tls)
    proxy = await upstream(tunnelling(to_port=up.port))
    via = f"http://us%40er:pa%3Ass@127.0.0.1:{proxy.port}"
    client = pool(f"https://node.example:{up.port}", ssl_context=trusting, proxy=via)
    for _ in range(2):
        assert await ask(client) == b"{}"
    assert len(proxy.peers) == len(up.peers) == 1
    lines = proxy.peers[0].requests[0][0].split(b"\r\n")
    assert lines[0] == b"CONNECT node.example:%d HTTP/1.1" % up.port
    assert b"proxy-authorization: Basic " + b64encode(b"us@er:pa:ss") in lines
    assert b"proxy-authorization" not in up.peers[0].requests[0][0]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nearly",
        b"SSH-2.0\r\n\r\n",
        b"x" * 20_000,
    ],
)
async def test_a_proxy_that_refuses_is_a_failed_connect(reply, upstream, pool, trusting):
    proxy = await upstream(tunnelling(reply))
    via = f"http://user:secret@127.0.0.1:{proxy.port}"
    client = pool("https://node.example", ssl_context=trusting, proxy=via)
    with pytest.raises(TransportError) as caught:
        await ask(client)
    assert (caught.value.phase, caught.value.reached) == ("connect", False)
    assert "secret" not in repr(caught.value)
    await proxy.peers[0].ended()


async def test_a_proxy_that_hangs_up_or_hangs_is_told(upstream, pool, trusting):
    async def hang_up(peer):
        await peer.request()

    async def hang(peer):
        await peer.request()
        await peer.gone()

    phases = []
    for script, timeouts in ((hang_up, Timeouts()), (hang, Timeouts(connect_s=0.2))):
        via = (await upstream(script)).url
        client = pool("https://node.example", ssl_context=trusting, proxy=via, timeouts=timeouts)
        with pytest.raises(TransportError) as caught:
            await ask(client)
        phases.append(caught.value.phase)
    assert phases == ["connect", "timeout-connect"]


async def test_a_misnamed_certificate_behind_a_proxy_is_refused(upstream, pool, server_tls, trusting):
    up = await upstream(always(OK), tls=server_tls)
    proxy = await upstream(tunnelling(to_port=up.port))
    with pytest.raises(TransportError) as caught:
        await ask(pool("https://other.example", ssl_context=trusting, proxy=proxy.url))
    assert caught.value.phase == "tls"


async def test_plain_http_through_a_proxy_names_the_whole_url(upstream, pool):
    proxy = await upstream(always(OK))
    client = pool("http://node.example:8080/base", proxy=f"http://user:pw@127.0.0.1:{proxy.port}")
    assert await ask(client) == b"{}"
    lines = proxy.peers[0].requests[0][0].split(b"\r\n")
    assert lines[:2] == [b"POST http://node.example:8080/base/v1 HTTP/1.1", b"host: node.example:8080"]
    assert b"proxy-authorization: Basic " + b64encode(b"user:pw") in lines


ENVIRON = {"HTTPS_PROXY": "http://secure:1", "HTTP_PROXY": "http://plain:2"}


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("https://a.example", ENVIRON, "http://secure:1"),
        ("http://a.example", ENVIRON, "http://plain:2"),
        ("https://a.example", {**ENVIRON, "https_proxy": "http://lower:3"}, "http://lower:3"),
        ("https://a.example", {**ENVIRON, "https_proxy": ""}, None),
        ("https://a.example", {"ALL_PROXY": "http://all:4"}, "http://all:4"),
        ("https://a.example", {}, None),
        ("http://localhost:1", ENVIRON, None),
        ("http://127.0.0.1:1", ENVIRON, None),
        ("http://[::1]:1", ENVIRON, None),
        ("https://a.example", {**ENVIRON, "NO_PROXY": "*"}, None),
        ("https://a.example", {**ENVIRON, "NO_PROXY": "other, A.Example"}, None),
        ("https://b.a.example", {**ENVIRON, "NO_PROXY": ".a.example"}, None),
        ("https://b.a.example", {**ENVIRON, "NO_PROXY": "*.a.example"}, None),
        ("https://ba.example", {**ENVIRON, "NO_PROXY": "a.example"}, "http://secure:1"),
        ("https://a.example", {**ENVIRON, "no_proxy": "a.example:443"}, None),
        ("https://a.example:444", {**ENVIRON, "no_proxy": "a.example:443"}, "http://secure:1"),
        ("https://10.1.2.3", {**ENVIRON, "NO_PROXY": "10.0.0.0/8"}, None),
        ("https://11.1.2.3", {**ENVIRON, "NO_PROXY": "10.0.0.0/8"}, "http://secure:1"),
        ("https://[2001:db8::1]", {**ENVIRON, "NO_PROXY": "2001:db8::1"}, None),
        ("https://[2001:db8::1]:8", {**ENVIRON, "NO_PROXY": "[2001:db8::1]:9"}, "http://secure:1"),
        ("https://a.example", {**ENVIRON, "NO_PROXY": " , "}, "http://secure:1"),
    ],
)
def test_the_environments_proxy_is_honoured_except_where_excluded(url, environ, expected):
    assert proxy_for(url, environ) == expected


@pytest.mark.parametrize("url", ["socks5://secret:1", "https://secret:1", "http://", "http://secret:x"])
def test_a_proxy_of_another_kind_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match=r"prox|URL") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)


def test_a_proxy_may_be_named_without_a_scheme():
    assert parse_proxy("proxy.example:3128").port == 3128


@pytest.mark.parametrize("ended", ["closed", "cut"])
async def test_a_body_to_the_end_that_is_cut_below_tls_is_not_taken_for_whole(
    ended, upstream, pool, server_tls, trusting
):
    async def answer(peer):
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if ended == "cut":
            await peer.gone()

    async def cut(peer):
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port)

        async def there():
            while data := await peer.reader.read(65536):
                writer.write(data)

        async def back():
            while data := await reader.read(65536):
                peer.send(data)

        try:
            await asyncio.gather(there(), back())
        finally:
            writer.transport.abort()

    up = await upstream(answer, tls=server_tls)
    between = await upstream(cut)
    client = pool(f"https://127.0.0.1:{between.port}", ssl_context=trusting)
    response = await client.request(b"GET", "/", [])
    got = []
    done = response.stream(got.append)
    await until(lambda: b"".join(got) == b"hello")
    if ended == "closed":
        await done
        return
    between.peers[0].writer.write_eof()
    with pytest.raises(TransportError) as caught:
        await done
    assert caught.value.phase == "body"
