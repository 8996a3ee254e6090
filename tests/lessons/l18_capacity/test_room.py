"""Lesson 18's room: what it quotes of the phone book, with a recording and without."""

import pytest
from tiny import make_adapter

from lora_lessons.experiments import capacity, recordings
from lora_lessons.lessons.l18_capacity import measured
from lora_lessons.tools.export import rank


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    shown = []
    monkeypatch.setattr(measured, "show", lambda *picture: shown.append(picture[1]))
    return shown


def run_of(cell):
    trained = cell.blocks * cell.r * 2112
    bits = min(23.25 * cell.entries, trained * (1.0 if cell.way == "B·A" else 0.5)) * (0.5 if cell.rate == 3e-2 else 1)
    found = {"trained": trained, "bits": bits, "bits_a_number": bits / trained, "recall": bits / 23.25 / cell.entries}
    cuts = {str(r): {"bits": bits * r / 64} for r in (1, 2, 4, 8, 16)}
    return cell._asdict() | {"rate": cell.rate or 3e-1} | found | ({"cut": cuts} if cell.r == 64 else {})


ASKED = list(capacity.asked())
TRIALS = {
    capacity.BookRun(way, r, 128, rate=rate)
    for way, r in {(cell.way, cell.r) for cell in ASKED}
    for rate in (1e-2, 3e-2)
} | {capacity.BookRun("B·A", 1, 512, rate=3e-2)}
RUNS = {cell.name: run_of(cell) for cell in [*ASKED, *TRIALS]}


def test_without_a_recording_the_replay_says_how_to_make_one(capsys):
    assert measured.replay() == []
    assert f"in pieces if you like: {capacity.COMMAND}" in capsys.readouterr().out
    measured.replay_cut([])
    assert "Rank 64 is not recorded yet." in capsys.readouterr().out


def test_of_the_rates_that_were_tried_the_best_alone_counts():
    runs = measured.chosen(RUNS)
    assert len(runs) == len(RUNS) - 11
    for entries in (128, 512):
        best, *others = measured.of(runs, "B·A", 1, entries)
        assert best["rate"] != 3e-2 and len(others) == (2 if entries == 512 else 0), "one of each seed"


def test_a_recording_is_replayed_a_line_a_way_and_rank(capsys, kept, monkeypatch):
    noted = {}
    monkeypatch.setattr(measured, "record", lambda key, value, unit: noted.update({key: value}))
    recordings.keep(capacity.NAME, {"settings": {}, "runs": RUNS})
    runs = measured.replay()
    when, *said = capsys.readouterr().out.splitlines()
    assert when.startswith("Recorded on ") and len(said) == 8
    assert said[0] == "B·A   r = 1    2,112 numbers:  18% of 512 said exactly, 1.00 bits a number"
    rank_1 = (
        "rank 1 744 of 744 bits at 32 entries, 2,112 of 2,976 bits at 128 entries, 2,112 of 11,906 bits at 512 entries"
    )
    assert kept[0].startswith(rank_1) and "mask of 0.50 bits a number with 2,112," in kept[0]
    measured.replay_cut(runs)
    assert kept[1].startswith("Rank 64 holds 11,904 bits. rank 1: 186 bits cut, 2,112 trained; ")
    measured.record_held(runs)
    assert noted["mask.4.bits"] == 0.5 and noted["ba.1.share"] == pytest.approx(2112 / 11_906, rel=1e-3)
    assert len(noted) == 25
    measured.record_cuts(runs)
    assert noted["high.cut.8"] == pytest.approx(noted["high.share"] / 8) and len(noted) == 25 + 4


def test_the_energy_that_is_left_is_that_of_the_command(tiny_model, kept):
    whole = make_adapter(tiny_model)
    smaller = measured.cut_to(whole, measured.best_cut, 2)
    assert smaller.scaling(next(iter(smaller.A))) == whole.scaling(next(iter(whole.A)))
    left = measured.energy_kept(whole, smaller)
    assert left == pytest.approx(rank.by_kind(rank.cut(whole, 2).energies)[-1].kept, rel=1e-5)
    measured.record_cut(whole, left)
    assert f"{left:.0%} at rank 2, " in kept[0] and kept[0].endswith("100% at rank 4.")
