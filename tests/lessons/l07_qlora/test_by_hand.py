"""QLoRA by hand: what is kept, the same losses as bitsandbytes and PEFT, and whose layer trains."""

import runpy
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_folders import examples, make_folder
from torch import nn

from lora_lessons import lora, models, tasks, training
from lora_lessons.adapter import save_adapter
from lora_lessons.course import exercises, learner, own_code
from lora_lessons.lessons.l03_train_lora.by_hand import train_by_hand
from lora_lessons.lessons.l06.by_hand import back, nf4
from lora_lessons.lessons.l07_qlora import by_hand

ANSWERS = runpy.run_path(str(Path(__file__).with_name("wrong_answers.py")))


@pytest.fixture(autouse=True)
def own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_PROGRESS", str(tmp_path / "progress.json"))


class Careless(torch.autograd.Function):
    """Keeps the unpacked weight on ctx, where saved-tensor hooks do not look."""

    @staticmethod
    def forward(ctx, x, q):
        ctx.W = back(q)
        return x @ ctx.W.T

    @staticmethod
    def backward(ctx, grad):
        return grad @ ctx.W, None


def test_a_w_on_ctx_is_seen_and_what_is_held_anyway_does_not_count():
    x, q, unpacked = torch.randn(4, 64, requires_grad=True), nf4(torch.randn(96, 64)), 4 * 64 * 96
    hooks = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: hooks.append(t) or t, lambda t: t):
        Careless.apply(x, q)
    assert hooks == [] and by_hand.kept(lambda x: Careless.apply(x, q), x, q) == unpacked
    assert by_hand.kept(lambda x: x @ back(q).T, x, q) == unpacked
    assert by_hand.kept(lambda x: by_hand.PackedProduct.apply(x, q), x, q) == 0


def test_what_the_course_wrote_solves_its_own_exercises():
    for id, made in (("07.4", by_hand.PackedProduct), ("07.5", by_hand.MyQLoRA)):
        assert exercises.judge(id, made)[0] == "solved"


def test_every_tensor_of_a_layer_is_found_wherever_it_lies():
    layer = by_hand.MyQLoRA(nn.Linear(64, 96), 2, 4)
    layer.aside = {"more": [torch.ones(3)], "self": layer.forward}
    found = [tuple(t.shape) for t in by_hand.tensors_in(layer)]
    assert {(2, 64), (96, 2), (96,), (3,)} <= set(found) and len(found) == len(set(map(id, by_hand.tensors_in(layer))))
    del layer.aside
    assert 0.5 < by_hand.packed_bytes(layer) / (64 * 96) < 0.55, "4 bits and a little a number; no A, B or bias"


@pytest.fixture
def folder(tmp_path, base_fp32):
    made = make_folder(tmp_path / "tiny", "qwen2")  # its layers have biases
    base_fp32.tokenizer.save_pretrained(made)
    return made


class WithLinears(by_hand.MyQLoRA):
    """PEFT's own way to hold A and B."""

    def __init__(self, linear, r, lora_alpha):
        super().__init__(linear, r, lora_alpha)
        d, k = linear.weight.shape
        del self.lora_A, self.lora_B
        self.lora_A, self.lora_B = nn.Linear(k, r, bias=False), nn.Linear(r, d, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        h = by_hand.PackedProduct.apply(x, self.q) + (0 if self.bias is None else self.bias)
        return (h + self.scaling * self.lora_B(self.lora_A(x.float()))).to(x.dtype)


@pytest.mark.parametrize("layer", [by_hand.MyQLoRA, WithLinears])
def test_it_trains_as_bitsandbytes_and_peft_do(layer, folder):
    ours = models.load(folder, "fp32", device="cpu").model
    by_hand.attach(ours, layer, r=2, lora_alpha=4)
    before = [t.clone() for t in ours.state_dict().values()]
    theirs = models.load(folder, "nf4", device="cpu", compute_dtype=torch.float32).model
    theirs = get_peft_model(theirs, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"))
    by_hand.same_adapter(ours, theirs)
    batches = [tasks.collate(examples(), pad_id=0)] * 3
    yours, library = (train_by_hand(model, batches, 1e-2) for model in (ours, theirs))
    assert yours == pytest.approx(library, abs=1e-4) and yours[2] < yours[0]
    moved = {n for (n, t), old in zip(ours.state_dict().items(), before, strict=True) if not torch.equal(t, old)}
    assert moved and all("lora_" in name for name in moved)


def test_attached_layers_start_alike_from_a_seed_and_hold_no_linear(folder):
    one, other = (models.load(folder, "fp32", device="cpu").model for _ in range(2))
    for model in (one, other):
        by_hand.attach(model, by_hand.MyQLoRA, r=2, lora_alpha=4, seed=5)
    with pytest.raises(ValueError, match="load the base anew"):
        by_hand.attach(one, by_hand.MyQLoRA, r=2, lora_alpha=4)
    name = "model.layers.1.mlp.down_proj"
    assert torch.equal(one.get_submodule(name).lora_A, other.get_submodule(name).lora_A)
    assert [n for n, m in one.named_modules() if isinstance(m, nn.Linear)] == ["lm_head"]
    assert {n.rpartition(".")[2] for n, p in one.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


class OwnNames(by_hand.MyQLoRA):
    """A layer whose scale no other code knows by name."""

    def __init__(self, linear, r, lora_alpha):
        super().__init__(linear, r, lora_alpha)
        self.s = self.__dict__.pop("scaling")


def test_a_run_by_ones_own_layer_is_another_run_with_another_alpha_or_other_code(folder):
    names = set()
    for alpha, code in ((4, "one"), (8, "one"), (8, "other")):
        learner.keep_code("my_qlora", code)
        model = models.load(folder, "fp32", device="cpu").model
        by_hand.attach(model, OwnNames, r=2, lora_alpha=alpha)
        names.add(training.fingerprint(model, examples(), training.Settings(steps=1)))
    assert len(names) == 3


@pytest.mark.parametrize("layer", [by_hand.MyQLoRA, WithLinears])
def test_unpacked_once_it_answers_the_same_and_peft_reads_its_adapter(layer, folder, tmp_path):
    assert exercises.judge("07.5", layer)[0] == "solved"
    base = models.load(folder, "fp32", device="cpu")
    by_hand.attach(base.model, layer, r=2, lora_alpha=4)
    batch = tasks.collate(examples(), pad_id=0)
    train_by_hand(base.model, [batch] * 2, 1e-2)
    with torch.no_grad():
        packed = base.model(**batch).logits
        by_hand.as_the_courses(base.model, torch.float32)
        assert torch.allclose(base.model(**batch).logits, packed, atol=1e-5)
    save_adapter(base.model, tmp_path / "adapter", str(folder))
    lora.detach(base.model)
    theirs = PeftModel.from_pretrained(base.model, str(tmp_path / "adapter"))
    with torch.no_grad():
        assert torch.allclose(theirs(**batch).logits, packed, atol=1e-5)


def solve(id, source, tmp_path):
    """Solve an exercise as a learner does, the source in a cell of its own."""
    cell, scope = tmp_path / f"cell_{id}.py", {}
    cell.write_text(source, encoding="utf-8")
    names = {"torch": torch, "nn": nn, "nf4": nf4, "back": back, "math": __import__("math")}
    exec(compile(source, str(cell), "exec"), scope := names)
    exercises.check(id, scope["PackedProduct" if id == "07.4" else "MyQLoRA"])


def test_what_was_solved_is_kept_alone_and_trains(tmp_path, capsys):
    assert by_hand.my_qlora() is by_hand.MyQLoRA
    assert "You have no MyQLoRA of your own yet. The course's layer trains here" in capsys.readouterr().out
    solve("07.4", ANSWERS["_product"](), tmp_path)
    solve("07.5", ANSWERS["_layer"](), tmp_path)
    assert own_code.read("PackedProduct", "PackedProduct").__name__ == "PackedProduct"
    mine = by_hand.my_qlora()
    assert mine is not by_hand.MyQLoRA and "Your own MyQLoRA trains." in capsys.readouterr().out
    layer = mine(nn.Linear(64, 32), 2, 4)
    assert layer(torch.ones(1, 64)).shape == (1, 32)


def test_a_kept_layer_that_is_wrong_gets_its_sentence_and_the_courses_trains(capsys):
    wrong = ANSWERS["_layer"](scaling="lora_alpha").replace(
        "\nclass", "\nfrom lora_lessons.lessons.l06.by_hand import *\n\nclass", 1
    )
    learner.keep_code("my_qlora", own_code.IMPORTS + wrong)
    assert by_hand.my_qlora() is by_hand.MyQLoRA
    assert "did not divide by r" in capsys.readouterr().out
