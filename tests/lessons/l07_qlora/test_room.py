"""The costs, read from the recordings, and the three pictures."""

import pytest

from lora_lessons import memory
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l07_qlora import pictures


def test_a_mark_is_filled_where_the_interval_does_not_reach_zero():
    rows = {
        "nf4+double": sweep.Summary(0.1, 0.05, 0.15, 3),
        "fp4": sweep.Summary(0.1, -0.05, 0.25, 3),
        "int4": sweep.Summary(-0.1, -0.15, -0.05, 3),
    }
    figure, words = pictures.costs_on_two_bases({"one base": rows, "another": rows})
    assert "one base, NF4, double: 0.100 (0.050 to 0.150)." in words and "another, FP4" in words
    (ax,) = figure.axes
    marks = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o"]
    assert marks == [pictures.BLUE, "white", pictures.BLUE] * 2
    assert {"+0.10", "−0.10"} <= {text.get_text() for text in ax.texts}


def test_a_way_fits_a_card_that_holds_its_peak():
    bills = {"small": memory.Bill(9e9), "large": memory.Bill(9e9, activations=9e9)}
    figure, words = pictures.fits(bills, "a model", ["RTX 3060", "T4", "L4"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text for text in texts if text in "✓✗"] == ["✓", "✓", "✓", "✗", "✗", "✓"]
    assert {"9.0 GB", "18.0 GB", "RTX 3060"} <= set(texts)
    assert "large: 18.0 GB, 9.0 of them weights" in words


def test_a_step_is_stacked_to_its_totals_and_outlined_without_checkpointing():
    def ledger(loss):
        bills = {
            moment: memory.Bill(4e9, activations=1e9, logits=loss * (moment == "loss")) for moment in pictures.MOMENTS
        }
        return memory.Ledger(bills["loss"], "loss", bills)

    figure, words = pictures.over_one_step(ledger(2e9), ledger(9e9), "a model")
    (ax,) = figure.axes
    top = max(bar.get_y() + bar.get_height() for bar in ax.patches[:-1])
    assert top == pytest.approx(7.0) and "loss 7.0 (14.0), last block 5.0 (5.0)" in words
    assert "7.0 GB" in [text.get_text() for text in ax.texts]
