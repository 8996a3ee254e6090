"""A run that waits at rungs: it takes the steps that it is allowed, learns what it would have learned,
and stops at 0."""

import threading
import time

import pytest
import torch
from short_run import SHORT, adapter, make_examples, same
from tiny import make_tiny_model

from lora_lessons import lora, training
from lora_lessons.course.live import Rungs


def trained(folder, on_step=None):
    torch.manual_seed(0)
    model = make_tiny_model()
    lora.attach(model, r=2)
    return training.train(model, make_examples(), SHORT, run_dir=folder, on_step=on_step).losses, adapter(model)


def test_a_run_that_waits_learns_the_same_bit_for_bit(tmp_path):
    allowed, waited = tmp_path / "allowed", threading.Event()
    allowed.write_text("2")

    class Watched(Rungs):
        def _show(self):
            if len(self.run.losses) == 2:
                waited.set()

    def allow():
        assert waited.wait(600)
        time.sleep(0.2)
        allowed.write_text(str(SHORT.steps))

    judge = threading.Thread(target=allow)
    judge.start()
    losses, learned = trained(tmp_path / "waits", Watched(str(allowed)))
    judge.join()
    assert waited.is_set()
    plain_losses, plain = trained(tmp_path / "plain")
    assert losses == plain_losses and same(learned, plain)


def test_a_run_that_may_not_go_on_stops_as_at_ctrl_c_and_can_be_trained_on(tmp_path):
    allowed = tmp_path / "allowed"
    allowed.write_text("0")
    with pytest.raises(KeyboardInterrupt, match="Stopped after step 1"):
        trained(tmp_path / "run", Rungs(str(allowed)))
    losses, learned = trained(tmp_path / "run")
    plain_losses, plain = trained(tmp_path / "plain")
    assert losses == plain_losses and same(learned, plain)
