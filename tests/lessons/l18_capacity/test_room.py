"""Lesson 18's room: what it says without a recording, and where a rank has no run."""

import re

import numpy as np

from lora_lessons.experiments import capacity, recordings
from lora_lessons.lessons.l18_capacity import measured


def test_without_a_recording_the_replay_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    assert measured.replay() == []
    assert f"in pieces if you like: {capacity.COMMAND}" in capsys.readouterr().out
    measured.replay_cut([])
    assert "Rank 64 is not recorded yet." in capsys.readouterr().out


def test_no_line_goes_over_a_rank_without_a_run(monkeypatch):
    shown = []
    monkeypatch.setattr(measured, "show", lambda *picture: shown.append(picture))
    runs = recordings.recorded(capacity.NAME)["runs"].values()
    measured.replay_cut([run for run in runs if (run["way"], run["r"]) != ("B·A", 8)])
    ((figure, *words),) = shown
    assert re.search(r"rank 8: \d+% cut; rank 16:", " ".join(words))
    trained, cut, uncut = figure.axes[0].lines
    assert np.isnan(trained.get_ydata()).tolist() == [False, False, False, True, False]
    assert not np.isnan(cut.get_ydata()).any() and uncut.get_linestyle() == "--"
