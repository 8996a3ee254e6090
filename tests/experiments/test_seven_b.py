"""The 7B run in a process of its own: measured, resumed after kill -9, read back; every failure one sentence."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import held_back
import pytest

from lora_lessons import training
from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings, seven_b
from lora_lessons.machine import kernel_environment, stamp
from workshop.bench import seven_b_bench

TINY = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}
FAST = {"changed": TINY, "learning_rate": 1e-2, "seq": 16, "r": 4, "lora_alpha": 8}


def in_this_process(task):
    return lambda _module, _task, wanted, folder, _environment: recordings.answer(
        task, [json.dumps(wanted), str(folder)]
    )


def test_a_run_is_measured_and_read_back(tmp_path, capsys, monkeypatch):
    record = seven_b.train_seven_b(run_dir=tmp_path, steps=6, **FAST)
    assert json.loads((tmp_path / seven_b.RECORD).read_text()) == record
    assert abs(record["losses"][0] - math.log(512)) < 0.5 and record["losses"][-1] < record["losses"][0] - 0.3
    assert len(record["losses"]) == 6 and record["tokens_a_step"] == 16 and record["resumed_at"] == 0
    assert record["weights"] == "random" and record["adapted_layers"] == 14
    attention, mlp = 2 * 64 * 64 + 2 * 32 * 64, 3 * 64 * 192
    assert record["base_numbers"] == 2 * (attention + 64 + 2 * 32 + mlp + 2 * 64) + 64 + 2 * 512 * 64
    assert record["trainable_numbers"] == 2 * 4 * (2 * 128 + 2 * 96 + 3 * 256)
    assert 0 < record["resident_bytes_built"] <= record["peak_bytes"] < 4e9
    assert (
        record["build_seconds"] > 0 and record["seconds_a_step"] > 0 and {"machine", "date", "versions"} < record.keys()
    )
    assert "loss 6." in capsys.readouterr().err
    again = seven_b.train_seven_b(run_dir=tmp_path, steps=6, **FAST)
    assert again == record | {"reused": True}
    sound = (tmp_path / seven_b.RECORD).read_text()
    (tmp_path / seven_b.RECORD).write_text(sound.replace('"resumed_at": 0', '"resumed_at": 9'))
    assert seven_b._record_in(tmp_path / seven_b.RECORD) is None, "a record that was changed is measured again"
    (tmp_path / seven_b.RECORD).write_text(sound)
    monkeypatch.setattr(seven_b, "stamp", lambda: stamp() | {"versions": {"torch": "another"}})
    monkeypatch.setattr(seven_b, "run_in_process", in_this_process(seven_b._train))
    anew = seven_b.train_seven_b(run_dir=tmp_path, steps=6, **FAST)
    assert "reused" not in anew and anew["losses"] == record["losses"], "same seed, same losses, measured again"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path, tmp_path_factory, monkeypatch):
    held_back.after(30, training.CHECKPOINT, tmp_path_factory.mktemp("held"), monkeypatch)
    wanted = seven_b.DEFAULTS | FAST | {"model": "Qwen2.5-7B", "steps": 60, "checkpoint_every": 1}
    environment = kernel_environment() | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-m", seven_b.__name__, "train", json.dumps(wanted), str(tmp_path)],
        env=environment,
        stderr=subprocess.DEVNULL,
    ) as child:
        while not (tmp_path / training.CHECKPOINT).is_file():
            assert child.poll() is None, "it ended before its first checkpoint"
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    monkeypatch.undo()
    assert not (tmp_path / seven_b.RECORD).exists()
    record = seven_b.train_seven_b(run_dir=tmp_path, **FAST, steps=60, checkpoint_every=1)
    assert 0 < record["resumed_at"] < 60 and len(record["losses"]) == 60


def test_failures_of_the_process_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="rank is no setting"):
        seven_b.train_seven_b(rank=3)
    with pytest.raises(ModelError, match=r"no/where/at/all does not exist: give a folder"):
        seven_b.train_seven_b("no/where/at/all", run_dir=tmp_path / "a")
    monkeypatch.setattr(seven_b, "run_in_process", in_this_process(seven_b._train))
    with pytest.raises(SystemExit, match=r"^ValueError: r = 65 does not fit"):
        seven_b.train_seven_b(run_dir=tmp_path, **FAST | {"r": 65})


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
            ModelError,
            "was killed.*memory ran out.*last checkpoint",
        ),
        ("import time; time.sleep(1000)", ModelError, "not done in 2 s"),
        ("import sys; sys.exit('ValueError: r = 65')", ValueError, "^r = 65$"),
    ],
)
def test_a_process_that_is_killed_late_or_refuses_says_so(tmp_path, monkeypatch, code, error, said):
    (tmp_path / "other.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    seconds = 2 if "sleep" in code else 600
    with pytest.raises(error, match=said):
        recordings.run_in_process("other", "now", {}, tmp_path / "out", {}, seconds=seconds)


def test_the_benchmark_runs_both_ways_and_prints_the_ratio(capsys, monkeypatch):
    ways = {"stock": in_this_process(seven_b_bench._time), "ours": recordings.run_in_process}
    monkeypatch.setattr(seven_b_bench, "run_in_process", lambda *given: ways[given[2]["layer"]](*given))
    ratio = seven_b_bench.bench(layers=1, steps=1, rounds=1, **FAST)
    out = capsys.readouterr().out
    assert ratio > 0 and f"ratio {ratio:.2f}" in out
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in out.splitlines() if "loss" in line]
    assert losses[0] == pytest.approx(losses[1], abs=0.1) and out.count("peak") == 2
