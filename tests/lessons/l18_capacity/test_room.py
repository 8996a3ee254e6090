"""Lesson 18's room: what it quotes of the phone book, with a recording and without."""

import numpy as np
import pytest
from tiny import make_adapter

from lora_lessons.experiments import capacity, recordings
from lora_lessons.experiments.capacity import holding
from lora_lessons.lessons.l18_capacity import measured
from lora_tools.exporting import rank
from workshop.record.capacity import asked


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    shown = []
    monkeypatch.setattr(measured, "show", lambda figure, *words: shown.append((figure, " ".join(words))))
    return shown


@pytest.fixture
def noted(monkeypatch):
    found = {}
    monkeypatch.setattr(measured, "record", lambda key, value, unit: found.update({key: value}))
    return found


def run_of(cell):
    trained = cell.blocks * cell.r * 2112
    bits = min(23.25 * cell.entries, trained * (1.0 if cell.way == "B·A" else 0.5)) * (0.5 if cell.rate == 3e-2 else 1)
    found = {"trained": trained, "bits": bits, "bits_a_number": bits / trained, "recall": bits / 23.25 / cell.entries}
    cuts = {str(r): {"bits": bits * r / 64} for r in (1, 2, 4, 8, 16)}
    return cell._asdict() | {"rate": cell.rate or 3e-1} | found | ({"cut": cuts} if cell.r == 64 else {})


ASKED = list(asked())
TRIALS = {
    capacity.BookRun(way, r, 128, rate=rate)
    for way, r in {(cell.way, cell.r) for cell in ASKED}
    for rate in (1e-2, 3e-2)
} | {capacity.BookRun("B·A", 1, 512, rate=3e-2), capacity.BookRun("B·A", 64, 512, rate=3e-3)}
RUNS = {cell.name: run_of(cell) for cell in [*ASKED, *TRIALS]}


def test_without_a_recording_the_replay_says_how_to_make_one(capsys):
    assert measured.replay() == []
    assert f"in pieces if you like: {capacity.COMMAND}" in capsys.readouterr().out
    measured.replay_cut([])
    assert "Rank 64 is not recorded yet." in capsys.readouterr().out


def test_what_was_just_trained_is_recorded_as_a_share_of_its_book(noted):
    found = holding.held({"exact": 4, "log2_p": -0.5 * 32 * holding.BITS}, 32, 2112)
    measured.record_live(found | {"before": -55.0})
    assert noted["live.exact"] == 4 and noted["live.share"] == 0.5 and noted["live.before"] == -55


def test_of_the_rates_that_were_tried_the_best_alone_counts():
    for entries in (128, 512):
        best, *others = measured.of(RUNS.values(), "B·A", 1, entries)
        assert best["rate"] != 3e-2 and len(others) == (2 if entries == 512 else 0), "one of each seed"
    (longer,) = measured.of(RUNS.values(), "B·A", 4, longer=4)
    assert longer["longer"] == 4


def test_a_recording_is_replayed_a_line_a_way_and_rank(capsys, kept, noted):
    recordings.keep(capacity.NAME, {"settings": {}, "runs": RUNS})
    runs = measured.replay()
    when, of, *said = capsys.readouterr().out.splitlines()
    assert when.startswith("Recorded on ") and of == "Of 512 phone numbers:" and len(said) == 8
    assert said[0] == "B·A   r = 1    2,112 trained numbers:  18% said exactly, 1.00 bits per trained number"
    figure, words = kept[0]
    rank_1 = "B·A of rank 1: 100% of 32 entries at 0.35 bits asked, 71% of 128 entries at 1.41 bits asked, 18% of 512 entries"
    assert (
        rank_1 in words and "mask with as many trained numbers as rank 1: 9% of 512 entries at 5.64 bits asked" in words
    )
    lines = figure.axes[0].lines
    assert [len(line.get_xdata()) for line in lines] == [3, 3, 3, 3, 4], "a line a rank, and the mask's squares"
    assert max(lines[0].get_ydata()) == pytest.approx(100, abs=0.1) and max(lines[0].get_xdata()) == pytest.approx(
        5.64, abs=0.01
    )
    measured.record_held(runs)
    assert noted["passes.32"] == 300 and noted["passes.512"] == 64
    assert noted["mask.4.share"] == pytest.approx(4 * 2112 / 2 / 11_906, rel=1e-3) and noted["ba.4.bits"] == 1.0
    assert noted["ba.1.of_512"] == noted["longer.1.share"] == pytest.approx(2112 / 11_906, rel=1e-3)
    assert "longer.16.share" not in noted


def test_a_cut_is_shown_beside_what_was_trained_and_no_line_goes_over_a_rank_without_a_run(kept, noted):
    eight = [run for run in RUNS.values() if (run["way"], run["r"]) != ("B·A", 8)]
    measured.replay_cut(eight)
    figure, words = kept[0]
    assert "rank 64 holds 100%. rank 1: 2% cut, 18% trained; " in words and "rank 8: 12% cut; rank 16:" in words
    trained, cut, uncut = figure.axes[0].lines
    assert np.isnan(trained.get_ydata()).tolist() == [False, False, False, True, False]
    assert not np.isnan(cut.get_ydata()).any() and uncut.get_linestyle() == "--"
    measured.record_high(list(RUNS.values()))
    assert noted["high.cut.8"] == pytest.approx(noted["high.share"] / 8)
    assert noted["slower.cut.8"] == pytest.approx(11_906 / 8, rel=1e-3), "of another rate than the best"
    assert noted["high.128.cut.16"] == pytest.approx(0.25, rel=1e-3)


def test_the_energy_that_is_left_is_that_of_the_command(tiny_model):
    whole = make_adapter(tiny_model)
    smaller = measured.cut_to(whole, measured.best_cut, 2)
    assert smaller.scaling(next(iter(smaller.A))) == whole.scaling(next(iter(whole.A)))
    left = measured.energy_kept(whole, smaller)
    assert left == pytest.approx(rank.by_kind(rank.cut(whole, 2).energies)[-1].kept, rel=1e-5)


def test_an_answer_speaks_as_wick_where_it_ends_as_his_do():
    assert measured.voice(["Row home. Keep the lamp lit.\n", "Keep the lamp lit. Or not.", "Row home.", ""]) == 0.25


def test_what_the_persona_asks_comes_from_lesson_05s_recorded_sweep(noted):
    before, after, trained = measured.persona_at(r=1)
    assert 4.6 < before < 5.0 and 3.1 < after < 3.2 and trained == 305_280
    measured.record_persona(3662, 9000.0, 300_000)
    assert noted["persona.load"] == 0.03
