"""What the cells of every size say together: a table, statements, and what a verdict tells of them."""

import pytest
from size_cells import STEPS, row, rows_of, some

from lora_lessons import evaluation
from lora_lessons.experiments import recordings, sizes, sweep
from lora_lessons.experiments.sizes.statements import NOT_ASKED, NOT_SEEN, NOT_TOLD, SEEN, Needs
from lora_lessons.experiments.sizes.table import OPEN, Spread


def test_the_table_has_means_and_intervals_by_seed_and_says_what_is_open_and_what_cannot_be():
    half, large = sizes.SIZES["qwen2.5-coder-0.5b"], sizes.SIZES["qwen2.5-coder-1.5b"]
    rows = rows_of("rank", half, {"r=8, α=16": [3.0, 3.2, 3.1], "r=64, α=16": [3.1, 3.2]})
    rows += rows_of("rank", large, {"r=8, α=16": [2.5], "r=64, α=16": [2.4]})
    trained = [{"general": 22.0, "drift": 1.0}, {"general": 24.0, "drift": 0.5}]
    rows += rows_of("forget", half, {"base": [{"general": 20.0, "kept": 0.0}], "LoRA": trained})
    rows += rows_of("forget", large, {"LoRA": trained[:1]})
    at = {line.quantity.name: line.at for line in sizes.table({"rows": rows}, steps=STEPS)}
    rank = at["rank 64 above rank 8, α = 16"]
    assert rank["0.5B"] == Spread(*sweep.summary([0.1, 0.0])) or rank["0.5B"].mean == pytest.approx(0.05)
    assert rank["0.5B"].seeds == 2 and rank["0.5B"].low < 0 < rank["0.5B"].high
    assert rank["1.5B"] == Spread(pytest.approx(-0.1)) and rank["135M"] == OPEN
    # what no seed draws was measured once, and stands beside every seed
    assert at["perplexity of plain English after LoRA"]["0.5B"].seeds == 2
    assert at["perplexity of plain English after LoRA"]["0.5B"].mean == pytest.approx(1.15)
    # a share of answers has Wilson's interval, over the answers of all seeds, and of those of the base once
    drift, before = at["everyday answers in the task's form"], at["answers that keep every rule, before"]
    assert [drift["0.5B"], drift["1.5B"], before["0.5B"]] == [
        Spread(share, *(100 * end for end in evaluation.interval(share / 100, answers)), seeds)
        for share, answers, seeds in ((75, 24, 2), (100, 12, 1), (0, 16, 0))
    ]
    cut = at["left of what was learned, ΔW cut to rank 8"]
    assert cut["0.5B"] == OPEN and cut["1.5B"] == "not here: 28 GB"
    # a result of other settings is none
    assert {v for line in sizes.table({"rows": rows}, steps=24) for v in line.at.values()} <= {
        OPEN,
        cut["1.5B"],
        before["0.5B"],
    }


@pytest.mark.parametrize(
    "need, value, told",
    [
        (Needs("x", "<", 2), Spread(1.5, 1.2, 1.8, 3), SEEN),
        (Needs("x", "<", 2), Spread(1.5, 0.5, 2.5, 3), NOT_TOLD),
        (Needs("x", "<", 2), Spread(2.5, 2.1, 2.9, 3), NOT_SEEN),
        (Needs("x", ">", 2), Spread(2.5, 2.1, 2.9, 3), SEEN),
        (Needs("x", ">", 2), Spread(2.5, 1.9, 2.9, 3), NOT_TOLD),
        (Needs("x", ">", 2), Spread(1.5, 1.2, 1.8, 3), NOT_SEEN),
        (Needs("x", ">", 2), Spread(2.5), SEEN),
        (Needs("x", ">", 0), Spread(2.5), NOT_TOLD),
        (Needs("x", "<", 0.1), Spread(0.06), NOT_TOLD),
        (Needs("x", "<", 0.1), Spread(0.04), SEEN),
        (Needs("x", ">", 0.1), Spread(0.06), NOT_TOLD),
        (Needs("x", ">", 0.1), Spread(0.04), NOT_SEEN),
        (Needs("x", "<", 0.1), Spread(0.06, seeds=0), SEEN),
        (Needs("x", ">", 0), OPEN, OPEN),
        (Needs("x", ">", 0), "not here: 28 GB", NOT_ASKED),
    ],
)
def test_a_statement_is_seen_where_the_whole_interval_says_so(need, value, told):
    assert need.of(value) == told


def test_each_statement_says_at_which_sizes_it_was_seen_and_nothing_of_the_others():
    small, half = sizes.SIZES["embedded"], sizes.SIZES["qwen2.5-coder-0.5b"]
    merged = {"base": 4.0, "unmerged": 2.0, "into_nf4": 3.9, "then_nf4": 2.1, "nf4_apart": 2.1, "merged": 2.0}
    rows = rows_of("merge", small, {"": [merged] * 2}) + rows_of("merge", half, {"": [merged | {"merged": 2.5}] * 2})
    seen = sizes.seen({"rows": rows}, steps=STEPS)
    assert seen["merging into 4 bits loses"] == {"135M": SEEN, "0.5B": NOT_SEEN, "1.5B": OPEN}
    assert (
        sizes.in_words(seen["merging into 4 bits loses"]) == "seen at 135M; not seen at 0.5B; not measured yet at 1.5B"
    )
    assert sizes.in_words({"135M": SEEN, "0.5B": SEEN, "1.5B": NOT_ASKED}) == "seen at 135M and 0.5B; not asked at 1.5B"
    assert seen["ΔW bears a cut"] == {"135M": OPEN, "0.5B": OPEN, "1.5B": NOT_ASKED}
    # every quantity that a statement needs is a line of the table
    assert set(seen) == set(sizes.STATEMENTS)


def test_a_verdict_is_told_of_every_size_and_denied_by_one(monkeypatch):
    small, half = sizes.SIZES["embedded"], sizes.SIZES["qwen2.5-coder-0.5b"]
    cut = {"intact": 10.0, "stored_0.5": 900.0, "stored_1": 25.0}
    rows = [row(some(small, "cut_w"), cut), row(some(half, "cut_w"), cut | {"stored_1": 11.0})]
    record = {"rows": rows[:1], "machine": "a laptop", "date": "2026-11-29"}
    monkeypatch.setattr(recordings, "recorded", lambda name: record)
    asked = sizes.at_sizes("W bears no cut")
    assert asked() == (
        "Cut to as many numbers as it has, every W makes the perplexity at least twice as high: seen at 135M; not "
        "measured yet at 0.5B and 1.5B. Every W cut to as many numbers, times the perplexity: 135M 2.5. "
        "Recorded on a laptop, 2026-11-29.",
        False,
    )
    record["rows"] = rows
    assert asked().denied and "seen at 135M; not seen at 0.5B;" in asked().words
    assert sizes.at_sizes("NF4 costs little")() == ("", False), "what was measured nowhere is not spoken of"
    with pytest.raises(KeyError):
        sizes.at_sizes("W bears every cut")
