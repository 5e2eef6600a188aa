"""What the Connect page shows: how each client is pointed at this gateway, from the table of `mira connect`."""

from typing import Literal

from msgspec import Struct
from starlette.responses import Response

from mira.api.bodies import answer
from mira.api.models import rows_of
from mira.api.services import Asked, Services
from mira.clients.merging import merged
from mira.clients.shapes import KEY_VARIABLE, PLACEHOLDER, Model, Plan, Target
from mira.clients.table import CLIENTS, talkers
from mira.errors import Kind, MiraError

#: Stands where no model can answer yet, so that the page can be read all the same.
NO_MODEL = Model("provider/model-id")
LANGUAGES: dict[str, "Language"] = {"json": "json", "toml": "toml", "yaml": "yaml"}

Language = Literal["json", "toml", "yaml", "shell", "python", "javascript"]


class ConnectFile(Struct, kw_only=True):
    """A file of a client as a fresh one has it. `path` begins with `~`; `secret`: the key is in it."""

    path: str
    language: Language
    text: str
    secret: bool


class ConnectSnippet(Struct, kw_only=True):
    """Lines to run as they stand."""

    language: Language
    text: str


class ConnectClient(Struct, kw_only=True):
    """A client. `environment` is what exports the key, where the client takes it from there.

    `command` is the `mira connect` that writes the files; `run` asks the model something.
    """

    id: str
    title: str
    protocol: str
    environment: ConnectSnippet | None
    files: list[ConnectFile]
    snippet: ConnectSnippet | None
    command: ConnectSnippet | None
    run: ConnectSnippet | None
    notes: list[str]


class Trouble(Struct, kw_only=True):
    """Something that may be seen, and what helps."""

    seen: str
    remedy: str


class Connect(Struct, kw_only=True):
    """`GET /portal/v1/connect`. `placeholder` stands for the key in every text; `model` null: none can answer yet."""

    base_url: str
    placeholder: str
    model: str | None
    models: list[str]
    clients: list[ConnectClient]
    troubles: list[Trouble]


TROUBLES = [
    Trouble(
        seen="401, or “the key is not known”",
        remedy=f"The key is mistyped, revoked or expired, or {KEY_VARIABLE} is not exported where the client runs.",
    ),
    Trouble(seen="402", remedy="The workspace has too few credits for this call, or the budget of the key is used up."),
    Trouble(
        seen="404 for the model",
        remedy="Write its id as the page Models has it, with the provider: openai/gpt-5.1, for one.",
    ),
    Trouble(
        seen="Claude Code asks for a sign-in",
        remedy="ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN is set elsewhere and wins; /status shows what is in use.",
    ),
    Trouble(seen="OpenCode shows no models", remedy="Restart it after its configuration has changed."),
    Trouble(
        seen="Codex does not find the metadata of the model",
        remedy="Save the catalogue beside config.toml, and name it there with its whole path.",
    ),
]


async def connect(services: Services, asked: Asked) -> Response:
    """How each client is pointed at this gateway, for `?model=` or the first model that can answer."""
    models = talkers(rows_of(services))
    wanted = asked.request.query_params.get("model")
    chosen = next((model for model in models if model.id == wanted), models[0] if models and not wanted else None)
    if wanted and chosen is None:
        raise MiraError(Kind.NOT_FOUND, "there is no such model that can answer", param="model")
    base_url = services.config.base_url
    target = Target(
        base_url=base_url, model=chosen or NO_MODEL, models=models or (NO_MODEL,), chosen=wanted is not None, home="~"
    )
    shown = Connect(
        base_url=base_url,
        placeholder=PLACEHOLDER,
        model=chosen.id if chosen else None,
        models=[model.id for model in models],
        clients=[_shown(plan(target), target) for plan in CLIENTS.values()],
        troubles=TROUBLES,
    )
    return answer(shown)


def _shown(plan: Plan, target: Target) -> ConnectClient:
    files = [
        ConnectFile(path=f"~/{file.path}", language=LANGUAGES[file.format], text=merged(file, ""), secret=file.secret)
        for file in plan.files
    ]
    export = f'export {KEY_VARIABLE}="{PLACEHOLDER}"'
    command = f"mira connect {plan.id} --url {target.base_url} --model {target.model.id}"
    if not plan.environment:
        command += f" --key {PLACEHOLDER}"
    return ConnectClient(
        id=plan.id,
        title=plan.title,
        protocol=plan.protocol,
        environment=_shell(export) if plan.environment else None,
        files=files,
        snippet=ConnectSnippet(language=plan.snippet.language, text=plan.snippet.text) if plan.snippet else None,
        command=_shell(command) if plan.files else None,
        run=_shell(plan.run) if plan.run else None,
        notes=list(plan.notes),
    )


def _shell(text: str) -> ConnectSnippet:
    return ConnectSnippet(language="shell", text=text)
