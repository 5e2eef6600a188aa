"""The pages that call models and tell of calls: what they show is what was answered, booked and counted."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.portal import axe
from tests.portal.browser import settled, sideways_px, visitor
from tests.portal.pages import go, sign_in
from tests.portal.stage import CHAT, Stage, stage
from tests.support.upstream import DONE, Moment, Script, chunk, chunks, frames, streams

from mira.clients.shapes import PLACEHOLDER, Model, Target
from mira.clients.table import CLIENTS

OTHER = "openai/gpt-4o"
WORDS = ("A gateway ", "stands before ", "many nodes.")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da6364f8ffbf1e00058402017f"
    "0b1d6f0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def played(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway of its own for tests that call models."""
    with stage(tmp_path_factory.mktemp("played"), furnished=False) as made:
        yield made


@pytest.fixture(scope="module")
def session(browser: Browser, played: Stage) -> Any:
    with visitor(browser) as context:
        sign_in(context.new_page(), played.url, played.operator)
        return context.storage_state()


@pytest.fixture
def page(played: Stage, session: Any, open_page: Any) -> Page:
    page: Page = open_page(played.url, storage_state=session)[0]
    return page


def ask(page: Page, words: str) -> None:
    page.get_by_label("Message", exact=True).fill(words)
    page.keyboard.press("Enter")


def balance(on: Stage) -> Decimal:
    found = on.gateway.balance()
    assert Decimal(found["held"]) == 0
    return Decimal(found["balance"])


def test_an_answer_streams_in_and_costs_what_the_balance_moved_by(played: Stage, page: Page) -> None:
    played.upstream.script("gpt-4o-mini", says(*chunks(*WORDS)))
    before = balance(played)
    go(page, played.url, f"#/playground?model={CHAT}")
    ask(page, "What is a gateway?")
    took = page.get_by_text("credits · ")
    took.wait_for()
    expect(page.get_by_text("".join(WORDS), exact=True).first).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Answer: A gateway")).to_be_attached()
    cost = re.match(r"([\d.]+) credits", took.inner_text())
    assert cost is not None
    assert before - balance(played) == Decimal(cost[1]) > 0
    asked = played.upstream.chats("gpt-4o-mini")[-1].json
    assert asked["messages"] == [{"role": "user", "content": "What is a gateway?"}]
    page.get_by_role("button", name="Raw").click()
    page.get_by_text("Response", exact=True).click()
    assert "data: [DONE]" in page.get_by_test_id("raw").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="In the log").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_text("Portal playground")).to_be_visible()
    expect(sheet).to_contain_text(cost[1])


def test_a_stopped_answer_keeps_what_came_and_the_node_is_let_go(played: Stage, page: Page) -> None:
    never = Moment()
    played.upstream.script(
        "gpt-4o-mini", streams([*frames(chunk({"role": "assistant", "content": "Half of "})), never])
    )
    go(page, played.url, f"#/playground?model={CHAT}")
    ask(page, "Go on for ever")
    page.get_by_text("Half of", exact=False).first.wait_for()
    request = played.upstream.chats("gpt-4o-mini")[-1]
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("ended: stopped").wait_for()
    request.closed.wait()
    played.upstream.script("gpt-4o-mini", says(*chunks("Whole.")))
    page.get_by_role("button", name="Retry").click()
    page.get_by_text("Whole.", exact=True).first.wait_for()
    assert page.get_by_text("Half of").count() == 0


def test_two_models_answer_side_by_side_with_pictures_and_tools(played: Stage, page: Page, tmp_path: Path) -> None:
    tool = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
    }
    calls = [chunk({"role": "assistant", "tool_calls": [tool]}), chunk({}, finish="tool_calls")]
    played.upstream.script("gpt-4o-mini", says(*calls), says(*chunks("It rains.")))
    played.upstream.script("gpt-4o", says(*chunks("No idea.")))
    go(page, played.url, f"#/playground?model={CHAT}&beside={OTHER}")
    page.get_by_role("button", name="Settings").click()
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    page.get_by_label("Tools").fill(json.dumps(tools))
    page.keyboard.press("Escape")
    picture = tmp_path / "map.png"
    picture.write_bytes(PIXEL)
    page.get_by_label("Pictures to attach").set_input_files(picture)
    page.get_by_role("img", name="map.png").wait_for()
    ask(page, "How is the weather here?")
    page.get_by_text("No idea.", exact=True).first.wait_for()
    page.get_by_label("Result of weather").fill("rain")
    page.get_by_role("button", name="Send results").click()
    page.get_by_text("It rains.", exact=True).first.wait_for()
    first, second = (request.json for request in played.upstream.chats("gpt-4o-mini")[-2:])
    assert first["tools"][0]["function"]["name"] == "weather"
    assert [part["type"] for part in first["messages"][0]["content"]] == ["text", "image_url"]
    assert second["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    assert axe.violations(page) == []


def test_a_refusal_is_shown_where_the_answer_would_be(played: Stage, session: Any, open_page: Any) -> None:
    page, watch = open_page(played.url, storage_state=session)
    watch.expect("the server responded with a status of 404")
    go(page, played.url, "#/playground?model=openai/gpt-of-yesterday")
    ask(page, "Hello?")
    page.get_by_text("It did not work", exact=True).wait_for()
    assert "gpt-of-yesterday" in page.get_by_role("alert").inner_text()


def test_a_call_is_found_by_its_link_and_exported_as_it_was_booked(played: Stage, page: Page) -> None:
    _, secret = played.gateway.new_key(name="Only here")
    played.upstream.reset()
    answer = played.gateway.chat(CHAT, "Hi", key=secret)
    call = played.gateway.call(answer.headers["x-request-id"])
    go(page, played.url, f"#/logs?call={call['id']}")
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("listitem")).to_have_count(1)
    settled(page)
    said = sheet.inner_text()
    for fact in ("Only here", "200 ok", "openai-main", call["id"], "Billed"):
        assert fact in said
    assert axe.violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_label("Every key").or_(page.get_by_role("combobox", name="Key")).first.click()
    page.get_by_role("option", name="Only here").click()
    expect(page.get_by_role("button", name="Open call")).to_have_count(1)
    assert "key=" in page.url
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert [(row["id"], row["key"], Decimal(row["cost"])) for row in rows] == [
        (call["id"], "Only here", Decimal(call["cost"]))
    ]


def test_usage_by_key_adds_up_to_the_csv_of_the_same_view(played: Stage, page: Page) -> None:
    _, secret = played.gateway.new_key(name="Counted")
    played.upstream.reset()
    for _ in range(3):
        assert played.gateway.chat(CHAT, "Hi", key=secret).status_code == 200
    go(page, played.url, "#/usage?group=key&step=whole&compare=off&range=1d")
    row = page.get_by_role("row").filter(has_text="Counted")
    row.wait_for()
    shown = row.get_by_role("cell").all_inner_texts()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    told = Path(download.value.path()).read_text()
    line = next(line for line in csv.DictReader(io.StringIO(told)) if "Counted" in line.values())
    assert int(line["calls"]) == 3 == int(shown[2])
    assert Decimal(line["cost"]) == Decimal(shown[1]) > 0
    row.get_by_role("link").click()
    expect(page.get_by_role("button", name="Open call")).to_have_count(3)


def test_a_file_is_kept_and_removed_in_the_studio(played: Stage, page: Page, tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    picture.write_bytes(PIXEL)
    go(page, played.url, "#/studio?kind=upload")
    page.get_by_label("Choose a file").and_(page.locator("input")).set_input_files(picture)
    page.get_by_role("button", name="Upload", exact=True).click()
    kept = page.get_by_role("img", name="The upload")
    kept.wait_for()
    page.wait_for_function("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert axe.violations(page) == []
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("Removed.", exact=True).wait_for()


def test_the_reference_is_of_this_gateway(played: Stage, page: Page) -> None:
    go(page, played.url, "#/docs")
    said = page.get_by_role("main").inner_text()
    for title in (
        "Authentication",
        "Chat Completions",
        "Messages",
        "Web Fetch",
        "Use with OpenCode",
        "Inference Service",
    ):
        assert title in said
    assert f"curl {played.url}/v1/chat/completions" in said
    page.get_by_label("Search routes").fill("count_tokens")
    expect(page.get_by_role("table", name="All routes").get_by_role("row")).to_have_count(2)
    assert sideways_px(page) <= 0


def test_connect_says_what_the_command_writes_and_its_lines_get_an_answer(played: Stage, page: Page) -> None:
    _, secret = played.gateway.new_key()
    played.upstream.reset()
    go(page, played.url, "#/docs")
    told = page.request.get(f"{played.url}/portal/v1/connect?model={OTHER}").json()
    assert [client["id"] for client in told["clients"]] == list(CLIENTS)
    models = tuple(Model(model) for model in told["models"])
    target = Target(base_url=played.url, model=Model(OTHER), models=models, chosen=True)
    for client in told["clients"]:
        plan = CLIENTS[client["id"]](target)
        assert [file["path"] for file in client["files"]] == [f"~/{file.path}" for file in plan.files]
        assert (client["snippet"] or {}).get("text") == (plan.snippet.text if plan.snippet else None)
        assert all(secret not in file["text"] for file in client["files"])
    curl = next(client["snippet"]["text"] for client in told["clients"] if client["id"] == "curl")
    run = subprocess.run(
        ["bash", "-c", curl.replace(PLACEHOLDER, secret)], capture_output=True, check=True, timeout=120
    )
    assert json.loads(run.stdout)["object"] == "chat.completion"
    refused = page.request.get(f"{played.url}/portal/v1/connect?model=no/such")
    assert refused.status == 404


def says(*told: Any) -> Script:
    """A whole streamed answer of these chunks."""
    return streams([*frames(*told), DONE])
