"""The clients, and what each of them has to be told. Tried with the versions that `docs/clients.md` names."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from mira.clients.shapes import KEY_VARIABLE, Default, File, Model, Plan, Rows, Snippet, Target

EXAMPLE = "Say hello."
#: Codex refuses a catalogue without instructions, and Mira may not hand on those that Codex brings for OpenAI's models.
_CODEX_INSTRUCTIONS = (
    "You are Codex, a coding agent in the user's terminal. Read the code that matters before you change it, keep to "
    "its style, make the smallest change that does what was asked, run what checks it, and say briefly what you did."
)
_CODEX_TRUNCATION_BYTES = 10_000


def opencode(target: Target) -> Plan:
    """OpenCode, as the API reference has it."""
    name = f"mira/{target.model.id}"
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Mira AI Proxy",
        "options": {"baseURL": f"{target.base_url}/v1", "apiKey": f"{{env:{KEY_VARIABLE}}}"},
        "models": {model.id: {"name": Default(model.name)} for model in target.models},
    }
    settings = {
        "$schema": Default("https://opencode.ai/config.json"),
        "provider": {"mira": provider},
        "model": name if target.chosen else Default(name),
    }
    path = ".config/opencode/opencode.json"
    return Plan(
        id="opencode",
        title="OpenCode",
        protocol="Chat Completions",
        files=(File(path=path, format="json", settings=settings, instead=(".config/opencode/opencode.jsonc",)),),
        environment=True,
        run=f"opencode run -m {name} {json.dumps(EXAMPLE)}",
        notes=("Restart OpenCode after its configuration has changed; /models shows the models of Mira.",),
    )


def claude_code(target: Target) -> Plan:
    """Claude Code: it asks a command for the key, so that no secret lies in its settings."""
    model = target.model.id
    settings = {
        "apiKeyHelper": f"printenv {KEY_VARIABLE}",
        "env": {
            "ANTHROPIC_BASE_URL": target.base_url,
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_OPUS_MODEL": model,
            "ANTHROPIC_DEFAULT_SONNET_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        },
    }
    stronger = (("env", "ANTHROPIC_AUTH_TOKEN"), ("env", "ANTHROPIC_API_KEY"))
    return Plan(
        id="claude-code",
        title="Claude Code",
        protocol="Messages",
        files=(File(path=".claude/settings.json", format="json", settings=settings, stronger=stronger),),
        environment=True,
        run=f"claude -p {json.dumps(EXAMPLE)}",
        notes=("The address has no /v1: Claude Code adds it. /status shows the address in use.",),
    )


def codex(target: Target) -> Plan:
    """Codex, with a catalogue that tells it what it cannot know of Mira's models."""
    settings = {
        "model": target.model.id,
        "model_provider": "mira",
        "model_catalog_json": f"{target.home}/.codex/mira-models.json",
        "model_providers": {
            "mira": {
                "name": "Mira",
                "base_url": f"{target.base_url}/v1",
                "env_key": KEY_VARIABLE,
                "wire_api": "responses",
            }
        },
    }
    catalogue = {"models": [_codex_row(model, at) for at, model in enumerate(target.models, 1)]}
    return Plan(
        id="codex",
        title="Codex",
        protocol="Responses",
        files=(
            File(path=".codex/config.toml", format="toml", settings=settings),
            File(path=".codex/mira-models.json", format="json", settings=catalogue, owned=True),
        ),
        environment=True,
        run=f"codex exec --skip-git-repo-check {json.dumps(EXAMPLE)}",
        notes=("The catalogue ends the warning that the metadata of the model is not found.",),
    )


def cline(target: Target) -> Plan:
    """Cline, in the terminal and in editors: they share one file."""
    provider = "openai-compatible"
    row = {
        "settings": {
            "provider": provider,
            "apiKey": target.key,
            "model": target.model.id,
            "baseUrl": f"{target.base_url}/v1",
        },
        "updatedAt": Default("2026-01-01T00:00:00.000Z"),
        "tokenSource": Default("manual"),
    }
    settings = {
        "version": Default(1),
        "lastUsedProvider": provider,
        "modes": Default({}),
        "providers": {provider: row},
    }
    return Plan(
        id="cline",
        title="Cline",
        protocol="Chat Completions",
        files=(File(path=".cline/data/settings/providers.json", format="json", settings=settings, secret=True),),
        run=f"cline -P {provider} {json.dumps(EXAMPLE)}",
        notes=("By hand, in its settings: API Provider “OpenAI Compatible”, then base URL, key and model as below.",),
    )


def qwen_code(target: Target) -> Plan:
    """Qwen Code."""
    base_url = f"{target.base_url}/v1"
    rows = tuple(
        {"id": model.id, "name": f"{model.name} (Mira)", "baseUrl": base_url, "envKey": KEY_VARIABLE}
        for model in target.models
    )
    settings = {
        "modelProviders": {"openai": Rows(("id", "baseUrl"), rows)},
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": target.model.id},
    }
    return Plan(
        id="qwen-code",
        title="Qwen Code",
        protocol="Chat Completions",
        files=(File(path=".qwen/settings.json", format="json", settings=settings),),
        environment=True,
        run=f"qwen -p {json.dumps(EXAMPLE)}",
    )


def aider(target: Target) -> Plan:
    """Aider: its `openai/` says which protocol, what follows is Mira's id."""
    settings = {
        "openai-api-base": f"{target.base_url}/v1",
        "openai-api-key": target.key,
        "model": f"openai/{target.model.id}",
    }
    return Plan(
        id="aider",
        title="aider",
        protocol="Chat Completions",
        files=(File(path=".aider.conf.yml", format="yaml", settings=settings, secret=True),),
        run=f"aider --message {json.dumps(EXAMPLE)}",
        notes=("A .aider.conf.yml in the folder of a project wins over the one in your home folder.",),
    )


def curl(target: Target) -> Plan:
    """Curl."""
    body = json.dumps({"model": target.model.id, "messages": [{"role": "user", "content": EXAMPLE}]})
    text = (
        f'export {KEY_VARIABLE}="{target.key}"\n\n'
        f"curl {target.base_url}/v1/chat/completions \\\n"
        f'  -H "Authorization: Bearer ${KEY_VARIABLE}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'\n"
    )
    return Plan(id="curl", title="curl", protocol="Chat Completions", snippet=Snippet("shell", text))


def python(target: Target) -> Plan:
    """The `openai` package for Python."""
    text = (
        "from openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{target.base_url}/v1", api_key="{target.key}")\n'
        "answer = client.chat.completions.create(\n"
        f'    model="{target.model.id}",\n'
        f'    messages=[{{"role": "user", "content": "{EXAMPLE}"}}],\n'
        ")\n"
        "print(answer.choices[0].message.content)\n"
    )
    notes = ("pip install openai", "The anthropic package takes the address without /v1.")
    return Plan(id="python", title="Python", protocol="Chat Completions", snippet=Snippet("python", text), notes=notes)


def javascript(target: Target) -> Plan:
    """The `openai` package for JavaScript."""
    text = (
        'import OpenAI from "openai";\n\n'
        f'const client = new OpenAI({{ baseURL: "{target.base_url}/v1", apiKey: "{target.key}" }});\n'
        "const answer = await client.chat.completions.create({\n"
        f'  model: "{target.model.id}",\n'
        f'  messages: [{{ role: "user", content: "{EXAMPLE}" }}],\n'
        "});\n"
        "console.log(answer.choices[0].message.content);\n"
    )
    notes = ("npm install openai", "The file's name ends in .mjs, or its package has the type “module”.")
    return Plan(
        id="javascript",
        title="JavaScript",
        protocol="Chat Completions",
        snippet=Snippet("javascript", text),
        notes=notes,
    )


CLIENTS: dict[str, Callable[[Target], Plan]] = {
    "opencode": opencode,
    "claude-code": claude_code,
    "codex": codex,
    "cline": cline,
    "qwen-code": qwen_code,
    "aider": aider,
    "curl": curl,
    "python": python,
    "javascript": javascript,
}


def talkers(rows: Iterable[dict[str, Any]]) -> tuple[Model, ...]:
    """The models that can answer a chat now and have a price, of rows as in `/v1/models`, in their order."""
    return tuple(
        Model(
            row["id"],
            context_tokens=row.get("context_length"),
            images=bool(((row.get("capabilities") or {}).get("image_input") or {}).get("supported")),
        )
        for row in rows
        if row.get("available") and row.get("pricing") and _chats(row)
    )


def _chats(row: dict[str, Any]) -> bool:
    return "text" in ((row.get("architecture") or {}).get("output_modalities") or ())


def _codex_row(model: Model, priority: int) -> dict[str, Any]:
    return {
        "slug": model.id,
        "display_name": model.name,
        "base_instructions": _CODEX_INSTRUCTIONS,
        "supported_reasoning_levels": [],
        "shell_type": "shell_command",
        "visibility": "list",
        "supported_in_api": True,
        "priority": priority,
        "support_verbosity": False,
        "truncation_policy": {"mode": "bytes", "limit": _CODEX_TRUNCATION_BYTES},
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if model.images else ["text"],
        **({"context_window": model.context_tokens} if model.context_tokens else {}),
    }
