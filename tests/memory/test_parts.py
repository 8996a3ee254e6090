"""What a plan sees of a model before it runs any of it: the pattern of its blocks, experts, what adapters leave out."""

import pytest
from tiny_configs import small, tiny

from lora_lessons import memory, planning
from lora_lessons.memory import Job, prediction


def test_kinds_repeat():
    found = [memory.pattern(kinds) for kinds in ("aaaa", "abab", "aaabaaab", "baaa", "cbbabbabb")]
    assert found == [(0, 1), (0, 2), (0, 4), (1, 1), (1, 3)]
    assert memory.pattern("ab") in ((0, 2), (1, 1)) and memory.pattern("a") == (0, 1)


def test_a_pattern_begins_after_the_first_blocks():
    parts = memory.parts_of(
        memory.shape_of(tiny("deepseek_v3", num_hidden_layers=9, first_k_dense_replace=3)), "all-linear"
    )
    assert (parts.blocks, parts.before, parts.period) == (9, 3, 1) and prediction.few_and_more(parts) == (6, 7)


@pytest.mark.parametrize("blocks, traced", [(4, (4,)), (32, (3, 4)), (5, (3, 4))])
def test_a_few_blocks_tell_of_all(blocks, traced):
    parts = memory.parts_of(memory.shape_of(small("llama", num_hidden_layers=blocks)), "all-linear")
    assert prediction.few_and_more(parts) == traced


def test_the_few_blocks_end_as_all_do():
    for blocks in (26, 27, 31):
        parts = memory.parts_of(memory.shape_of(small("gemma3_text", num_hidden_layers=blocks)), "all-linear")
        few, more = prediction.few_and_more(parts)
        assert parts.period == 6 and few >= 8 and more == few + 6 and (blocks - few) % 6 == 0


def test_experts_are_base_weights_in_16_bits_and_no_adapter_reaches_them():
    """Mixtral's experts are stacked in two weights a block: bitsandbytes packs Linear layers alone,
    LoRA adapts them alone."""
    shape = memory.shape_of(small("mixtral", num_local_experts=4, intermediate_size=64))
    numbers = 5 * 4 * (2 * 64 * 96 + 96 * 64)
    ledger = memory.predict(shape, Job("qlora", r=4, seq=64))
    assert ledger.experts == 2 * numbers < ledger.bill.base and ledger.bill.rest < 2 * numbers
    assert sum(size for _, size in ledger.left_out) == numbers and len(ledger.left_out) == 2 * 5
    said = planning.bill_table(ledger)
    assert "experts of a mixture" in said and "plan it with --recipe unsloth" in said
    assert (
        f"This course leaves out {numbers:,} numbers in 10 weights of experts, such as model.layers.0.mlp.experts"
        in said
    )

    full = memory.predict(shape, Job("full", seq=64))
    assert full.left_out == () and "stay unpacked" not in planning.bill_table(full) and full.bill.base > 2 * numbers


@pytest.mark.parametrize(
    "kind, adds, skips",
    [("mixtral", ("mlp.experts", "mlp.gate"), 0), ("deepseek_v3", ("mlp.experts", "mlp.gate"), 6), ("gpt_oss", (), 0)],
)
def test_what_peft_adapts_of_a_mixture_is_counted_for_who_trains_with_it(kind, adds, skips):
    """Counted on the adapters that PEFT attaches: of gpt-oss it leaves the experts out,
    of DeepSeek-V3 the dense MLPs as well."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    config = tiny(kind)
    with torch.device("meta"):
        by_peft = peft.get_peft_model(
            AutoModelForCausalLM.from_config(config), peft.LoraConfig(r=4, target_modules="all-linear")
        )
    trained = sum(p.numel() for p in by_peft.parameters() if p.requires_grad)
    shape = memory.shape_of(config)
    parts = memory.parts_of(shape, "all-linear")
    assert (parts.peft_adds, parts.peft_skips) == (adds, skips)
    theirs = {recipe: Job("lora", r=4, seq=64, recipe=recipe) for recipe in ("hf", "trl", "course")}
    counts = {recipe: planning.parameters(shape, job)["trained"] for recipe, job in theirs.items()}
    assert counts["hf"] == counts["trl"] == trained and (counts["course"] < trained) == bool(adds)
    ledgers = {recipe: memory.predict(shape, job) for recipe, job in theirs.items()}
    assert ledgers["hf"].bill.adapters == ledgers["trl"].bill.adapters == 4 * trained
    assert bool(ledgers["trl"].left_out) != bool(adds) and ledgers["course"].left_out
    assert ("also adapts mlp.experts and mlp.gate" in planning.bill_table(ledgers["trl"])) == bool(adds)
    assert "unsloth" not in planning.by_trainer(shape, theirs["course"])
