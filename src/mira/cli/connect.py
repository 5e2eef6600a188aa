"""`mira connect CLIENT`: writes the configuration that points a coding agent at this gateway, and prints snippets."""

import asyncio
import difflib
import os
import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from mira.cli.client import http_exchange, is_running, unix_exchange
from mira.cli.options import CommandError, common, configuration, told_in_one_line
from mira.cli.output import Output
from mira.clients.jsonc import UnreadableError
from mira.clients.merging import merged, stronger
from mira.clients.shapes import KEY_VARIABLE, PLACEHOLDER, File, Plan, Target
from mira.clients.table import CLIENTS, talkers
from mira.config import Config

#: Values in a difference that look like somebody's secret, by the name they stand under.
_SECRETS = re.compile(
    r"""(?i)((?:key|token|secret|password)["']?\s*[:=]\s*["']?)(?!\{env:|MIRA_API_KEY)([^\s"',]{9,})"""
)
_MASK = "…"
_SHOWN = 4
_OWNER_ONLY = 0o600
_UNAUTHORIZED = 401


class Change(Struct, frozen=True):
    """What becomes of one file: its text before and after."""

    path: Path
    file: File
    before: str
    after: str

    @property
    def makes_a_difference(self) -> bool:
        """Whether anything has to be written."""
        return self.before != self.after


@click.command("connect")
@click.argument("client", type=click.Choice(list(CLIENTS)))
@click.option("--model", metavar="ID", help="The model to begin with (default: the first that can answer).")
@click.option("--url", metavar="URL", help="The gateway's address (default: the one of this data folder).")
@click.option("--key", metavar="SECRET", help=f"A proxy key (default: ${KEY_VARIABLE}).")
@click.option("--dry-run", is_flag=True, help="Show what would change and write nothing.")
@common
def connect(
    client: str,
    *,
    model: str | None,
    url: str | None,
    key: str | None,
    dry_run: bool,
    home: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Point CLIENT at this gateway: settings go into its configuration, all else in it stays.

    A changed file is kept beside the new one. curl, python and javascript print lines to run.
    """
    with told_in_one_line():
        config = configuration(home, config_path)
        key = key or os.environ.get(KEY_VARIABLE) or None
        root = _root(url) if url else config.base_url
        target = _target(asyncio.run(_models(config, url, root, key)), root, model, key)
        plan = CLIENTS[client](target)
        if plan.snippet is not None:
            # What is printed may be copied anywhere, so it never has the key in it.
            plan = CLIENTS[client](msgspec.structs.replace(target, key=PLACEHOLDER))
        if key is None and any(file.secret for file in plan.files):
            raise CommandError(f"{plan.title} keeps the key in its file: give --key, or set {KEY_VARIABLE}")
        changes = [_change(file) for file in plan.files]
        warnings = [_stronger(change, name) for change in changes for name in stronger(change.file, change.before)]
        backups = {} if dry_run else {change.path: _write(change) for change in changes if change.makes_a_difference}
    output = Output(as_json=as_json)
    if as_json:
        output.json(msgspec.json.encode(_told(plan, target, changes, backups, warnings, dry_run=dry_run)))
    elif plan.snippet is not None:
        output.text(plan.snippet.text)
    else:
        _say(output, plan, target, changes, backups, dry_run=dry_run)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _root(url: str) -> str:
    root = url.rstrip("/").removesuffix("/v1").rstrip("/")
    if not re.match(r"https?://[^/\s]", root):
        raise CommandError(f"--url {url!r}: write it as http://localhost:4000")
    return root


async def _models(config: Config, url: str | None, root: str, key: str | None) -> list[dict[str, Any]]:
    """The models of the gateway: with a key as a client sees them, else through the gateway's own socket."""
    if key is not None:
        reply = await http_exchange(root, key)("GET", "/v1/models", b"")
        if reply.status == _UNAUTHORIZED:
            raise CommandError(f"{root} does not know this key; `mira keys create NAME` makes one")
    elif url is None and is_running(config.socket_path):
        reply = await unix_exchange(config.socket_path)("GET", "/admin/v1/models", b"")
    else:
        raise CommandError(f"give a key with --key or in {KEY_VARIABLE}, so that the models can be listed")
    body = reply.value
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise CommandError(f"{root} answered with status {reply.status} and no list of models; is it a Mira?")
    return rows


def _target(rows: list[dict[str, Any]], root: str, model: str | None, key: str | None) -> Target:
    models = talkers(rows)
    if not models:
        raise CommandError("no model can answer yet; `mira models list` shows why")
    chosen = next((each for each in models if each.id == model), None)
    if model is not None and chosen is None:
        near = difflib.get_close_matches(model, [each.id for each in models], 1, 0.3) or [models[0].id]
        raise CommandError(f"there is no model {model!r} that can answer; there is {near[0]}, for one")
    return Target(
        base_url=root,
        model=chosen or models[0],
        models=models,
        key=key or PLACEHOLDER,
        chosen=model is not None,
        home=str(Path.home()),
    )


def _change(file: File) -> Change:
    paths = [Path.home() / path for path in (file.path, *file.instead)]
    # A link is followed, so that the file keeps its place among somebody's own.
    path = next((path for path in paths if path.exists()), paths[0]).resolve()
    try:
        # Newlines as they are: a file keeps its own.
        with path.open(encoding="utf-8", newline="") as opened:
            before = opened.read()
    except FileNotFoundError:
        before = ""
    except UnicodeDecodeError:
        raise CommandError(f"{path}: it is not UTF-8 text; nothing was changed") from None
    try:
        return Change(path, file, before, merged(file, before))
    except UnreadableError as error:
        raise CommandError(f"{path}: {error}") from None


def _stronger(change: Change, name: str) -> str:
    return f"{change.path}: {name} is set too and wins over what was written; take it out"


def _write(change: Change) -> Path | None:
    """Replaces the file whole or not at all; returns where the former one is kept, None where there was none."""
    path, secret = change.path, change.file.secret
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    backup = None
    if change.before and not change.file.owned:
        backup = _backup_path(path)
        _put(backup, change.before, _OWNER_ONLY)
    _put(path, change.after, _OWNER_ONLY if secret else mode)
    return backup


def _backup_path(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path.name}.before-mira-{stamp}{more}" for more in ("", *(f"-{at}" for at in range(2, 1000))))
    return next(candidate for name in names if not (candidate := path.with_name(name)).exists())


def _put(path: Path, text: str, mode: int) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _shown(text: str, target: Target) -> str:
    """Text without the key, and without whatever else looks like a secret."""
    if target.key != PLACEHOLDER:
        text = text.replace(target.key, target.key[:_SHOWN] + _MASK)
    return text


def _difference(change: Change, target: Target) -> str:
    """What changes, as a unified difference without secrets."""
    before, after = (_shown(text, target).splitlines() for text in (change.before, change.after))
    lines = difflib.unified_diff(before, after, str(change.path), str(change.path), lineterm="")
    return "".join(_SECRETS.sub(lambda found: found[1] + found[2][:_SHOWN] + _MASK, line) + "\n" for line in lines)


def _say(
    output: Output,
    plan: Plan,
    target: Target,
    changes: Iterable[Change],
    backups: dict[Path, Path | None],
    *,
    dry_run: bool,
) -> None:
    for change in changes:
        if not change.makes_a_difference:
            output.line(f"{change.path}: nothing to change")
        elif dry_run:
            for line in _difference(change, target).splitlines():
                output.line(line)
        else:
            backup = backups.get(change.path)
            output.line(f"{change.path}: written" + (f"; the former one is kept as {backup.name}" if backup else ""))
    if dry_run:
        output.line("Nothing was written (--dry-run).")
        return
    if plan.environment and KEY_VARIABLE not in os.environ:
        output.line(f'{plan.title} takes the key from the environment: export {KEY_VARIABLE}="{PLACEHOLDER}"')
    for note in plan.notes:
        output.line(note)
    output.line(f"Try: {plan.run}")


def _told(
    plan: Plan,
    target: Target,
    changes: Iterable[Change],
    backups: dict[Path, Path | None],
    warnings: list[str],
    *,
    dry_run: bool,
) -> dict[str, Any]:
    files = [
        {
            "path": str(change.path),
            "changed": change.makes_a_difference,
            "backup": str(backup) if (backup := backups.get(change.path)) else None,
            "diff": _difference(change, target),
        }
        for change in changes
    ]
    return {
        "client": plan.id,
        "base_url": target.base_url,
        "model": target.model.id,
        "dry_run": dry_run,
        "files": files,
        "snippet": plan.snippet.text if plan.snippet else None,
        "environment": [KEY_VARIABLE] if plan.environment else [],
        "run": plan.run,
        "warnings": warnings,
    }
