"""A run: reused when finished, resumed bit for bit after kill -9 or an error, stopped with advice."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import short_run
from short_run import SHORT, adapter, same

from lora_lessons import lora, training
from lora_lessons.errors import Interrupted
from lora_lessons.training import runs, train
from lora_lessons.training.runs import LOCK

KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from tiny import make_tiny_model
    from short_run import SHORT, Interrupting
    from lora_lessons import lora, training
    model = make_tiny_model()
    lora.attach(model, r=4)
    # in the sixth step, after the checkpoint of step 4
    examples = Interrupting(6, lambda: os.kill(os.getpid(), signal.SIGKILL))
    training.train(model, examples, SHORT, run_dir={folder!r})
"""


def anew(model):
    """The model with adapters at their start in place of those that it has."""
    lora.detach(model)
    lora.attach(model, r=4)
    return model


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_and_resumed_equals_unbroken_bit_for_bit(tiny_model, examples, tmp_path, capsys):
    tests = Path(short_run.__file__).parent
    script = textwrap.dedent(KILLED.format(tests=str(tests), folder=str(tmp_path / "killed")))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "killed" / training.CHECKPOINT).is_file()
    lora.attach(tiny_model, r=4)
    resumed = train(tiny_model, examples, SHORT, run_dir=tmp_path / "killed")
    assert "Resumed at step 4" in capsys.readouterr().out
    first = adapter(tiny_model)
    unbroken = train(anew(tiny_model), examples, SHORT, run_dir=tmp_path / "unbroken")
    assert same(first, adapter(tiny_model)) and resumed.losses == unbroken.losses
    assert {p.name for p in (tmp_path / "killed").iterdir()} == {training.FINISHED, LOCK}


def test_a_finished_run_is_reused_and_said(tiny_model, examples, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    lora.attach(tiny_model, r=4)
    first = train(tiny_model, examples, SHORT)
    learned = adapter(tiny_model)
    again = train(anew(tiny_model), examples, SHORT)
    assert again.reused and again.losses == first.losses and same(learned, adapter(tiny_model))
    assert "Reused" in capsys.readouterr().out
    other = dataclasses.replace(SHORT, learning_rate=2e-2)
    assert not train(anew(tiny_model), examples, other).reused
    assert not train(anew(tiny_model), examples, SHORT, reuse=False).reused


def test_who_listens_hears_of_every_step_and_changes_nothing(tiny_model, examples, tmp_path):
    """The checkpoint is there before the listener is called, so one that is interrupted loses nothing."""
    heard = []

    def listen(story):
        heard.append((len(story.losses), (tmp_path / "heard" / training.CHECKPOINT).is_file()))
        tiny_model.eval()(examples[0].input_ids[None])  # as an answer does
        tiny_model.train()

    lora.attach(tiny_model, r=4)
    story = train(tiny_model, examples, SHORT, run_dir=tmp_path / "heard", on_step=listen)
    first = adapter(tiny_model)
    assert heard == [(1, False), (2, True), (3, True), (4, True), (5, True), (6, True)]
    alone = train(anew(tiny_model), examples, SHORT, run_dir=tmp_path / "alone")
    assert same(first, adapter(tiny_model)) and alone.losses == story.losses
    read_back = []
    again = train(anew(tiny_model), examples, SHORT, run_dir=tmp_path / "alone", on_step=read_back.append)
    assert again.reused and read_back == [again] and len(again.losses) == again.steps == SHORT.steps, "heard of once"


TRAINS = """
    import sys, time
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from tiny import make_tiny_model
    from short_run import SHORT, make_examples
    from lora_lessons import lora, training
    model = make_tiny_model()
    lora.attach(model, r=4)
    here = Path({here!r})

    def until_it_is_told(story):
        (here / "training").touch()
        while not (here / "go on").exists():
            time.sleep(0.05)

    run = training.train(model, make_examples(), SHORT, run_dir=here / "run", on_step=until_it_is_told)
    print(run.losses, run.reused)
"""


def started(here):
    tests = Path(short_run.__file__).parent
    script = textwrap.dedent(TRAINS.format(tests=str(tests), here=str(here)))
    return subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True)


def until(true):
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def two_processes(tmp_path):
    """One process that is training, held after its first step; and a second one that has begun the same run."""
    first = started(tmp_path)
    until((tmp_path / "training").exists)
    (tmp_path / "training").unlink()
    second, said = started(tmp_path), []
    threading.Thread(target=lambda: said.append(second.stdout.readline()), daemon=True).start()
    until(lambda: said or (tmp_path / "training").exists())
    yield first, second, said[0] if said else "it trains"
    for process in (first, second):
        process.kill()
        process.wait()


def test_a_second_process_waits_for_the_first_and_reads_its_run_back(two_processes, tmp_path):
    first, second, said = two_processes
    assert said == "Another process is training this very run: waiting until it ends.\n"
    (tmp_path / "go on").touch()
    (*_, trained), (reused, read_back) = (p.communicate(timeout=300)[0].splitlines() for p in (first, second))
    assert trained.endswith("] False") and reused.startswith("Reused: the same run finished on ")
    assert read_back == trained.replace("False", "True")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_when_the_first_is_killed_the_second_trains(two_processes, tmp_path):
    first, second, _ = two_processes
    first.kill()
    (tmp_path / "go on").touch()
    assert second.communicate(timeout=300)[0].splitlines()[-1].endswith("] False")


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts in another way")
@pytest.mark.parametrize("when", ["as it says that it waits", "while it waits"])
def test_stopped_while_it_waits_it_says_so(when, tiny_model, examples, tmp_path, monkeypatch, usual_handler):
    import fcntl

    other = open(tmp_path / LOCK, "w")  # noqa: SIM115 (closed in the test)
    fcntl.flock(other, fcntl.LOCK_EX)  # as another process would
    lora.attach(tiny_model, r=4)
    acquire = runs.FileLock.acquire

    def press(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)

    def waits(taken, *args, **how):
        if "poll_interval" in how:  # from here on it waits
            threading.Timer(0.5, press).start()
        return acquire(taken, *args, **how)

    if when == "while it waits":
        monkeypatch.setattr(runs.FileLock, "acquire", waits)
    else:
        monkeypatch.setattr(runs, "print", press, raising=False)
    with pytest.raises(Interrupted, match="^Stopped while another process"):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)
    monkeypatch.undo()
    other.close()
    assert len(train(tiny_model, examples, SHORT, run_dir=tmp_path).losses) == SHORT.steps, (
        "the next one is not kept out"
    )


def test_where_no_lock_can_be_had_it_trains_without(tiny_model, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(runs.FileLock, "acquire", Mock(side_effect=OSError("no locks here")))
    lora.attach(tiny_model, r=4)
    assert len(train(tiny_model, examples, SHORT, run_dir=tmp_path).losses) == SHORT.steps


@pytest.mark.parametrize("found", [True, False])
def test_the_model_is_left_in_the_mode_it_was_found_in(tiny_model, examples, tmp_path, found):
    lora.attach(tiny_model.train(found), r=4)
    during = []
    train(tiny_model, examples, SHORT, run_dir=tmp_path, on_step=lambda _: during.append(tiny_model.training))
    assert during == [True] * SHORT.steps and tiny_model.training == found


def test_a_run_dir_of_another_run_is_refused(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=1)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    with pytest.raises(ValueError, match="choose another run_dir"):
        train(anew(tiny_model), examples, SHORT, run_dir=tmp_path)


def test_a_damaged_finished_run_is_set_aside_and_trained_anew(tiny_model, examples, tmp_path, capsys):
    lora.attach(tiny_model, r=4)
    first = train(tiny_model, examples, SHORT, run_dir=tmp_path)
    file = tmp_path / training.FINISHED
    file.write_bytes(file.read_bytes()[:100])
    again = train(anew(tiny_model), examples, SHORT, run_dir=tmp_path)
    assert not again.reused and again.losses == first.losses
    assert "kept as finished.safetensors.damaged-1" in capsys.readouterr().out


def test_nothing_to_train_is_an_error(tiny_model, examples):
    with pytest.raises(ValueError, match="Attach adapters first"):
        train(tiny_model.requires_grad_(False), examples, SHORT)
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="empty"):
        train(tiny_model, [], SHORT)
