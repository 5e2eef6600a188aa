"""Extracts list prices of media that are sold by the piece into src/mira/core/data/media.json.

    uv run python scripts/media_data.py PATH

PATH is as for scripts/model_data.py. Only models by image, second or character are taken: those by tokens are in the
package genai-prices, and a model that the source prices by both stands there. What a model puts out is told by the
source's `mode`. The families, which tell it of models that are not listed, stay as they are.
"""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "src/mira/core/data/media.json"
#: Mira's provider -> the source's, the first that knows a model wins
PROVIDERS = {"openai": ("openai",), "google": ("gemini", "vertex")}
OUTPUTS = {
    "image_generation": "image",
    "video_generation": "video",
    "audio_speech": "speech",
    "audio_transcription": "transcription",
}
#: the source's price -> our unit, and the variant that it is for ("*": all others)
PRICES = {
    "output_cost_per_image": ("image", "*"),
    "input_cost_per_character": ("character", "*"),
    "output_cost_per_video_per_second": ("second", "*"),
    "output_cost_per_second": ("second", "*"),
    "output_cost_per_second_1080p": ("second", "1080p"),
    "output_cost_per_second_4k": ("second", "4k"),
    "input_cost_per_second": ("second", "*"),
}


def extract(models: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Canonical id → what it puts out and its prices in the words of `[[prices]]`."""
    found: dict[str, Any] = {}
    for provider, sources in PROVIDERS.items():
        for source in sources:
            for name, row in sorted(models[source].items(), key=lambda item: ("/" not in item[0], item[0])):
                bare = name.removeprefix(f"{provider}/").removeprefix("gemini/").removeprefix("vertex_ai/")
                output = OUTPUTS.get(row.get("mode", ""))
                if output is None or "/" in bare or _costs_tokens(row):
                    continue
                # Music is priced by the piece under the mode of speech, and nobody speaks to it that way.
                prices = {} if output == "speech" and "output_cost_per_image" in row else _prices(row)
                if prices:
                    found.setdefault(f"{provider}/{bare}", {"outputs": [output], "prices": prices})
    return found


def _costs_tokens(row: dict[str, Any]) -> bool:
    return any(amount for name, amount in row.items() if name.endswith("_token"))


def _prices(row: dict[str, Any]) -> dict[str, Any]:
    units: dict[str, dict[str, str]] = {}
    for name, (unit, variant) in PRICES.items():
        if row.get(name):
            # The same price may stand twice, as input and as output.
            units.setdefault(unit, {}).setdefault(variant, format(Decimal(str(row[name])).normalize(), "f"))
    return {unit: prices["*"] if prices.keys() == {"*"} else prices for unit, prices in units.items()}


def main() -> None:
    """Writes the file, one model a line so that an update reads well as a diff."""
    models = json.loads(Path(sys.argv[1]).read_text(), parse_float=Decimal)["models"]
    data = json.loads(TARGET.read_text())
    found = extract(models)
    lines = [f"{json.dumps(name)}: {json.dumps(row)}" for name, row in sorted(found.items())]
    families = [json.dumps(row) for row in data["families"]]
    TARGET.write_text(
        f'{{"source": {json.dumps(data["source"])},\n"families": [\n'
        + ",\n".join(families)
        + '\n],\n"models": {\n'
        + ",\n".join(lines)
        + "\n}}\n"
    )
    sys.stdout.write(f"{len(lines)} models\n")


if __name__ == "__main__":
    main()
