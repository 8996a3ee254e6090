"""The plan beside what others measured on their cards (docs/evidence.md shows the rows): within 15%,
or the reason stands here."""

from dataclasses import replace

import pytest

from lora_lessons import memory, planning
from lora_lessons.experiments import recorded
from lora_lessons.memory import GB, Job
from lora_lessons.planning.margin import PARTS, PUBLISHED
from workshop.record.published_memory import GIB, LITGPT, ROWS, TORCHTUNE, jobs_table


def test_what_the_tables_call_out_of_memory_does_not_fit():
    """Unsloth's table: no text at all on 8 GB for the 8B, on 48 GB for the 70B."""
    job = Job("qlora", 32, recipe="hf")
    assert planning.longest("Llama-3.1-8B", job, 8 * GIB) == planning.longest("Llama-3.3-70B", job, 48 * GIB) == 0


@pytest.fixture(scope="module")
def errors():
    return {row: row.error() for row in ROWS}


def test_the_recording_is_todays_plans(errors):
    """A plan that changed is recorded anew: `python -m workshop record published-memory`.

    Two of litgpt's are missed by more than 15%. Its own model, of October 2023: one weight makes queries, keys and
    values, so that the values, a view, keep the other two alive before their rotation; and dropout keeps a mask of a
    byte per number. bitsandbytes 0.41 kept the input of every 4-bit layer for the way back (removed in 0.43.2, its pull
    request 1270).
    """
    jobs = recorded("published_memory")
    assert list(jobs.planned / jobs.taken - 1) == pytest.approx(list(errors.values()), abs=2e-4)
    assert list(jobs.tokens) == [row.job.seq for row in ROWS] and list(jobs.source) == [row.source for row in ROWS]
    for row, error in errors.items():
        assert (abs(error) > 0.15) == (row.source == LITGPT and row.job.method == "qlora")


def test_the_margin_is_the_least_simple_part_of_a_card_that_nine_in_ten_jobs_needed():
    """A sixth: of a card that a seventh of stays free, the plan may be 1.167 times as large, and 1.173 was needed."""
    jobs = recorded("published_memory")
    times = sorted(jobs.taken / jobs.planned)
    assert times[23] == pytest.approx(1.173, abs=0.002)
    assert max(parts for parts in range(2, 20) if parts / (parts - 1) >= times[23]) == PARTS
    beyond = jobs[jobs.taken / jobs.planned > PARTS / (PARTS - 1)]
    assert set(beyond.source) == {LITGPT} and list(beyond.method) == ["qlora", "qlora"]


def test_what_the_margin_says_of_each_recipe_is_what_its_rows_took(errors):
    for recipe in ("hf", "course"):
        times = sorted(1 / (1 + error) for row, error in errors.items() if row.job.recipe == recipe)
        assert PUBLISHED[recipe].startswith(f"the {len(times)} published jobs")
        assert f"took {times[0]:.2f} to {times[-1]:.2f} times" in PUBLISHED[recipe]
    assert {row.job.recipe for row in errors} == {"hf", "course"}


def test_the_page_of_evidence_shows_every_job_once():
    _, _, *rows = jobs_table().splitlines()
    lines = [row for row in rows if row.startswith("|")]
    assert len(set(lines)) == len(ROWS) and sum("% * |" in line for line in lines) == 2
    assert "| torchtune's README: Llama-3.1-8B, qlora, 2 × 2,048 tokens | tensors alone | 7.9 | 8.6 | +8% |" in lines


def test_a_loss_taken_at_once_would_miss_torchtunes_figures_by_a_third_and_more():
    for row in ROWS:
        if row.source == TORCHTUNE:
            assert row._replace(job=replace(row.job, loss="whole", fast=False)).planned() > 1.3 * row.size


def test_full_fine_tuning_in_bf16_with_the_fused_adamw():
    """60 GB estimated by LLaMA-Factory for a 7B; Llama-2-7B is planned at 56.0."""
    fused = memory.predict("Llama-2-7B", Job("full", recipe="hf")).bill
    assert fused.total == pytest.approx(60 * GB, rel=0.1)
    assert (
        memory.predict("Llama-2-7B", Job("full")).bill.total > 1.2 * fused.total
    )  # PyTorch's default copies all that trains
