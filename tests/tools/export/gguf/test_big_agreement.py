"""An adapter trained on a base by name answers in PEFT and in llama.cpp as it does here.

`pytest -m big -s` prints how far apart the logits are: 1.6 GB to fetch where the bases are not here,
8 GB of memory and 7 of disk, some minutes.
"""

import gc

import pytest
import torch
from exporting import peft_logits, python_logits, worst

from lora_lessons import llamacpp, lora, models, tasks, training
from lora_lessons.adapter import save_adapter
from lora_tools.exporting import gguf

pytestmark = pytest.mark.big

LIMIT = 5e-3
A_FEW = training.Settings(steps=4, batch_size=4, learning_rate=1e-3, warmup=1, checkpoint_every=0)


def alone_and_adapted(model, adapter, prompts):
    """The logits after each prompt, of the base and through PEFT."""
    return python_logits(model, prompts), peft_logits(model, adapter, prompts)


@torch.no_grad()
def round_to_16_bits(model):
    """What an F16 GGUF keeps of the model: matrices in fp16, biases and norms as they are."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half())


@pytest.mark.parametrize("name", models.NAMED)
def test_an_adapter_answers_through_peft_and_llama_cpp_as_here(name, tmp_path):
    model, tokenizer, _ = models.load(name, "fp32", "cpu")
    task = tasks.load_task("persona")
    taught, asked = ([tasks.encode(tokenizer, one) for one in some] for some in (task.train, task.held_out[:3]))
    prompts = [one.input_ids[: int((one.labels != tasks.IGNORED).int().argmax())].tolist() for one in asked]
    lora.attach(model, r=16, lora_alpha=16)
    training.train(model, taught, A_FEW, run_dir=tmp_path / "run", reuse=False)
    saved, here = save_adapter(model, tmp_path / "adapter", name), python_logits(model.eval(), prompts)

    lora.detach(model)
    expected = {"F32": alone_and_adapted(model, saved, prompts)}
    expected["Q4_K_M"] = expected["F32"]
    round_to_16_bits(model)
    expected["F16"] = alone_and_adapted(model, saved, prompts)
    del model
    gc.collect()

    own = models.named_file(models.NAMED[name])
    source, ((adapter,), _) = gguf.open_base(own), gguf.export(saved, tmp_path / "exported", name, ())
    apart = {}
    for kind, logits in expected.items():
        file = own if kind == "Q4_K_M" else gguf.write_base(source, tmp_path / f"{kind}.gguf", kind)
        there = [llamacpp.logits(file, prompts, adapters) for adapters in ({}, {adapter: 1.0})]
        apart[kind] = [worst(*pair) for pair in zip(there, logits, strict=True)]
        print(f"{name}, {kind}: max |Δlogit| {apart[kind][0]:.1e} of the base alone, {apart[kind][1]:.1e} adapted")
        if file != own:
            file.unlink()
    alone, adapted = expected["F32"]
    assert worst(alone, adapted) > 1, "an adapter this small proves nothing"
    assert worst(here, adapted) <= 1e-4
    assert max(apart["F32"]) <= LIMIT
    for kind in ("F16", "Q4_K_M"):
        assert apart[kind][1] <= 2 * apart[kind][0], "what llama.cpp's arithmetic rounds, and nothing of the adapter's"
