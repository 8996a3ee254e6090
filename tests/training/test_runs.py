"""A run: reused when finished, resumed bit for bit after kill -9 or an error, stopped with advice."""

import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import short_run
from short_run import SHORT, adapter, same

from lora_lessons import lora, training
from lora_lessons.training import train

KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from tiny import make_tiny_model
    from short_run import SHORT, make_examples
    from lora_lessons import lora, training
    model = make_tiny_model()
    lora.attach(model, r=4)
    forward, calls = model.forward, [0]
    def counting(*args, **kwargs):
        calls[0] += 1
        if calls[0] == 6:  # in the sixth step, after the checkpoint of step 4
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(*args, **kwargs)
    model.forward = counting
    training.train(model, make_examples(), SHORT, run_dir={folder!r})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_and_resumed_equals_unbroken_bit_for_bit(tiny_model, examples, tmp_path, capsys):
    tests = Path(short_run.__file__).parent
    script = textwrap.dedent(KILLED.format(tests=str(tests), folder=str(tmp_path / "killed")))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (tmp_path / "killed" / training.CHECKPOINT).is_file()
    state = {k: v.clone() for k, v in tiny_model.state_dict().items()}
    lora.attach(tiny_model, r=4)
    resumed = train(tiny_model, examples, SHORT, run_dir=tmp_path / "killed")
    assert "Resumed at step 4" in capsys.readouterr().out
    first = adapter(tiny_model)
    lora.detach(tiny_model)
    tiny_model.load_state_dict(state)
    lora.attach(tiny_model, r=4)
    unbroken = train(tiny_model, examples, SHORT, run_dir=tmp_path / "unbroken")
    assert same(first, adapter(tiny_model)) and resumed.losses == unbroken.losses
    assert [p.name for p in (tmp_path / "killed").iterdir()] == [training.FINISHED]


def test_a_finished_run_is_reused_and_said(tiny_model, examples, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    lora.attach(tiny_model, r=4)
    first = train(tiny_model, examples, SHORT)
    learned = adapter(tiny_model)
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    again = train(tiny_model, examples, SHORT)
    assert again.reused and again.losses == first.losses and same(learned, adapter(tiny_model))
    assert "Reused" in capsys.readouterr().out
    other = dataclasses.replace(SHORT, learning_rate=2e-2)
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    assert not train(tiny_model, examples, other).reused


def test_who_listens_hears_of_every_step_and_changes_nothing(tiny_model, examples, tmp_path):
    """The checkpoint is there before the listener is called, so one that is interrupted loses nothing."""
    heard = []

    def listen(story):
        heard.append((len(story.losses), (tmp_path / "heard" / training.CHECKPOINT).is_file()))
        tiny_model.eval()(examples[0].input_ids[None])  # as an answer does
        tiny_model.train()

    state = {k: v.clone() for k, v in tiny_model.state_dict().items()}
    lora.attach(tiny_model, r=4)
    story = train(tiny_model, examples, SHORT, run_dir=tmp_path / "heard", on_step=listen)
    first = adapter(tiny_model)
    assert heard == [(1, False), (2, True), (3, True), (4, True), (5, True), (6, True)]
    lora.detach(tiny_model)
    tiny_model.load_state_dict(state)
    lora.attach(tiny_model, r=4)
    alone = train(tiny_model, examples, SHORT, run_dir=tmp_path / "alone")
    assert same(first, adapter(tiny_model)) and alone.losses == story.losses
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    read_back = []
    again = train(tiny_model, examples, SHORT, run_dir=tmp_path / "alone", on_step=read_back.append)
    assert again.reused and read_back == [again] and len(again.losses) == again.steps == SHORT.steps, "heard of once"


def test_a_run_dir_of_another_run_is_refused(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=1)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    with pytest.raises(ValueError, match="choose another run_dir"):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)


def test_a_damaged_finished_run_is_set_aside_and_trained_anew(tiny_model, examples, tmp_path, capsys):
    lora.attach(tiny_model, r=4)
    first = train(tiny_model, examples, SHORT, run_dir=tmp_path)
    file = tmp_path / training.FINISHED
    file.write_bytes(file.read_bytes()[:100])
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    again = train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert not again.reused and again.losses == first.losses
    assert "kept as finished.damaged" in capsys.readouterr().out


def test_without_reuse_nothing_old_is_read(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    lora.detach(tiny_model)
    lora.attach(tiny_model, r=4)
    assert not train(tiny_model, examples, SHORT, run_dir=tmp_path, reuse=False).reused


def test_nothing_to_train_is_an_error(tiny_model, examples):
    with pytest.raises(ValueError, match="Attach adapters first"):
        train(tiny_model.requires_grad_(False), examples, SHORT)
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="empty"):
        train(tiny_model, [], SHORT)
