"""Uploads: taken whole or not at all, judged by content, shown to their owner only, and never run by a browser."""

import base64
import hashlib
import io
import os
import zipfile

import openai
import pytest
from tests.support.gateway import PROXY_KEY

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


@pytest.fixture(scope="module")
def small(make_gateway):
    """A gateway with little room: 1 MiB a file, 3 MiB a workspace."""
    return make_gateway(tables={"files": {"max_mib": 1, "quota_mib": 3}})


def send(gateway, data, mime_type="image/png", *, key=PROXY_KEY, **more):
    return gateway.post(
        "/v1/upload", {"data": base64.b64encode(data).decode(), "mime_type": mime_type, **more}, key=key
    )


def send_form(gateway, data, mime_type, filename="a.bin", **more):
    return gateway.request("POST", "/v1/upload", files={"file": (filename, data, mime_type)}, **more)


def test_the_body_of_the_first_documents_is_taken_and_given_back(gateway):
    told = send(gateway, PNG, filename="dot.png")
    assert told.status_code == 201
    file = told.json()
    assert file["id"] in file["url"]
    assert (file["mime_type"], file["bytes"], file["filename"]) == ("image/png", len(PNG), "dot.png")
    assert file["sha256"] == hashlib.sha256(PNG).hexdigest()
    back = gateway.get(f"/v1/files/{file['id']}")
    assert back.content == PNG
    assert back.headers["content-type"] == "image/png"
    assert gateway.get(f"/v1/files/{file['id']}/metadata").json() == file


def test_an_upload_costs_nothing_and_is_on_the_list_of_calls(gateway):
    before = gateway.balance()
    told = send(gateway, PNG)
    call = gateway.call(told.headers["x-request-id"])
    assert (call["protocol"], call["cost"], call["status"]) == ("upload", "0", 201)
    assert gateway.balance() == before
    gateway.check_ledger()


def test_a_form_is_taken_as_well(gateway):
    told = send_form(gateway, PDF, "application/pdf", "report.pdf")
    assert told.status_code == 201
    assert told.json()["mime_type"] == "application/pdf"
    assert gateway.get(f"/v1/files/{told.json()['id']}").content == PDF


def test_the_sdk_keeps_lists_reads_and_removes_files(gateway, tmp_path):
    workspace = gateway.new_workspace()
    key = gateway.new_key(workspace)[1]
    with openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0) as sdk:
        made = [sdk.files.create(file=(f"{n}.pdf", PDF + bytes([65 + n])), purpose="user_data") for n in range(3)]
        assert (made[0].object, made[0].bytes, made[0].filename) == ("file", len(PDF) + 1, "0.pdf")
        assert (made[0].purpose, made[0].status) == ("user_data", "processed")
        assert sdk.files.retrieve(made[1].id) == made[1]
        assert sdk.files.wait_for_processing(made[1].id).status == "processed"
        assert sdk.files.content(made[2].id).read() == PDF + b"C"
        pages = sdk.files.list(limit=2, order="asc")
        assert pages.has_more
        assert sorted(file.id for file in pages) == sorted(file.id for file in made)
        assert sdk.files.delete(made[0].id).deleted
        with pytest.raises(openai.NotFoundError):
            sdk.files.retrieve(made[0].id)
        assert {file.id for file in sdk.files.list()} == {made[1].id, made[2].id}
        assert [file.id for file in sdk.files.list(purpose="batch")] == []
        call = gateway.call(sdk.files.with_raw_response.create(file=PDF, purpose="vision").headers["x-request-id"])
        assert (call["protocol"], call["cost"]) == ("upload", "0")
    # Who does not insist on JSON gets the file itself under the address that was promised.
    back = gateway.get(f"/v1/files/{made[1].id}", key=key, headers={"accept": "application/json, */*"})
    assert back.content == PDF + b"B"
    assert made[1].id not in gateway.get("/v1/files").text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "purpose"),
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": "vision", "expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "expires_after"),
    ],
)
def test_what_is_promised_to_no_file_is_refused_by_name(gateway, fields, param):
    told = gateway.request("POST", "/v1/files", files={"file": ("a.pdf", PDF)}, data=fields)
    assert (told.status_code, told.json()["error"]["param"]) == (400, param)
    assert gateway.post("/v1/files", {"purpose": "vision"}).status_code == 415


def test_a_large_file_goes_through_in_pieces(gateway):
    data = b"%PDF-" + os.urandom(20 * 2**20)
    for told in (send(gateway, data, "application/pdf"), send_form(gateway, data, "application/pdf")):
        assert told.status_code == 201
        assert gateway.get(f"/v1/files/{told.json()['id']}").content == data


@pytest.mark.parametrize("declared", ["image/jpeg", "image/webp", "application/octet-stream", "IMAGE/PNG; x=1"])
def test_the_content_says_what_a_file_is(gateway, declared):
    assert send(gateway, PNG, declared).json()["mime_type"] == "image/png"


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
        (b"<html><script>alert(1)</script></html>", "text/html"),
        (b"alert(1)", "application/javascript"),
        (b"<html>", "image/png"),
        (PDF, "image/png"),
        (PNG, "text/plain"),
        (b"MZ\x90\x00\x03" + bytes(100), "application/octet-stream"),
        (b"\xff\xfe<\x00s\x00v\x00g\x00>\x00", "text/plain"),
        (b"text\x00with a zero", "text/plain"),
        (b"caf\xe9", "text/plain"),
        (b"a" * 9000 + b"\xe9", "text/plain"),
    ],
)
def test_what_is_not_what_it_is_said_to_be_is_refused(gateway, data, declared):
    told = send(gateway, data, declared)
    assert told.status_code == 415, told.text
    assert told.json()["error"]["param"] in {"mime_type", "data"}


def test_markup_that_is_sent_as_text_stays_text(gateway):
    page = b"<html><script>alert(1)</script></html>"
    file = send(gateway, page, "text/plain").json()
    back = gateway.get(f"/v1/files/{file['id']}")
    assert back.content == page
    assert back.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("data", [PNG, PDF, b"words", b"GIF89a/*<script>alert(1)</script>*/"])
def test_no_file_is_served_so_that_a_browser_runs_it(gateway, data):
    file = send(gateway, data, "application/octet-stream", filename='"><script>.png').json()
    headers = gateway.get(f"/v1/files/{file['id']}").headers
    assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert "<" not in headers["content-disposition"]


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..\\..\\x", "/etc/shadow", "a\x00b.png", "CON", "x" * 5000, "", ".", "..", "a\r\nb: c"],
)
def test_a_name_is_only_a_name(gateway, name):
    told = send(gateway, PNG, filename=name)
    assert told.status_code == 201
    kept = told.json()["filename"]
    assert kept
    assert not set(kept) & set("/\\\r\n\0")
    assert kept not in {".", ".."}
    folder = gateway.home / "files"
    assert {path.parent for path in folder.rglob("*") if path.is_file()} == {folder}


@pytest.mark.parametrize(
    "data",
    [
        "",
        "a",
        "ab==cd==",
        "a b=",
        "YWJj\n",
        "YWJj-_==",
        "YWJ",
        "=YWJ",
        "YWJj" * 400_000 + "YW==" + "YWJj" * 9,
        7,
        None,
        ["x"],
    ],
)
def test_base64_is_strict(gateway, data):
    told = gateway.post("/v1/upload", {"data": data, "mime_type": "text/plain"})
    assert told.status_code == 400
    assert told.json()["error"]["param"] == "data"


def test_base64_with_escaped_slashes_is_still_base64(gateway):
    escaped = base64.b64encode(PNG + b"\xff" * 90).decode().replace("/", "\\/")
    assert "\\/" in escaped
    body = f'{{"mime_type": "application/octet-stream", "data": "{escaped}"}}'
    told = gateway.request("POST", "/v1/upload", content=body, headers={"content-type": "application/json"})
    assert told.status_code == 201


def test_a_file_above_the_limit_is_refused_in_both_forms(small):
    data = b"%PDF-" + bytes(2**20)
    for told in (send(small, data, "application/pdf"), send_form(small, data, "application/pdf")):
        assert told.status_code == 413
    assert send(small, data[: 2**20], "application/pdf").status_code == 201


def test_a_workspace_keeps_no_more_than_its_quota(small):
    workspace = small.new_workspace()
    _, key = small.new_key(workspace)
    data = b"%PDF-" + bytes(900_000)
    files = [send(small, data, "application/pdf", key=key) for _ in range(4)]
    assert [told.status_code for told in files] == [201, 201, 201, 413]
    assert small.request("DELETE", f"/v1/files/{files[0].json()['id']}", key=key).json()["deleted"]
    assert send(small, data, "application/pdf", key=key).status_code == 201
    assert len(list((small.home / "files").glob("file_*"))) == 3 + len(
        [path for path in (small.home / "files").glob("file_*") if path.stat().st_size == 2**20]
    )


def test_another_workspace_s_file_is_the_same_404_as_none(gateway):
    file = send(gateway, PNG).json()
    _, stranger = gateway.new_key(gateway.new_workspace())
    for method, path in (("GET", ""), ("GET", "/metadata"), ("DELETE", "")):
        theirs = gateway.request(method, f"/v1/files/{file['id']}{path}", key=stranger)
        none = gateway.request(method, f"/v1/files/file_{'0' * 32}{path}", key=stranger)
        assert theirs.status_code == none.status_code == 404
        assert theirs.json()["error"] == none.json()["error"]
    assert gateway.get(f"/v1/files/{file['id']}").content == PNG


def test_a_removed_file_is_gone(gateway):
    file = send(gateway, PNG).json()
    assert gateway.request("DELETE", f"/v1/files/{file['id']}").status_code == 200
    assert gateway.get(f"/v1/files/{file['id']}").status_code == 404
    assert gateway.request("DELETE", f"/v1/files/{file['id']}").status_code == 404
    assert not (gateway.home / "files" / file["id"]).exists()


@pytest.mark.parametrize("file_id", ["../mira.db", "..%2Fmira.db", "%2e%2e/secret", "file_", "file_%00"])
def test_no_id_leads_out_of_the_store(gateway, file_id):
    assert gateway.get(f"/v1/files/{file_id}").status_code == 404


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"--x\r\n",
        b'--x\r\ncontent-disposition: form-data; name="other"\r\n\r\nv\r\n--x--\r\n',
        b'--x\r\ncontent-disposition: form-data; name="file"\r\n\r\nnot a file\r\n--x--\r\n',
        b"--x\r\n" + b"a: b\r\n" * 50_000,
    ],
)
def test_a_broken_form_is_a_clear_error(gateway, form):
    told = gateway.request(
        "POST", "/v1/upload", content=form, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert told.status_code in {400, 413}
    assert told.json()["error"]["message"]


def test_a_zip_is_taken_only_where_it_is_a_document(gateway):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bomb.txt", bytes(10**7))
    assert send(gateway, packed.getvalue(), "application/zip").status_code == 415
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    told = send(gateway, packed.getvalue(), "application/octet-stream")
    assert told.json()["mime_type"].endswith("wordprocessingml.document")


# Files in requests


def chat_part(part):
    return {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": [part]}]}


def messages_block(block):
    body = {"model": "openai/gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": [block]}]}
    return "/v1/messages", body


def responses_part(part):
    return "/v1/responses", {"model": "openai/gpt-4o-mini", "input": [{"role": "user", "content": [part]}]}


PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PDF_URL = "data:application/pdf;base64," + base64.b64encode(PDF).decode()


@pytest.fixture(scope="module")
def picture(gateway):
    return send(gateway, PNG, filename="dot.png").json()


@pytest.fixture(scope="module")
def paper(gateway):
    return send(gateway, PDF, "application/pdf", filename="paper.pdf").json()


@pytest.mark.parametrize("by", ["url", "id"])
def test_a_picture_by_its_address_or_id_reaches_the_node_as_data(gateway, upstream, picture, by):
    told = gateway.post("/v1/chat/completions", chat_part({"type": "image_url", "image_url": {"url": picture[by]}}))
    assert told.status_code == 200
    sent = upstream.received(1)[0].json["messages"][0]["content"][0]
    assert sent == {"type": "image_url", "image_url": {"url": PNG_URL}}


def test_a_document_by_its_id_reaches_the_node_as_data(gateway, upstream, paper):
    told = gateway.post("/v1/chat/completions", chat_part({"type": "file", "file": {"file_id": paper["id"]}}))
    assert told.status_code == 200
    sent = upstream.received(1)[0].json["messages"][0]["content"][0]
    assert sent == {"type": "file", "file": {"filename": "paper.pdf", "file_data": PDF_URL}}


@pytest.mark.parametrize("kind", ["file", "url"])
def test_every_protocol_names_files_in_its_own_words(gateway, upstream, picture, paper, kind):
    def source(file):
        return {"type": "file", "file_id": file["id"]} if kind == "file" else {"type": "url", "url": file["url"]}

    image = {"type": "input_image", **({"file_id": picture["id"]} if kind == "file" else {"image_url": picture["url"]})}
    document = {"type": "input_file", **({"file_id": paper["id"]} if kind == "file" else {"file_url": paper["url"]})}
    asked = [
        (messages_block({"type": "image", "source": source(picture)}), PNG_URL),
        (messages_block({"type": "document", "source": source(paper)}), PDF_URL),
        (responses_part(image), PNG_URL),
        (responses_part(document), PDF_URL),
    ]
    # What the scripted node answers is Chat's; here only what it is asked counts.
    for (path, body), _ in asked:
        gateway.post(path, body)
    received = [request.body.decode() for request in upstream.received(len(asked))]
    for (_, data), sent in zip(asked, received, strict=True):
        assert data.partition(",")[2] in sent
        assert "file_" not in sent.replace("file_data", "")


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "file_" + "0" * 32}}, "messages[0].content[0].image_url.url"),
        ({"type": "file", "file": {"file_id": "file_" + "0" * 32}}, "messages[0].content[0].file.file_id"),
    ],
)
def test_a_file_that_is_not_there_is_named_and_nothing_is_charged(gateway, upstream, part, param):
    before = gateway.balance()
    told = gateway.post("/v1/chat/completions", chat_part(part))
    assert told.status_code == 404
    assert told.json()["error"]["param"] == param
    assert gateway.balance() == before
    assert not upstream.received(0)


def test_another_workspace_s_file_cannot_be_put_into_a_request(gateway, upstream, picture):
    _, stranger = gateway.new_key(gateway.new_workspace())
    body = chat_part({"type": "image_url", "image_url": {"url": picture["url"]}})
    assert gateway.post("/v1/chat/completions", body, key=stranger).status_code == 404


def test_words_that_look_like_a_file_are_only_words(gateway, upstream, picture):
    told = gateway.chat("openai/gpt-4o-mini", f"What is {picture['id']}, and file_000?")
    assert told.status_code == 200
    assert picture["id"] in upstream.received(1)[0].json["messages"][0]["content"]
