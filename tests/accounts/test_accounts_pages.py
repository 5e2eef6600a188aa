"""The portal's page: what is served of it, with which headers, and nothing beside it."""

import re
from pathlib import Path

from tests.support.gateway import Gateway

import mira

BUNDLE = Path(mira.__file__).parent / "portal" / "dist"


def test_the_page_lets_no_code_in_but_its_own_files(people, visitor):
    answers = [visitor().http.get("/") for _ in range(2)]
    for answer in answers:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] in ("'self'", "'none'")
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    if BUNDLE.joinpath("index.html").is_file():
        assert all(answer.status_code == 200 for answer in answers)
        nonces = [re.search(r"'nonce-([\w-]+)'", answer.headers["content-security-policy"])[1] for answer in answers]
        assert nonces[0] != nonces[1]
        assert all(nonce in answer.text for nonce, answer in zip(nonces, answers, strict=True))
        assert "__MIRA_NONCE__" not in answers[0].text
        assert "frame-ancestors 'none'" in answers[0].headers["content-security-policy"]
    else:
        assert all(answer.status_code == 503 for answer in answers)
        assert "uv sync" in answers[0].text


def test_an_asset_is_kept_for_ever_and_packed_for_who_takes_it(people, visitor):
    files = sorted(BUNDLE.joinpath("assets").glob("*.js")) if BUNDLE.is_dir() else []
    for file in files[:2]:
        plain = visitor().http.get(f"/assets/{file.name}", headers={"accept-encoding": "identity"})
        packed = visitor().http.get(f"/assets/{file.name}", headers={"accept-encoding": "gzip"})
        assert plain.content == packed.content == file.read_bytes()
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert "immutable" in plain.headers["cache-control"]
        assert plain.headers["content-type"].startswith("text/javascript")


def test_nothing_beside_the_bundle_is_served(people, visitor):
    for path in (
        "/assets/..%2findex.html",
        "/assets/..%2f..%2f__init__.py",
        "/assets/%2e%2e",
        "/assets/%00",
        "/assets/..%5cindex.html",
        "/assets/nothing.js",
        "/assets/",
        "/index.html.gz",
        "/stamp",
    ):
        assert visitor().http.get(path).status_code == 404, path


def test_the_portal_works_under_a_path_and_knows_its_address(tmp_path):
    public = "https://gate.test/mira"
    oidc = {"issuer": "http://127.0.0.1:9", "client_id": "mira", "client_secret": "of nobody"}
    gateway = Gateway(tmp_path, tables={"oidc": oidc}, MIRA_PUBLIC_URL=public).start()
    line = re.search(r"(\S+@\S+)\s+password (\S+)", gateway.says(lambda text: "sign-in" in text))
    gateway.says(lambda text: re.search(rf"portal\s+{public}/$", text) is not None)
    host = {"host": "gate.test"}
    bare = gateway.http.get("/mira", headers=host)
    assert (bare.status_code, bare.headers["location"]) == (307, "./mira/")
    assert "content-security-policy" in gateway.http.get("/mira/", headers=host).headers
    body = {"email": line[1], "password": line[2]}
    answer = gateway.http.post("/mira/portal/v1/session", json=body, headers={**host, "origin": "https://gate.test"})
    assert answer.json()["base_url"] == public
    assert answer.json()["secure"] is True
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert cookie.startswith("__Host-mira_session=")
    headers = {**host, "cookie": cookie, "x-csrf-token": answer.json()["csrf_token"]}
    assert gateway.http.get("/mira/portal/v1/play/models", headers=headers).status_code == 200
    made = gateway.http.post("/mira/portal/v1/invitations", json={"email": "a@b"}, headers=headers).json()
    assert made["url"].startswith(f"{public}/#/join/")
    away = gateway.http.get("/mira/portal/v1/oidc/start", headers=host)
    assert (away.status_code, away.headers["location"]) == (303, f"{public}/#/sign-in?error=oidc_failed")
    gateway.stop()
    gateway.close()


def test_the_old_name_leads_to_the_page(people, visitor):
    answer = visitor().http.get("/portal")
    assert (answer.status_code, answer.headers["location"]) == (307, "./")
