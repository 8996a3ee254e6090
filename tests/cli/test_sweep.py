"""`lora-lessons sweep`: what cannot be trained is one sentence, and a failed run is tried again."""

from __future__ import annotations

import json

import pytest
from schemas import faults

from lora_tools import cli

RECORD = "from lora_lessons.course.records import record\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--r", "0"], "--r 0: a rank is a whole number of at least 1."),
        (["--r", ","], "--r is empty: give at least one value."),
        (["--alpha", "two"], "--alpha two: give a number above 0, such as 16, or a multiple of r, such as 2x."),
        (["--alpha", "16,-1"], "--alpha -1: give a number above 0"),
        (["--method", "lora,qlora"], "--method qlora: choose from lora, rslora, lora+, dora, pissa."),
        (["--lr", "4"], "--lr 4: a learning rate lies between 0 and 1"),
        (["--seeds", "0"], "--seeds, --steps and --batch-size are counts of at least 1."),
        (["--seeds", "99999999999"], "these are 699,999,999,993 runs, and a sweep has at most 10,000"),
        (["--r", "99999"], "r = 99999 does not fit a 576×1536 weight: choose 1 ≤ r ≤ 576"),
        (["--r", "99999", "--method", "dora"], "r = 99999 does not fit a 576×1536 weight"),
        (["--targets", "q_prj"], "no module is named 'q_prj'. Did you mean 'q_proj'"),
        (["--batch-size", "60000"], "60000 examples per step takes about"),
        (["--batch-size", "99999", "--steps", "1"], "no card holds that"),
        (["--steps", "99999999999"], "are more than 100,000,000 examples"),
        (["--seed", "99999999999999"], "seed = 99999999999999: give a whole number"),
        (["--r", "1,two"], "--r '1,two': give whole numbers, separated by commas."),
        (["--r", "2.5"], "--r '2.5': give whole numbers, separated by commas."),
        (["--lr", "fast"], "--lr 'fast': give numbers, separated by commas."),
        (["--seeds", "many"], "Invalid value for '--seeds': Input should be a valid integer"),
    ],
)
def test_a_sweep_that_cannot_be_is_one_sentence(course, tmp_path, refused, words, sentence):
    refused(["sweep", "--out", "out", *words], sentence)
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be_is_said_before_any_run(course, tmp_path, capsys):
    (tmp_path / "afile").write_text("mine")
    assert cli.main(["sweep", "--out", "afile"]) == 2
    assert "afile is a file" in capsys.readouterr().err
    assert (tmp_path / "afile").read_text() == "mine"


def test_a_sweep_with_a_failed_run_says_so_and_exits_with_3(make_lesson, course, tmp_path, capsys):
    from lora_lessons.experiments import sweep as swept

    (course / "notebooks" / "experiments").mkdir()
    cheap = (
        "record('scale', lora_alpha / r)\nrecord('trainable', r)\nrecord('train.losses', "
        "'5.0')\nrecord('train.seconds', 1)"
    )
    make_lesson(
        "experiments/train_adapter",
        RECORD + cheap + "\nrecord('loss.held_out', 3)\nrecord('update.relative', 0.1)",
        "assert r != 2 or open('mended'), steps",
        parameters="\n".join(f"{name} = 0" for name in (*swept.Trial._fields, "checkpoints")),
    )
    words = ["sweep", "--r", "1, 2", "--alpha", "1x", "--seeds", "1", "--out", "out"]
    assert cli.main(words) == cli.EXIT_FAILED
    told = capsys.readouterr()
    assert "1 runs finished, 1 failed: " in told.out and "results.csv" in told.out and "figure.png" not in told.out
    assert (
        "r2_alpha2_all-linear_lr0.004_24x4_seed0: failed: cell 4 (assert r != 2" in told.out
        and "FileNotFoundError" in told.out
    )
    assert cli.main(words) == 2 and "out holds the results of 2 runs: add --resume" in capsys.readouterr().err
    (course / "notebooks" / "experiments" / "mended").touch()
    assert cli.main([*words, "--resume"]) == 0
    assert "2 runs finished, 0 failed: " in capsys.readouterr().out
    assert cli.main([*words, "--resume", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert faults("sweep", document) == [] and document["finished"] == 2 and document["table"].endswith("results.csv")
