"""Every command, beside a running gateway and without one: one code path, the same answers."""

import json
import re
import urllib.request

import pytest

#: A command that starts a Mira of its own has heard nothing of a node yet.
WELL = ("active", "probing")


def test_workspaces_are_made_listed_shown_and_renamed(mira_cli):
    made = mira_cli.json("workspaces", "create", "acme")
    assert made["name"] == "acme"
    assert made["balance"] == "0"
    assert "acme" in mira_cli("workspaces", "list").stdout
    assert [row["name"] for row in mira_cli.json("workspaces", "list")["data"]] == ["default", "acme"]
    assert mira_cli.json("workspaces", "show", "acme")["id"] == made["id"]
    assert mira_cli.json("workspaces", "rename", "acme", "Acme Ltd")["id"] == made["id"]
    assert mira_cli.json("workspaces", "show", made["id"])["name"] == "Acme Ltd"


def test_the_default_workspace_is_meant_where_none_is_named(mira_cli):
    mira_cli("workspaces", "create", "second")
    assert mira_cli.json("workspaces", "show")["name"] == "default"
    assert mira_cli.json("credits", "show")["name"] == "default"


def test_an_ambiguous_name_is_refused_rather_than_guessed(mira_cli):
    mira_cli("workspaces", "create", "twin")
    mira_cli("workspaces", "create", "twin")
    assert "say which by its id" in mira_cli("workspaces", "show", "twin", status=1).stderr


def test_credits_are_added_once_per_reference_and_stand_in_the_statement(mira_cli):
    mira_cli("workspaces", "create", "rich")
    first = mira_cli("credits", "add", "2.50", "--reference", "invoice-1", "--workspace", "rich")
    assert "available  2.5" in first.stdout
    again = mira_cli("credits", "add", "2.50", "--reference", "invoice-1", "--workspace", "rich")
    assert "not added" in again.stdout
    assert mira_cli.json("credits", "show", "--workspace", "rich")["balance"] == "2.5"
    statement = mira_cli.json("credits", "transfers", "--workspace", "rich")
    assert [row["amount"] for row in statement["data"]] == ["2.5"]
    assert "invoice-1" in mira_cli("credits", "transfers", "--workspace", "rich").stdout


def test_a_long_statement_says_how_to_go_on(mira_cli):
    mira_cli("workspaces", "create", "long")
    for number in range(3):
        mira_cli("credits", "add", "1", "--reference", f"r{number}", "--workspace", "long")
    page = mira_cli("credits", "transfers", "--workspace", "long", "--limit", "2")
    cursor = page.stdout.rsplit("--cursor ", 1)[1].strip()
    rest = mira_cli.json("credits", "transfers", "--workspace", "long", "--cursor", cursor)
    assert len(rest["data"]) == 1


def test_limits_of_a_key_are_set_shown_changed_and_taken_away(mira_cli):
    limits = ("--rpm", "60", "--tpm", "1000", "--concurrency", "2", "--budget", "10/month")
    made = mira_cli.json("keys", "create", "limited", *limits)
    assert (made["rpm"], made["tpm"], made["concurrency"]) == (60, 1000, 2)
    assert (made["budget"]["amount"], made["budget"]["period"]) == ("10", "month")
    shown = mira_cli("keys", "update", "limited", "--rpm", "5").stdout
    assert "5 rpm, 1000 tpm, 2 at a time, 0 of 10 a month" in " ".join(shown.split())
    changed = mira_cli.json("keys", "update", "limited", "--rpm", "0", "--budget", "none", "--name", "free")
    assert (changed["name"], changed["rpm"], changed["tpm"], changed["budget"]) == ("free", None, 1000, None)
    narrowed = mira_cli.json("keys", "update", "free", "--model", "mira/local", "--expires-at", "2031-01-31T00:00:00Z")
    assert (narrowed["models"], narrowed["expires_at_ms"]) == (["mira/local"], 1_927_584_000_000)
    widened = mira_cli.json("keys", "update", "free", "--all-models", "--expires-at", "never")
    assert (widened["models"], widened["expires_at_ms"]) == (None, None)
    assert "10/day" in mira_cli("keys", "update", "free", "--budget", "ten", status=1).stderr
    mira_cli("keys", "revoke", "free")


def test_keys_are_made_listed_disabled_enabled_and_revoked(mira_cli):
    made = mira_cli.json("keys", "create", "ci", "--model", "mira/local", "--expires-at", "2031-01-31T00:00:00Z")
    assert made["secret"].startswith("sk-mira-")
    assert made["models"] == ["mira/local"]
    assert made["expires_at_ms"] == 1927584000000
    listed = mira_cli.json("keys", "list")
    assert made["secret"] not in json.dumps(listed)
    assert made["id"] in [row["id"] for row in listed["data"]]
    assert "active" in next(line for line in mira_cli("keys", "list").stdout.splitlines() if made["id"] in line)
    assert mira_cli.json("keys", "disable", "ci")["disabled"] is True
    assert mira_cli.json("keys", "enable", made["id"])["disabled"] is False
    assert made["id"] in mira_cli("keys", "revoke", "ci").stdout
    assert "there is no key 'ci'" in mira_cli("keys", "revoke", "ci", status=1).stderr


def test_the_secret_of_a_new_key_is_shown(mira_cli):
    shown = mira_cli("keys", "create", "reader", "--kind", "inference").stdout
    assert "  mk_inference_" in shown
    assert mira_cli("keys", "revoke", "reader", "--json").stdout == ""


def test_a_node_is_added_probed_drained_disabled_and_removed(mira_cli, upstream_url):
    added = mira_cli.json("nodes", "add", "up", "--kind", "openai", "--base-url", upstream_url, "--api-key", "-")
    assert added["models"] == ["openai/gpt-4o-mini"]
    assert [row["name"] for row in mira_cli.json("nodes", "list")["data"]] == ["up"]
    assert "up" in mira_cli("nodes", "list").stdout
    shown = mira_cli("nodes", "show", "up").stdout
    assert upstream_url in shown
    assert re.search(r"^state +\w+$", shown, re.MULTILINE)
    assert re.search(r"^reason ", shown, re.MULTILINE)
    (listed,) = mira_cli.json("models", "list")["data"]
    assert (listed["id"], listed["available"]) == ("openai/gpt-4o-mini", True)
    assert listed["nodes"] == [{"name": "up", "state": "active"}]
    assert "0.15" in mira_cli("models", "list").stdout.split()
    assert mira_cli.json("nodes", "drain", "up")["state"] == "draining"
    assert "no" in mira_cli("models", "list").stdout.split()
    assert mira_cli.json("nodes", "undrain", "up")["state"] in WELL
    assert mira_cli.json("nodes", "disable", "up")["state"] == "disabled"
    assert mira_cli.json("nodes", "enable", "up")["state"] in WELL
    assert mira_cli.json("nodes", "probe", "up")["last_error"] is None
    assert mira_cli("nodes", "remove", "up").stdout == "removed up\n"
    assert "no node 'up'" in mira_cli("nodes", "show", "up", status=1).stderr
    assert "no models" in mira_cli("models", "list").stdout


def test_a_node_takes_its_key_from_a_file_a_variable_or_a_pipe(mira_cli, upstream_url, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("sk-upstream\n")
    add = ("nodes", "add", "up", "--kind", "openai", "--base-url", upstream_url, "--api-key")
    for given, stdin in ((f"file:{secret}", None), ("env:PATH", None), ("-", "sk-upstream\n")):
        added = mira_cli(*add, given, "--json", stdin=stdin)
        assert json.loads(added.stdout)["has_api_key"] is True
        assert "sk-upstream" not in added.output
        mira_cli("nodes", "remove", "up")
    assert "is not set" in mira_cli(*add, "env:NO_SUCH_VARIABLE", status=1).stderr
    assert "cannot be read" in mira_cli(*add, f"file:{tmp_path / 'none'}", status=1).stderr


def test_calls_are_listed_and_filtered(mira_cli, upstream_url):
    key = mira_cli.json("keys", "create", "caller")
    if mira_cli.gateway is not None:
        mira_cli("nodes", "add", "chat", "--kind", "openai", "--base-url", upstream_url)
        ask(mira_cli.gateway.base_url, key["secret"])
        mira_cli("nodes", "remove", "chat")
        shown = mira_cli("usage", "--key", "caller", "--since", "1h").stdout
        assert "openai/gpt-4o-mini" in shown
        row = mira_cli.json("usage", "--key", key["id"], "--workspace", "default", "--limit", "1")["data"][0]
        assert (row["usage"]["prompt_tokens"], row["usage"]["completion_tokens"]) == (9, 3)
        assert row["cost"] != "0"
    assert mira_cli("usage", "--key", "caller", "--until", "2020-01-01T00:00:00Z").stdout == "no calls\n"
    assert mira_cli.json("usage", "--model", "no/such")["data"] == []


def test_packs_are_listed(mira_cli):
    assert {row["name"] for row in mira_cli.json("models", "packs")["data"]} >= {"qwen2.5-coder-0.5b", "smollm2-135m"}
    assert "mira/local-mini" in mira_cli("models", "packs").stdout


def test_the_doctor_finds_a_sound_installation_sound(mira_cli):
    report = mira_cli.json("doctor")
    assert report["ok"] is True
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["ledger"] == "ok"
    assert states["gateway"] == ("ok" if mira_cli.gateway else "skipped")
    assert ("port" in states) == (mira_cli.gateway is None)
    assert "every invariant holds" in mira_cli("doctor").stdout


def test_migrate_says_what_it_did_or_who_has_the_database(mira_cli):
    if mira_cli.gateway is None:
        assert "is up to date" in mira_cli("migrate").stdout
        assert mira_cli.json("migrate")["lines"]
    else:
        assert "in use by another Mira process" in mira_cli("migrate", status=1).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("workspaces", "show", "nobody"), "there is no workspace 'nobody'"),
        (("keys", "list", "--workspace", "nobody"), "there is no workspace 'nobody'"),
        (("keys", "create", "k", "--expires-at", "soon"), "expires_at"),
        (("credits", "add", "ten", "--reference", "r"), "amount"),
        (("nodes", "probe", "nowhere"), "there is no node 'nowhere'"),
        (("nodes", "show", ".."), "there is no node"),
        (("nodes", "add", "a/b", "--kind", "openai", "--base-url", "http://x"), "name"),
        (("usage", "--since", "yesterday"), "is not a time"),
        (("usage", "--cursor", "?"), ""),
    ],
)
def test_what_is_refused_is_told_in_one_line(mira_cli, arguments, words):
    refused = mira_cli(*arguments, status=1)
    assert refused.stdout == ""
    assert refused.stderr.startswith("Error: ")
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("keys", "create"),
        ("keys", "create", "k", "--kind", "admin"),
        ("credits", "add", "5"),
        ("credits", "add", "-5", "--reference", "r"),
        ("usage", "--limit", "0"),
        ("models", "pull", "gpt-9"),
        ("serve", "--port", "70000"),
        ("nodes", "add", "x"),
    ],
)
def test_wrong_usage_ends_with_status_2(mira_cli, arguments):
    assert "Usage: " in mira_cli(*arguments, status=2).stderr


def ask(base_url: str, key: str) -> None:
    request = urllib.request.Request(
        f"{base_url}/v1/chat/completions",
        json.dumps({"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200
