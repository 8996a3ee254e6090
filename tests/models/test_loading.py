"""Which base is meant, without a look at the network; and bases are loaded from wherever they lie: whatever is wrong is
one sentence."""

import json
from pathlib import Path

import pytest
import torch
from chat_templates import CHATML, tokenizer_of
from safetensors.torch import load_file, save_file

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models import Meant, which


def test_bf16_weights_are_the_fp32_ones_rounded(base_fp32):
    small = models.load(precision="bf16").model
    for (name, a), b in zip(base_fp32.model.named_parameters(), small.parameters(), strict=True):
        assert torch.equal(a.to(torch.bfloat16), b), name


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_a_hub_id_without_network_is_one_sentence(monkeypatch, precision):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="could not be fetched .*embedded"):
        models.load("lora-lessons/no-such-model", precision, device="cpu")


def test_local_folders_load_and_bad_ones_say_what_is_missing(tiny_model, base_fp32, tmp_path):
    folder = tmp_path / "mine"
    tiny_model.save_pretrained(folder)
    base_fp32.tokenizer.save_pretrained(folder)
    loaded = models.load(folder, precision="fp32")
    assert loaded.name == "mine"
    for a, b in zip(tiny_model.parameters(), loaded.model.parameters(), strict=True):
        assert torch.equal(a, b)
    weights = folder / "model.safetensors"
    for harm, sentence in (
        (lambda: weights.write_bytes(weights.read_bytes()[:9000]), "is the download complete"),
        (lambda: weights.rename(folder / "pytorch_model.bin"), "pickled weights are not loaded"),
        ((folder / "config.json").unlink, "no config.json"),
    ):
        harm()
        with pytest.raises(ModelError, match=sentence):
            models.load(folder, precision="fp32")
    with pytest.raises(ModelError, match="does not exist"):
        models.load(tmp_path / "nowhere" / "at" / "all", precision="fp32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda kept: kept.popitem(), r"holds no model\.\S+ \(1 weights are missing"),
        (
            lambda kept: kept.update({"model.norm.weight": kept["model.norm.weight"].float() + 1j}),
            "holds complex numbers",
        ),
    ],
)
def test_weights_that_transformers_would_invent_or_convert_are_refused(tokenized, change, sentence):
    kept = {name: one for file in tokenized.glob("*.safetensors") for name, one in load_file(file).items()}
    change(kept)
    for file in [*tokenized.glob("*.safetensors"), tokenized / "model.safetensors.index.json"]:
        file.unlink()
    save_file(kept, tokenized / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=sentence):
        models.load(tokenized, precision="fp32")


def test_a_width_that_the_config_leaves_out_is_said_before_gigabytes_are_made(tokenized):
    said = json.loads((tokenized / "config.json").read_text())
    del said["hidden_size"]
    (tokenized / "config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="hidden_size = 4,096"):
        models.load(tokenized, precision="fp32")


DOUBLED = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    "part, value, sentence",
    [
        ("unk_token", "", "its unk_token .. is not in its vocabulary"),
        ("normalizer", {"type": "Replace", "pattern": {"String": ""}, "content": "a"}, "index out of bounds"),
        (
            "post_processor",
            {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "zz", "type_id": 0}}],
                "pair": [],
                "special_tokens": {},
            },
            "makes no tokens of a text",
        ),
        ("normalizer", {"type": "Sequence", "normalizers": 12 * [DOUBLED]}, "thousands of times as long"),
        ("decoder", {"type": "Sequence", "decoders": 12 * [DOUBLED]}, "thousands of times as long"),
    ],
)
def test_a_tokenizer_that_panics_or_makes_no_tokens_is_a_sentence_too(part, value, sentence, tokenized):
    file = tokenized / ("tokenizer_config.json" if part == "unk_token" else "tokenizer.json")
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | {part: value}), encoding="utf-8")
    with pytest.raises(ModelError, match=f"{sentence}.*is the download complete"):
        models.load_tokenizer(tokenized)


def test_settings_of_gigabytes_are_not_read(tokenized):
    with open(tokenized / "generation_config.json", "r+b") as file:
        file.truncate(2**30)
    with pytest.raises(OSError, match=r"generation_config\.json has 1\.1 GB"):
        models.which(tokenized)


def test_a_base_stays_bare_where_an_adapter_lies_beside_it(tiny_model, base_fp32, tmp_path, monkeypatch):
    """transformers would put the adapter on; of the hub it would fetch the base that the adapter names."""
    folder, settings = tmp_path / "mine", {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"]}
    tiny_model.save_pretrained(folder)
    base_fp32.tokenizer.save_pretrained(folder)
    (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": "someone/theirs"}))
    monkeypatch.setattr(models.loading, "fetch", lambda name: folder)
    for meant in (folder, "someone/mine"):
        loaded = models.load(meant, precision="fp32")
        assert loaded.name in ("mine", "someone/mine")
        assert loaded.model.state_dict().keys() == tiny_model.state_dict().keys()


def test_unknown_precision_and_shape_name_the_known(base_fp32):
    with pytest.raises(ValueError, match="'fp32', 'bf16' or 'auto'"):
        models.load(precision="fp8")
    with pytest.raises(ValueError, match="Llama-2-7B"):
        models.shape("Llama-9")


def test_the_folder_of_a_base_is_where_its_safetensors_lie(tiny_model, tmp_path, base_fp32):
    tiny_model.save_pretrained(tmp_path / "mine")
    assert models.folder(tmp_path / "mine") == tmp_path / "mine"
    assert models.folder(models.EMBEDDED_NAME) == models.folder() == models.embedded_folder()
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"is a file: give the folder with config\.json and safetensors"):
        models.folder(tmp_path / "some.gguf")


def test_a_pickle_is_not_read_although_safetensors_of_something_else_lie_beside_it(tiny_model, tmp_path):
    folder = tmp_path / "mixed"
    tiny_model.config.save_pretrained(folder)
    tokenizer_of(CHATML).save_pretrained(folder)
    torch.save(tiny_model.state_dict(), folder / "pytorch_model.bin")
    save_file({"base_model.model.q_proj.lora_A.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="could not be loaded"):
        models.load(folder, "fp32")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "some" / "tiny"
    made.mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"")
    return made


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(
            (name, Meant("embedded", None, models.EMBEDDED_NAME))
            for name in (
                "embedded",
                "SmolLM2-135M-Instruct",
                "/home/other/.cache/lora-lessons/base/smollm2-135m-instruct",
                r"C:\Users\other\lora-lessons\base\smollm2-135m-instruct",
            )
        ),
        *(
            (name, Meant("hub", None, name))
            for name in ("Qwen/Qwen2.5-7B", "someone/tiny_7b-v0.1", "HuggingFaceTB/SmolLM2-135M-Instruct")
        ),
        ("tiny-q4.gguf", Meant("gguf", Path("tiny-q4.gguf"), "tiny-q4.gguf")),
    ],
)
def test_a_base_is_meant_by_its_name_and_nothing_is_fetched(name, meant, place, empty_cache):
    (place.parents[1] / "tiny-q4.gguf").write_bytes(b"GGUF")
    assert which(name) == meant and not empty_cache.exists()


def test_a_folder_is_meant_however_it_is_written(place, monkeypatch):
    assert which(place) == Meant("folder", place, "tiny")
    assert which("some/tiny").kind == which("./some/tiny").kind == "folder"
    monkeypatch.setenv("HOME", str(place.parent))
    assert which("~/tiny").place == place
    monkeypatch.chdir(place)
    assert which(".").name == "tiny"


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("/no/such/folder", "does not exist: give a folder with safetensors"),
        ("./tiny", "does not exist"),
        ("~/no/such", "does not exist"),
        ("~nobody-of-this-name/no/such", "does not exist"),
        ("some/absent.gguf", "does not exist"),
        ("Qwen-0B", "there is no base called 'Qwen-0B' here: .*a hub id such as 'owner/name'.*'embedded'"),
        ("", "no base called '' here|no config.json"),
        ("some/tiny/config.json", "is a file: give the folder"),
        ("some", r"no config\.json"),
    ],
)
def test_what_means_no_base_is_said(place, name, sentence):
    with pytest.raises(ModelError, match=sentence):
        which(name)


def test_a_config_is_enough_where_no_weights_are_asked_for(place):
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    assert which(place, weights=False).kind == "folder"
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        which(place)
