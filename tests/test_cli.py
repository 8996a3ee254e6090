"""The command: light to start, one sentence for what a user can mend, and nothing rewritten silently."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from urllib.request import urlopen

import nbformat
import pytest

from lora_lessons import __version__, cli
from lora_lessons.course import claims
from lora_lessons.course.records import Record
from lora_lessons.run.baselines import baseline_file, read_baseline, update
from lora_lessons.run.lab import MANIFEST, copy_lessons, jupyter_environment

RECORD = "from lora_lessons.course.records import record\n"
HEAVY = ["torch", "transformers", "peft", "matplotlib", "papermill", "nbformat", "numpy", "IPython"]


@pytest.mark.parametrize("code", ["import lora_lessons", "from lora_lessons.cli import main; main(['--help'])"])
def test_starting_imports_nothing_heavy(code):
    look = f"import sys\ntry:\n {code}\nexcept SystemExit: pass\nprint('LOADED', *(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "lora_lessons.cli", "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == f"lora-lessons {__version__}"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["run", "00_aa"], "no lesson is called '00_aa'. Did you mean 00_a?"),
        (["run", "00", "-p", "setps", "3"], "'setps' is not a parameter of 00_a; there are: profile, seed."),
        (["run", "--update-baselines", "-p", "seed", "3"], "leave -p away"),
        (["run", "--update-baselines", "--seeds", "0"], "--seeds is the number of seeds to run"),
    ],
)
def test_what_a_user_can_mend_is_one_sentence(make_lesson, capsys, words, sentence):
    make_lesson("00_a")
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.startswith("lora-lessons: ")


PLAN = ["plan", "Llama-2-7B"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plan", "Llama-9"], "'Llama-9' is no model that is known here: give one of Llama-2-7B"),
        (["plan", "/nowhere/at/all"], "is no model that is known here"),
        ([*PLAN, "--gpu", "GTX 1"], "no card is named 'GTX 1': choose from RTX 3060"),
        ([*PLAN, "--gpu", "24", "--method", "dora"], "method 'dora' is not known: choose one of full, lora, qlora"),
        ([*PLAN, "--r", "0"], "r = 0: give a whole number of at least 1"),
        ([*PLAN, "--r", "5000"], "r = 5000 does not fit a 4096×"),
        ([*PLAN, "--targets", "q_prj"], "no module is named 'q_prj'. Did you mean 'q_proj'"),
        ([*PLAN, "--targets", ","], "target_modules is empty"),
        ([*PLAN, "--seq", "-1"], "seq = -1: give a whole number"),
        ([*PLAN, "--optimizer", "sgd"], "optimizer 'sgd' is not known"),
    ],
)
def test_a_plan_that_cannot_be_is_one_sentence(capsys, words, sentence):
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.startswith("lora-lessons: ")


def test_plan_prints_the_bill_and_what_to_change(capsys):
    from lora_lessons import memory

    job = memory.Job("qlora", 16, seq=2048, checkpointing=False)
    made = memory.plan("Qwen2.5-7B", job, memory.card_bytes("RTX 4090"))
    words = ["plan", "Qwen2.5-7B", "--gpu", "4090", "--seq", "2048", "--no-checkpointing"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert memory.bill_table(made.ledger) in said and memory.verdict(made, "RTX 4090") in said and "Assumed" in said
    assert "it does not fit" in said and "Change first: checkpointing" in said

    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fits"] is False and found["card"] == "RTX 4090" and found["longest"] == made.longest
    assert found["bill"]["total"] == round(made.ledger.bill.total) and found["moment"] == made.ledger.moment
    assert found["change_first"][0]["job"]["checkpointing"] is True
    assert memory.Job(**found["job"]) == job


def test_plan_without_a_card_names_those_that_would_do(monkeypatch, capsys):
    from lora_lessons import models

    monkeypatch.setattr(models, "card", lambda: None)
    assert cli.main([*PLAN, "--method", "lora", "--targets", "q_proj, v_proj"]) == 0
    said = capsys.readouterr().out
    assert "It would fit on: T4, L4, RTX 3090" in said and "RTX 3060," not in said
    monkeypatch.setattr(models, "card", lambda: ("NVIDIA Test Card", 30e9))
    assert cli.main(PLAN) == 0
    assert "NVIDIA Test Card holds 30.0 GB: it fits" in capsys.readouterr().out


def test_a_model_error_is_one_sentence_and_a_bug_is_not(monkeypatch, capsys):
    from lora_lessons.errors import ModelError
    from lora_lessons.run import doctor

    def fails(error):
        def examine():
            raise error

        return examine

    monkeypatch.setattr(doctor, "examine", fails(ModelError("the base model needs 0.8 GB: make room.")))
    assert cli.main(["doctor"]) == 2
    assert capsys.readouterr().err == "lora-lessons: the base model needs 0.8 GB: make room.\n"
    monkeypatch.setattr(doctor, "examine", fails(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["doctor"])


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("2e-3", 2e-3), ("True", True), ("None", None), ("owner/name", "owner/name")]
)
def test_parameters_are_read_as_papermill_reads_them(text, value):
    from papermill.cli import _resolve_type

    assert cli._scalar(text) == value == _resolve_type(text) and type(cli._scalar(text)) is type(value)


def test_exit_statuses(make_lesson, capsys):
    make_lesson("00_a", RECORD + "record('x', 1)")
    make_lesson("01_b", "1/0")
    assert cli.main(["run", "0"]) == 0
    assert "Report: course-report" in capsys.readouterr().out
    update("00_a", "quick", [{"x": Record("x", 2)}] * 2, 1, 1)
    assert cli.main(["run", "0"]) == 2
    assert "x is 1; expected 2, exactly that." in capsys.readouterr().err
    assert cli.main(["run"]) == 1


def test_baselines_are_rewritten_aloud_and_only_after_good_runs(make_lesson, capsys):
    make_lesson("00_a", RECORD + "record('loss', 1.0 + 0.1 * seed, 'nats')\nrecord('t', 3, 's', volatile=True)")
    make_lesson("01_b", RECORD + "record('y', 1)\nassert seed != 1")
    make_lesson(
        "02_c",
        RECORD + "record('z' if seed else 'y', 1)",
        "import os\nrecord('fresh', os.environ['LORA_LESSONS_FRESH'])",
    )
    update("01_b", "quick", [{"y": Record("y", 5)}], 1, 1)
    before = baseline_file("01_b", "quick").read_bytes()

    assert cli.main(["run", "--update-baselines", "--seeds", "2"]) == 1
    said = capsys.readouterr().out
    assert "00_a: baseline rewritten from 2 seeds" in said and "loss: new → 1 nats [0.9 … 1.2]" in said
    assert "01_b: failed with at least one seed; its baseline stays as it was." in said
    assert "02_c: seed 1 and seed 0 do not both record y, z. Its baseline stays as it was." in said
    assert baseline_file("01_b", "quick").read_bytes() == before and read_baseline("02_c") is None
    made = read_baseline("00_a")
    assert made["records"]["loss"]["seeds"] == [1.0, 1.1] and made["volatile"] == {"t": {"value": 3, "unit": "s"}}

    text = baseline_file("00_a", "quick").read_bytes()
    assert cli.main(["run", "0"]) == 0
    assert baseline_file("00_a", "quick").read_bytes() == text, "a run without the flag rewrites nothing"


def test_stored_outputs_are_rewritten_aloud(make_lesson, capsys):
    good, local = make_lesson("00_a", "print('hello')"), make_lesson("01_b", "import os\nprint(os.getcwd())")
    before = local.read_bytes()
    assert cli.main(["run", "--update-notebooks"]) == 1
    told = capsys.readouterr()
    assert "00_a.ipynb: outputs stored." in told.out and "01_b.ipynb: the output of cell 3" in told.err
    assert nbformat.read(good, as_version=4).cells[-1].outputs[0].text == "hello\n"
    assert local.read_bytes() == before


def test_claims_are_judged_on_the_baselines_of_every_seed(course, monkeypatch, capsys):
    monkeypatch.setattr(claims, "CLAIMS", [])
    monkeypatch.setattr("lora_lessons.lessons.rooms", list)
    claims.claim("G08", "02_x", "the update is A × B", claims.HOLDS, "The error is {err}.", "err")(
        lambda v: v["err"] < 0.1
    )
    assert cli.main(["claims"]) == 1 and "has not been recorded" in capsys.readouterr().out
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.02)}], 1, 1)
    assert cli.main(["claims"]) == 0
    said = capsys.readouterr().out
    assert "G08 (02_x): holds; borne out by the baselines." in said and "The error is 0.01." in said
    update("02_x", "quick", [{"err": Record("err", 0.01)}, {"err": Record("err", 0.2)}], 1, 1)
    assert cli.main(["claims"]) == 1 and "NOT borne out" in capsys.readouterr().out


# ---- sweep ----


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
    ],
)
def test_a_sweep_that_cannot_be_is_one_sentence(course, tmp_path, capsys, words, sentence):
    assert cli.main(["sweep", "--out", "out", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.startswith("lora-lessons: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--r", "1,two"], "argument --r: '1,two': give whole numbers, separated by commas."),
        (["--r", "2.5"], "argument --r: '2.5': give whole numbers, separated by commas."),
        (["--lr", "fast"], "argument --lr: 'fast': give numbers, separated by commas."),
        (["--seeds", "many"], "argument --seeds: "),
    ],
)
def test_what_is_no_list_of_numbers_is_answered_with_what_is(course, capsys, words, sentence):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["sweep", *words])
    assert stopped.value.code == 2 and sentence in capsys.readouterr().err


def test_a_sweep_with_a_failed_run_says_so_and_exits_with_1(make_lesson, course, tmp_path, capsys):
    from lora_lessons.experiments import sweep

    (course / "notebooks" / "experiments").mkdir()
    cheap = "record('scale', lora_alpha / r)\nrecord('trainable', r)\nrecord('train.losses', '5.0')\nrecord('train.seconds', 1)"
    make_lesson(
        "experiments/train_adapter",
        RECORD + cheap + "\nrecord('loss.held_out', 3)\nrecord('update.relative', 0.1)",
        "assert r != 2 or open('mended'), steps",
        parameters="\n".join(f"{name} = 0" for name in (*sweep.Trial._fields, "checkpoints")),
    )
    words = ["sweep", "--r", "1, 2", "--alpha", "1x", "--seeds", "1", "--out", "out"]
    assert cli.main(words) == 1
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


# ---- lab ----


def test_a_learners_work_is_never_replaced(make_lesson, tmp_path):
    untouched, worked = make_lesson("00_a", "1"), make_lesson("01_b", "1")
    mine = tmp_path / "my_lessons"
    assert [line.split(":")[0] for line in copy_lessons(mine)] == ["00_a.ipynb", "01_b.ipynb"]
    assert list(copy_lessons(mine)) == []

    (mine / "01_b.ipynb").write_text("my work")
    assert list(copy_lessons(mine)) == [], "work on the current version is no news"
    make_lesson("00_a", "2"), make_lesson("01_b", "2"), make_lesson("02_c", "1")
    said = list(copy_lessons(mine))
    assert len(said) == 3
    assert "your copy was untouched and is updated" in said[0] and "yours has your work in it and stays" in said[1]
    assert (mine / "00_a.ipynb").read_bytes() == untouched.read_bytes() and (mine / "02_c.ipynb").exists()
    assert (mine / "01_b.ipynb").read_text() == "my work" != worked.read_text()

    (mine / MANIFEST).unlink()
    (mine / "00_a.ipynb").write_text("older work, origin unknown")
    list(copy_lessons(mine))
    assert (mine / "00_a.ipynb").read_text() == "older work, origin unknown"


def test_jupyter_keeps_the_learners_own_configuration(course, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    made = jupyter_environment()
    assert made["JUPYTER_CONFIG_PATH"].split(os.pathsep)[1] == "mine" and made["LORA_LESSONS_ROOT"] == str(course)


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_lab_opens_the_lesson_with_a_token_and_without_the_news_question(make_lesson, tmp_path, monkeypatch):
    make_lesson("00_start_here", "1 + 1")
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    log = tmp_path / "lab.log"
    command = [sys.executable, "-m", "lora_lessons.cli", "lab", "--", "--no-browser", "--port", "0", "--allow-root"]
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while not (
            found := re.search(
                r"(http://127\.0\.0\.1:\d+)(/lab/tree/00_start_here\.ipynb)\?token=(\w+)", log.read_text()
            )
        ):
            assert time.monotonic() < deadline and process.poll() is None, log.read_text()
            time.sleep(0.2)
        server, page, token = found.groups()
        assert urlopen(f"{server}{page}?token={token}").status == 200
        plugin = "@jupyterlab/apputils-extension:notification"
        settings = json.load(urlopen(f"{server}/lab/api/settings/{plugin}?token={token}"))
        defaults = {name: about["default"] for name, about in settings["schema"]["properties"].items()}
        assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False
        with pytest.raises(OSError, match="403"):
            urlopen(f"{server}/api/contents")
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)
