"""The options that commands share, the configuration they name, and errors told in one line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from mira.config import Config, load
from mira.core.limits import PERIODS
from mira.errors import ConfigError, MiraError

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
PAGE_MOST = 1000


class CommandError(Exception):
    """The command cannot be done; the message is one line for people."""


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turns errors that people can mend into one line on the standard error and exit status 1."""
    try:
        yield
    except (ConfigError, CommandError, MiraError) as error:
        raise click.ClickException(" ".join(str(error).split())) from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or type(error).__name__}") from None


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of text."),
        click.option("--config", "config_path", metavar="FILE", help="Configuration file (default: mira.toml)."),
        click.option("--home", metavar="FOLDER", help="Data folder (default: $MIRA_HOME or ~/.local/share/mira)."),
    ):
        function = option(function)
    return function


def configuration(home: str | None, config_path: str | None, **flags: Any) -> Config:
    """The configuration with flags above the environment and the file."""
    return load(os.environ, {"home": home, "config": config_path, **flags})


def workspace_option(help_text: str = "Its name or id (default: the only one, else `default`).") -> Decorator:
    """The option `--workspace`."""
    return click.option("--workspace", metavar="NAME|ID", help=help_text)


def limit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that set limits; 0 or `none` takes one away where it stands already."""
    for option in (
        click.option("--budget", metavar="CREDITS/PERIOD", help="e.g. 10/month; day, week, month or total."),
        click.option("--concurrency", type=click.IntRange(0), metavar="N", help="Calls under way at a time."),
        click.option("--tpm", type=click.IntRange(0), metavar="N", help="Tokens a minute."),
        click.option("--rpm", type=click.IntRange(0), metavar="N", help="Requests a minute."),
    ):
        function = option(function)
    return function


def limits_body(rpm: int | None, tpm: int | None, concurrency: int | None, budget: str | None) -> dict[str, Any]:
    """The limits that were given, as the operator API takes them; CommandError where the budget cannot be read."""
    given = {"rpm": rpm, "tpm": tpm, "concurrency": concurrency}
    body: dict[str, Any] = {name: value or None for name, value in given.items() if value is not None}
    if budget is not None:
        amount, slash, period = budget.partition("/")
        if budget != "none" and (not slash or period not in PERIODS):
            raise CommandError(f"--budget {budget!r}: write 10/day, 10/week, 10/month or 10/total, or none")
        body["budget"] = None if budget == "none" else {"amount": amount, "period": period}
    return body


def page_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a listing that is longer than a page."""
    limit = click.option("--limit", type=click.IntRange(1, PAGE_MOST), help="Rows of the page (default: 50).")
    return limit(click.option("--cursor", help="Where the page before this one ended.")(function))
