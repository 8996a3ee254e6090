"""The usual Hugging Face recipe: what it adds to a step, played on the meta device and measured with numbers."""

from dataclasses import replace

import pytest
import torch
from tiny_configs import small

from lora_lessons import memory, planning
from lora_lessons.errors import ModelError
from lora_lessons.memory import Job
from lora_lessons.memory.build import Autocast


def test_lora_on_a_16_bit_base_keeps_its_16_bits():
    course, hf = (memory.predict("Llama-2-7B", Job("lora", recipe=r)).bill for r in ("course", "hf"))
    assert hf.rest == course.rest and hf.base == course.base


def test_its_adamw_is_the_fused_one_and_its_layers_are_pefts():
    job = Job("full", recipe="hf")
    assert (job.optimizer, job.layer) == ("adamw_fused", "peft")
    assert Job(recipe="hf", optimizer="paged_adamw_8bit").optimizer == "paged_adamw_8bit"
    assert Job(**job.counted()) == job and "Hugging Face recipe" in planning.describe(job)
    with pytest.raises(ValueError, match="recipe 'axolotl' is not known: choose one of course, hf, trl, unsloth"):
        Job(recipe="axolotl")


def test_trls_trainer_prepares_nothing_and_takes_a_fused_loss():
    """SFTTrainer of TRL 1.16, read: QLoRA's adapters become bf16, LoRA's stay fp32,
    and the base stays as it is loaded."""
    qlora, lora = (Job(method, recipe="trl") for method in ("qlora", "lora"))
    assert (qlora.adapter_dtype, lora.adapter_dtype, qlora.loss, qlora.layer) == ("bf16", "fp32", "fused", "peft")
    trl, course, hf = (memory.predict("Qwen3-8B", Job(seq=4096, recipe=r)).bill for r in ("trl", "course", "hf"))
    assert trl.rest == course.rest < hf.rest and trl.adapters == course.adapters / 2
    assert trl.total < course.total < hf.total and "SFTTrainer" in planning.describe(qlora)


def test_a_long_text_on_a_card_with_a_fused_loss():
    """halo (whitecircle/halo, agent-docs/optimization/peft.md, September 2026): Qwen3-8B, QLoRA, r = 32, 32,768 tokens,
    20.9 GiB.

    Liger's other kernels, which keep less of a block, were on as well.
    """
    fused, liger = (
        memory.predict("Qwen3-8B", Job(r=32, seq=32768, recipe="trl", loss=loss)).bill.total / (20.9 * 2**30)
        for loss in ("fused", "liger")
    )
    assert 1 < liger < 1.1 < fused < 1.2


@pytest.mark.parametrize(("gib", "tokens"), [(8, 2972), (12, 21_848), (24, 78_475), (80, 342_733)])
def test_the_longest_contexts_of_unsloth_are_met(gib, tokens):
    """Unsloth's README, Llama-3.1-8B, QLoRA, r = 32, with its checkpointing:
    what fills a card is planned 5 to 12 percent too low."""
    job = Job(r=32, seq=tokens, optimizer="adamw_8bit", recipe="unsloth")
    assert 0.87 < memory.predict("Llama-3.1-8B", job).bill.total / (gib * 2**30) < 0.95
    kept = replace(job, recipe="trl", loss="liger")
    assert (
        memory.predict("Llama-3.1-8B", kept).bill.activations
        > 10 * memory.predict("Llama-3.1-8B", job).bill.activations
    )


def test_a_mixture_of_experts_is_refused_in_a_sentence():
    mixture = small("mixtral", num_local_experts=4, intermediate_size=64)
    with pytest.raises(ModelError, match="experts, .* in 4 bits"):
        memory.predict(mixture, Job("qlora", r=4, seq=64, recipe="hf"))
    assert memory.predict(mixture, Job("lora", r=4, seq=64, recipe="hf")).bill.total > 0


def test_the_logits_are_handed_out_once_more_in_32_bits():
    """transformers' Trainer under bf16=True: the model computes in bf16, its outputs leave as fp32."""
    model, _ = memory.build(memory.shape_of(small("llama")), Job("lora", r=8, recipe="hf"), "cpu")
    ids = torch.arange(3, 35)[None]
    out = model(input_ids=ids, labels=ids)
    assert out.logits.dtype == torch.float32 and model.lm_head.weight.dtype == torch.bfloat16


def test_autocast_is_played_and_put_away():
    weight = torch.nn.Parameter(torch.empty(4, 8, device="meta"))
    x = torch.empty(2, 8, device="meta")
    before = torch.is_autocast_enabled("cuda")
    with Autocast(card=True) as mode:
        assert torch.nn.functional.linear(x, weight).dtype == (x @ weight.T).dtype == torch.bfloat16
        assert len(mode.copies) == 1 and (x + 1).dtype == torch.float32 and torch.is_autocast_enabled("cuda")
    assert not mode.copies and torch.is_autocast_enabled("cuda") == before
    assert torch.nn.functional.linear(x, weight).dtype == torch.float32


def test_what_to_change_first_leaves_the_recipe_when_that_is_enough():
    room = 11.5e9
    made = planning.plan("Qwen2.5-7B", Job(recipe="hf", optimizer="paged_adamw_8bit"), room)
    assert not made.fits and made.changes[0].job.recipe == "course" and made.changes[0].total <= room
    assert "no autocast" in planning.verdict(made, "A card")
