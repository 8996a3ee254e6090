"""`lora-lessons claims`: the verdicts, judged on the baselines of every seed."""

from __future__ import annotations

from lora_lessons import cli
from lora_lessons.course import claims
from lora_lessons.course.records import Record
from lora_lessons.run.baselines import update


def test_claims_are_judged_on_the_baselines_of_every_seed(course, monkeypatch, capsys):
    monkeypatch.setattr(claims, "CLAIMS", [])
    monkeypatch.setattr("lora_lessons.lessons.rooms", list)
    claims.claim(
        "G08",
        "02_x",
        says="the update is A × B",
        verdict=claims.HOLDS,
        sentence="The error is {err}.",
        records=("err",),
    )(lambda v: v["err"] < 0.1)
    assert cli.main(["claims"]) == 1 and "has not been recorded" in capsys.readouterr().out
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.02)}], 1, 1)
    assert cli.main(["claims"]) == 0
    said = capsys.readouterr().out
    assert "G08 (02_x): holds; borne out by the baselines." in said and "The error is 0.01." in said
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.2)}], 1, 1)
    assert cli.main(["claims"]) == 1 and "NOT borne out" in capsys.readouterr().out


def test_what_was_not_tested_is_listed_as_that(course, monkeypatch, capsys):
    monkeypatch.setattr(claims, "CLAIMS", [])
    monkeypatch.setattr("lora_lessons.lessons.rooms", list)
    claims.claim("G17", "08_x", says="it is faster", verdict=claims.NOT_TESTED, sentence="No card.", records=())(
        lambda measured: True
    )
    assert cli.main(["claims"]) == 0
    said = capsys.readouterr().out
    assert "G17 (08_x): not tested." in said and "No card." in said and "baselines" not in said
