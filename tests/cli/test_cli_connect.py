"""`mira connect`: whose configuration it writes, what it leaves alone, and what it never shows."""

import json
import tomllib

import pytest
from cli_gateway import Gateway, Mira
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.ports import free_port

from mira.clients import jsonc
from mira.clients.jsonc import UnreadableError
from mira.clients.merging import merge_toml, merge_yaml, merged
from mira.clients.shapes import Default, Model, Rows, Target
from mira.clients.table import CLIENTS

TARGET = Target(
    base_url="http://localhost:4000",
    model=Model("openai/gpt-5.1", 272_000, True),
    models=(Model("openai/gpt-5.1", 272_000, True), Model("mira/local")),
    key="sk-mira-a-key-of-the-tests",
)
SECRET = "sk-mira-the-key-of-the-connect-tests-0001"

# Merging

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | names
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)
comments = st.sampled_from(["", " ", "\n", "\r\n", "\t", "// a comment\n", "/* another, */", "\n  // }{\n"])


@st.composite
def written(draw, value):
    """A value as JSON with comments, any white space and trailing commas."""

    def gap():
        return draw(comments)

    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    parts = []
    for each in value:
        head = f"{json.dumps(each)}{gap()}:{gap()}" if isinstance(value, dict) else ""
        parts.append(gap() + head + draw(written(value[each] if isinstance(value, dict) else each)) + gap())
    comma = "," + gap() if parts and draw(st.booleans()) else ""
    return (
        ("{" if isinstance(value, dict) else "[")
        + ",".join(parts)
        + comma
        + gap()
        + ("}" if isinstance(value, dict) else "]")
    )


def read(text):
    """The value of JSON with comments, by the reader under test, which a plain document compares with `json`."""

    def value(node):
        if node.kind == "object":
            return dict(zip(node.names, map(value, node.children), strict=True))
        return [value(child) for child in node.children] if node.kind == "list" else node.value

    return value(jsonc._read(text))


def laid_over(old, new):
    """What merging has to give, in the plain words of dictionaries; None where it has to refuse."""
    result = dict(old)
    for name, setting in new.items():
        if name not in old:
            result[name] = jsonc.plain(setting)
        elif isinstance(setting, Default):
            continue
        elif isinstance(setting, dict):
            if not isinstance(old[name], dict) or (inner := laid_over(old[name], setting)) is None:
                return None
            result[name] = inner
        elif isinstance(old[name], dict | list):
            return None
        else:
            result[name] = setting
    return result


objects = st.dictionaries(names, values, max_size=4)
wishes = st.recursive(
    st.dictionaries(names, names | st.integers(0, 9) | names.map(Default), max_size=3),
    lambda inner: st.dictionaries(names, inner | names, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data(), objects, wishes)
def test_nothing_of_a_json_file_is_lost_and_twice_is_once(data, old, new):
    text = data.draw(written(old))
    assert read(text) == old
    expected = laid_over(old, new)
    if expected is None:
        with pytest.raises(UnreadableError):
            jsonc.merge(text, new)
        return
    out = jsonc.merge(text, new)
    assert read(out) == expected
    assert jsonc.merge(out, new) == out
    for comment in ("// a comment", "/* another, */", "// }{"):
        assert out.count(comment) == text.count(comment)


def test_a_json_file_keeps_its_comments_order_and_layout():
    text = '{\r\n\t"b": 1, // one\r\n\t"a": {"x": [1,2]} // last\r\n}\r\n'
    assert jsonc.merge(text, {"a": {"y": 2}, "c": "3", "b": 7}) == (
        '{\r\n\t"b": 7, // one\r\n\t"a": {"x": [1,2], "y": 2}, // last\r\n\t"c": "3"\r\n}\r\n'
    )


def test_rows_of_a_list_are_found_by_what_makes_them_alike():
    text = '{"list": [{"id": "a", "url": "x", "mine": 1}, {"id": "a", "url": "y"}]}'
    rows = Rows(("id", "url"), ({"id": "a", "url": "y", "key": "K"}, {"id": "b", "url": "y"}))
    out = jsonc.merge(text, {"list": rows})
    assert json.loads(out)["list"] == [
        {"id": "a", "url": "x", "mine": 1},
        {"id": "a", "url": "y", "key": "K"},
        {"id": "b", "url": "y"},
    ]
    assert jsonc.merge(out, {"list": rows}) == out


@pytest.mark.parametrize(
    "text", ['{"a": 1', "[]", '{"a" 1}', "{'a': 1}", '{"a": 1} x', "{" * 300, '{"a": /*}', '{"a": "\n"}']
)
def test_json_that_cannot_be_read_is_refused(text):
    with pytest.raises(UnreadableError):
        jsonc.merge(text, {"b": 1})


def test_a_toml_file_keeps_its_comments_and_its_root_keys_stay_at_the_root():
    text = '# mine\nmodel = "gpt" # old\n\n[tui] # look\nx = 1\n\n[model_providers.other]\nname = "Other"\n'
    wanted = merged(CLIENTS["codex"](TARGET).files[0], text)
    assert merged(CLIENTS["codex"](TARGET).files[0], wanted) == wanted
    said = tomllib.loads(wanted)
    assert said["model"] == "openai/gpt-5.1"
    assert said["model_provider"] == "mira"
    assert said["tui"] == {"x": 1}
    assert said["model_providers"]["other"] == {"name": "Other"}
    assert said["model_providers"]["mira"]["wire_api"] == "responses"
    for line in ("# mine", "# old", "[tui] # look"):
        assert line in wanted


toml_names = st.text("abcxyz_-", min_size=1, max_size=5)
tables = st.dictionaries(
    toml_names, st.integers(0, 99) | names | st.dictionaries(toml_names, st.integers(0, 9), max_size=3), max_size=4
)


@settings(max_examples=100)
@given(
    tables, st.dictionaries(toml_names, st.integers(0, 9) | st.dictionaries(toml_names, names, max_size=2), max_size=3)
)
def test_nothing_of_a_toml_file_is_lost_and_twice_is_once(old, new):
    text = "# at the top\n" + merge_toml("", old) + "\n# at the end\n"
    expected = laid_over(old, new)
    if expected is None:
        with pytest.raises(UnreadableError):
            merge_toml(text, new)
        return
    out = merge_toml(text, new)
    assert tomllib.loads(out) == expected
    assert merge_toml(out, new) == out
    assert "# at the top" in out
    assert "# at the end" in out


@pytest.mark.parametrize("text", ["a = ", "[x", "a = 1\na = 2"])
def test_toml_that_cannot_be_read_is_refused(text):
    with pytest.raises(UnreadableError):
        merge_toml(text, {"b": 1})


def test_a_yaml_file_keeps_every_line_but_the_ones_that_are_set():
    text = "# mine\nmodel: 'sonnet'   # old\nread:\n- a.md\n- b.md\nalias:\n  - \"fast:openai/x\"\nnote: |\n  model: not this\n"
    out = merge_yaml(text, {"model": "openai/x", "openai-api-base": "http://localhost:4000/v1"})
    assert (
        out
        == text.replace("model: 'sonnet'   # old", "model: openai/x   # old")
        + "openai-api-base: http://localhost:4000/v1\n"
    )
    assert merge_yaml(out, {"model": "openai/x", "openai-api-base": "http://localhost:4000/v1"}) == out


@pytest.mark.parametrize(
    "text",
    [
        "{model: x}",
        "model: |\n  x\n",
        "model:\n  - x\n",
        "model: x\n  more\n",
        "a: 1\n---\nb: 2\n",
        "model: 1\nmodel: 2\n",
        '"model": 1',
        "\tx: 1",
    ],
)
def test_yaml_that_says_more_than_lines_is_refused(text):
    with pytest.raises(UnreadableError):
        merge_yaml(text, {"model": "openai/x"})


@pytest.mark.parametrize("client", list(CLIENTS))
def test_no_plan_needs_more_than_its_target(client):
    plan = CLIENTS[client](TARGET)
    assert bool(plan.files) != (plan.snippet is not None)
    for file in plan.files:
        fresh = merged(file, "")
        assert merged(file, fresh) == fresh
        assert (TARGET.key in fresh) == file.secret


# The command


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, upstream_url):
    """A gateway with one model that has a price."""
    home = tmp_path_factory.mktemp("home") / "mira"
    home.mkdir()
    (home / "mira.toml").write_text(
        f'[[nodes]]\nname = "up"\nkind = "openai-compatible"\nprovider = "openai"\nbase_url = "{upstream_url}"\n'
        'api_key = "x"\nmodels = ["gpt-4o-mini", "text-embedding-3-small"]\n'
        "[server]\nunready_s = 0\n"
    )
    gateway = Gateway(home, MIRA_BOOTSTRAP_KEY=SECRET)
    gateway.wait_until_it_answers()
    yield gateway
    gateway.stop()


@pytest.fixture
def connect(gateway, tmp_path):
    """`mira connect` as a person with an empty home folder, and that folder."""
    mira = Mira({**gateway.env, "HOME": str(tmp_path)}, gateway)

    def run(*arguments, **more):
        return mira("connect", *arguments, **more)

    run.home = tmp_path
    run.json = lambda *arguments: json.loads(run(*arguments, "--json").stdout)
    return run


def test_a_configuration_is_merged_kept_and_written_once(connect):
    path = connect.home / ".claude" / "settings.json"
    path.parent.mkdir()
    text = '{\n  // mine\n  "env": {"FOO": "bar"}\n}\n'
    path.write_text(text)
    told = connect.json("claude-code", "--key", SECRET)
    assert told["model"] == "openai/gpt-4o-mini"
    now = path.read_text()
    assert "// mine" in now
    assert '"FOO": "bar"' in now
    assert SECRET not in now
    backup = told["files"][0]["backup"]
    assert backup is not None
    assert (path.parent / backup).read_text() == text
    again = connect.json("claude-code", "--key", SECRET)
    assert again["files"][0] == {"path": str(path), "changed": False, "backup": None, "diff": ""}
    assert path.read_text() == now
    assert len(list(path.parent.iterdir())) == 2


def test_a_dry_run_shows_the_difference_without_secrets_and_writes_nothing(connect):
    path = connect.home / ".aider.conf.yml"
    path.write_text("anthropic-api-key: sk-ant-somebody-elses-secret\n")
    said = connect("aider", "--key", SECRET, "--dry-run").stdout
    assert "+model: openai/openai/gpt-4o-mini" in said
    assert SECRET not in said
    assert "somebody-elses" not in said
    assert path.read_text() == "anthropic-api-key: sk-ant-somebody-elses-secret\n"


def test_a_file_with_a_key_in_it_is_for_its_owner_alone(connect):
    connect("cline", "--key", SECRET)
    path = connect.home / ".cline" / "data" / "settings" / "providers.json"
    assert SECRET in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_key_the_socket_tells_the_models_and_clients_that_need_one_are_refused(connect):
    connect("opencode")
    said = json.loads((connect.home / ".config" / "opencode" / "opencode.json").read_text())
    assert list(said["provider"]["mira"]["models"]) == ["openai/gpt-4o-mini"]
    assert said["model"] == "mira/openai/gpt-4o-mini"
    assert "--key" in connect("cline", status=1).stderr


def test_a_jsonc_file_that_is_there_is_taken_and_a_model_that_stands_there_stays(connect):
    folder = connect.home / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.jsonc").write_text('{"model": "other/one"} // mine\n')
    connect("opencode")
    assert '"model": "other/one"' in (folder / "opencode.jsonc").read_text()
    connect("opencode", "--model", "openai/gpt-4o-mini")
    assert '"model": "mira/openai/gpt-4o-mini"' in (folder / "opencode.jsonc").read_text()
    assert not (folder / "opencode.json").exists()


def test_codex_gets_its_catalogue(connect):
    connect("codex")
    said = tomllib.loads((connect.home / ".codex" / "config.toml").read_text())
    catalogue = json.loads((connect.home / ".codex" / "mira-models.json").read_text())
    assert said["model_catalog_json"] == str(connect.home / ".codex" / "mira-models.json")
    assert [row["slug"] for row in catalogue["models"]] == ["openai/gpt-4o-mini"]


def test_what_cannot_be_read_stays_as_it_is(connect):
    path = connect.home / ".qwen" / "settings.json"
    path.parent.mkdir()
    path.write_text("{nonsense")
    assert "line 1, column 2 cannot be read" in connect("qwen-code", status=1).stderr
    assert path.read_text() == "{nonsense"


def test_a_model_a_key_or_an_address_that_does_not_exist_is_said_in_one_line(connect):
    assert "openai/gpt-4o-mini" in connect("curl", "--model", "gpt-9", status=1).stderr
    assert "does not know this key" in connect("curl", "--key", "sk-wrong", status=1).stderr
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert "nothing answered" in connect("curl", "--url", nowhere, "--key", SECRET, status=1).stderr
    assert "give a key" in connect("curl", "--url", nowhere, status=1).stderr


def test_a_setting_that_would_win_is_named(connect):
    path = connect.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"env": {"ANTHROPIC_AUTH_TOKEN": "sk-ant-x"}}')
    assert "env.ANTHROPIC_AUTH_TOKEN" in connect("claude-code").stderr


def test_lines_to_run_have_a_placeholder_instead_of_the_key(connect):
    said = connect("python", "--key", SECRET).stdout
    assert 'api_key="YOUR_API_KEY"' in said
    assert "openai/gpt-4o-mini" in said
