"""Training stops when the loss is not finite or a matrix gets no gradient."""

import copy

import pytest
import torch
from short_run import SHORT
from torch import nn

from lora_lessons import lora, training
from lora_lessons.training import TrainingStopped, train


def test_a_nan_loss_stops_with_advice(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    with torch.no_grad():
        tiny_model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(TrainingStopped, match="lower the learning rate"):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert not (tmp_path / training.FINISHED).exists()


class NoGradient(nn.Linear):
    """Stands in for any layer whose forward cuts the graph, such as a quantized one without autograd."""

    def forward(self, x):
        return super().forward(x.detach())


def test_matrices_without_gradient_stop_training_and_are_named(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4, target_modules=["q_proj", "down_proj"])
    cut = tiny_model.model.layers[1].mlp.down_proj.base_layer
    cut.__class__ = NoGradient  # down_proj of layer 1: everything below it in this branch goes silent
    tiny_model.model.layers[1].mlp.down_proj.forward = lambda x: cut(x)
    with pytest.raises(
        TrainingStopped, match=r"1 of 8 trainable matrices got no gradient: .*layers\.1\.mlp\.down_proj\.lora_B|2 of 8"
    ):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)


def test_a_silent_lora_a_is_noticed_once_its_b_is_not_zero(tiny_model):
    lora.attach(tiny_model, r=2, target_modules=["q_proj"])
    learned = {n: p for n, p in tiny_model.named_parameters() if p.requires_grad}
    for p in learned.values():
        p.grad = torch.ones_like(p)
    name = next(n for n in learned if "lora_A" in n)
    learned[name].grad.zero_()
    training.check_gradients(learned)  # B is zero: A waits
    learned[name.replace("lora_A", "lora_B")].data.fill_(1.0)
    with pytest.raises(TrainingStopped, match="lora_A"):
        training.check_gradients(learned)


def test_no_healthy_adapter_of_peft_is_stopped(tiny_model, examples, tmp_path):
    """Each starts at 0 in a matrix of its own: those that this one is multiplied by wait for it."""
    import peft

    for number, config in enumerate((
        peft.LoraConfig(r=2, target_modules=["q_proj", "embed_tokens"]),
        peft.AdaLoraConfig(init_r=2, target_modules=["q_proj"], total_step=10),
        peft.VeraConfig(r=2, target_modules=["q_proj"]),
        peft.LoHaConfig(r=2, target_modules=["q_proj"]),
        peft.LoKrConfig(r=2, target_modules=["q_proj"]),
    )):  # fmt: skip
        model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
        assert len(train(model, examples, SHORT, run_dir=tmp_path / str(number)).losses) == SHORT.steps


@pytest.mark.parametrize(("silent", "said"), [(4, r"d\.lora_B\. "), (6, r"d\.lora_B and 2 more\. ")])
def test_the_first_four_silent_matrices_are_named_and_the_others_counted(silent, said):
    learned = {f"{letter}.lora_B": nn.Parameter(torch.ones(1)) for letter in "abcdef"[:silent]}
    with pytest.raises(TrainingStopped, match=rf"^{silent} of {silent} .*: a\.lora_B, b\.lora_B, c\.lora_B, {said}"):
        training.check_gradients(learned)
