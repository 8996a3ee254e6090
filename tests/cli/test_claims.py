"""`lora-lessons claims`: the verdicts, judged on the baselines of every seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lora_lessons import lessons as lessons  # which reads the table of claims
from lora_lessons.course import claims
from lora_lessons.course.records import Record
from lora_lessons.run.baselines import update
from lora_tools import cli, papers


@pytest.fixture(autouse=True)
def none_yet(course, monkeypatch):
    """No claim is made but a test's own."""
    monkeypatch.setattr(claims, "CLAIMS", [])


def test_claims_are_judged_on_the_baselines_of_every_seed(course, monkeypatch, capsys):
    says, sentence = "the update is A × B", "The error is {err}."
    rules = [(claims.HOLDS, "err < 0.1")]
    claims.CLAIMS.append(claims.Claim("G08", "02_x", says, claims.HOLDS, sentence, rules))
    assert cli.main(["claims"]) == 1
    said = capsys.readouterr().out
    assert "NOT MEASURED: G08 in 02_x rests on err, which has not been recorded." in said and "NOT borne out: 1" in said
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.02)}], 1, 1)
    assert cli.main(["claims"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "G08  The page says: “the update is A × B”",
        "     Holds. The error is 0.01.",
        "     (Lesson 02, 02_x.)",
        "",
        "1 verdict: 1 holds. The recorded runs bear out every verdict.",
    ]
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.2)}], 1, 1)
    assert cli.main(["claims"]) == 1
    assert "NOT BORNE OUT: the recorded runs say none of the verdicts." in capsys.readouterr().out


def test_the_papers_stand_after_the_page_and_a_check_says_only_what_is_wrong(course, monkeypatch, capsys):
    shutil.copy(Path(__file__).parents[2] / "data" / "papers.toml", course / "data")
    assert cli.main(["claims"]) == 0
    said = capsys.readouterr().out
    ids = [line[:3] for line in said.splitlines() if line[:1] == "P"]
    assert ids == [f"P{number:02}" for number in range(1, 13)] and said.index("0 verdicts") < said.index("P01")
    assert "12 claims of papers: " in said and "(LoRA Without Regret, 2025" in said
    assert cli.main(["claims", "--check"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    monkeypatch.setattr(papers, "faults", lambda: ["The recording is another's."])
    assert cli.main(["claims", "--check"]) == 1
    assert "The recording is another's." in capsys.readouterr().out


def test_long_sentences_are_wrapped_and_claims_stand_in_the_pages_order(course, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    for number in ("G09", "G02"):
        rules = [(claims.HOLDS, "True")]
        claims.CLAIMS.append(claims.Claim(number, "03_x", "it is so", claims.HOLDS, "so " * 60, rules))
    cli.main(["claims"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 60 and said.index("G02") < said.index("G09")
