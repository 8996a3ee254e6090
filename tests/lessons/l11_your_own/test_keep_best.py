"""Against overfitting: the best of a few looks is put back, also after a kill, and another run's is never taken."""

import pytest
import torch
from short_run import make_examples
from tiny import make_tiny_model

from lora_lessons import lora, training
from lora_lessons.training.loop import trainable
from lora_tools.checking.likeness import Frame
from lora_tools.own.scoring import KeepBest, folder_of

HOW = training.Settings(steps=8, batch_size=1, learning_rate=1e-2, checkpoint_every=1)


@pytest.fixture
def adapted():
    torch.manual_seed(0)
    model = make_tiny_model()
    lora.attach(model, r=2, lora_alpha=4)
    return model


@pytest.fixture
def examples():
    return make_examples()


def state(model):
    return {name: p.detach().clone() for name, p in trainable(model).items()}


def put_back(model, first):
    """What a new kernel begins with: the fresh adapter."""
    with torch.no_grad():
        for name, p in trainable(model).items():
            p.copy_(first[name])


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Looks:
    """The losses that are found, one after the other, and the adapter as it was at each look."""

    def __init__(self, model, *losses):
        self.model, self.losses, self.seen = model, list(losses), []

    def __call__(self):
        self.seen.append(state(self.model))
        return [self.losses.pop(0)]


def test_the_best_look_is_put_back_and_not_the_last(adapted, examples, tmp_path):
    looks = Looks(adapted, 3.0, 1.0, 2.0, 4.0)
    keep = KeepBest(adapted, looks, tmp_path, lambda: ["late"])
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    assert list(keep.looks) == [2, 4, 6, 8] and keep.best == 4 and keep.heard == {8: ["late"]}
    assert same(state(adapted), looks.seen[3]), "training itself is not changed"
    assert keep.restore() == 4 and same(state(adapted), looks.seen[1])


def test_in_a_frame_the_look_with_the_most_different_answers_is_kept_whatever_the_loss_and_read_back(
    adapted, examples, tmp_path
):
    heard = iter([["<a>", "<a>", "<a>"], ["<a>", "<b>", "c"], ["<a>", "<c>", "<a>"], ["a", "b", "c"]])
    looks, frame, first = Looks(adapted, 1.0, 3.0, 2.0, 0.5), Frame("<", ">"), state(adapted)
    keep = KeepBest(adapted, looks, tmp_path, lambda: next(heard), frame)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    put_back(adapted, first)
    again = KeepBest(adapted, Looks(adapted), tmp_path, list, frame)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=again)
    assert keep.best == again.restore() == 6 and again.heard == keep.heard and same(state(adapted), looks.seen[2])


def test_a_killed_run_goes_on_with_what_it_had_found(adapted, examples, tmp_path):
    first = state(adapted)
    looks = Looks(adapted, 3.0, 1.0, 2.0, 4.0)
    keep = KeepBest(adapted, looks, tmp_path)

    def killed(run):
        keep(run)
        if len(run.losses) == 5:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=killed)
    put_back(adapted, first)
    again = Looks(adapted, 2.0, 4.0)
    resumed = KeepBest(adapted, again, tmp_path)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=resumed)
    assert again.losses == [] and resumed.looks == {2: [3.0], 4: [1.0], 6: [2.0], 8: [4.0]}
    resumed.restore()
    assert same(state(adapted), looks.seen[1])


def test_a_damaged_file_costs_the_earlier_looks_and_nothing_else(adapted, examples, tmp_path):
    first = state(adapted)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run")
    put_back(adapted, first)
    (tmp_path / "best.safetensors").write_bytes(b"half a fi")
    keep = KeepBest(adapted, Looks(adapted, 2.5), tmp_path)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    assert keep.looks == {8: [2.5]} and keep.restore() == 8


def test_another_run_or_other_held_out_lines_have_another_folder(adapted, examples, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    one = folder_of(adapted, examples[:4], examples[4:], HOW)
    assert one == folder_of(adapted, examples[:4], examples[4:], HOW)
    assert one != folder_of(adapted, examples[:4], examples[5:], HOW)
    assert one != folder_of(adapted, examples[:3], examples[4:], HOW)
