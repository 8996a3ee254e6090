"""QLoRA by hand: the same losses as bitsandbytes and PEFT, whose layer trains, and the picture of a step."""

import runpy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_folders import examples, make_folder
from torch import nn

from lora_lessons import lora, memory, models, tasks, training
from lora_lessons.adapter import save_adapter
from lora_lessons.by_hand import back, nf4
from lora_lessons.course import exercises, learner, own_code
from lora_lessons.lessons import l07
from lora_lessons.lessons.l03_train_lora.by_hand import train_by_hand

ANSWERS = runpy.run_path(str(Path(__file__).with_name("wrong_answers.py")))


pytestmark = pytest.mark.usefixtures("progress")


def test_what_a_product_keeps_counts_neither_its_packed_w_nor_its_tables():
    x, q = torch.randn(4, 64, requires_grad=True), nf4(torch.randn(96, 64))
    kept = [
        memory.kept_for_backward(lambda both, of=of: of(*both), (x, q))
        for of in (lambda x, q: x @ back(q).T, l07.PackedProduct.apply)
    ]
    assert kept == [4 * 64 * 96, 0]


def test_what_the_course_wrote_solves_its_own_exercises():
    for id, made in (("07.1", l07.PackedProduct), ("07.2", l07.MyQLoRA)):
        assert exercises.judge(id, made)[0] == "solved"


def test_every_tensor_of_a_layer_is_found_wherever_it_lies():
    layer = l07.MyQLoRA(nn.Linear(64, 96), 2, 4)
    layer.aside = {"more": [torch.ones(3)], "self": layer.forward}
    found = [tuple(t.shape) for t in l07.tensors_in(layer)]
    assert {(2, 64), (96, 2), (96,), (3,)} <= set(found) and len(found) == len(set(map(id, l07.tensors_in(layer))))


@pytest.fixture
def folder(tmp_path, base_fp32):
    made = make_folder(tmp_path / "tiny", "qwen2")  # its layers have biases
    base_fp32.tokenizer.save_pretrained(made)
    return made


class WithLinears(l07.MyQLoRA):
    """PEFT's own way to hold A and B."""

    def __init__(self, linear, r, lora_alpha):
        super().__init__(linear, r, lora_alpha)
        d, k = linear.weight.shape
        del self.lora_A, self.lora_B
        self.lora_A, self.lora_B = nn.Linear(k, r, bias=False), nn.Linear(r, d, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        h = l07.PackedProduct.apply(x, self.q) + (0 if self.bias is None else self.bias)
        return (h + self.scaling * self.lora_B(self.lora_A(x.float()))).to(x.dtype)


def attached(folder, layer=l07.MyQLoRA, lora_alpha=4):
    base = models.load(folder, "fp32", device="cpu")
    l07.attach(base.model, layer, r=2, lora_alpha=lora_alpha, seed=5)
    return base.model


@pytest.mark.parametrize("layer", [l07.MyQLoRA, WithLinears])
def test_it_trains_as_bitsandbytes_and_peft_do(layer, folder):
    ours = attached(folder, layer)
    before = {name: t.clone() for name, t in ours.state_dict().items()}
    theirs = models.load(folder, "nf4", device="cpu", compute_dtype=torch.float32).model
    theirs = get_peft_model(theirs, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, p in ours.named_parameters():
            if "lora_" in name:
                name = f"base_model.model.{name.removesuffix('.weight')}.default.weight"
                theirs.get_parameter(name).copy_(p)
    batches = [tasks.collate(examples(), pad_id=0)] * 3
    yours, library = (train_by_hand(model, batches, 1e-2) for model in (ours, theirs))
    assert yours == pytest.approx(library, abs=1e-4) and yours[2] < yours[0]
    moved = {name for name, t in ours.state_dict().items() if not torch.equal(t, before[name])}
    assert moved and all("lora_" in name for name in moved)


def test_attached_layers_start_alike_from_a_seed_and_hold_no_linear(folder):
    one, other = attached(folder), attached(folder)
    with pytest.raises(ValueError, match="load the base anew"):
        l07.attach(one, l07.MyQLoRA, r=2, lora_alpha=4)
    name = "model.layers.1.mlp.down_proj"
    assert torch.equal(one.get_submodule(name).lora_A, other.get_submodule(name).lora_A)
    assert [n for n, m in one.named_modules() if isinstance(m, nn.Linear)] == ["lm_head"]
    assert {n.rpartition(".")[2] for n, p in one.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


def test_a_run_by_ones_own_layer_is_another_run_with_another_alpha_or_other_code(folder):
    names = set()
    for alpha, code in ((4, "one"), (8, "one"), (8, "other")):
        learner.keep_code("my_qlora", code)
        model = attached(folder, lora_alpha=alpha)
        names.add(training.fingerprint(model, examples(), training.Settings(steps=1)))
    assert len(names) == 3


@pytest.mark.parametrize("layer", [l07.MyQLoRA, WithLinears])
def test_unpacked_once_it_answers_the_same_and_peft_reads_its_adapter(layer, folder, tmp_path):
    assert exercises.judge("07.2", layer)[0] == "solved"
    model, batch = attached(folder, layer), tasks.collate(examples(), pad_id=0)
    train_by_hand(model, [batch] * 2, 1e-2)
    with torch.no_grad():
        packed = model(**batch).logits
        l07.as_the_courses(model, torch.float32)
        assert torch.allclose(model(**batch).logits, packed, atol=1e-5)
        save_adapter(model, tmp_path / "adapter", str(folder))
        lora.detach(model)
        theirs = PeftModel.from_pretrained(model, str(tmp_path / "adapter"))
        assert torch.allclose(theirs(**batch).logits, packed, atol=1e-5)


def solve(id, name, source, tmp_path):
    """Solve an exercise as a learner does, the source in a cell of its own."""
    cell, scope = tmp_path / f"cell_{id}.py", {"torch": torch, "nn": nn, "nf4": nf4, "back": back}
    cell.write_text(f"import math\n{source}", encoding="utf-8")
    exec(compile(cell.read_text(encoding="utf-8"), str(cell), "exec"), scope)
    exercises.check(id, scope[name])


def test_what_was_solved_is_kept_alone_and_trains(tmp_path, capsys):
    assert l07.my_qlora() is l07.MyQLoRA
    assert "You have no MyQLoRA of your own yet. The course's layer trains here" in capsys.readouterr().out
    solve("07.1", "PackedProduct", ANSWERS["_product"](), tmp_path)
    solve("07.2", "MyQLoRA", ANSWERS["_layer"](), tmp_path)
    assert own_code.read("PackedProduct", "PackedProduct").__name__ == "PackedProduct"
    mine = l07.my_qlora()
    assert mine is not l07.MyQLoRA and "Your own MyQLoRA trains." in capsys.readouterr().out
    assert mine(nn.Linear(64, 32), 2, 4)(torch.ones(1, 64)).shape == (1, 32)


def test_a_kept_layer_that_is_wrong_gets_its_sentence_and_the_courses_trains(capsys):
    wrong = ANSWERS["_layer"](scaling="lora_alpha").replace(
        "\nclass", "\nfrom lora_lessons.lessons.l06.by_hand import *\n\nclass", 1
    )
    learner.keep_code("my_qlora", own_code.IMPORTS + wrong)
    assert l07.my_qlora() is l07.MyQLoRA
    assert "did not divide by r" in capsys.readouterr().out
