"""PEFT's adapter format: what is saved computes what the model computed, here and in PEFT; damage has a sentence."""

import copy
import json
import os
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny import shake
from torch import nn
from transformers import LlamaForCausalLM

from lora_lessons import lora
from lora_lessons.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Numbers,
    adapter_of,
    attach_adapter,
    load_adapter,
    read_adapter,
    save_adapter,
)


@pytest.fixture
def ids():
    return torch.arange(24).reshape(2, 12)


@pytest.fixture
def folder(tiny_model, tmp_path):
    """An adapter of r = 2 for the tiny model, which is bare again."""
    lora.attach(tiny_model, r=2)
    shake(tiny_model)
    place = save_adapter(tiny_model, tmp_path / "saved")
    lora.detach(tiny_model)
    return place


@pytest.mark.parametrize(
    "targets, named",
    [
        (["q_proj", "down_proj"], ["down_proj", "q_proj"]),
        (["layers.0.self_attn.q_proj"], ["model.layers.0.self_attn.q_proj"]),
    ],
    ids=["whole kinds by their ends", "one layer by its full name"],
)
def test_saved_and_loaded_adapter_gives_the_same_logits(tiny_model, ids, tmp_path, targets, named):
    lora.attach(tiny_model, r=4, lora_alpha=6, target_modules=targets, use_rslora=True)
    shake(tiny_model)
    expected = tiny_model(ids).logits
    save_adapter(tiny_model, tmp_path / "mine")
    said = json.loads((tmp_path / "mine" / ADAPTER_CONFIG).read_text())
    assert said["target_modules"] == named and not {"rank_pattern", "alpha_pattern"} & said.keys()
    lora.detach(tiny_model)
    load_adapter(tiny_model, tmp_path / "mine")
    assert torch.equal(tiny_model(ids).logits, expected)


def test_where_an_adapter_was_trained_is_kept_in_its_file_and_peft_passes_over_it(tiny_model, ids, tmp_path):
    bare = copy.deepcopy(tiny_model)
    lora.attach(tiny_model, r=2)
    shake(tiny_model)
    told = save_adapter(tiny_model, tmp_path / "told", origin="lesson 03")
    untold = save_adapter(tiny_model, tmp_path / "untold")
    assert {  # equal adapters are equal files
        (save_adapter(tiny_model, tmp_path / str(n), origin="lesson 03") / ADAPTER_WEIGHTS).read_bytes()
        for n in range(8)
    } == {(told / ADAPTER_WEIGHTS).read_bytes()}
    assert read_adapter(told).origin == "lesson 03" and read_adapter(untold).origin == ""
    assert torch.allclose(PeftModel.from_pretrained(bare, told)(ids).logits, tiny_model(ids).logits, atol=1e-5)


def test_an_adapter_that_the_disk_does_not_take_is_a_sentence_with_its_folder(tiny_model, tmp_path, no_large_file):
    lora.attach(tiny_model, r=2)
    with pytest.raises(OSError) as caught:
        save_adapter(tiny_model, tmp_path / "mine")
    assert str(tmp_path / "mine") in str(caught.value) and ".mine." not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_saving_never_overwrites_silently(tiny_model, tmp_path):
    lora.attach(tiny_model, r=2)
    save_adapter(tiny_model, tmp_path / "mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_adapter(tiny_model, tmp_path / "mine")
    save_adapter(tiny_model, tmp_path / "mine", overwrite=True)
    (tmp_path / "mine" / "adapter_config.json").rename(tmp_path / "mine" / "notes.txt")
    with pytest.raises(FileExistsError, match="holds notes.txt"):
        save_adapter(tiny_model, tmp_path / "mine", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]  # no temporary folder left behind


def test_a_new_folder_takes_the_place_of_nothing_but_an_older_one(tiny_model, tmp_path, monkeypatch):
    """overwrite=True replaces an adapter, and neither the folder that one is in, a file, nor what else lies there."""
    lora.attach(tiny_model, r=2)
    mine = save_adapter(tiny_model, tmp_path / "here" / "mine")
    (mine / ".DS_Store").touch()
    (tmp_path / "link").symlink_to(mine)
    save_adapter(tiny_model, tmp_path / "link", overwrite=True)
    (mine / "README.md").write_text("what its maker wrote")
    monkeypatch.chdir(mine)
    refused = {
        mine: "where you are",
        tmp_path / "here": "where you are",
        mine / "README.md": "is a file",
        Path(): "where you are",
    }
    for folder, reason in refused.items():
        with pytest.raises(OSError, match=reason):
            save_adapter(tiny_model, folder, overwrite=True)
    monkeypatch.undo()
    for folder, first in ((mine, "README.md"), (tmp_path / "here", "mine/README.md and 2 more"), (tmp_path, "here/")):
        with pytest.raises(FileExistsError, match=f"holds {first}.* choose another folder"):
            save_adapter(tiny_model, folder, overwrite=True)
    assert (mine / "README.md").read_text() == "what its maker wrote"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "link"] and len(read_adapter(mine).A) == 14


def test_a_folder_that_holds_no_adapter_is_refused(tiny_model, folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="adapter_config.json"):
        load_adapter(tiny_model, tmp_path)
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(FileNotFoundError, match="only safetensors"):
        load_adapter(tiny_model, folder)


def test_an_adapter_taken_and_put_on_again_is_the_same(tiny_model, ids):
    bare = tiny_model(ids).logits
    lora.attach(tiny_model, r=4, lora_alpha=6, use_rslora=True)
    shake(tiny_model)
    adapter, with_it = adapter_of(tiny_model), tiny_model(ids).logits
    for parameter in tiny_model.parameters():
        parameter.data.mul_(
            1 + parameter.requires_grad
        )  # the model trains on, and what was taken of it does not follow
    lora.detach(tiny_model)
    attach_adapter(tiny_model, adapter)
    assert torch.equal(tiny_model(ids).logits, with_it)
    again = adapter_of(tiny_model, "again")
    assert all(torch.equal(again.A[n], adapter.A[n]) and torch.equal(again.B[n], adapter.B[n]) for n in adapter.A)
    assert (again.r, again.lora_alpha, again.use_rslora) == (4, 6, True)
    assert not torch.allclose(bare, with_it)


def test_sixteen_bit_files_are_half_as_large_and_load_in_fp32(tiny_model, tmp_path):
    lora.attach(tiny_model, r=4)
    shake(tiny_model)
    big, small = (save_adapter(tiny_model, tmp_path / str(t), dtype=t) for t in (torch.float32, torch.bfloat16))
    sizes = [(folder / ADAPTER_WEIGHTS).stat().st_size for folder in (big, small)]
    assert 0.4 < sizes[1] / sizes[0] < 0.65
    a, b = read_adapter(big), read_adapter(small)
    assert all(t.dtype == torch.float32 for t in b.A.values())
    assert all(torch.equal(b.B[n], a.B[n].bfloat16().float()) for n in a.B)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("factor", [0.37, 0, -1.3, 1])
def test_the_scale_is_saved_too(tiny_model, ids, tmp_path, factor, rslora):
    base = copy.deepcopy(tiny_model)
    lora.attach(tiny_model, r=4, lora_alpha=6, use_rslora=rslora)
    shake(tiny_model)
    lora.set_scale(tiny_model, factor)
    expected = tiny_model(ids).logits
    folder, adapter = save_adapter(tiny_model, tmp_path / "scaled"), adapter_of(tiny_model)
    for put_back in (lambda model: load_adapter(model, folder), lambda model: attach_adapter(model, adapter)):
        lora.detach(tiny_model)
        put_back(tiny_model)
        torch.testing.assert_close(tiny_model(ids).logits, expected, rtol=0, atol=1e-5)
    in_peft = PeftModel.from_pretrained(base, folder)
    torch.testing.assert_close(in_peft(ids).logits, expected, rtol=0, atol=1e-5)


class Nested(nn.Module):
    """A layer whose full name is the end of another's."""

    def __init__(self):
        super().__init__()
        self.proj, self.block = nn.Linear(8, 8), nn.ModuleDict({"proj": nn.Linear(8, 8), "last": nn.Linear(8, 8)})

    def forward(self, x):
        return self.block["last"](self.block["proj"](self.proj(x)))


def test_a_rank_of_its_own_stays_with_its_layer(tmp_path):
    bare, x = Nested(), torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    model = copy.deepcopy(bare)
    lora.attach(model, r=4, lora_alpha=6, rank_pattern={"proj": 2}, alpha_pattern={"proj": 5})
    shake(model)
    expected = model(x)
    folder = save_adapter(model, tmp_path / "mixed")
    adapter = read_adapter(folder)
    assert {name: (len(A), adapter.alpha(name)) for name, A in adapter.A.items()} == {
        "proj": (2, 5),
        "block.proj": (4, 6),
        "block.last": (4, 6),
    }
    config = LoraConfig.from_pretrained(folder)
    config.task_type = None  # it generates no text
    theirs = PeftModel.from_pretrained(copy.deepcopy(bare), folder, config=config)
    load_adapter(bare, folder)
    assert torch.equal(bare(x), expected)
    torch.testing.assert_close(theirs(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("rslora", [False, True])
def test_a_rank_that_w_has_not_is_read_as_peft_computes_it(tiny_model, ids, tmp_path, rslora):
    """PEFT sets r no limit: k_proj is 16×32 here, and down_proj is 32×64."""
    config = LoraConfig(r=40, lora_alpha=3, use_rslora=rslora, target_modules=["k_proj", "q_proj", "down_proj"])
    config.rank_pattern, config.alpha_pattern = {"down_proj": 4}, {"layers.1.self_attn.k_proj": 7}
    theirs = get_peft_model(copy.deepcopy(tiny_model), config)
    for i, parameter in enumerate(p for name, p in theirs.named_parameters() if "lora_B" in name):
        nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(i))
    theirs.save_pretrained(tmp_path)
    load_adapter(tiny_model, tmp_path)
    torch.testing.assert_close(tiny_model(ids).logits, theirs(ids).logits, rtol=1e-4, atol=1e-4)


def test_what_the_configuration_leaves_open_is_pefts_default(tiny_model, tmp_path):
    lora.attach(tiny_model, r=8, lora_alpha=8)
    folder = save_adapter(tiny_model, tmp_path / "it")
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    del config["r"], config["lora_alpha"]
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    read, theirs = read_adapter(folder), LoraConfig.from_pretrained(folder)
    assert (read.r, read.lora_alpha) == (theirs.r, theirs.lora_alpha) == (8, 8)


@torch.no_grad()
@pytest.mark.parametrize("part", ["lora_A", "lora_B"])
def test_numbers_that_are_none_are_not_read_saved_or_merged(tiny_model, folder, tmp_path, part):
    layer, tensors = "model.layers.1.mlp.up_proj", load_file(folder / ADAPTER_WEIGHTS)
    key = f"base_model.model.{layer}.{part}.weight"
    for bad in (tensors[key] * torch.nan, torch.full_like(tensors[key], 1e300, dtype=torch.float64)):
        save_file(tensors | {key: bad}, folder / ADAPTER_WEIGHTS)
        with pytest.raises(ValueError, match=f"{layer}: {part} holds NaN or infinity.*lower learning rate"):
            read_adapter(folder)
    huge = {name: torch.full_like(t, 1e30) for name, t in tensors.items() if layer in name}
    save_file(tensors | huge, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match=f"{layer}: the update goes up to .e.*more than 32 bits hold"):
        read_adapter(folder)
    lora.attach(tiny_model, r=2)
    getattr(tiny_model.get_submodule(layer), part)[0, 0] = -torch.inf
    before = [(name, parameter.clone()) for name, parameter in tiny_model.named_parameters()]
    for do in (lambda: save_adapter(tiny_model, tmp_path / "bad"), lambda: lora.merge(tiny_model)):
        with pytest.raises(ValueError, match=f"{layer}: {part} holds NaN or infinity"):
            do()
    assert not (tmp_path / "bad").exists()
    assert all(torch.equal(then, now) for (_, then), now in zip(before, tiny_model.parameters(), strict=True))


def test_a_model_of_shapes_has_no_adapter_to_save(tiny_model, tmp_path):
    with torch.device("meta"):
        model = LlamaForCausalLM(tiny_model.config)
    lora.attach(model, r=2)
    for take in (adapter_of, lambda model: save_adapter(model, tmp_path / "none")):
        with pytest.raises(ValueError, match="shapes and no numbers"):
            take(model)


def test_an_adapter_of_the_body_alone_does_not_fit_the_whole_model(tiny_model, tmp_path):
    lora.attach(tiny_model.model, r=2)
    folder = save_adapter(tiny_model.model, tmp_path / "body")
    lora.detach(tiny_model.model)
    with pytest.raises(ValueError, match="the adapter of another model"):
        load_adapter(tiny_model, folder)
    assert not list(lora.lora_layers(tiny_model))


DAMAGED_CONFIGURATIONS = {
    "{": "damaged",
    "": "damaged",
    "[" * 100_000: "damaged",
    "[1, 2]": "damaged",
    "7": "damaged",
    '"LORA"': "damaged",
    "null": "damaged",
    b"\xff\xfe\x00{": "damaged",
    "{}": "holds a None adapter",
}
DAMAGED_FIELDS = [
    ("r", None, "whole number"),
    ("r", "2", "whole number"),
    ("r", 2.0, "whole number"),
    ("r", True, "whole number"),
    ("r", -1, "1 ≤ r"),
    ("r", 10**30, "1 ≤ r"),
    ("r", 3, "the configuration says r = 3: another r"),
    ("lora_alpha", None, "lora_alpha"),
    ("lora_alpha", "16", "lora_alpha"),
    ("lora_alpha", [16], "lora_alpha"),
    ("lora_alpha", 0, "lora_alpha"),
    ("lora_alpha", 1e308, "lora_alpha"),
    ("lora_alpha", 10**400, "lora_alpha"),
    ("lora_alpha", float("nan"), "lora_alpha"),
    ("lora_alpha", float("inf"), "lora_alpha"),
    ("base_model_name_or_path", 5, "base_model_name_or_path"),
    ("base_model_name_or_path", {"a": 1}, "base_model_name_or_path"),
    ("rank_pattern", ["q_proj"], "rank_pattern is not a table"),
    ("rank_pattern", {"q_proj": 2.0}, "whole number"),
    ("rank_pattern", {"q_proj": 0}, "1 ≤ r"),
    ("rank_pattern", {"q_proj": 3}, "says r = 3: another r"),
    ("alpha_pattern", {"q_proj": "16"}, "lora_alpha"),
    ("alpha_pattern", {"q_proj": float("nan")}, "lora_alpha"),
    ("alpha_pattern", {"(": 2}, r"'\(' is not a pattern"),
    ("alpha_pattern", {"(.|..)+x": 2}, "may never end"),
    ("alpha_pattern", {".*" * 20 + "x": 2}, "may never end"),
    ("peft_type", ["LORA"], "adapter, and this loader knows LORA"),
    ("peft_type", {}, "adapter, and this loader knows LORA"),
    ("modules_to_save\x1b\n", ["x" * 9000], r"does not do \(modules_to_save\\u001b\\n = \['x{38}\): load it"),
    ("peft_type", "lora", "does not know the peft_type 'lora': write LORA"),
    ("task_type", "causal_lm", "does not know the task_type 'causal_lm': write CAUSAL_LM"),
]


@pytest.mark.parametrize("text, sentence", DAMAGED_CONFIGURATIONS.items(), ids=range(len(DAMAGED_CONFIGURATIONS)))
def test_a_damaged_configuration_says_so(folder, text, sentence):
    (folder / ADAPTER_CONFIG).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=sentence):
        read_adapter(folder)


@pytest.mark.parametrize("field, value, sentence", DAMAGED_FIELDS)
def test_an_impossible_field_is_named(folder, field, value, sentence):
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config | {field: value}))
    with pytest.raises(ValueError, match=sentence):
        read_adapter(folder)


@pytest.mark.parametrize(
    "changed, sentence",
    [
        (lambda t: torch.ones(2), "float32 of shape .*are matrices"),
        (lambda t: torch.ones(()), "float32 of shape .*are matrices"),
        (lambda t: torch.ones(2, 3, 1, 1), "float32 of shape .*are matrices"),
        (lambda t: t.to(torch.int8), "int8 of shape .*are matrices"),
        (lambda t: t > 0, "bool of shape .*are matrices"),
        (lambda t: t.to(torch.complex64), "complex64 of shape .*are matrices"),
        (lambda t: t.to(torch.float8_e4m3fn), "float8_e4m3fn of shape .*are matrices"),
        (lambda t: torch.ones(0, t.shape[1]), "another r"),
        (lambda t: torch.ones(t.shape[0], 0), "1 ≤ r"),
        (lambda t: t.T.contiguous(), "another r"),
    ],
)
def test_tensors_that_are_no_matrices_of_numbers_are_refused(folder, changed, sentence):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    name = next(name for name in tensors if "lora_A" in name)
    save_file(tensors | {name: changed(tensors[name])}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match=sentence):
        read_adapter(folder)


def test_a_bias_of_b_and_an_empty_file_are_refused(folder):
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    name = next(name for name in tensors if "lora_B" in name)
    with_bias = tensors | {name.replace("weight", "bias"): torch.ones(4)}
    for unfit, sentence in ((with_bias, r"also holds .*lora_B\.bias"), ({}, "no A and no B")):
        save_file(unfit, folder / ADAPTER_WEIGHTS)
        with pytest.raises(ValueError, match=sentence):
            read_adapter(folder)


def test_a_file_that_is_cut_while_it_is_read_ends_no_process(folder):
    """Whoever saves an adapter anew cuts the file first: pages of a map would be gone."""
    numbers = Numbers(folder / ADAPTER_WEIGHTS)
    os.truncate(folder / ADAPTER_WEIGHTS, 100)
    with pytest.raises(SafetensorError):
        numbers.read(numbers.names[0])
