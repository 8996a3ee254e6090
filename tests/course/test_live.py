"""The live loss curve: what it shows and says, how seldom it draws, and that the last picture stays; and a run that
waits at rungs learns what it would have learned, and stops at 0."""

import re
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from in_kernel import a_kernel
from short_run import SHORT, adapter, make_examples, same
from tiny import make_tiny_model

from lora_lessons import lora, training
from lora_lessons.course import live
from lora_lessons.course.live import LOSSES, LossCurve, Rungs
from lora_lessons.training import Training


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would have shown, newest last."""
    pictures = []

    def display(curve, display_id):
        pictures.append(curve.words())
        return SimpleNamespace(update=lambda curve: pictures.append(curve.words()))

    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: object())
    monkeypatch.setattr("IPython.display.display", display)
    return pictures


@pytest.fixture
def clock(monkeypatch):
    """The time as the curve reads it: a list of one number."""
    now = [0.0]
    monkeypatch.setattr(live.time, "perf_counter", lambda: now[0])
    return now


def train(curve, losses, clock=None, seconds=0.0):
    run = Training(steps=len(losses))
    for loss in losses:
        run.losses.append(loss)
        curve(run)
        if clock:
            clock[0] += seconds


def test_the_first_step_and_the_last_are_drawn_and_between_them_once_a_second(shown, clock):
    train(LossCurve(), [5 - i / 10 for i in range(21)], clock, seconds=0.25)
    steps = [int(re.search(r"step (\d+)(?: of 21)?\.$", words)[1]) for words in shown]
    assert steps == [1, 5, 9, 13, 17, 21]


def test_where_drawing_is_slow_it_draws_more_seldom(shown, clock, monkeypatch):
    show = LossCurve._show

    def slow(curve):
        show(curve)
        clock[0] += 0.4

    monkeypatch.setattr(LossCurve, "_show", slow)
    train(LossCurve(), [3.0] * 101, clock, seconds=1.0)
    assert 4 <= len(shown) <= 8, "two percent of 101 seconds are five pictures"


def test_the_words_say_where_it_began_and_where_it_is(shown):
    train(LossCurve(), [5.07, 4.5, 3.14])
    assert shown[0] == "The loss is 5.07 nats at step 1 of 3."
    assert shown[-1] == "The loss fell from 5.07 nats at step 1 to 3.14 at step 3."
    train(LossCurve(), [2.0, 2.5])
    assert shown[-1] == "The loss rose from 2.00 nats at step 1 to 2.50 at step 2."


def test_a_run_that_was_read_back_is_drawn_at_once(shown):
    LossCurve()(Training([5.0, 4.0, 3.0], steps=3, reused=True))
    assert shown == ["The loss fell from 5.00 nats at step 1 to 3.00 at step 3."]


def test_outside_a_notebook_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(LossCurve, "picture", lambda *_: pytest.fail("nobody looks"))
    train(LossCurve(), [3.0, 2.0])


CELL = """
from short_run import SHORT, make_examples
from tiny import make_tiny_model
from lora_lessons import lora, training
from lora_lessons.course.live import LossCurve
model = make_tiny_model()
lora.attach(model, r=4)
run = training.train(model, make_examples(), SHORT, run_dir="run", on_step=LossCurve())
"""


def test_in_a_notebook_one_picture_grows_in_its_place_and_a_reused_run_ends_with_the_same(tmp_path):
    with a_kernel(tmp_path) as kernel:
        first, again = ([o for o in kernel.run(CELL, updates=True) if LOSSES in o.get("data", {})] for _ in range(2))
    begun, *_, ended = first
    assert begun["msg_type"] == "display_data" and {o["msg_type"] for o in first[1:]} == {"update_display_data"}
    assert {o["transient"]["display_id"] for o in first} == {begun["transient"]["display_id"]}
    assert len(begun["data"][LOSSES]["losses"]) == 1 and len(ended["data"][LOSSES]["losses"]) == 6
    page = ended["data"]["text/html"]
    assert re.search(r'<img alt="The loss (fell|rose) from [^"]{20,}" src="data:image/png;base64,', page)
    assert f"<i>In words:</i> {ended['data']['text/plain']}" in page
    (read_back,) = again
    assert read_back["data"] == ended["data"], "the same losses make the same picture, to the byte"


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
