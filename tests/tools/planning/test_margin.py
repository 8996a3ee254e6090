"""What a plan leaves free: a sixth of every card, in the verdict, in the bill, and in the longest text."""

import pytest

from lora_lessons import memory, planning
from lora_lessons.memory import GB, Job
from lora_lessons.planning.margin import PARTS, fits, margin


def test_what_is_needed_and_its_margin_are_the_card():
    assert planning.is_enough(24.0, 20.0) and not planning.is_enough(24.0, 20.1)
    assert margin(20.0) == pytest.approx(24.0 / PARTS) == 24.0 - 20.0


def test_the_answer_says_whether_it_fits_safely():
    assert (
        fits(7.3e9, 25.8e9, "RTX 4090")
        == "Yes, it fits: 7.3 of 25.8 GB (the RTX 4090).\nWith the margin it takes 8.8 GB."
    )
    assert fits(15.0e9, 16.1e9, "T4").startswith(
        "No, not safely: 15.0 of 16.1 GB (the T4).\nWith the margin it takes 18.0 GB. Most"
    )
    assert fits(13.3e9, 16.1e9, "T4") == (
        "Yes, just: 13.3 of 16.1 GB (the T4).\nWith the margin it takes 16.0 GB. "
        "Of what the card holds, the driver may keep 1% to 3%."
    )
    assert fits(16.2e9, 16.1e9, "T4").startswith("No, it does not fit: 16.2 of 16.1 GB (the T4).\n")
    assert max(len(fits(n, 1e11, "NVIDIA GeForce RTX 4090 Laptop GPU").split("\n")[0]) for n in (9e10, 2e11)) <= 80


def test_a_job_that_fits_by_a_hair_is_told_what_to_change():
    total = memory.predict("Llama-2-7B", Job("lora")).bill.total
    made = planning.plan("Llama-2-7B", Job("lora"), 1.1 * total)
    assert not made.fits and made.changes and made.longest < Job.seq
    assert "not safely" in planning.verdict(made, "24 GB")
    assert planning.plan("Llama-2-7B", Job("lora"), 1.21 * total).fits


def test_the_bill_names_the_margin_in_a_line_of_its_own():
    ledger = memory.predict("Llama-2-7B", Job("lora"))
    (line,) = [line for line in planning.bill_table(ledger).splitlines() if line.startswith("margin")]
    assert f"{ledger.bill.total / 5 / GB:.3f} GB" in line and "most published jobs took more" in line
    shared = planning.shard("Llama-2-7B", Job("lora"), planning.cluster_of("2x24"))
    assert f"margin{shared.card.total / 5 / GB:>23.2f} GB" in planning.sharded_table(shared)
