"""A browser renders pages, and reaches nothing but what the guard lets it reach."""

import asyncio

import pytest
from loopback_web import PUBLIC, Web, ok, redirect

from mira.errors import MiraError
from mira.fetch.domains import Domains
from mira.fetch.render.browser import Browser

ANY = Domains().check
SCRIPTED = b"""<html><body><div id="app"></div><script>
document.getElementById("app").innerHTML = "<h1>Made by a script</h1><p id=done>" + navigator.language + "</p>";
</script></body></html>"""
#: Tries every way out that a page has, to the metadata address and to the canary; says so when all of them ended.
HOSTILE = """<html><body><h1>Hostile</h1>
{images}<iframe src="http://169.254.169.254/latest/"></iframe><iframe src="http://127.0.0.1:{p}/frame"></iframe>
<iframe src="file:///etc/passwd"></iframe><iframe src="/elsewhere"></iframe>
<link rel=stylesheet href="http://127.0.0.1:{p}/style.css"><script src="http://[::1]:{p}/script.js"></script>
<script>
const places = ["http://169.254.169.254/latest/", "http://127.0.0.1:{p}/fetch", "http://localhost:{p}/", "http://[::1]:{p}/",
  "https://127.0.0.1:{p}/", "http://2130706433:{p}/", "http://ten.test/", "/elsewhere", "http://169.254.169.254:8080/"];
const tries = places.map(place => fetch(place, {{mode: "no-cors"}}).catch(() => 0));
for (const place of ["ws://169.254.169.254/", "ws://127.0.0.1:{p}/ws", "wss://127.0.0.1:{p}/ws"])
  tries.push(new Promise(end => {{ try {{ const s = new WebSocket(place); s.onerror = s.onopen = end; }} catch {{ end(); }} }}));
navigator.sendBeacon("http://127.0.0.1:{p}/beacon", "x");
try {{ const c = new RTCPeerConnection({{iceServers: [{{urls: "stun:127.0.0.1:{p}"}}]}}); c.createDataChannel("x");
  c.createOffer().then(o => c.setLocalDescription(o)); }} catch {{}}
navigator.serviceWorker?.register("/worker.js").catch(() => 0);
Promise.all(tries).then(() => {{ document.body.insertAdjacentHTML("beforeend", "<p id=done>all tried</p>"); }});
</script></body></html>"""


@pytest.fixture
async def browser(web: Web):
    browser = Browser(web.egress(open_tunnel=web.tunnel), None)
    if browser.obstacle is not None:
        pytest.skip(browser.obstacle)
    yield browser
    await browser.close()


async def render(browser: Browser, url: str, **more):
    return await browser.render(url, **{"permit": ANY, "wait_for": "#done", "language": None, "total_s": 120, **more})


async def test_a_page_is_taken_as_its_scripts_made_it(web: Web, browser: Browser) -> None:
    web.site.answer = lambda path: ok(SCRIPTED, mime="text/html")
    url = f"http://public.test:{web.site.port}/app"
    loaded = await render(browser, url, language="de")
    assert b"<h1>Made by a script</h1>" in loaded.data
    assert (loaded.status, loaded.final_url, loaded.mime_type) == (200, url, "text/html")
    assert any("accept-language: de" in head.lower() for head in web.site.heads)
    assert not any("cookie" in head.lower() for head in web.site.heads)


async def test_a_hostile_page_reaches_nothing_but_its_own_site(web: Web, browser: Browser) -> None:
    web.names["ten.test"] = [["10.0.0.1"]]
    port = web.canary.port
    images = "".join(f'<img src="{at}">' for at in (f"http://127.0.0.1:{port}/i", "http://169.254.169.254/i"))
    page = HOSTILE.format(p=port, images=images).encode()
    elsewhere = redirect("http://169.254.169.254/latest/meta-data/")
    web.site.answer = lambda path: elsewhere if path == "/elsewhere" else ok(page, mime="text/html")
    loaded = await render(browser, f"http://public.test:{web.site.port}/")
    assert b"all tried" in loaded.data
    assert set(web.dialled) == {PUBLIC}
    # The tries did come, as far as the guard.
    assert {"localhost", "ten.test"} <= set(web.lookups)


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "http://127.0.0.1:{p}/", "https://127.0.0.1:{p}/"])
async def test_a_page_that_sends_the_browser_elsewhere_is_refused(web: Web, browser: Browser, target: str) -> None:
    web.site.answer = lambda path: redirect(target.replace("{p}", str(web.canary.port)))
    with pytest.raises(MiraError) as caught:
        await render(browser, f"http://public.test:{web.site.port}/")
    assert caught.value.code == "url_not_allowed"
    assert set(web.dialled) == {PUBLIC}


async def test_a_url_that_may_not_be_loaded_starts_no_browser(web: Web, browser: Browser) -> None:
    with pytest.raises(MiraError) as caught:
        await render(browser, f"http://127.0.0.1:{web.canary.port}/")
    assert caught.value.code == "url_not_allowed"
    blocked = Domains(block=("public.test",)).check
    with pytest.raises(MiraError):
        await render(browser, f"http://public.test:{web.site.port}/", permit=blocked)
    assert web.dialled == []


async def test_a_page_that_never_ends_is_left_in_time_and_the_next_one_is_rendered(web: Web, browser: Browser) -> None:
    stuck = b"<script>for (;;) {}</script>"
    web.site.answer = lambda path: ok(stuck if path == "/stuck" else SCRIPTED, mime="text/html")
    await render(browser, f"http://public.test:{web.site.port}/")
    with pytest.raises(MiraError) as caught:
        await render(browser, f"http://public.test:{web.site.port}/stuck", total_s=1.5)
    assert caught.value.code == "timeout"
    async with asyncio.timeout(120):
        loaded = await render(browser, f"http://public.test:{web.site.port}/")
    assert b"Made by a script" in loaded.data


def test_a_gateway_without_chromium_says_so(web: Web, tmp_path) -> None:
    assert "no Chromium" in (Browser(web.egress(), str(tmp_path / "none")).obstacle or "")
