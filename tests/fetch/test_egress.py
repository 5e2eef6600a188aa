"""What the way out promises: only public addresses, only the ones that were checked, nothing of ours goes along."""

import asyncio
import datetime
import gzip
import ssl
import zlib
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from loopback_web import PUBLIC, Server, Web, ok, redirect

from mira.core.jobs import Job, State
from mira.errors import ConfigError, Kind, MiraError
from mira.fetch.addresses import is_public, parse_allowed
from mira.fetch.egress import Egress, Limits
from mira.fetch.urls import parse_url
from mira.jobs.webhooks import require_reachable, tell

LIMITS = Limits(total_s=120)

# Loopback in other spellings, on the canary's port ({p}).
LOOPBACK = [
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "localhost..", "127.1", "127.0.1", "2130706433", "0x7f000001",
    "0X7F000001", "0x7f.1", "0177.0.0.1", "017700000001", "0x7f.0x0.0x0.0x1", "127.0.0.1.", "127.255.255.254",
    "127.000.000.001", "0127.0.0.1", "0.0.0.0", "0", "00", "0x", "127.0.0.1.0x0", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2002:7f00:0001::1]", "[::1%25lo]", "[::1%lo]", "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "１２７.0.0.1",
    "127｡0｡0｡1", "%31%32%37.0.0.1", "127%2e0.0.1", "loc%61lhost", "ⓛocalhost", "ⓁⓄⒸⒶⓁⒽⓄⓈⓉ", "ｌocalhost",
    "lоcalhost", "loca\u00adlhost", "localhost\u200b", "localhost\u3002", "ip6-localhost", "[127.0.0.1]", "[localhost]",
    "[::ffff:127.0.0.1", "::1", "[::1]x", "[v1.::1]", "127.0.0.1,1.1.1.1", "1.1.1.1;127.0.0.1", "127.0.0.1|x",
]  # fmt: skip
# Addresses of somebody's own network, of clouds' metadata, and reserved ones; some by names that resolve to them.
PRIVATE = [
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.0.1", "169.254.169.254", "169.254.170.2",
    "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "192.0.0.1", "198.18.0.1", "198.19.255.255", "192.0.2.1", "198.51.100.7", "203.0.113.9", "192.88.99.1",
    "192.31.196.1", "192.52.193.1", "192.175.48.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[fe80::1]", "[fe80::1%25lo]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]",
    "[100::1]", "[5f00::1]", "[3fff::1]", "[2001:0:a00:1::]", "[2001:10::1]", "[2620:4f:8000::1]", "[4000::1]",
    "[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]", "[2002:a9fe:a9fe::]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]",
    "[::a9fe:a9fe]", "metadata.google.internal", "kubernetes.default.svc", "host.docker.internal", "ten.test",
    "six.test", "mapped.test", "scoped.test", "mixed.test", "mixed6.test", "nothing.test", "unknown.test", "junk.test",
]  # fmt: skip
NAMES = {
    "metadata.google.internal": ["169.254.169.254"],
    "host.docker.internal": ["172.17.0.1"],
    "ten.test": ["10.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "scoped.test": ["fe80::1%eth0"],
    "mixed.test": [PUBLIC, "127.0.0.1"],
    "mixed6.test": ["2606:4700::1111", "64:ff9b::7f00:1"],
    "junk.test": [PUBLIC, "not-an-address"],
}
# Other schemes, and what parsers disagree about.
MALFORMED = [
    "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_INFO", "dict://127.0.0.1:11211/stat",
    "data:text/html,<p>x</p>", "javascript:alert(1)", "ws://127.0.0.1/", "about:blank", "chrome://version",
    "view-source:http://127.0.0.1/", "httpſ://public.test/", "ｈttp://public.test/", "http：//public.test/", "blob:http://x/1", "jar:http://x!/", "//127.0.0.1/", "127.0.0.1", "/etc/passwd",
    "http:127.0.0.1", "http:/127.0.0.1", "http:///127.0.0.1/", "http://", "https://", "", "   ", " http://public.test/",
    "http://public.test/ ", "https://" + "a" * 9000 + ".example/", "https://" + "a" * 64 + ".example/",
    "https://" + "é" * 300 + ".example/", "http://exa mple.com/", "http://public.test:0/", "http://public.test:99999/",
    "http://public.test:/", "http://public.test:80a/", "http://public.test:-80/", "http://public.test:８０/",
    "http://public.test:80:80/", "http://[::1", "http://]/", "http://[]/", "http://a@b@127.0.0.1/", "http://xn--/",
    "http://xn--\u00e9.test/", "http://-a.test/", "http://a-.test/", "http://.test/", "http://a..test/", "http://./",
    "http://public.test\r\nX-Injected: 1/", "http://public.test/\r\nX-Injected: 1", "http://127.0.0.1\0.public.test/",
    "http://public.test/\0", "http://public.test/\t", "http://public.test/\ud800", "http://user:pass@public.test/",
    "http://public.test@127.0.0.1:{p}/", "http://127.0.0.1:{p}\\@public.test/", "http://public.test\\@127.0.0.1:{p}/",
    "http://127.0.0.1:{p}#@public.test/", "http://127.0.0.1:{p}?@public.test/", "http:\\\\127.0.0.1:{p}/",
    "http://public.test%40127.0.0.1:{p}/", "http://public.test%2f@127.0.0.1:{p}/", "http://℀.test/", "http://a℁b/",
    "http://public.test%00.x/", "http://public.test\u2044@127.0.0.1:{p}/", "hTTp://127.0.0.1:{p}/",
    "http://public.test:22/", "http://public.test:6379/", "http://public.test:25/", "https://public.test:9200/",
    "http:\u2215\u2215public.test/", "http://public.test＠127.0.0.1:{p}/", "http://public.test：80/",
]  # fmt: skip
HOSTILE = [
    *(f"http://{host}:{{p}}/" for host in LOOPBACK),
    *(f"http://{host}/latest/meta-data/" for host in PRIVATE),
    *MALFORMED,
]


async def refused(egress: Egress, url: str, **limits: object) -> MiraError:
    with pytest.raises(MiraError) as caught:
        await egress.load(url, limits=Limits(total_s=120, **limits))
    return caught.value


def test_the_corpus_is_large() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 200


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_refused_before_anything_is_dialled(web: Web, url: str) -> None:
    web.names.update({name: [found] for name, found in NAMES.items()})
    error = await refused(web.egress(), url.replace("{p}", str(web.canary.port)))
    assert error.code in ("invalid_url", "url_not_allowed")
    assert error.status in (400, 403)
    assert web.dialled == []
    assert len(web.lookups) <= 1
    assert "127" not in error.message
    assert "test" not in error.message


def test_every_refused_address_is_told_in_the_same_words() -> None:
    """A caller must not learn from the answer what stands in the operator's network."""

    async def run() -> set[str]:
        async def lookup(host: str, _port: int) -> list[str]:
            return NAMES[host]

        egress = Egress(None, lookup)  # type: ignore[arg-type]
        urls = ("http://ten.test/", "http://mixed.test/", "http://10.0.0.1/", "http://[::1]/", "http://ten.test:22/")
        return {str((await refused(egress, url)).message) for url in urls}

    assert len(asyncio.run(run())) == 1


KEPT = ["8.8.8.8", "1.1.1.1", PUBLIC, "100.128.0.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001::1",
        "64:ff9b::808:808"]  # fmt: skip


@pytest.mark.parametrize("address", KEPT)
def test_public_addresses_are_kept(address: str) -> None:
    assert is_public(ip_address(address))


async def test_a_public_url_is_loaded_from_the_address_that_was_checked(web: Web) -> None:
    web.site.answer = lambda path: ok(b"PIC", mime="Image/PNG; charset=x")
    url = f"HTTP://Public.Test.:{web.site.port}/a%20b/ü?q=1&r=ü#frag"
    loaded = await web.egress().load(url, limits=LIMITS)
    final = f"http://public.test:{web.site.port}/a%20b/%C3%BC?q=1&r=%C3%BC"
    assert (loaded.data, loaded.mime_type, loaded.content_type) == (b"PIC", "image/png", "Image/PNG; charset=x")
    assert (loaded.final_url, loaded.hops, loaded.status) == (final, (final,), 200)
    assert web.dialled == [PUBLIC]
    assert web.lookups == ["public.test"]


async def test_nothing_of_ours_goes_along(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{web.canary.port}")
    again = f"http://public.test:{web.site.port}/again"
    web.site.answer = lambda path: ok(b"") if path == "/again" else redirect(again, 302, "set-cookie: sid=1; Path=/")
    await web.egress().load(f"http://public.test:{web.site.port}/", limits=LIMITS)
    assert len(web.site.heads) == 2
    for head in web.site.heads:
        names = {line.split(":")[0].lower() for line in head.split("\r\n")[1:] if line}
        assert names == {"host", "accept", "accept-encoding", "user-agent"}
        assert f"host: public.test:{web.site.port}\r\n" in head


async def test_a_rebinding_name_is_looked_up_once_and_refused_the_next_time(web: Web) -> None:
    web.names["rebind.test"] = [[PUBLIC], ["127.0.0.1"]]
    url = f"http://rebind.test:{web.site.port}/"
    await web.egress().load(url, limits=LIMITS)
    assert (web.lookups, web.dialled) == (["rebind.test"], [PUBLIC])
    assert (await refused(web.egress(), url)).code == "url_not_allowed"
    assert web.dialled == [PUBLIC]


async def test_a_name_that_rebinds_between_two_hops_is_refused_at_the_second(web: Web) -> None:
    web.names["rebind.test"] = [[PUBLIC], ["127.0.0.1"]]
    url = f"http://rebind.test:{web.site.port}/"
    web.site.answer = lambda path: redirect("/next")
    assert (await refused(web.egress(), url)).code == "url_not_allowed"
    assert web.site.connections == 1


TARGETS = [
    "http://127.0.0.1:{p}/", "http://[::1]:{p}/", "http://localhost:{p}/", "http://169.254.169.254/latest/",
    "file:///etc/passwd", "//127.0.0.1:{p}/", "//localhost:{p}", "http://2130706433:{p}/", "gopher://127.0.0.1:6379/",
    "http:\\\\127.0.0.1:{p}", "\\\\127.0.0.1:{p}", "/\\127.0.0.1:{p}/", "http://user@public.test/", "http://ten.test/",
    "http://public.test:22/", "data:text/plain,x", "javascript:alert(1)", "http:127.0.0.1:{p}", "///127.0.0.1:{p}/",
    "http://public.test@127.0.0.1:{p}/", "http://[::ffff:7f00:1]:{p}/", "http://①②⑦.⓪.⓪.①:{p}/", "//[::1",
]  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_every_redirect_is_checked_like_the_first_url(web: Web, status: int) -> None:
    web.names["ten.test"] = [["10.0.0.1"]]
    for target in TARGETS:
        place = target.replace("{p}", str(web.canary.port))
        web.site.answer = lambda path, place=place: (
            redirect("X", status).replace(b"X", place.encode()) if path == "/" else ok(b"")
        )
        before = len(web.dialled)
        error = await refused(web.egress(), f"http://public.test:{web.site.port}/")
        assert error.code in ("invalid_url", "url_not_allowed"), target
        assert len(web.dialled) - before == 1


async def test_a_redirect_to_another_port_of_an_allowed_place_stays_refused(web: Web) -> None:
    web.site.answer = lambda path: redirect(f"http://127.0.0.1:{web.canary.port}/")
    egress = web.egress(allowed=parse_allowed([f"127.0.0.1:{web.site.port}"]))
    assert (await refused(egress, f"http://127.0.0.1:{web.site.port}/")).code == "url_not_allowed"
    assert web.dialled == ["127.0.0.1"]


async def test_five_redirects_are_followed_and_a_sixth_is_not(web: Web) -> None:
    web.site.answer = lambda path: ok(b"end") if path == "/0" else redirect(f"/{int(path[1:]) - 1}")
    start = f"http://public.test:{web.site.port}"
    loaded = await web.egress().load(f"{start}/5", limits=LIMITS)
    assert (loaded.data, loaded.final_url) == (b"end", f"{start}/0")
    assert (await refused(web.egress(), f"{start}/6")).code == "too_many_redirects"
    web.site.answer = redirect
    assert (await refused(web.egress(), f"{start}/9")).code == "too_many_redirects"
    assert web.site.connections == 6 + 6 + 6


async def test_a_redirect_in_other_letters_is_followed(web: Web) -> None:
    web.site.answer = lambda path: ok(path.encode()) if path != "/" else redirect("X").replace(b"X", "/ü b?c".encode())
    loaded = await web.egress().load(f"http://public.test:{web.site.port}/", limits=LIMITS)
    assert loaded.data == b"/%C3%BC%20b?c"


async def test_the_operators_exceptions_are_exact(web: Web) -> None:
    port = web.site.port
    here = f"http://127.0.0.1:{port}/"
    assert (await refused(web.egress(), here)).code == "url_not_allowed"
    for entries in (["127.0.0.1:1"], ["10.0.0.0/8"], [f"127.0.0.2:{port}"]):
        assert (await refused(web.egress(allowed=parse_allowed(entries)), here)).code == "url_not_allowed"
    for entries in ([f"127.0.0.1:{port}"], ["127.0.0.0/8"], ["10.0.0.0/8", "127.0.0.1/32"]):
        loaded = await web.egress(allowed=parse_allowed(entries)).load(here, limits=LIMITS)
        assert loaded.status == 200
    # An exact place opens its port; a network opens only those of web servers.
    exact = Egress(web.open, web.lookup, allowed=parse_allowed([f"127.0.0.1:{port}"]))
    assert (await exact.load(here, limits=LIMITS)).status == 200
    network = Egress(web.open, web.lookup, allowed=parse_allowed(["127.0.0.0/8"]))
    assert (await refused(network, here)).code == "url_not_allowed"


@pytest.mark.parametrize(
    "entry", ["", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", ":80", "10.0.0.1/8", "a/b", "h:0"]
)
def test_an_exception_that_cannot_be_read_is_an_error_of_the_configuration(entry: str) -> None:
    with pytest.raises(ConfigError):
        parse_allowed([entry])


async def test_a_status_of_failure_is_told_and_not_what_was_said(web: Web) -> None:
    body = b"HTTP/1.1 404 Gone\r\ncontent-length: 6\r\n\r\nSECRET"
    web.site.answer = lambda path: body
    error = await refused(web.egress(), f"http://public.test:{web.site.port}/")
    assert (error.code, error.message) == ("fetch_failed", "The URL answered with status 404.")
    got = await web.egress().get(f"http://public.test:{web.site.port}/", limits=LIMITS)
    assert (got.status, got.data, got.mime_type) == (404, b"SECRET", "application/octet-stream")


def packed(body: bytes, coding: str) -> bytes:
    return ok(gzip.compress(body) if coding == "gzip" else zlib.compress(body), f"content-encoding: {coding}")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_bodies_are_read_and_bombs_are_not(web: Web, coding: str) -> None:
    url = f"http://public.test:{web.site.port}/"
    web.site.answer = lambda path: packed(b"hello", coding)
    assert (await web.egress().load(url, limits=LIMITS)).data == b"hello"
    web.site.answer = lambda path: packed(bytes(64 << 20), coding)
    assert (await refused(web.egress(), url)).status in (413, 502)


async def test_bodies_beyond_the_limit_are_refused(web: Web) -> None:
    url = f"http://public.test:{web.site.port}/"
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + bytes(1024) + b"\r\n"
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(4096)
    lying = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nx"
    for answer in (ok(bytes(2000)), chunked + b"400\r\n" + bytes(1024), endless, lying):
        web.site.answer = lambda path, answer=answer: answer
        error = await refused(web.egress(), url, body_bytes=1500)
        assert (error.kind, error.code) == (Kind.TOO_LARGE, "response_too_large")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nx-a: aaa", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
)
async def test_a_site_that_never_ends_is_left_in_time(web: Web, answer: bytes) -> None:
    web.site.answer = lambda path: answer
    while not web.site.connections:  # the time may be over before a busy machine has begun
        with pytest.raises(MiraError) as caught:
            await web.egress().load(f"http://public.test:{web.site.port}/", limits=Limits(total_s=0.3))
        assert (caught.value.kind, caught.value.code) == (Kind.UPSTREAM_TIMEOUT, "timeout")
    async with asyncio.timeout(120):
        await web.site.left.wait()


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n"]
)
async def test_what_is_not_http_is_a_failure(web: Web, answer: bytes) -> None:
    web.site.answer = lambda path: answer
    assert (await refused(web.egress(), f"http://public.test:{web.site.port}/")).code == "fetch_failed"


async def test_a_site_that_is_not_there_is_a_failure(web: Web) -> None:
    await web.site.stop()
    assert (await refused(web.egress(), f"http://public.test:{web.site.port}/")).code == "fetch_failed"


async def test_a_load_that_is_cancelled_leaves_the_site(web: Web) -> None:
    web.site.answer = lambda path: b""
    task = asyncio.create_task(web.egress().load(f"http://public.test:{web.site.port}/", limits=LIMITS))
    async with asyncio.timeout(120):
        await web.site.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await web.site.left.wait()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for site.test: (file for the server, PEM to trust)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site.test")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("site.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "site.pem"
    path.write_bytes(secret + pem)
    return path, pem.decode()


async def test_tls_is_verified_for_the_name_and_not_for_the_address(web: Web, certificate) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate[0])
    trusted = ssl.create_default_context(cadata=certificate[1])
    secure = await Server(lambda path: ok(b"safe")).start(tls=server_side)
    asked = Web(secure, web.canary, trusted)
    asked.names = {"site.test": [[PUBLIC]], "other.test": [[PUBLIC]]}
    try:
        loaded = await asked.egress().load(f"https://site.test:{secure.port}/", limits=LIMITS)
        assert loaded.data == b"safe"
        assert (await refused(asked.egress(), f"https://other.test:{secure.port}/")).code == "fetch_failed"
    finally:
        await secure.stop()


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://Example.COM", "http://example.com", "/"),
        ("https://example.com:443?a", "https://example.com", "/?a"),
        ("http://example.com:8080/a/../b", "http://example.com:8080", "/a/../b"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example", "/"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]", "/"),
        ("http://[::ffff:8.8.8.8]:8443/", "http://8.8.8.8:8443", "/"),
    ],
)
def test_a_url_has_one_reading(url: str, origin: str, target: str) -> None:
    told = parse_url(url)
    assert (told.origin, told.target) == (origin, target)
    assert parse_url(told.url) == told


async def test_a_url_for_later_is_judged_without_dialling_and_an_unknown_name_passes(web: Web) -> None:
    web.names.update({name: [found] for name, found in NAMES.items()})
    egress = web.egress()
    for host in ("public.test", "unknown.test", "8.8.8.8"):
        await egress.judge(f"http://{host}/", total_s=120)
    for url in (
        "http://ten.test/",
        "http://10.0.0.1/",
        "http://mixed.test/",
        "http://public.test:22/",
        "http://[::1]/",
    ):
        with pytest.raises(MiraError) as caught:
            await egress.judge(url, total_s=120)
        assert caught.value.code == "url_not_allowed", url
    assert web.dialled == []


async def test_a_look_up_that_takes_too_long_leaves_the_judgement_for_later(web: Web) -> None:
    async def never(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    await Egress(web.open, never).judge("http://slow.test/", total_s=0.01)


async def test_a_webhook_that_was_public_when_it_was_named_is_judged_again_when_it_is_told(web: Web) -> None:
    web.names["moves.test"] = [[PUBLIC], ["127.0.0.1"]]
    url, egress = f"http://moves.test:{web.site.port}/hook", web.egress()
    await require_reachable(url, egress)
    assert not await tell(ended_job(url), egress, Secret(), 0)
    assert (web.lookups, web.dialled) == (["moves.test"] * 2, [])


class Secret:
    def webhook_secret(self, workspace_id: str) -> bytes:
        return workspace_id.encode()


def ended_job(webhook_url: str) -> Job:
    return Job(
        id="video_1",
        workspace_id="ws",
        key_id="key",
        hold_id="req",
        client_request_id="",
        face="proxy",
        model="acme/film",
        state=State.COMPLETED,
        seconds=4,
        held_nanocredits=0,
        created_at_ms=0,
        updated_at_ms=0,
        next_at_ms=0,
        deadline_at_ms=0,
        webhook_url=webhook_url,
    )
