"""The trap of bitsandbytes' repacked layers, and the guard against it."""

import inspect

import bitsandbytes as bnb
import peft
import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from tiny_folders import BF16, examples, ours, stock

from lora_lessons import lora, models, tasks, training


@pytest.mark.skipif(
    not has_avx512bf16(), reason="NOT TESTED HERE: this processor has no AVX-512 bf16, so the trap is not there"
)
def test_the_trap_is_still_there_without_the_guard(tokenized):
    """The story of keep_trainable. When this fails, bitsandbytes has changed: tell the new story."""
    model = stock(tokenized, BF16)
    with torch.no_grad():
        model(torch.arange(3, 20)[None])
    lora.attach(model, r=4)
    batch = tasks.collate(examples(), pad_id=0)
    model(**batch).loss.backward()
    heard = {name.split(".")[4] for name, p in model.named_parameters() if "lora_B" in name and p.grad.any()}
    assert heard == {"o_proj", "down_proj"}, "only what the residual stream reaches"
    with pytest.raises(training.TrainingStopped, match="a quantized layer that ran before training"):
        training.check_gradients({name: p for name, p in model.named_parameters() if p.requires_grad})
    lora.detach(model)
    with pytest.raises(ValueError, match="was repacked for inference.*load the base again"):
        models.keep_trainable(model)


def test_the_switch_that_the_guard_turns_is_still_read_by_bitsandbytes():
    """Were it renamed, setting it would do nothing, and nobody would notice on a processor without the trap."""
    layer = bnb.nn.Linear4bit(64, 64, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    assert "support_avx512bf16_for_cpu" in vars(layer), "the guard sets an attribute that the layer no longer has"
    assert "self.support_avx512bf16_for_cpu" in inspect.getsource(bnb.nn.Linear4bit.forward), (
        "the layer no longer asks it"
    )


def test_every_layer_of_a_loaded_base_is_guarded(tokenized):
    """What the guard sets, on any processor, and that it survives PEFT."""
    wrapped = peft.get_peft_model(ours(tokenized), peft.LoraConfig(r=4, target_modules="all-linear"))
    layers = [m for m in wrapped.modules() if isinstance(m, bnb.nn.Linear4bit) and not hasattr(m, "lora_A")]
    assert len(layers) == 14 and not any(m.support_avx512bf16_for_cpu for m in layers)
