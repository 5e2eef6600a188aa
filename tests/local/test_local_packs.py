import re
import shutil
from pathlib import Path

import pytest

from mira.errors import ConfigError
from mira.nodes.local.packs import (
    DEFAULT_PACK,
    MEDIA_PACKS,
    PACKS,
    QWEN_CODER,
    SMOLLM2,
    WHISPER,
    WheelSource,
    default_cache_dir,
    resolve,
)

SHA256 = re.compile(r"[0-9a-f]{64}")


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_every_pack_pins_each_file_and_each_wheel(pack):
    assert pack.files
    assert pack.sources
    assert all(SHA256.fullmatch(file.sha256) and file.size_bytes > 0 for file in pack.files)
    for source in pack.sources:
        if not isinstance(source, WheelSource):
            assert source.base_url.startswith("https://")
            pinned = re.search(r"/(resolve/[0-9a-f]{40}|releases/download/[^/]+)$", source.base_url)
            assert pinned, "an official file is pinned to a revision or a release"
            assert all(SHA256.fullmatch(file.sha256) for file in pack.files_of(source))
            continue
        assert all(SHA256.fullmatch(sha256) for sha256 in source.requirements.values())
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", name) for name in source.requirements)
        assert set(source.parts) == {file.name for file in pack.files}
        distributions = {name.split("==")[0].replace("-", "_") for name in source.requirements}
        assert {part.distribution for parts in source.parts.values() for part in parts} == distributions


def test_a_pack_is_complete_with_any_one_of_its_sets_but_not_with_a_mixture(tmp_path):
    official, packaged = (WHISPER.files_of(source) for source in WHISPER.sources)
    assert {file.name for file in official} != {file.name for file in packaged}

    def place(files):
        folder = WHISPER.folder(tmp_path)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in files:
            with (folder / file.name).open("wb") as handle:
                handle.truncate(file.size_bytes)

    for whole in (official, packaged):
        place(whole)
        assert WHISPER.is_complete(tmp_path)
        place(whole[:-1])
        assert not WHISPER.is_complete(tmp_path)
    place([*official[:3], packaged[3]])
    assert not WHISPER.is_complete(tmp_path)


@pytest.mark.parametrize("pack", MEDIA_PACKS.values(), ids=MEDIA_PACKS)
def test_a_pack_for_media_cannot_be_the_chat_model(pack):
    with pytest.raises(ConfigError, match="Name a pack"):
        resolve(pack.name)


def test_the_default_pack_answers_as_mira_local():
    assert resolve(DEFAULT_PACK) is QWEN_CODER
    assert QWEN_CODER.model_id == "mira/local"
    assert QWEN_CODER.context_tokens == 16_384
    assert SMOLLM2.model_id == "mira/local-mini"
    assert SMOLLM2.context_tokens == 8_192


def test_a_path_of_a_file_is_taken_as_it_is(tmp_path):
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")
    assert resolve(str(path)) == path


@pytest.mark.parametrize("model", ["gpt-5", "/nowhere/own.gguf", "", "nowhere.gguf"])
def test_an_unknown_model_is_refused_with_the_names_of_the_packs(model):
    with pytest.raises(ConfigError, match=r"qwen2\.5-coder-0\.5b, smollm2-135m"):
        resolve(model)


def test_the_cache_honours_the_base_directory_specification():
    assert default_cache_dir({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/mira/models")
    assert default_cache_dir({}) == Path.home() / ".cache/mira/models"
    assert default_cache_dir({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache/mira/models"


def test_a_file_of_the_wrong_size_does_not_count_as_complete(tmp_path):
    path = SMOLLM2.model_path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    assert not SMOLLM2.is_complete(tmp_path)
