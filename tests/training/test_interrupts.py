"""Stopped by hand: one sentence, no traceback, and what was trained is kept, to the bit."""

import dataclasses
import os
import signal

import pytest
from in_kernel import a_kernel
from short_run import SHORT, Interrupting

from lora_lessons import lora, training
from lora_lessons.errors import Interrupted
from lora_lessons.training import train
from lora_lessons.training.runs import LOCK

pytestmark = pytest.mark.usefixtures("usual_handler")

CELL = """
import dataclasses
from pathlib import Path
import torch
from short_run import SHORT, make_examples
from tiny import make_tiny_model
from lora_lessons import lora, training

model = make_tiny_model()
lora.attach(model, r=4)
settings = dataclasses.replace(SHORT, steps=STEPS)
slow = SLOW

def begun(module, given):
    Path("begun").touch()
    if slow:
        import time
        time.sleep(0.3)

handle = model.register_forward_pre_hook(begun)
done = training.train(model, make_examples(), settings, run_dir="run")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts in another way")
def test_the_stop_button_prints_one_sentence_and_the_cell_goes_on_when_run_again(tmp_path):
    with a_kernel(tmp_path) as kernel:
        first = CELL.replace("STEPS", "40").replace("SLOW", "True")
        shown = kernel.run(first, interrupt_when=(tmp_path / "begun").exists)
        (error,) = [output for output in shown if output["msg_type"] == "error"]
        (sentence,) = error["traceback"]
        number = int(sentence.removeprefix("Stopped after step ").partition(";")[0])
        assert sentence == f"Stopped after step {number}; run this cell again to go on." and 1 <= number < 40
        assert (tmp_path / "run" / training.CHECKPOINT).is_file()
        again = "".join(o.get("text", "") for o in kernel.run(CELL.replace("STEPS", "40").replace("SLOW", "False")))
        assert f"Resumed at step {number} of 40" in again and "Trained 40 steps" in again


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts in another way")
def test_pressed_twice_it_stops_at_once_and_says_where_it_goes_on(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)

    def press(module, given):
        if (tmp_path / "run" / training.CHECKPOINT).exists():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    tiny_model.register_forward_pre_hook(press)
    every_second = dataclasses.replace(SHORT, checkpoint_every=2)
    with pytest.raises(Interrupted, match=r"^Stopped after step 2; .* to go on\.$"):
        train(tiny_model, examples, every_second, run_dir=tmp_path / "run")


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts in another way")
@pytest.mark.parametrize(
    "step, every, said, kept",
    [
        (1, 0, r"^Stopped after step 1; .* from the beginning\.$", set()),
        (SHORT.steps, 2, "this training is finished and kept", {training.FINISHED}),
    ],
    ids=["without a checkpoint", "in its last step"],
)
def test_stopped_it_promises_no_more_than_what_is_kept(tiny_model, tmp_path, step, every, said, kept):
    lora.attach(tiny_model, r=4)
    settings = dataclasses.replace(SHORT, checkpoint_every=every)
    with pytest.raises(Interrupted, match=said):
        train(tiny_model, Interrupting(step, lambda: os.kill(os.getpid(), signal.SIGINT)), settings, run_dir=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {LOCK} | kept


def test_the_steps_that_a_checkpoint_lacks_are_said():
    said = training.runs.stopped(7, 5)
    assert said == "Stopped after step 7; run this cell again to go on from step 5."
