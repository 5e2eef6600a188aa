"""`mira users`: for whoever runs the gateway's machine, also where the password is lost."""

import json
import subprocess
import sys

from tests.accounts.browser import Browser
from tests.support.gateway import Gateway


def mira(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mira", *words]
    command = [sys.executable, "-m", "mira", *words]
    return subprocess.run(command, check=False, env=gateway.environ, cwd=gateway.home, capture_output=True, text=True)


def test_a_lost_password_is_replaced_from_the_command_line_with_and_without_a_gateway(tmp_path):
    gateway = Gateway(tmp_path)
    gateway.start()
    listed = json.loads(mira(gateway, "users", "list", "--json").stdout)
    assert [(row["email"], row["role"]) for row in listed["data"]] == [("operator@localhost", "operator")]
    running = mira(gateway, "users", "reset-password", "Operator@localhost", "--json")
    password = json.loads(running.stdout)["password"]
    browser = Browser(gateway.url).sign_in("operator@localhost", password)
    told = mira(gateway, "users", "reset-password", "operator@localhost")
    assert told.stdout.splitlines()[-1].strip() not in ("", password)
    assert not browser.signed_in
    [entry] = gateway.admin("GET", "/audit?action=user.reset_password&limit=1")["data"]
    assert entry["actor"]["kind"] == "cli"
    unknown = mira(gateway, "users", "reset-password", "nobody@x.test")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "nobody@x.test" in unknown.stderr
    gateway.stop()
    last = json.loads(mira(gateway, "users", "reset-password", "operator@localhost", "--json").stdout)["password"]
    gateway.start()
    assert browser.sign_in("operator@localhost", last).signed_in
    for secret in (password, last):
        assert secret not in gateway.log
    browser.close()
    gateway.stop()
    gateway.close()
