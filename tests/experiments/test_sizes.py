"""Every claim at several sizes: a killed run goes on, what is open says so, and each measure is what it would be by hand."""

import os
import signal
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from random_ggufs import LITTLE, write

from lora_lessons import cli, evaluation, lora, lowrank, models, quant, tasks, training
from lora_lessons.experiments import recordings, sizes, sweep
from lora_lessons.experiments.sizes import measures, process, running
from lora_lessons.experiments.sizes.cells import CLAIMS, FIRST, STORED, of
from lora_lessons.experiments.sizes.picture import small_multiples
from lora_lessons.experiments.sizes.statements import NOT_ASKED, NOT_SEEN, NOT_TOLD, SEEN, Needs
from lora_lessons.experiments.sizes.table import OPEN, Spread

STEPS = 2


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A size of its own: a random Qwen2 of one block in a GGUF."""
    file = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", "qwen2", lambda _: Type.Q8_0, **LITTLE)
    return sizes.AskedBase(str(file), "tiny", "Tiny", "Q8_0", 1_000_000, 4e-3, 2e-3)


@pytest.fixture
def only_tiny(tiny, monkeypatch):
    """No size but the tiny one."""
    monkeypatch.setattr(running, "SIZES", known := {tiny.name: tiny})
    monkeypatch.setattr(process, "Subject", lambda size, steps: SimpleNamespace(loading=0.0))
    monkeypatch.setattr(running, "run_in_process", lambda _module, _task, wanted, *_: process.measure(wanted))
    return known


@pytest.fixture
def subject(tiny, tmp_path, monkeypatch):
    """The tiny size in hand with a few chats, and a cache of its own."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("fp32", 1.0, 2.0))
    # 4 bits compute in 16 on every machine: where 32 are faster, a GGUF's embedding keeps its 16, which no plan can know.
    monkeypatch.setattr(models.precision, "best_precision", lambda: models.Precision("bf16", 2.0, 1.0))
    one = measures.Subject(tiny, STEPS)
    one.train_set, one.held_out = one.train_set[:8], one.held_out[:3]
    return one


def row(cell, found=None, seconds=1.0, steps=STEPS, **changed):
    made = {"claim": cell.claim, "size": cell.size.name, "way": cell.way, "seed": cell.seed, "how": cell.how(steps)}
    stamped = {"machine": "Xeon, 2 cores", "date": "2026-11-28"}
    return made | {"found": found or {}, "seconds": seconds} | stamped | changed


def some(size, claim, way=None, seed=0):
    """One cell of a size."""
    return next(c for c in of(size, [claim]) if c.seed == seed and way in (None, c.way))


# ---- which cells there are ----


def test_what_tells_most_comes_first_and_no_cell_twice():
    cells = sizes.cells()
    assert len(cells) == len(set(cells)) == len({cell.key for cell in cells})
    blocks = [(cell.size.name, cell.claim) for cell in cells]
    told = [block for block, after in pairwise([*blocks, ("", "")]) if block != after]
    assert told[:8] == [(name, claim) for name, claims, _ in FIRST for claim in claims]
    first_of_1_5b = next(cell for cell in cells if cell.size.title == "1.5B")
    assert (first_of_1_5b.claim, first_of_1_5b.way, first_of_1_5b.seed) == ("rank", "r=8, α=16", 0)
    for claim in CLAIMS:
        titles = {cell.size.title for cell in cells if cell.claim == claim}
        assert titles == {"135M", "0.5B"} | ({"1.5B"} if claim != "delta" else set()), claim
    assert not [c for c in cells if c.size.full is None and c.settings.get("full")]
    seeds = {claim: {c.seed for c in cells if c.claim == claim} for claim in ("cut_w", "rank")}
    assert seeds == {"cut_w": {0}, "rank": {0, 1, 2}}


def test_an_unknown_claim_or_size_is_said_with_those_there_are():
    with pytest.raises(ValueError, match="--only rnak: there is no such claim; choose from delta, rank"):
        sizes.cells(only="rnak")
    with pytest.raises(ValueError, match="--size 7B: there is no such size; choose from embedded"):
        sizes.cells(size="7B")
    assert {(c.claim, c.size.title) for c in sizes.cells(only="rank", size="embedded")} == {("rank", "135M")}


# ---- going on ----

KILLED = """
import os, signal, sys
from lora_lessons.experiments.sizes import process
process.MEASURES = {"cut_w": lambda *_: {"intact": 7.0}, "formats": lambda *_: os.kill(os.getpid(), signal.SIGKILL)}
process.measure({"size": eval(sys.argv[1]), "file": sys.argv[2], "end": None, "steps": 2,
                 "cells": [["cut_w", "", 0], ["formats", "", 0], ["memory", "LoRA", 0]]})
"""


def test_a_killed_run_keeps_every_cell_that_was_measured_and_goes_on_behind_them(
    tiny, only_tiny, tmp_path, monkeypatch
):
    file = tmp_path / "sizes.json"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    killed = subprocess.run([sys.executable, "-c", KILLED, repr(dict(tiny._asdict())), str(file)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    (kept,) = recordings.read(file)["rows"]
    assert kept["found"] == {"intact": 7.0} and kept["machine"] and kept["date"] and kept["versions"]["torch"]

    asked = []
    monkeypatch.setattr(
        process, "MEASURES", {name: lambda *_, name=name: asked.append(name) or {"x": 1.0} for name in CLAIMS}
    )
    cells = [some(tiny, claim) for claim in ("cut_w", "formats", "memory")]
    assert sizes.measure(cells, file, steps=2) == {"cells": 3, "left": [], "fine": True}
    assert asked == ["formats", "memory"] and kept in sizes.rows_in(file) and len(sizes.rows_in(file)) == 3
    sizes.measure(cells, file, steps=2)
    assert len(asked) == 2
    # another number of steps is another training; what trains nothing is the same
    assert len(running.done(sizes.rows_in(file), steps=24)) == 3
    trained = row(some(tiny, "rank"))
    assert running.done([trained], steps=2) and not running.done([trained], steps=24)


def test_what_is_kept_replaces_its_own_cell_alone_and_names_every_machine(tiny, tmp_path):
    file, one, other = tmp_path / "sizes.json", some(tiny, "rank"), some(tiny, "rank", seed=1)
    for cell, loss, machine in ((one, 1.0, "a Mac"), (other, 2.0, "EPYC"), (one, 3.0, "Xeon")):
        running.keep(file, row(cell, {"loss": loss}, machine=machine))
    assert recordings.read(file)["machine"] == "EPYC and Xeon"
    assert {kept["seed"]: kept["found"]["loss"] for kept in sizes.rows_in(file)} == {0: 3.0, 1: 2.0}


def test_a_cell_that_fails_stays_open_and_the_next_one_is_measured(tiny, only_tiny, tmp_path, monkeypatch, capsys):
    def fails(*_):
        raise training.TrainingStopped("the loss became nan at step 3.")

    monkeypatch.setattr(process, "MEASURES", {"rank": fails, "cut_w": lambda *_: {"intact": 7.0}})
    cells = [some(tiny, "rank"), some(tiny, "cut_w")]
    found = sizes.measure(cells, tmp_path / "sizes.json", steps=2)
    assert found == {"cells": 2, "left": [str(cells[0])], "fine": False}
    assert "tiny, rank, r=8, α=16, seed 0 failed: the loss became nan" in capsys.readouterr().out
    assert [one["claim"] for one in sizes.rows_in(tmp_path / "sizes.json")] == ["cut_w"]


def test_with_minutes_no_cell_begins_that_would_not_be_done_and_shorter_ones_do(
    tiny, only_tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(running, "loading", lambda size: 0)
    takes = {"rank": 500.0, "cut_w": 50.0}
    monkeypatch.setattr(process, "expected", lambda cell, rows: takes[cell.claim])
    monkeypatch.setattr(running, "expected", lambda cell, rows: takes[cell.claim])
    monkeypatch.setattr(process, "MEASURES", dict.fromkeys(takes, lambda *_: {"x": 1.0}))
    cells, file = [some(tiny, "rank"), some(tiny, "cut_w")], tmp_path / "sizes.json"
    assert sizes.measure(cells, file, minutes=0.5, steps=2)["left"] == [str(cell) for cell in cells]
    assert sizes.measure(cells, file, minutes=5, steps=2)["left"] == [str(cells[0])]
    said = capsys.readouterr().out
    assert "tiny, cut_w: about 50 s, until " in said and "1 cells of the tiny would not be done in time" in said


def test_how_long_a_cell_takes_is_told_by_its_like_and_else_by_the_next_size():
    half, large = sizes.SIZES["qwen2.5-coder-0.5b"], sizes.SIZES["qwen2.5-coder-1.5b"]
    cell = some(half, "base4", "fp4")
    assert running.expected(cell, []) == pytest.approx(CLAIMS["base4"].seconds * running.pace(half))
    elsewhere = row(some(large, "base4", "fp4"), seconds=90)
    ratio = (large.weights / half.weights) ** 0.8
    assert running.expected(cell, [elsewhere]) == pytest.approx(90 / ratio)
    other_way, same_way = row(some(half, "base4", "int4"), seconds=40), row(some(half, "base4", "fp4", 1), seconds=60)
    assert running.expected(cell, [elsewhere, other_way]) == 40
    assert running.expected(cell, [elsewhere, other_way, same_way]) == 60


def test_the_list_says_of_each_cell_whether_it_is_done_and_how_long_the_others_take():
    half = sizes.SIZES["qwen2.5-coder-0.5b"]
    cells = [some(half, "rank", "r=8, α=16"), some(half, "rank", "r=1, α=16")]
    said = list(sizes.listed(cells, [row(cells[0], seconds=120)], steps=STEPS))
    assert said[0] == "done  0.5B, rank, r=8, α=16, seed 0: 2026-11-28, 2 min"
    assert said[1] == "open  0.5B, rank, r=1, α=16, seed 0: about 2 min"
    assert said[2] == "1 of 2 cells are done; the others take about 2 min."


# ---- what the cells say together ----


def rows_of(claim, size, found):
    """Rows of a claim: `found` gives for each way a number a seed, or numbers by name."""
    return [
        row(some(size, claim, way, seed), one if isinstance(one, dict) else {"loss": one})
        for way, seeds in found.items()
        for seed, one in enumerate(seeds)
    ]


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
    text = "\n".join(sizes.lines({"rows": rows}, steps=STEPS))
    assert (
        "135M: SmolLM2, Q4_1; 0.5B: Qwen2.5-Coder, Q4_K_M" in text
        and "Between families not only the size differs." in text
    )
    assert "1.5B: -0.100 (1 run)" in text and "135M: not measured yet" in text and "100 (76 to 100; 1 run)" in text
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
        "Cut to as many numbers as it has, every W makes the perplexity at least twice as high: seen at 135M; not measured "
        "yet at 0.5B and 1.5B. Every W cut to as many numbers, times the perplexity: 135M 2.5. "
        "Recorded on a laptop, 2026-11-29.",
        False,
    )
    record["rows"] = rows
    assert asked().denied and "seen at 135M; not seen at 0.5B;" in asked().words
    assert sizes.at_sizes("NF4 costs little")() == ("", False), "what was measured nowhere is not spoken of"
    with pytest.raises(KeyError):
        sizes.at_sizes("W bears every cut")


def title(ax):
    return ax.get_title() or ax.get_title("left")  # the course's style has it on the left


def test_the_picture_has_an_axis_for_each_claim_and_says_what_is_open():
    half = sizes.SIZES["qwen2.5-coder-0.5b"]
    rows = rows_of("base4", half, {"16-bit": [3.0, 3.1, 3.0], "nf4+double": [3.04, 3.13, 3.06]})
    rows += rows_of("delta", half, {"": [{"before": 5.0, "cut_8": 4.1, "whole": 4.0}]})
    figure, words = small_multiples({"rows": rows}, steps=STEPS)
    drawn = [ax for ax in figure.axes if ax.axison]
    assert len(drawn) == 2, "what was measured nowhere is not drawn"
    (ax,) = [ax for ax in drawn if title(ax).startswith("NF4 above")]
    assert [text.get_text() for text in ax.texts] == ["not\nmeasured\nyet", "+0.043", "not\nmeasured\nyet"]
    assert [list(line.get_xydata()[0]) for line in ax.lines[:1]] == [[1, pytest.approx(0.0433, abs=1e-3)]]
    assert "NF4 above 16 bits, trained (nats): 135M not measured yet, 0.5B +0.043 (" in words
    (ax,) = [ax for ax in drawn if title(ax).startswith("left of what")]
    assert [text.get_text() for text in ax.texts][2] == "not\ndone"


# ---- how each claim is measured ----


def unchanged(subject, before):
    return models.weights_digest(subject.base.model.requires_grad_(False)) == before


def digest(subject):
    return models.weights_digest(subject.base.model.requires_grad_(False))


@torch.no_grad()
def test_a_cut_base_holds_the_share_of_its_numbers_and_is_whole_again(subject):
    before, text = digest(subject), tasks.general_text()[: measures.READ]
    found = measures.cut_w(subject, {}, 0)
    assert unchanged(subject, before) and found["intact"] == pytest.approx(evaluation.perplexity(subject.base, text))
    for share in STORED:
        other = models.load(subject.size.name, "fp32")
        for name in subject.linears:
            weight = other.model.get_submodule(name).weight
            d, k = weight.shape
            weight.copy_(lowrank.truncate(weight, min(int(share * d * k / (d + k)), d, k)))
        assert found[f"stored_{share:g}"] == pytest.approx(evaluation.perplexity(other, text), rel=1e-4)


def test_lora_at_a_rank_is_what_the_loop_makes_of_it(subject):
    before = digest(subject)
    found = measures.rank(subject, {"r": 2, "lora_alpha": 32}, 1)
    assert unchanged(subject, before)
    lora.attach(subject.base.model, 2, 32, seed=1)
    training.train(subject.base.model, subject.train_set, subject.how(4e-3, 1), reuse=False)
    assert found["loss"] == pytest.approx(evaluation.held_out_loss(subject.base.model, subject.held_out))


def test_full_fine_tunings_change_is_cut_and_put_on_the_base(subject, monkeypatch):
    monkeypatch.setattr(measures, "RANKS", (1, 8, 256))
    found = measures.delta(subject, {"full": True}, 0)
    start, trained = models.load(subject.size.name, "fp32"), models.load(subject.size.name, "fp32")
    trained.model.requires_grad_(True)
    training.train(trained.model, subject.train_set, subject.how(2e-3, 0, checkpoint_every=0), reuse=False)
    assert found["before"] == pytest.approx(evaluation.held_out_loss(start.model, subject.held_out))
    assert found["full"] == pytest.approx(evaluation.held_out_loss(trained.model, subject.held_out))
    energies = []
    with torch.no_grad():
        for name in lora.resolve_targets(start.model, "all-linear"):
            W, after = (model.get_submodule(name).weight for model in (start.model, trained.model))
            S = torch.linalg.svdvals(after - W)
            energies.append((float(S[:8].square().sum()), float(S.square().sum())))
            W.copy_(after)
    assert found["whole"] == pytest.approx(evaluation.held_out_loss(start.model, subject.held_out), rel=1e-5)
    assert found["energy_8"] == pytest.approx(sum(e for e, _ in energies) / sum(all_ for _, all_ in energies), rel=1e-3)
    assert found["cut_256"] == pytest.approx(found["whole"], rel=1e-4) and found["energy_256"] == pytest.approx(1)
    assert found["energy_1"] < found["energy_8"] and found["cut_1"] != found["cut_8"]
    assert found["full"] < found["before"] and 0 < found["directions"] < 1


def test_a_rounded_base_trains_as_the_packed_one_does(subject):
    before = digest(subject)
    found = measures.base4(subject, {"base": "nf4+double"}, 0)
    assert unchanged(subject, before)
    quant.quantize_linears(subject.base.model, subject.linears, "nf4", double=True)
    assert found["before"] == pytest.approx(evaluation.held_out_loss(subject.base.model, subject.held_out), rel=1e-5)
    with measures.adapted(subject, 0) as model:
        assert found["loss"] == pytest.approx(evaluation.held_out_loss(model, subject.held_out), rel=1e-4)


def test_every_merge_is_of_one_adapter_and_the_base_is_whole_again(subject):
    before = digest(subject)
    found = measures.merge(subject, {}, 0)
    assert unchanged(subject, before) and found["base"] == pytest.approx(subject.loss())
    with measures.adapted(subject, 0) as model:
        assert found["unmerged"] == pytest.approx(subject.loss())
        lora.merge(model)
    assert found["merged"] == pytest.approx(subject.loss(), abs=1e-3)
    assert len({round(found[way], 6) for way in (*measures.MERGES, "nf4_apart", "base_nf4")}) == 5


def test_each_format_is_measured_on_its_own_and_q8_0_is_llama_cpps(subject):
    W = torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    W[0, :32] = 0
    theirs = gguf.quants.dequantize(gguf.quants.quantize(W.numpy(), Type.Q8_0), Type.Q8_0)
    np.testing.assert_array_equal(measures.q8_0(W).numpy(), theirs)
    before = digest(subject)
    found = measures.formats(subject, {}, 0)
    assert unchanged(subject, before) and set(found) == {"intact", *measures.FORMATS}
    # the tiny base came in Q8_0
    assert abs(found["Q8_0"]) < 1e-4 < max(abs(found[name]) for name in ("FP4", "int4"))


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_a_steps_memory_is_predicted_and_taped(subject, method):
    found = measures.memory_of_a_step(subject, {"method": method}, 0)
    assert found["predicted"] == pytest.approx(found["taped"], rel=0.02)
    assert found["process"] >= found["resident"] > found["fixed"] > 0


def test_forgetting_is_scored_before_and_after(subject, monkeypatch):
    with_adapter = []

    def score(base, task):
        with_adapter.append(any("lora_" in name for name, _ in base.model.named_parameters()))
        return evaluation.Score(2.0, 0.5, 20.0, 0.25)

    monkeypatch.setattr(evaluation, "score", score)
    assert measures.forget(subject, {"trained": False}, 0) == measures.forget(subject, {"trained": True}, 0)
    assert with_adapter == [False, True]


# ---- the command ----


def test_the_command_measures_in_a_process_of_its_own_lists_and_goes_on(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sizes.SIZES, tiny.name, tiny)
    file = tmp_path / "found.json"
    asked = ["bench", "sizes", "--out", str(file), "--only", "cut_w", "--size", tiny.name]
    assert cli.main([*asked, "--list"]) == cli.EXIT_OK
    assert "open  tiny, cut_w: about" in capfd.readouterr().out and not file.exists()
    assert cli.main(asked) == cli.EXIT_OK
    said = capfd.readouterr()
    assert "1/1  tiny, cut_w: about" in said.err and "1 of 1 cells are done." in said.out
    assert "every W cut to half its numbers" in said.out and "135M" in said.out
    (kept,) = sizes.rows_in(file)
    assert kept["size"] == tiny.name and kept["found"]["intact"] > 1
    assert cli.main(asked) == cli.EXIT_OK and sizes.rows_in(file) == [kept]
    assert cli.main(["bench", "layer", "--minutes", "5"]) == cli.EXIT_USER
    assert "they belong to `lora-lessons bench sizes`" in capfd.readouterr().err
