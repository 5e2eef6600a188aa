"""What the documents say of the program is true: links, settings, commands, routes, examples."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import unquote

import click
import msgspec
import pytest

from mira import __version__, config, config_tables
from mira.api.application import build
from mira.api.reference import describe
from mira.api.table import TABLE
from mira.app import open_app
from mira.cli.main import mira as command_line
from mira.codecs.chat.dialects import DIALECTS, Dialect
from mira.core.capabilities import UNKNOWN
from mira.core.model_rows import WORDS
from mira.core.operator_rows import operator_models, operator_prices
from mira.nodes.kinds import HOSTS, PROVIDERS, dialect_of
from mira.nodes.local.packs import PACKS

ROOT = Path(__file__).parents[2]
MARKDOWN = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "examples/*.md", "src/**/*.md")
    for path in ROOT.glob(pattern)
)
TABLES = {"server", "log", "ledger", "fetch", "files", "defaults", "video", "oidc", "nodes", "prices", "models"}
VARIABLE = re.compile(r"\bMIRA_[A-Z_]+\b")
#: read by the client's side of the examples, by the tests and by the build, not by the gateway
CLIENT_VARIABLES = {"MIRA_API_KEY", "MIRA_DEV_GATEWAY", "MIRA_HYPOTHESIS", "MIRA_PORTAL_BUILD", "MIRA_TEST_STEPS"}


def text(name: str) -> str:
    return (ROOT / name).read_text()


def variables() -> set[str]:
    """Every variable that the configuration reads: the file's settings in capitals, and those named in the source."""
    settings = {name for name in config._File.__struct_fields__ if name not in TABLES}
    named = set(VARIABLE.findall(Path(config.__file__).read_text())) - {"MIRA_X"}  # which stands for any of them
    return {f"MIRA_{name.upper()}" for name in settings} | named


def anchors(path: Path) -> set[str]:
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    context = click.Context(command_line)
    for name in command_line.list_commands(context):
        command = command_line.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": command.commands[sub] for sub in command.commands}
    return found


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{path.name} links to {target}"
        assert ROOT in file.parents, f"{path.name} links out of the project: {target}"
        if anchor:
            assert anchor in anchors(file), f"{path.name} links to {target}"


def test_every_setting_is_documented_and_none_that_does_not_exist():
    documented = set(VARIABLE.findall(text("docs/configuration.md")))
    assert documented == variables()


@pytest.mark.parametrize(
    "name", ["README.md", "docs/operations.md", "SECURITY.md", "CONTRIBUTING.md", "benchmarks/README.md"]
)
def test_no_document_names_a_variable_that_does_not_exist(name):
    assert set(VARIABLE.findall(text(name))) <= variables() | CLIENT_VARIABLES


def test_every_setting_of_a_table_is_documented():
    documented = text("docs/configuration.md")
    sections = {
        "[server]": config_tables.ServerConfig,
        "[log]": config_tables.LogConfig,
        "[ledger]": config_tables.LedgerConfig,
        "[defaults]": config_tables.DefaultsConfig,
        "[fetch]": config_tables.FetchConfig,
        "[oidc]": config_tables.OidcConfig,
        "[[nodes]]": config_tables.NodeConfig,
    }
    for name, shape in sections.items():
        section = re.split(r"^##", documented.partition(f"# `{name}`")[2], maxsplit=1, flags=re.MULTILINE)[0]
        named = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        assert named == set(shape.__struct_fields__) - {"origin"}, name


def test_every_word_about_a_model_is_documented_with_its_default():
    section = text("docs/configuration.md").partition("## `[[models]]`")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    assert rows.keys() == {"id", *WORDS}
    for name, value in json.loads(msgspec.json.encode(UNKNOWN)).items():
        assert json.loads(rows[name].strip("`")) == value, name


def test_every_dialect_is_documented_and_can_be_configured():
    section = text("docs/configuration.md").partition("### Dialects")[2].partition("\n#")[0]
    rows = {
        cells[1].strip(" `–"): cells for cells in (line.split("|") for line in section.splitlines()[8:]) if cells[2:]
    }
    assert rows.keys() == DIALECTS.keys()
    for name, dialect in DIALECTS.items():
        _, _, reached, cache, thinking, takes, _ = rows[name]
        told = {**dict.fromkeys(re.findall(r"`(\w+)`(?! \d)", takes), True)}
        told |= {word: int(number) for word, number in re.findall(r"`(\w+)` (\d)", takes)}
        assert Dialect(cache=cache.strip(" `–"), reasoning=thinking.strip(" `–"), **told) == dialect, name
        kinds, hosts = re.findall(r"kind `(\w+)`", reached), re.findall(r"`([\w.]+\.\w+)`", reached)
        providers = re.findall(r'`(?:provider = )?"([\w-]+)"`', reached)
        for more in (
            *({"kind": kind} for kind in kinds),
            *({"base_url": f"https://eu.{host}/v1", "provider": "any"} for host in hosts),
            *({"provider": provider} for provider in providers),
        ):
            node = {
                "name": "n",
                "kind": "openai-compatible",
                "base_url": "https://n.example/v1",
                "provider": "",
                **more,
            }
            assert dialect_of(msgspec.convert(node, config_tables.NodeConfig)) == name, more
        assert kinds or hosts or providers or name in ("", "local")
    assert dialect_of(config_tables.NodeConfig(name="n", kind="local")) == "local"
    assert {*HOSTS.values(), *PROVIDERS.values()} <= DIALECTS.keys()


def test_the_providers_of_the_environment_are_documented():
    for variable, (name, kind, url, _) in config.PROVIDER_KEYS.items():
        assert f"| `{variable}` | `{name}` | `{kind}` | `{url}` |" in text("docs/configuration.md")
        assert f"| `{variable}` | `{name}` |" in text("README.md")


@pytest.mark.parametrize("name", ["README.md", "docs/configuration.md", "benchmarks/README.md", "examples/mira.toml"])
def test_examples_of_configuration_can_be_used(name, tmp_path):
    whole = text(name)
    blocks = [whole] if name.endswith(".toml") else re.findall(r"```toml\n(.*?)```", whole, re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        tomllib.loads(block)
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        secrets = dict.fromkeys(re.findall(r'"env:(\w+)"', block), "s" * config.MIN_SECRET_CHARACTERS)
        read = config.load({"MIRA_HOME": str(tmp_path), **secrets}, {"config": str(path)})
        operator_prices(read)
        operator_models(read)


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md", "docs/configuration.md", "SECURITY.md"])
def test_commands_that_are_named_exist(name):
    known = commands()
    for words in re.findall(r"(?:`|^|uv run )mira ((?:[a-z][\w-]*)(?: [a-z][\w-]*)?)", text(name), re.MULTILINE):
        command = known.get(words) or known.get(words.split()[0])
        assert command is not None, f"{name}: mira {words}"
        if isinstance(command, click.Group) and len(words.split()) > 1:
            raise AssertionError(f"{name}: mira {words}")


def test_the_readme_names_every_command_and_option_that_it_uses():
    readme = text("README.md")
    known = commands()
    assert set(re.findall(r"^\| `mira (\w+)", readme, re.MULTILINE)) == {name for name in known if " " not in name}
    options = {option for command in known.values() for parameter in command.params for option in parameter.opts}
    options |= {
        option for command in known.values() for parameter in command.params for option in parameter.secondary_opts
    }
    inline = " ".join(re.findall(r"`([^`\n]*--[^`\n]*)`", readme))
    assert set(re.findall(r"(?<!\S)--[a-z-]+", inline)) <= options | {"--help"}


def test_the_packs_are_documented():
    for pack in PACKS.values():
        row = next(line for line in text("docs/operations.md").splitlines() if line.startswith(f"| `{pack.name}`"))
        assert f"`{pack.model_id}`" in row
        assert f"{pack.size_bytes / 1e6:.0f} MB" in row
        assert f"{pack.download_bytes / 1e6:.0f} MB" in row
        assert pack.licence in row


async def page(app, path: str) -> str:
    sent: list = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [], "scheme": "http", "http_version": "1.1", "root_path": "", "server": ("localhost", 4000)}  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in sent[1:]).decode()


async def test_every_route_is_in_the_reference_and_every_route_of_its_text_exists(tmp_path):
    settings = config.load({"MIRA_HOME": str(tmp_path), "MIRA_LOCAL_NODE": "off"}, {"config": None})
    async with open_app(settings) as app:
        reference = await page(build(app.services), "/docs")
        document = json.loads(await page(build(app.services), "/openapi.json"))
    for row in TABLE:
        assert f"<td><code>{row.method}</code></td><td><code>{row.path}</code></td>" in reference
        assert row.method.lower() in document["paths"][row.path.replace(":path}", "}")]
    assert document == describe(TABLE, settings.base_url)
    prose = reference.partition('id="routes"')[0]
    paths = {row.path.replace(":path}", "}") for row in TABLE}
    for found in re.findall(r"<code>(?:[A-Z]+ )?(/(?:v1|inference|admin)[\w/{}.-]*)</code>", prose):
        assert any(path == found or path.startswith(f"{found}/") for path in paths), found


def test_the_version_is_told_in_one_voice():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert project["version"] == __version__


def test_the_readme_and_ci_agree_on_the_commands():
    readme = text("README.md")
    for command in (
        "pip install uv && uv run mira serve",
        "pip install uv && uv run pytest",
        "python3 -m venv .venv-uv && . .venv-uv/bin/activate",
    ):
        assert re.findall(f"^{re.escape(command)}$", readme, re.MULTILINE) == [command]


def test_the_opencode_example_names_models_that_the_reference_names():
    example = json.loads(text("examples/opencode.json"))
    provider = example["provider"]["mira"]
    assert provider["options"]["apiKey"] == "{env:MIRA_API_KEY}"
    assert example["model"] in {f"mira/{model}" for model in provider["models"]}
    assert {pack.model_id for pack in PACKS.values()} & set(provider["models"])
