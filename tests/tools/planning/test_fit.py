"""What fits, the longest text that does, and the mildest changes that make the rest fit."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tiny_configs import tiny

from lora_lessons import memory, planning
from lora_lessons.memory import Job


def test_the_longest_sequence_fits_and_one_token_more_does_not():
    for job in (Job(), Job("lora", gradient_checkpointing=False, r=8, batch_size=2)):
        room = planning.card_bytes("RTX 4090")
        tokens = planning.longest("Qwen2.5-7B", job, room)
        assert tokens > 100
        fits, not_any_more = memory.ledgers("Qwen2.5-7B", job, [tokens, tokens + 1])
        assert fits.bill.total <= 5 / 6 * room < not_any_more.bill.total
    assert planning.longest("Qwen2.5-7B", Job(), 5e9) == 0


@pytest.mark.parametrize(
    "model, job, card, first",
    [
        ("Qwen2.5-7B", Job(seq=4096, gradient_checkpointing=False), "RTX 4090", "checkpointing"),
        ("Llama-2-7B", Job("lora", seq=8192, batch_size=4), "24", "one sequence at a time"),
        ("Llama-2-7B", Job("full"), "RTX 4090", "LoRA"),
        ("Llama-2-7B", Job("full fp32"), 8, "QLoRA"),
        ("Qwen2.5-7B", Job(r=256, seq=256, optimizer="paged_adamw_8bit"), 8, "rank 8"),
        ("Qwen2.5-7B", Job(seq=65536), "RTX 4090", "sequences of at most"),
        ("Qwen3-8B", Job(seq=16384), "RTX 4090", "a fused loss"),
    ],
)
def test_what_to_change_first_does_make_it_fit(model, job, card, first):
    room = planning.card_bytes(card)
    made = planning.plan(model, job, room)
    assert not made.fits and made.ledger.bill.total > room
    assert made.changes[0].what.startswith(first)
    last = made.changes[-1]
    assert last.total <= room and last.total == memory.predict(model, last.job).bill.total
    assert last.job.examples_per_step == job.examples_per_step, "a step learns from as many as before"
    assert f"Change first: {first}" in planning.verdict(made, str(card))


def test_what_cannot_fit_is_said():
    made = planning.plan("Llama-2-7B", Job(), 3e9)
    assert not made.fits and made.longest == 0
    assert "a larger card or" in planning.verdict(made, "3 GB")
    for change in made.changes:
        assert change.total > 3e9
    totals = [made.ledger.bill.total, *(change.total for change in made.changes)]
    assert all(after < before - 1e8 for before, after in pairwise(totals)), "each step saves what a reader sees"


def test_a_plan_says_that_no_card_has_checked_it_until_one_has(monkeypatch, tmp_path):
    made = planning.plan("Llama-2-7B", Job(), 24e9)
    assert (
        planning.verdict(made, "24 GB").endswith(planning.validated())
        and "not validated on a GPU" in planning.validated()
    )
    monkeypatch.setattr("lora_lessons.paths.measurements", lambda: tmp_path)
    (tmp_path / "ledger_processor.json").touch()
    assert "not validated on a GPU" in planning.validated()  # a processor is no card
    (tmp_path / "ledger_rtx_4090.json").touch()
    assert "checked on 1 card (" in planning.verdict(made, "24 GB") and "not validated" not in planning.validated()


def test_changes_that_a_later_one_made_needless_are_not_asked_for():
    """Each step of the advice is needed: undone at the end, the job does not fit any more."""
    job = Job("full fp32", gradient_checkpointing=False, batch_size=2, seq=512)
    made = planning.plan("Llama-2-7B", job, 5.5e9)
    last = made.changes[-1].job
    assert len(made.changes) > 1 and made.changes[-1].total <= made.room
    before = job
    for change in made.changes:
        fields = {
            f: getattr(before, f)
            for f in ("gradient_checkpointing", "loss", "batch_size", "optimizer", "method", "r", "dtype", "seq")
            if getattr(before, f) != getattr(change.job, f)
        }
        assert memory.predict("Llama-2-7B", replace(last, **fields)).bill.total > made.room, change.what
        before = change.job


def test_a_shorter_text_is_the_last_thing_to_change():
    """Several mild changes keep all 1,024 tokens where no single one is enough."""
    made = planning.plan(
        "Qwen2.5-7B",
        memory.Job("qlora", batch_size=4, gradient_checkpointing=False, fast=False),
        planning.card_bytes(8),
    )
    assert not made.fits and made.changes[-1].total <= made.room and made.changes[-1].job.seq == 1024
    said = planning.verdict(made, "8 GB")
    assert all(word in said for word in ("checkpointing", "a fused loss", "one sequence at a time"))
    assert "sequences of at most" not in said
    tight = planning.plan("Qwen2.5-7B", memory.Job("qlora", seq=8192), planning.card_bytes(8))
    assert tight.changes[-1].what.startswith("sequences of at most") and tight.changes[-1].total <= tight.room


def test_a_change_that_the_model_does_not_allow_is_not_advised():
    """Qwen2-MoE has gates of one row, which LoRA of rank 16 does not fit:
    advice for full fine-tuning goes without it."""
    made = planning.plan(tiny("qwen2_moe"), Job("full", seq=64, batch_size=2), 1e6)
    assert not made.fits and all(change.job.method == "full" for change in made.changes)


def test_the_step_to_the_courses_recipe_is_that_recipe():
    """And not what is left of the other: its layers, and its AdamW."""
    changes = planning.plan("Qwen2.5-7B", Job(recipe="hf"), planning.card_bytes(9.6)).changes
    (step,) = [change for change in changes if "recipe course" in change.what]
    assert (step.job.layer, step.job.optimizer, step.job.recipe) == ("ours", "adamw", "course")


def test_the_trainers_are_named_where_no_one_was_and_the_answer_depends_on_them():
    """transformers' own loss holds all logits of 16,384 tokens: 54 GB where Liger's runs of this job held 35 (halo,
    September 2026)."""
    job, room = (
        Job("lora", 64, seq=16384, target_modules=("q_proj", "k_proj", "v_proj", "o_proj")),
        planning.card_bytes(48),
    )
    made = planning.plan("Qwen3-8B", job, room)
    sizes = planning.by_trainer(memory.shape_of("Qwen3-8B"), job)
    assert list(sizes) == ["unsloth", "trl", "hf", "course"] and sizes["trl"] < 0.6 * sizes["course"]
    said = planning.verdict(made, "A card of 48 GB", sizes)
    assert (
        said.startswith("No, it does not fit: 54.2 of 51.5 GB (a card of 48 GB).\n") and "By trainer: Unsloth (" in said
    )
    assert "Trainer with transformers' own loss (54.2 GB, too much), this course's loop (54.2 GB, too much)" in said
    each = planning.trainers_in_words(sizes, 1e12, "trl")
    assert each.startswith("By trainer: Unsloth (") and "--recipe (unsloth, hf, course)" in each and "too" not in each
    assert planning.usual(memory.shape_of("Qwen3-8B"), job).recipe == "trl"


def test_a_mixture_in_4_bits_is_not_planned_as_unsloths():
    """It brings bases of its own, whose experts are packed (unsloth-zoo#885)."""
    assert list(planning.by_trainer(memory.shape_of(tiny("mixtral")), Job(r=2, seq=64))) in (
        ["trl", "course"],
        ["course", "trl"],
    )
