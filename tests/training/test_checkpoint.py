"""A run on disk: tensors and text alone, written whole, moments restored bit for bit."""

import copy
import dataclasses

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from short_run import SHORT, broken_and_whole, same
from torch import nn

from lora_lessons import lora, training
from lora_lessons.training import TrainingStopped, checkpoint, train
from lora_lessons.training.lock import LOCK


def test_a_full_disk_is_a_sentence_and_leaves_the_old_checkpoint(tiny_model, examples, tmp_path, monkeypatch):
    lora.attach(tiny_model, r=4)

    for number, failure in enumerate(
        (OSError(28, "No space left on device"), SafetensorError("No space left on device"))
    ):

        def full(*args, failure=failure, **kwargs):
            raise failure

        monkeypatch.setattr(checkpoint, "save_file", full)
        tiny_model.train(False)
        with pytest.raises(TrainingStopped, match="free some room"):
            train(tiny_model, examples, SHORT, run_dir=tmp_path / str(number))
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == [LOCK]
        assert not tiny_model.training, "the model is left in the mode it was found in"


def test_the_file_holds_only_tensors_and_text(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert all(name.startswith("weights.") for name in load_file(tmp_path / training.FINISHED))


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_fused", "adamw_8bit"])
def test_every_optimizer_resumes_bit_for_bit(tiny_model, examples, tmp_path, optimizer):
    def make():
        model = copy.deepcopy(tiny_model)
        lora.attach(model, r=128 // 4, target_modules=["q_proj", "gate_proj"])
        for _, layer in lora.lora_layers(model):
            nn.init.normal_(layer.lora_B, std=0.01, generator=torch.Generator().manual_seed(0))
        return model

    monkey = dataclasses.replace(SHORT, optimizer=optimizer)
    (broken, one), (whole, other) = broken_and_whole(make, monkey, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert broken.optimizer_bytes == whole.optimizer_bytes


@pytest.mark.parametrize("fused, device", [(True, "meta"), (False, "cpu")])
def test_steps_are_counted_where_the_kernel_looks_for_them(fused, device):
    """The "meta" device stands for a card: PyTorch's fused kernel wants the step there, the plain one on the CPU."""
    p = nn.Parameter(torch.zeros(3, device="meta"))
    optimizer = torch.optim.AdamW([p])
    optimizer.param_groups[0]["fused"] = fused
    kept = {"step": torch.tensor(3.0), "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
    checkpoint.restore_moments(optimizer, p, kept)
    assert optimizer.state[p]["step"].device.type == device and optimizer.state[p]["exp_avg"].device.type == "meta"


def test_dropout_is_drawn_again_in_a_resumed_run(tiny_model, tmp_path):
    """Each step draws its random numbers anew, from the seed and its own number: resumed, it draws the same ones."""

    def make():
        model = copy.deepcopy(tiny_model)
        for block in model.model.layers:
            block.self_attn.attention_dropout = model.config.attention_dropout = 0.5
        lora.attach(model, r=4)
        return model

    (broken, one), (whole, other) = broken_and_whole(make, SHORT, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
