"""Every claim at several sizes: a killed run goes on, what is open says so,
and each measure is what it would be by hand."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type
from random_ggufs import LITTLE, write
from size_cells import STEPS, row, some

from lora_lessons import evaluation, lora, lowrank, models, quant, tasks, training
from lora_lessons.experiments import recordings, sizes
from lora_lessons.experiments.sizes import cells
from lora_lessons.experiments.sizes.cells import CLAIMS, STORED
from workshop.__main__ import main as workshop
from workshop.record.sizes import asked, measures, process, running


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A size of its own: a random Qwen2 of one block in a GGUF."""
    file = write(tmp_path_factory.mktemp("tiny") / "tiny.gguf", "qwen2", lambda _: Type.Q8_0, **LITTLE)
    return sizes.AskedBase(str(file), "tiny", "Tiny", "Q8_0", 1_000_000, 4e-3, 2e-3)


@pytest.fixture
def only_tiny(tiny, monkeypatch):
    """No size but the tiny one."""
    known = {tiny.name: tiny}
    for module in (cells, running):
        monkeypatch.setattr(module, "SIZES", known)
    monkeypatch.setattr(process, "Subject", lambda size, steps: SimpleNamespace(loading=0.0))
    monkeypatch.setattr(running, "run_in_process", lambda _module, _task, wanted, *_: process.measure(wanted))
    return known


@pytest.fixture
def subject(tiny, tmp_path, monkeypatch):
    """The tiny size in hand with a few chats, and a cache of its own."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("fp32", 1.0, 2.0))
    # 4 bits compute in 16 on every machine: where 32 are faster, a GGUF's embedding keeps its 16,
    # which no plan can know.
    monkeypatch.setattr(models.precision, "best_precision", lambda: models.Precision("bf16", 2.0, 1.0))
    one = measures.Subject(tiny, STEPS)
    one.train_set, one.held_out = one.train_set[:8], one.held_out[:3]
    return one


# ---- which cells there are ----


def test_an_unknown_claim_or_size_is_said_with_those_there_are():
    with pytest.raises(ValueError, match="--only rnak: there is no such claim; choose from delta, rank"):
        asked.cells(only="rnak")
    with pytest.raises(ValueError, match="--size 7B: there is no such size; choose from embedded"):
        asked.cells(size="7B")
    assert {(c.claim, c.size.title) for c in asked.cells(only="rank", size="embedded")} == {("rank", "135M")}


# ---- going on ----

KILLED = """
import os, signal, sys
from workshop.record.sizes import process
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

    made = []
    monkeypatch.setattr(
        process, "MEASURES", {name: lambda *_, name=name: made.append(name) or {"x": 1.0} for name in CLAIMS}
    )
    wanted = [some(tiny, claim) for claim in ("cut_w", "formats", "memory")]
    assert running.measure(wanted, file, steps=2) == {"cells": 3, "left": [], "fine": True}
    assert made == ["formats", "memory"] and kept in running.rows_in(file) and len(running.rows_in(file)) == 3
    running.measure(wanted, file, steps=2)
    assert len(made) == 2
    # another number of steps is another training; what trains nothing is the same
    assert len(running.done(running.rows_in(file), steps=24)) == 3
    trained = row(some(tiny, "rank"))
    assert running.done([trained], steps=2) and not running.done([trained], steps=24)


def test_what_is_kept_replaces_its_own_cell_alone_and_names_every_machine(tiny, tmp_path):
    file, one, other = tmp_path / "sizes.json", some(tiny, "rank"), some(tiny, "rank", seed=1)
    for cell, loss, machine in ((one, 1.0, "a Mac"), (other, 2.0, "EPYC"), (one, 3.0, "Xeon")):
        running.keep(file, row(cell, {"loss": loss}, machine=machine))
    assert recordings.read(file)["machine"] == "EPYC and Xeon"
    assert {kept["seed"]: kept["found"]["loss"] for kept in running.rows_in(file)} == {0: 3.0, 1: 2.0}


def test_with_minutes_no_cell_begins_that_would_not_be_done_and_shorter_ones_do(
    tiny, only_tiny, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(running, "loading", lambda size: 0)
    takes = {"rank": 500.0, "cut_w": 50.0}
    monkeypatch.setattr(process, "expected", lambda cell, rows: takes[cell.claim])
    monkeypatch.setattr(running, "expected", lambda cell, rows: takes[cell.claim])
    monkeypatch.setattr(process, "MEASURES", dict.fromkeys(takes, lambda *_: {"x": 1.0}))
    cells, file = [some(tiny, "rank"), some(tiny, "cut_w")], tmp_path / "sizes.json"
    assert running.measure(cells, file, minutes=0.5, steps=2)["left"] == [str(cell) for cell in cells]
    assert running.measure(cells, file, minutes=5, steps=2)["left"] == [str(cells[0])]
    said = capsys.readouterr().out
    assert "tiny, cut_w: about 50 s, until " in said and "1 cells of the tiny would not be done in time" in said


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


# ---- the command ----


def test_the_command_measures_in_a_process_of_its_own_lists_and_goes_on(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(sizes.SIZES, tiny.name, tiny)
    file = tmp_path / "found.json"
    words = ["record", "sizes", "--out", str(file), "--only", "cut_w", "--size", tiny.name]
    assert workshop([*words, "--list"]) == 0
    assert "open  tiny, cut_w: about" in capfd.readouterr().out and not file.exists()
    assert workshop(words) == 0
    said = capfd.readouterr()
    assert "1/1  tiny, cut_w: about" in said.err and "1 of 1 cells are done." in said.out
    assert "every W cut to half its numbers" in said.out and "135M" in said.out
    (kept,) = running.rows_in(file)
    assert kept["size"] == tiny.name and kept["found"]["intact"] > 1
    assert workshop(words) == 0 and running.rows_in(file) == [kept]
