"""The loop by hand, whose layer trains in lesson 03 (a sound class of the learner's, or the course's with one
sentence), and what it draws."""

from contextlib import nullcontext

import pytest
import torch
from transformers import Trainer, TrainingArguments

from lora_lessons import lora, training
from lora_lessons.course import learner, own_code
from lora_lessons.errors import Interrupted
from lora_lessons.lessons import l02
from lora_lessons.lessons.l03_train_lora import by_hand, illustration
from lora_lessons.tasks import Encoded
from lora_tools.bench import training_speed

SOLVED = (
    own_code.IMPORTS
    + """
class MyLoRA(nn.Module):
    def __init__(self, base_layer: nn.Linear, r: int, lora_alpha: float):
        super().__init__()
        d, k = base_layer.weight.shape
        self.base_layer = base_layer.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(r, k))
        self.lora_B = nn.Parameter(torch.zeros(d, r))
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)
        self.scaling = lora_alpha / r

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + x @ self.lora_A.T @ self.lora_B.T * self.scaling
"""
)
# what `02.1`'s check says of each wrong layer is tried there
WRONG = {
    "no scale": (SOLVED.replace("lora_alpha / r", "1.0"), "not right yet. You forgot the scale"),
    "W trains": (SOLVED.replace(".requires_grad_(False)", ""), "W still trains"),
    "other names": (SOLVED.replace("lora_A", "down"), "Call the matrices lora_A and lora_B"),
    "A too large": (SOLVED.replace("kaiming_uniform_(self.lora_A, a=5**0.5)", "normal_(self.lora_A)"), "too large"),
    "unfilled": (SOLVED[: SOLVED.index("        d, k")] + "        ...\n", "Not solved yet"),
    "no class": ("x = 1\n", "holds nothing called MyLoRA"),
    "broken": ("class MyLoRA(nn.Module:\n", "stopped with SyntaxError"),
    "raises": (SOLVED.replace("super().__init__()", "super().__init__(1)"), "stopped with an error. TypeError"),
    "forward raises": (SOLVED.replace("self.lora_B.T", "self.lora_B"), "The shapes do not fit in forward"),
}


pytestmark = pytest.mark.usefixtures("progress")


def test_a_sound_class_of_the_learners_trains(capsys):
    learner.keep_code("my_lora", SOLVED)
    mine = l02.my_layer()
    assert mine.__name__ == "MyLoRA" and capsys.readouterr().out == "Your own MyLoRA trains.\n"


@pytest.mark.parametrize("source, words", WRONG.values(), ids=WRONG)
def test_a_wrong_class_gets_one_sentence_and_the_courses_trains(source, words, capsys):
    learner.keep_code("my_lora", source)
    assert l02.my_layer() is lora.LoRALinear
    said = capsys.readouterr().out
    assert words in said and said.count("\n") == 1 and "The course's layer trains here" in said


def test_without_a_class_the_courses_trains(capsys):
    assert l02.my_layer() is lora.LoRALinear
    assert "You have no MyLoRA of your own yet. The course's layer trains here" in capsys.readouterr().out


def test_a_loss_that_rises_is_said_and_one_that_only_varies_is_not(capsys):
    for falls in ([5.07, 5.0, 4.22], [4.57, 5.02, 4.62], [5.0, 5.9], [3.0]):
        by_hand.look_at(falls)
    assert capsys.readouterr().out == ""
    by_hand.look_at([5.07, 5.17, 6.6])
    assert capsys.readouterr().out.startswith("The loss has risen, from 5.07 to 6.60")


def ids():
    return torch.arange(3, 11)[None]


def trained(model, layer):
    """Three steps; the losses."""
    by_hand.attach(model, layer, r=2, lora_alpha=4, seed=0)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.AdamW(learned, lr=1e-2), []
    for _ in range(3):
        loss = model(input_ids=ids(), labels=ids()).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, sum(p.numel() for p in learned)


def test_their_class_trains_as_ours_does_and_becomes_ours(tiny_model):
    learner.keep_code("my_lora", SOLVED)
    before = {name: p.clone() for name, p in tiny_model.named_parameters()}
    ours = trained(tiny_model, lora.LoRALinear)
    theirs = trained(tiny_model, l02.my_layer())
    assert ours[1] == theirs[1] and ours[0] == pytest.approx(theirs[0], abs=1e-6) and ours[0][2] < ours[0][0]
    with torch.no_grad():
        logits = tiny_model(ids()).logits
        by_hand.as_the_courses(tiny_model)
        assert torch.allclose(tiny_model(ids()).logits, logits, atol=1e-6)
    assert len(list(lora.lora_layers(tiny_model))) == 14
    lora.detach(tiny_model)
    assert all(torch.equal(p, before[name]) for name, p in tiny_model.named_parameters())


def test_attaching_again_starts_anew_whatever_was_on(tiny_model):
    learner.keep_code("my_lora", SOLVED)
    mine = l02.my_layer()
    first = trained(tiny_model, mine)
    assert trained(tiny_model, mine) == first
    assert trained(tiny_model, lora.LoRALinear)[0] == pytest.approx(first[0], abs=1e-6)


def test_their_training_goes_on_after_an_interrupt(tiny_model, tmp_path, capsys):
    learner.keep_code("my_lora", SOLVED)
    how = training.Settings(steps=3, batch_size=1, learning_rate=1e-2, checkpoint_every=1)

    def stop(story):
        if len(story.losses) == 2:
            raise KeyboardInterrupt

    for heard, ends in ((stop, pytest.raises(Interrupted)), (None, nullcontext())):
        by_hand.attach(tiny_model, l02.my_layer(), r=2, lora_alpha=4, seed=0)
        with ends:
            training.train(tiny_model, [Encoded(ids()[0], ids()[0])], how, run_dir=tmp_path / "run", on_step=heard)
    said = capsys.readouterr().out
    assert "Resumed at step 2 of 3" in said and said.count("Your own MyLoRA trains, about half as fast as") == 2


def batches(model):
    rows = torch.randint(3, model.config.vocab_size, (3, 2, 8), generator=torch.Generator().manual_seed(1))
    shown = torch.ones(2, 8, dtype=torch.long)
    return [{"input_ids": ids, "attention_mask": shown, "labels": ids.clone()} for ids in rows]


def test_the_loss_by_hand_is_the_models_own(tiny_model):
    for batch in batches(tiny_model):
        batch["labels"][:, :3] = -100
        out = tiny_model(**batch)
        assert torch.allclose(by_hand.answer_loss(out.logits, batch["labels"]), out.loss, atol=1e-6)


def test_the_loop_by_hand_trains_as_transformers_trainer_does(tiny_model, tmp_path):
    given, before = batches(tiny_model), {name: p.clone() for name, p in tiny_model.named_parameters()}
    by_hand.attach(tiny_model, lora.LoRALinear, r=2, lora_alpha=4)
    losses = by_hand.train_by_hand(tiny_model, given, 5e-2)
    assert all(torch.equal(p, before[n]) for n, p in tiny_model.named_parameters() if n in before)
    by_hand.attach(tiny_model, lora.LoRALinear, r=2, lora_alpha=4)
    rows = [{name: tensor[i] for name, tensor in batch.items()} for batch in given for i in range(2)]
    settings = TrainingArguments(
        max_steps=3,
        per_device_train_batch_size=2,
        learning_rate=5e-2,
        lr_scheduler_type="constant",
        max_grad_norm=0,
        **training_speed.quiet(str(tmp_path)),
    )
    trainer = Trainer(tiny_model, settings, train_dataset=rows)
    trainer.train()
    theirs = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert losses == pytest.approx(theirs, abs=1e-3) and losses[0] != losses[2]


def test_the_two_ways_are_drawn_to_scale():
    figure, words = illustration.two_ways(60, 40, 5)
    sizes = [(patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert sizes == [(40, 60), (40, 60), (5, 60), (40, 5)]
    assert "2,400 numbers" in words and "500 numbers (20.8%)" in words
