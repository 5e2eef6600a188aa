"""`mira serve` and the process itself: what is said when, secrets once, exit statuses."""

import json
import shlex
import signal
import subprocess
import sys

import pytest
from cli_gateway import Gateway, environment, run_command


def run(home, *arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "mira", *arguments],
        check=False,
        env=environment(home, **environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_first_start_tells_its_secrets_once_and_the_curl_line_works(tmp_path, upstream_url):
    home = tmp_path / "mira"
    (tmp_path / "mira.toml").write_text(f'[[nodes]]\nname = "up"\nkind = "openai"\nbase_url = "{upstream_url}"\n')
    first = Gateway(home, "--config", str(tmp_path / "mira.toml"))
    try:
        first.wait_until_it_answers()
        line = first.read_until(lambda line: line.startswith("  curl "))
        curl = shlex.split(line)
        assert curl[1] == f"{first.base_url}/v1/chat/completions"
        asked = subprocess.run([*curl, "-s"], check=False, capture_output=True, text=True, timeout=120)
        assert json.loads(asked.stdout)["choices"][0]["message"]["content"] == "Hello."
        secret = curl[3].rpartition(" ")[2]
        sign_in = next(line for line in first.lines if "operator API" in line)
        opened = subprocess.run(
            [*shlex.split(sign_in)[2:], "-s"], check=False, capture_output=True, text=True, timeout=120
        )
        assert json.loads(opened.stdout)["data"][0]["name"] == "default"
    finally:
        assert first.stop() == 0
    assert first.lines[-1] == "Mira has stopped."
    assert not any("\x1b" in line or "\r" in line for line in first.lines)
    assert "  nodes      up (file)" in first.lines

    second = Gateway(home, "--config", str(tmp_path / "mira.toml"))
    try:
        second.wait_until_it_answers()
        line = second.read_until(lambda line: line.startswith("  curl "))
        assert '"Authorization: Bearer $MIRA_API_KEY"' in line
    finally:
        second.stop()
    password = sign_in.split("operator@localhost:")[1].split()[0]
    for told in (secret, password):
        assert not any(told in line for line in second.lines)


def test_programs_can_follow_a_gateway_as_json_lines(tmp_path):
    gateway = Gateway(tmp_path / "mira", "--json")
    try:
        event = json.loads(gateway.read_until(lambda line: "started" in line))
        gateway.wait_until_it_answers()
        assert event["event"] == "started"
        assert event["first_run"]["key"].startswith("sk-mira-")
    finally:
        assert gateway.stop() == 0
    assert json.loads(gateway.lines[-1]) == {"event": "stopped"}


def test_a_gateway_goes_on_when_nobody_reads_its_words_any_more(tmp_path):
    gateway = Gateway(tmp_path / "mira")
    gateway.wait_until_it_answers()
    gateway.process.stdout.close()
    gateway.process.send_signal(signal.SIGTERM)
    complaints = gateway.process.stderr.read().decode()
    gateway.process.stderr.close()
    assert (gateway.process.wait(120), complaints) == (0, "")


def test_a_terminal_of_another_encoding_is_no_error(tmp_path):
    done = run(tmp_path / "mira", "workspaces", "create", "café", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "caf?" in done.stdout


def test_a_taken_port_ends_the_start_with_one_line(tmp_path):
    gateway = Gateway(tmp_path / "one")
    try:
        gateway.wait_until_it_answers()
        refused = run(tmp_path / "two", "serve", "--port", str(gateway.port))
        assert refused.returncode == 1
        assert f"port {gateway.port}" in refused.stderr
        assert refused.stderr.count("\n") == 1
        again = run(gateway.home, "serve", "--port", "0")
        assert again.returncode == 1
        assert "in use by another Mira process" in again.stderr
    finally:
        gateway.stop()


def test_a_wrong_configuration_is_told_in_one_line(tmp_path):
    refused = run(tmp_path, "workspaces", "list", MIRA_ADMIN_KEY="short")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: MIRA_ADMIN_KEY must have at least 32 characters\n"


def test_a_command_in_a_pipe_prints_no_control_codes(tmp_path):
    done = run(tmp_path / "mira", "doctor", MIRA_PORT="0")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "never started in this data folder" in done.stdout
    assert not (tmp_path / "mira").exists()


@pytest.mark.parametrize("command", ["", "serve", "keys create", "nodes add", "models pull", "usage", "doctor"])
def test_help_needs_no_configuration(tmp_path, command):
    shown = run_command((*command.split(), "--help"), {"MIRA_ADMIN_KEY": "short"})
    assert shown.exit_code == 0
    assert "Usage: " in shown.stdout
