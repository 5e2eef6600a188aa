"""Extracts the token limits of models into src/mira/core/data/models.json.

    python scripts/model_data.py PATH

PATH is LiteLLM's table of models reduced to `{"models": {provider: {id: row}}}` with the providers openai, anthropic,
gemini and vertex (MIT, see src/mira/core/data/README.md). Written are `{"provider/model": [input, output]}` under
Mira's canonical ids; a dated id that says the same as its undated one is left out.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/mira/core/data/models.json"
#: Mira's provider -> the source's, the first that knows a model wins
PROVIDERS = {"openai": ("openai",), "anthropic": ("anthropic",), "google": ("gemini", "vertex")}
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


def extract(models: dict[str, dict[str, dict[str, Any]]]) -> dict[str, list[int | None]]:
    """Canonical id → [max_input_tokens, max_output_tokens]."""
    limits: dict[str, list[int | None]] = {}
    for provider, sources in PROVIDERS.items():
        for source in sources:
            # Ids with the source's own prefix come first: they are the ones of the API that Mira speaks.
            for name, row in sorted(models[source].items(), key=lambda item: ("/" not in item[0], item[0])):
                bare = name.removeprefix("gemini/").removeprefix("vertex_ai/")
                if row.get("max_output_tokens") and "/" not in bare and ":" not in bare:
                    limits.setdefault(f"{provider}/{bare}", [row.get("max_input_tokens"), row["max_output_tokens"]])
    return {
        name: value
        for name, value in limits.items()
        if limits.get(DATED.sub("", name)) != value or name == DATED.sub("", name)
    }


def main() -> None:
    """Writes the file, one model a line so that an update reads well as a diff."""
    models = json.loads(Path(sys.argv[1]).read_text())["models"]
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(extract(models).items())]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    sys.stdout.write(f"{len(lines)} models\n")


if __name__ == "__main__":
    main()
