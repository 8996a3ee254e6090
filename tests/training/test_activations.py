"""Gradient checkpointing keeps less and changes nothing."""

import copy
import dataclasses
from contextlib import nullcontext

import pytest
import torch
from short_run import SHORT, adapter

from lora_lessons import lora, tasks, training
from lora_lessons.training import train


def test_checkpointing_keeps_less_and_changes_nothing(tiny_model, examples, tmp_path):
    found = {}
    for on in (False, True):
        model = copy.deepcopy(tiny_model)
        lora.attach(model, r=4)
        kept = []
        batch = tasks.collate(examples[:2], pad_id=0)
        with (
            training.checkpointing(model.train()) if on else nullcontext(),
            torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.nbytes) or t, lambda t: t),
        ):
            model(**batch)
        settings = dataclasses.replace(SHORT, gradient_checkpointing=on)
        losses = train(model, examples, settings, run_dir=tmp_path / str(on)).losses
        found[on] = (losses, adapter(model), sum(kept))
        assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules()), "left as it was found"
        assert model.config.use_cache
    assert found[True][0] == pytest.approx(found[False][0], abs=1e-6)
    assert all(torch.allclose(p, found[False][1][name], atol=1e-6) for name, p in found[True][1].items())
    assert found[True][2] < found[False][2] / 2


@pytest.mark.parametrize("on, passes", [(False, 1), (True, 2)])
def test_train_computes_each_block_again_when_asked(tiny_model, examples, tmp_path, on, passes):
    lora.attach(tiny_model, r=4)
    ran = []
    for block in tiny_model.model.layers:
        # inside the block: transformers keeps the block's own hooks out of what is computed again
        block.self_attn.register_forward_pre_hook(lambda *_: ran.append(1))
    train(tiny_model, examples, dataclasses.replace(SHORT, gradient_checkpointing=on), run_dir=tmp_path)
    assert len(ran) == passes * SHORT.steps * len(tiny_model.model.layers)
