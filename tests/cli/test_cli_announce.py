"""What a gateway says of itself: in a pipe plain lines, on a terminal a bar, secrets only when they are given."""

import io
import json
import shlex

import pytest

from mira.cli.announce import JsonAnnouncer, PlainAnnouncer, curl_line
from mira.cli.program import FirstRun
from mira.cli.progress import TransferProgress

FIRST = FirstRun("operator@localhost", "pass word'", "sk-mira-first")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def start(announcer, first_run=None, nodes=(("up", "file"),), notices=()):
    announcer.started(
        base_url="http://localhost:4000",
        docs_url="http://localhost:4000/docs",
        home="/data",
        nodes=list(nodes),
        notices=notices,
        first_run=first_run,
    )


def test_a_later_start_tells_addresses_and_no_secret():
    out = io.StringIO()
    start(PlainAnnouncer(out), notices=["GEMINI_API_KEY is set, but …"])
    text = out.getvalue()
    for words in (
        "http://localhost:4000/v1",
        "http://localhost:4000/docs",
        "/data",
        "up (file)",
        "GEMINI_API_KEY is set",
    ):
        assert words in text
    assert "secret" not in text
    assert "sign-in" not in text


def test_the_first_start_tells_every_secret_that_was_made():
    out = io.StringIO()
    start(PlainAnnouncer(out), FIRST)
    lines = [line for line in out.getvalue().splitlines() if line]
    assert any(line.split()[-1] == "sk-mira-first" for line in lines)
    sign_in = next(line for line in lines if "operator API" in line)
    command = shlex.split(sign_in.split("operator API")[1])
    assert command == ["curl", "-u", "operator@localhost:pass word'", "http://localhost:4000/admin/v1/workspaces"]


def test_a_key_that_the_operator_gave_is_not_repeated():
    out = io.StringIO()
    start(PlainAnnouncer(out), FirstRun("operator@localhost", "password", None))
    assert "  key " not in out.getvalue()


def test_only_the_model_request_is_a_line_that_begins_with_curl():
    out = io.StringIO()
    announcer = PlainAnnouncer(out)
    start(announcer, FIRST)
    announcer.answerable(model="mira/local", key="sk-mira-first")
    announcer.answerable(model="other/model", key="sk-mira-first")
    curls = [line for line in out.getvalue().splitlines() if line.lstrip().startswith("curl ")]
    assert curls == [f"  {curl_line('http://localhost:4000', 'mira/local', 'sk-mira-first')}"]


def test_the_curl_line_is_one_shell_command_whatever_the_names_hold():
    words = shlex.split(curl_line("http://h/p", "a/it's $HOME", "sk 'quoted' $x"))
    assert words[:2] == ["curl", "http://h/p/v1/chat/completions"]
    assert words[3] == "Authorization: Bearer sk 'quoted' $x"
    assert json.loads(words[7])["model"] == "a/it's $HOME"


def test_without_a_key_the_curl_line_says_where_one_comes_from():
    out = io.StringIO()
    announcer = PlainAnnouncer(out)
    start(announcer)
    announcer.answerable(model="m", key=None)
    assert '"Authorization: Bearer $MIRA_API_KEY"' in out.getvalue()
    assert "mira keys create" in out.getvalue()


def test_a_fetch_is_told_in_sparse_plain_lines_in_a_pipe():
    out = io.StringIO()
    announcer = PlainAnnouncer(out)
    start(announcer)
    before = len(out.getvalue().splitlines())
    for done in range(1001):
        announcer.local_progress(state="fetching", done_bytes=done, total_bytes=1000, detail=f"fetching pack, {done} B")
    for done in range(1001):
        announcer.local_progress(state="fetching", done_bytes=done, total_bytes=1000, detail=f"checking pack, {done} B")
    lines = out.getvalue().splitlines()[before:]
    assert len(lines) == 22
    assert lines[1] == "  fetching pack, 100 B (10 %)"
    assert lines[-1] == "  checking pack, 1000 B (100 %)"
    assert out.getvalue().isprintable() or all(line.isprintable() for line in out.getvalue().splitlines())


def test_other_states_are_told_once_and_the_end_by_the_gateway_itself():
    out = io.StringIO()
    announcer = PlainAnnouncer(out)
    for state, detail in (
        ("starting", "loading x"),
        ("failed", "no memory"),
        ("failed", "no memory"),
        ("stopped", "stopped"),
    ):
        announcer.local_progress(state=state, done_bytes=0, total_bytes=0, detail=detail)
    announcer.stopped()
    assert out.getvalue().splitlines() == [
        "  local model starting: loading x",
        "  local model failed: no memory",
        "Mira has stopped.",
    ]


def test_a_terminal_gets_a_bar_that_is_gone_before_the_next_line(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    announcer = PlainAnnouncer(out)
    start(announcer)
    for done in (0, 500, 1000):
        announcer.local_progress(state="fetching", done_bytes=done, total_bytes=1000, detail="fetching pack")
    announcer.local_progress(state="ready", done_bytes=1000, total_bytes=1000, detail="mira/local answers")
    assert "\x1b[" in out.getvalue()
    assert out.getvalue().endswith("  local model ready: mira/local answers\n")


def test_a_transfer_of_unknown_size_is_told_once():
    out = io.StringIO()
    progress = TransferProgress(out)
    progress.at("fetching pack", 0, 0)
    progress.at("fetching pack", 0, 0)
    progress.finish()
    assert out.getvalue() == "  fetching pack\n"


def test_text_from_elsewhere_cannot_steer_a_terminal():
    out = io.StringIO()
    start(PlainAnnouncer(out), nodes=[("evil\x1b[2J\nname", "file")])
    assert "evil?[2J?name (file)" in out.getvalue()


def test_programs_get_a_json_object_per_event():
    out = io.StringIO()
    announcer = JsonAnnouncer(out)
    start(announcer, FIRST)
    announcer.local_progress(state="fetching", done_bytes=1, total_bytes=2, detail="d")
    announcer.answerable(model="m", key="k")
    announcer.stopped()
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["started", "local", "answerable", "stopped"]
    assert events[0]["first_run"]["password"] == "pass word'"
    assert events[0]["nodes"] == [{"name": "up", "origin": "file"}]
    assert events[2]["curl"] == curl_line("http://localhost:4000", "m", "k")


@pytest.mark.parametrize("make", [PlainAnnouncer, JsonAnnouncer])
def test_every_event_is_flushed_at_once(make):
    class Pipe(io.StringIO):
        flushed = ""

        def flush(self) -> None:
            self.flushed = self.getvalue()

    out = Pipe()
    announcer = make(out)
    start(announcer, FIRST)
    announcer.answerable(model="m", key=None)
    assert out.flushed == out.getvalue() != ""
