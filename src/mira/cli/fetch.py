"""`mira fetch URL`: a web page as markdown on the standard output; and `mira keys domains`."""

import re

import click

from mira.cli.options import CommandError
from mira.cli.session import Session, members, operator_command, segment

#: Characters that would steer the terminal; a page must not.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WHOLE = 1_000_000
_ERROR = 400


@click.command("fetch")
@click.argument("url")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["markdown", "html", "text", "raw"]),
    default="markdown",
    show_default=True,
    help="What to make of the page.",
)
@click.option("--whole", is_flag=True, help="The whole page, not only its main content.")
@click.option("--query", metavar="TEXT", help="Only the sections that fit this best.")
@click.option("--render", type=click.Choice(["never", "auto", "always"]), help="Run the page's scripts in a browser.")
@click.option("--max-age", type=int, metavar="SECONDS", help="How old a kept copy may be (default: 900).")
@operator_command
async def fetch(
    session: Session,
    url: str,
    *,
    format_: str,
    whole: bool,
    query: str | None,
    render: str | None,
    max_age: int | None,
) -> None:
    """Print the page at URL as markdown. Nobody is charged; --json prints the whole answer."""
    body = {
        "url": url,
        "format": format_,
        "main_content": not whole,
        "max_tokens": _WHOLE,
        **members(query=query, render=render, max_age=max_age),
    }
    reply = await session.client.call("POST", "/fetch", body)
    found = reply.value
    if session.output.as_json:
        session.output.json(reply.body)
    else:
        content = _CONTROLS.sub("", found["content"].replace("\r\n", "\n"))
        session.output.text(content.rstrip("\n") + "\n" if content else "")
        for warning in found["warnings"]:
            click.echo(f"warning: {warning}", err=True)
    if found["status"] >= _ERROR:
        raise CommandError(f"the site answered with status {found['status']}")


@click.command("domains")
@click.argument("key")
@click.option("--allow", multiple=True, metavar="DOMAIN", help="Fetch from this site only; may be repeated.")
@click.option("--block", multiple=True, metavar="DOMAIN", help="Never fetch from this site; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Take both lists away.")
@operator_command
async def domains(session: Session, key: str, *, allow: tuple[str, ...], block: tuple[str, ...], every: bool) -> None:
    """Show or replace the sites that KEY (its id or name) may fetch from, each with all domains below it."""
    if every and (allow or block):
        raise CommandError("--all goes without --allow and --block")
    found = await session.key(key, None)
    path = f"/keys/{segment(found['id'])}/fetch"
    if every or allow or block:
        reply = await session.client.call("PUT", path, {"allow": list(allow) or None, "block": list(block)})
    else:
        reply = await session.client.call("GET", path)
    if session.output.as_json:
        session.output.json(reply.body)
        return
    lists = reply.value
    session.output.line("allowed: " + ("every site" if lists["allow"] is None else ", ".join(lists["allow"])))
    session.output.line("blocked: " + (", ".join(lists["block"]) or "none"))
