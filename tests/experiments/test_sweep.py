"""The sweep: every setting once, each result kept as it ends, failures recorded, and a table that can be trusted."""

import csv
import json
import os
import shutil
import signal
from datetime import date

import pytest

from lora_lessons import evaluation, mixing, models, sums, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.errors import Interrupted
from lora_lessons.experiments import sweep as swept
from lora_lessons.experiments.sweep import Trial
from lora_lessons.machine import version
from lora_lessons.paths import course_root
from lora_tools import sweep

ROOT = course_root()

# ---- the grid ----


def test_every_combination_once_and_seeds_outermost():
    made = swept.grid([1, 8, 8], ["2x", "16"], 2, methods=["lora", "dora"], learning_rates=[1e-3, 4e-3])
    assert len(made) == len(set(made)) == 2 * 2 * 3 * 2, "at r = 8 2x is 16"
    assert [s.seed for s in made] == [0] * 12 + [1] * 12
    assert {(s.r, s.lora_alpha) for s in made} == {(1, 2), (1, 16), (8, 16)}
    assert len({s.name for s in made}) == len(made)
    first = made[0]
    assert first == Trial("lora", 1, 2.0, 1e-3, "all-linear", 24, 4, 0)
    for change in (
        {"r": 2},
        {"lora_alpha": 2.5},
        {"learning_rate": 2e-3},
        {"method": "lora+"},
        {"steps": 2},
        {"batch_size": 2},
        {"seed": 7},
        {"target_modules": "q_proj"},
        {"base_format": "nf4"},
    ):
        assert first._replace(**change).name != first.name
    assert "16-bit" not in first.name, "sweeps from before there was a choice of bases can be resumed"
    assert "/" not in first._replace(target_modules="q_proj,v_proj").name


@pytest.mark.parametrize("word, alpha", [("16", 16.0), ("2x", 8.0), ("0.5x", 2.0), ("1e1", 10.0)])
def test_alpha_is_a_number_or_a_multiple_of_r(word, alpha):
    assert swept.alpha_of(word, 4) == alpha


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"r": []}, "--r is empty: give at least one value."),
        ({"alpha": []}, "--alpha is empty"),
        ({"methods": []}, "--method is empty"),
        ({"learning_rates": []}, "--lr is empty"),
        ({"r": [4, 0]}, "--r 0: a rank is a whole number of at least 1."),
        *(
            ({"alpha": [word]}, f"--alpha {word}: give a number above 0")
            for word in ("x", "0", "-2x", "nan", "infx", "two", "2xx")
        ),
        ({"methods": ["lora", "qlora"]}, "--method qlora: choose from lora, rslora, lora+, dora, pissa."),
        ({"bases": []}, "--base is empty"),
        ({"bases": ["nf4", "int3"]}, "--base int3: choose from 16-bit, nf4, nf4+double, fp4, int4."),
        ({"bases": ["nf4"], "methods": ["lora", "pissa"]}, "--method dora and pissa read W itself"),
        *(
            ({"learning_rates": [rate]}, f"--lr {rate:g}: a learning rate lies between 0 and 1")
            for rate in (0.0, 1.0, -1.0, float("nan"))
        ),
        *(({name: 0}, "counts of at least 1") for name in ("seeds", "steps", "batch_size")),
        ({"seeds": 99999999999}, "these are 99,999,999,999 runs, and a sweep has at most 10,000"),
        ({"seeds": 10**30}, "and a sweep has at most 10,000"),
        ({"r": list(range(1, 102)), "seeds": 100}, "these are 10,100 runs"),
        ({"alpha": ["16", "16.0000001"]}, "two settings would share the folder lora_r4_alpha16_all-linear_"),
    ],
)
def test_what_cannot_be_is_one_sentence(wrong, said):
    with pytest.raises(ValueError) as error:
        swept.grid(**({"r": [4], "alpha": ["2x"], "seeds": 1} | wrong))
    assert said in str(error.value) and "\n" not in str(error.value)


# ---- running it ----

STUB = """
import os
from pathlib import Path
from lora_lessons.course import record
with open(Path("calls"), "a") as calls:
    calls.write(f"{method} {r} {lora_alpha} {learning_rate} {target_modules} {steps} {batch_size} {seed}\\n")
Path(checkpoints).mkdir(parents=True, exist_ok=True)
if Path(f"stop-{r}-{seed}").exists():
    import signal, time
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(60)
if r == 2 and not Path("mended").exists():
    raise MemoryError("too large")
record("scale", lora_alpha / r)
record("trainable", 10 * r, "numbers")
record("train.losses", "5.0 " + str(4.0 + seed), "nats")
record("train.seconds", 0.5, "s", volatile=True)
record("loss.held_out", 3 + r / 10 + seed, "nats")
record("update.relative", 0.01 * r)
"""
PARAMETERS = """method = "lora"
r = 8
lora_alpha = 16.0
learning_rate = 4e-3
target_modules = "all-linear"
steps = 24
batch_size = 4
seed = 0
base_format = "16-bit"
checkpoints = ""
"""


@pytest.fixture
def experiments(course, make_lesson):
    """The folder of an experiment that records cheap numbers; with r = 2 it fails until a file `mended` is there."""
    folder = course / "notebooks" / "experiments"
    folder.mkdir()
    return make_lesson("experiments/train_adapter", STUB, parameters=PARAMETERS).parent


def calls(experiments):
    """(r, seed) of every run since the last look."""
    file = experiments / "calls"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    file.unlink(missing_ok=True)
    return [(int(line[1]), int(line[-1])) for line in lines]


def statuses(rows):
    return {(row["r"], row["seed"]): row["status"] for row in rows}


def test_a_failed_run_is_recorded_the_others_go_on_and_resume_retries_it(experiments, tmp_path, capsys):
    out, settings, begun = tmp_path / "out", swept.grid([1, 2], ["2x"], 2, steps=3, batch_size=1), date.today()
    rows = sweep.run(settings, out)
    assert calls(experiments) == [(1, 0), (2, 0), (1, 1), (2, 1)]
    assert statuses(rows) == {(1, 0): "ok", (1, 1): "ok", (2, 0): "failed", (2, 1): "failed"}
    failed = next(row for row in rows if row["r"] == 2)
    assert "MemoryError: too large" in failed["error"] and "MemoryError: too large" in capsys.readouterr().out
    assert (out / "runs" / failed["name"] / "train_adapter.ipynb").is_file(), "the notebook shows where it failed"
    assert [p.parent.name for p in out.glob("runs/*/checkpoints")] and not list(out.glob("runs/*r1_*/checkpoints")), (
        "only what failed keeps them"
    )

    with open(out / swept.TABLE, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [(row["r"], row["seed"], row["status"]) for row in table] == [
        ("1", "0", "ok"),
        ("1", "1", "ok"),
        ("2", "0", "failed"),
        ("2", "1", "failed"),
    ]
    good = swept.read_table(out / swept.TABLE)
    assert [(row["r"], row["seed"], row["scale"], row["trainable"], row["train_losses"]) for row in good] == [
        (1, 0, 2.0, 10, [5.0, 4.0]),
        (1, 1, 2.0, 10, [5.0, 5.0]),
    ]
    assert [row["loss_held_out"] for row in good] == [3.1, 4.1] and [row["update_relative"] for row in good] == [
        0.01
    ] * 2
    assert good[0]["steps"] == 3 and good[0]["batch_size"] == 1 and good[0]["lora_alpha"] == 2.0
    about = json.loads((out / swept.ABOUT).read_text())
    assert about["table_sha256"] == sums.sha256(out / swept.TABLE)
    assert [v["torch"] for v in about["versions"]] == [version("torch")] and len(about["machine"]) == 1
    assert set(about["date"]) <= {begun.isoformat(), date.today().isoformat()}, "it may run over midnight"

    with pytest.raises(FileExistsError, match="out holds the results of 4 runs: add --resume"):
        sweep.run(settings, out)
    assert calls(experiments) == []

    (experiments / "mended").touch()
    more = swept.grid([1, 2, 3], ["2x"], 2, steps=3, batch_size=1)
    rows = sweep.run(more, out, resume=True)
    assert calls(experiments) == [(2, 0), (3, 0), (2, 1), (3, 1)], "finished ones are skipped, failed ones tried again"
    assert set(statuses(rows).values()) == {"ok"} and len(swept.read_table(out / swept.TABLE)) == 6
    assert "2 of 6 runs are done already." in capsys.readouterr().out
    assert (out / sweep.FIGURE).read_bytes().startswith(b"\x89PNG")

    (out / swept.TABLE).unlink()
    assert sweep.run(more[:3], out, resume=True) == [row for row in rows if row["seed"] == 0]
    assert calls(experiments) == [] and len(swept.read_table(out / swept.TABLE)) == 6, "nothing to do: a table is made"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_stopped_midway_it_keeps_what_ended_and_resume_completes_it(experiments, tmp_path):
    out, settings = tmp_path / "out", swept.grid([1, 3], ["16"], 2)
    (experiments / "stop-1-1").touch()
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(Interrupted, match="^Stopped after 2 of 4 runs; set resume=True to go on from there.$"):
            sweep.run(settings, out)
    finally:
        signal.signal(signal.SIGINT, before)
    assert calls(experiments) == [(1, 0), (3, 0), (1, 1)]
    assert [(row["r"], row["seed"]) for row in swept.read_table(out / swept.TABLE)] == [(1, 0), (3, 0)]
    assert len(list(out.glob("runs/*/checkpoints"))) == 1, "what was stopped can go on from there"
    (experiments / "stop-1-1").unlink()
    (next(out.glob("runs/*/checkpoints"))).rmdir()  # the stub has none to read
    sweep.run(settings, out, resume=True)
    assert calls(experiments) == [(1, 1), (3, 1)]
    assert [(row["r"], row["seed"]) for row in swept.read_table(out / swept.TABLE)] == [(1, 0), (1, 1), (3, 0), (3, 1)]


def test_a_result_or_an_adapter_that_was_damaged_counts_as_not_done_and_is_said(experiments, tmp_path, capsys):
    out = tmp_path / "out"
    (row,) = sweep.run(swept.grid([1], ["16"], 1), out)
    first = out / "runs" / row["name"]
    right = (first / sweep.RESULT).read_text()
    changed = right.replace('"loss_held_out": 3.1', '"loss_held_out": 2.1')
    assert changed != right and sweep.results(out) == [row]
    (first / sweep.RESULT).write_text(changed)
    assert sweep.results(out) == []
    assert f"{row['name']}: its result.json is damaged, so the run counts as not done." in capsys.readouterr().err
    (first / sweep.RESULT).write_text(right)
    adapter = first / "adapter" / "adapter_model.safetensors"
    adapter.parent.mkdir()
    adapter.write_bytes(b"weights")
    sums.write_sums(first, ["adapter/adapter_model.safetensors"])
    assert sweep.results(out) == [row]
    adapter.write_bytes(b"Weights")
    assert sweep.results(out) == []
    assert "its adapter/adapter_model.safetensors is damaged" in capsys.readouterr().err
    adapter.unlink()
    assert sweep.results(out) == [row], "one that was deleted to make room is not missed"


def test_an_adapter_is_kept_when_asked_for_and_is_the_one_that_was_measured(base_fp32, course, tmp_path):
    """The real experiment, with a twelfth of the task."""
    for name in ("notebooks/experiments", "data/persona"):
        shutil.copytree(ROOT / name, course / name)
    for file in course.glob("data/persona/*.jsonl"):
        file.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[::12]), encoding="utf-8")
    setting = Trial("lora", 2, 4.0, 4e-3, "q_proj,v_proj", 1, 1, 0)
    [row] = sweep.run([setting], tmp_path, keep_adapters=True)
    assert row["status"] == "ok", row["error"]
    adapter = read_adapter(sweep.kept_adapter(tmp_path, row))
    assert adapter.r == 2 and sum(t.numel() for t in (*adapter.A.values(), *adapter.B.values())) == row["trainable"]
    held_out = [tasks.encode(base_fp32.tokenizer, example) for example in tasks.load_task("persona").held_out]
    with mixing.attached(base_fp32.model, adapter):
        autocast = models.best_precision().name == "bf16"
        again = evaluation.held_out_loss(base_fp32.model, held_out, autocast=autocast)
    assert again == pytest.approx(row["loss_held_out"], abs=1e-3)


def test_pissa_keeps_no_adapter(tmp_path):
    with pytest.raises(ValueError, match="PiSSA changes W itself"):
        sweep.run([Trial("pissa", 2, 4.0, 4e-3, "all-linear", 1, 1, 0)], tmp_path / "out", keep_adapters=True)
    assert not (tmp_path / "out").exists()


# ---- the table ----


@pytest.fixture
def table(tmp_path):
    """A table of four runs: two settings, two seeds."""
    rows = [
        Trial("lora", r, 16.0, 4e-3, "all-linear", 2, 1, seed)._asdict()
        | {
            "name": f"{r}-{seed}",
            "status": "ok",
            "scale": 16 / r,
            "loss_held_out": 3.0 + seed,
            "update_relative": 0.1,
            "trainable": r,
            "train_losses": "5.0 4.0",
            "train_seconds": 1.0,
            "seconds": 2.0,
            "date": "2025-01-01",
            "machine": 'a "machine", of some kind',
            "error": "",
        }
        for seed in range(2)
        for r in (4, 8)
    ]
    swept.write_table(rows, tmp_path)
    return tmp_path / swept.TABLE


def test_what_is_written_is_read_and_runs_of_different_seeds_are_grouped(table):
    rows = swept.read_table(table)
    assert [(row["r"], row["seed"]) for row in rows] == [(4, 0), (8, 0), (4, 1), (8, 1)]
    assert rows[0]["machine"] == 'a "machine", of some kind' and rows[0]["train_losses"] == [5.0, 4.0]
    assert list(rows[0]) == list(swept.COLUMNS)
    groups = swept.by_setting(rows)
    assert {s.r: [run["seed"] for run in runs] for s, runs in groups.items()} == {4: [0, 1], 8: [0, 1]}
    assert all(setting.seed == 0 for setting in groups)


def test_lines_are_ways_to_set_alpha_over_the_ranks(table):
    (row, *_) = swept.read_table(table)
    runs = [(r, a, s) for s in range(2) for r, a in [(1, 2.0), (4, 8.0), (8, 16.0), (1, 16.0), (4, 16.0)]]
    rows = [row | {"r": r, "lora_alpha": a, "seed": s, "loss_held_out": r + s} for r, a, s in runs]
    rows += [row | {"r": 8, "lora_alpha": 1.0, "seed": 0}, row | {"method": "rslora", "lora_alpha": 16.0, "r": 4}]
    found = {way: [(r, s.mean, s.seeds) for r, s in points] for way, points in swept.lines(rows).items()}
    all_ranks = [(1, 1.5, 2), (4, 4.5, 2), (8, 8.5, 2)]
    assert found == {"α = 2r": all_ranks, "α = 16": all_ranks}, "one seed, or one rank, makes no line"


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda text: b"", "no column method, r, lora_alpha"),
        (lambda text: b"a,b\n1,2\n", "it is not a sweep's results.csv."),
        (lambda text: text.replace(b"scale", b"size"), "no column scale: it is not a sweep's"),
        (lambda text: text[: text.rindex(b"5.0")], "row 5 is damaged"),
        (lambda text: text.replace(b"4.0", b"four", 1), "row 2 is damaged"),
        (lambda text: text.replace(b'"a ""machine"", of some kind"', b"a, b", 1), "row 2 is damaged"),
        (lambda text: b"\xff\xfe\x00" + text, "is not a table of text"),
    ],
)
def test_a_damaged_or_foreign_table_is_refused_with_a_sentence(table, spoil, said):
    table.write_bytes(spoil(table.read_bytes()))
    with pytest.raises(ValueError) as error:
        swept.read_table(table)
    assert said in str(error.value) and str(error.value).startswith("results.csv") and "\n" not in str(error.value)
    table.unlink()
    with pytest.raises(FileNotFoundError, match="no table at results.csv: make one with lora-lessons sweep"):
        swept.read_table(table)


ROW = {"method": "lora", "r": 2, "lora_alpha": 4.0, "learning_rate": 4e-3, "target_modules": "all-linear", "steps": 2}
ROW |= {"batch_size": 2, "seed": 0, "base_format": "16-bit"}


@pytest.mark.parametrize(
    "wrong", [{"method": 5}, {"r": "2"}, {"r": None}, {"seed": True}, {"base_format": {}}, {"r": [2]}]
)
def test_a_row_of_another_shape_is_no_trial(wrong):
    assert swept.trial_of(ROW).r == 2
    with pytest.raises(TypeError):
        swept.trial_of(ROW | wrong)


def test_the_table_is_written_whatever_a_run_says_of_its_machine(tmp_path):
    about = {"name": "half \ud83d", "status": "ok", "machine": [1], "date": None, "versions": [1]}
    swept.write_table([ROW | about, ROW | about | {"machine": "m", "versions": {"torch": 2}}], tmp_path)
    made = json.loads((tmp_path / "about.json").read_text())
    assert made["machine"] == ["[1]", "m"] and made["versions"] == [{}, {"torch": "2"}]


@pytest.mark.parametrize(
    "values, half",
    [
        pytest.param([1.0, 3.0], 12.706, id="s = √2, so s/√n = 1"),
        ([1.0, 2.0, 3.0], 4.3027 / 3**0.5),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2.7764 * (2.5 / 5) ** 0.5),
        (list(range(10)), 2.2622 * (55 / 6 / 10) ** 0.5),
        (list(range(11)), 2.2281 * (11 / 11) ** 0.5),
    ],
)
def test_the_interval_is_students(values, half):
    found = swept.summary(values)
    mean = sum(values) / len(values)
    assert found == pytest.approx((mean, mean - half, mean + half, len(values)), rel=1e-3)
    with pytest.raises(ValueError, match="at least two seeds"):
        swept.summary(values[:1])


def test_better_is_said_only_where_intervals_are_apart():
    one = swept.Summary(2.0, 1.0, 3.0, 3)
    assert one.apart(swept.Summary(4.0, 3.1, 5.0, 3)) and swept.Summary(4.0, 3.1, 5.0, 3).apart(one)
    assert not one.apart(swept.Summary(4.0, 3.0, 5.0, 3)) and not one.apart(one)
    assert not one.apart(swept.Summary(2.0, 0.0, 9.0, 3)), "one inside the other"
