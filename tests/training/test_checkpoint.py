"""A run on disk: tensors and text alone, written whole, moments restored bit for bit; damage is noticed and said."""

import copy
import dataclasses
import errno
import random
from unittest.mock import Mock

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from short_run import SHORT, adapter, broken_and_whole, same
from torch import nn

from lora_lessons import lora, training
from lora_lessons.training import TrainingStopped, checkpoint, train
from lora_lessons.training.loop import trainable
from lora_lessons.training.runs import LOCK


def test_a_full_disk_is_a_sentence_and_leaves_the_old_checkpoint(tiny_model, examples, tmp_path, monkeypatch):
    lora.attach(tiny_model, r=4)
    for number, failure in enumerate(
        (OSError(28, "No space left on device"), SafetensorError("No space left on device"))
    ):
        monkeypatch.setattr(checkpoint, "save_file", Mock(side_effect=failure))
        tiny_model.train(False)
        with pytest.raises(TrainingStopped, match="free some room"):
            train(tiny_model, examples, SHORT, run_dir=tmp_path / str(number))
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == [LOCK]
        assert not tiny_model.training, "the model is left in the mode it was found in"


def test_a_folder_that_may_not_be_written_to_is_not_a_matter_of_room(tiny_model, examples, tmp_path, monkeypatch):
    """And nothing is promised of a checkpoint that was never written."""
    lora.attach(tiny_model, r=4)
    monkeypatch.setattr(checkpoint, "save_file", Mock(side_effect=OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(TrainingStopped) as stopped:
        train(tiny_model, examples, SHORT, run_dir=tmp_path)
    said = str(stopped.value)
    assert said.endswith("set LORA_LESSONS_CACHE to a folder that you may write to, and run again.")
    assert "Read-only file system" in said and "room" not in said


def test_the_file_holds_only_tensors_and_text(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert all(name.startswith("weights.") for name in load_file(tmp_path / training.FINISHED))


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_fused", "adamw_8bit"])
def test_every_optimizer_resumes_bit_for_bit(tiny_model, examples, tmp_path, optimizer):
    lora.attach(tiny_model, r=128 // 4, target_modules=["q_proj", "gate_proj"])
    for _, layer in lora.lora_layers(tiny_model):
        nn.init.normal_(layer.lora_B, std=0.01, generator=torch.Generator().manual_seed(0))
    settings = dataclasses.replace(SHORT, optimizer=optimizer)
    (broken, one), (whole, other) = broken_and_whole(lambda: copy.deepcopy(tiny_model), settings, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert broken.optimizer_bytes == whole.optimizer_bytes


@pytest.mark.parametrize("fused, device", [(True, "meta"), (False, "cpu")])
def test_steps_are_counted_where_the_kernel_looks_for_them(fused, device):
    """The "meta" device stands for a card: PyTorch's fused kernel wants the step there, the plain one on the CPU."""
    p = nn.Parameter(torch.zeros(3, device="meta"))
    optimizer = torch.optim.AdamW([p])
    optimizer.param_groups[0]["fused"] = fused
    kept = {"step": torch.tensor(3.0), "exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
    checkpoint.restore_moments(optimizer, p, kept)
    assert optimizer.state[p]["step"].device.type == device and optimizer.state[p]["exp_avg"].device.type == "meta"


# ---- damage ----


def one_run(model, name):
    """What a run has at hand when it writes `name`: what it learns, its story,
    and AdamW after a step (None at the end)."""
    lora.attach(model, r=4)
    learned = trainable(model)
    optimizer = None
    if name == training.CHECKPOINT:
        optimizer = torch.optim.AdamW(learned.values())
        for number, p in enumerate(learned.values()):
            p.grad = torch.full_like(p, 0.1 + number)
        optimizer.step()
    return learned, training.Training([1.5, 1.25], steps=6, seconds=0.5, tokens=40, supervised=24), optimizer


def damages(data, count):
    """`count` copies of a file with one byte changed, every other one in its header; and files cut short or blank."""
    draw, header = random.Random(0), 8 + int.from_bytes(data[:8], "little")
    for number in range(count):
        changed = bytearray(data)
        changed[draw.randrange(header if number % 2 else len(data))] ^= draw.randrange(1, 256)
        yield bytes(changed)
    yield from (data[:size] for size in (0, 4, header // 2, header, len(data) - 1))
    yield from (data[: len(data) // 2] + bytes(len(data) - len(data) // 2), data + b"\0", b"{}", bytes(len(data)))


@pytest.mark.parametrize("name", [training.FINISHED, training.CHECKPOINT])
def test_a_damaged_run_is_set_aside_with_a_sentence_or_is_the_same_bit_for_bit(tiny_model, tmp_path, capsys, name):
    learned, story, optimizer = one_run(tiny_model, name)
    file, right = tmp_path / name, adapter(tiny_model)
    checkpoint.write_checkpoint(file, "this run", learned, story, optimizer)
    moments = copy.deepcopy([optimizer.state[p] for p in learned.values()]) if optimizer else []
    aside = []
    for damaged in damages(file.read_bytes(), 300):
        file.write_bytes(damaged)
        for p in learned.values():
            nn.init.zeros_(p)
        found = checkpoint.read_checkpoint(file, "this run", learned, optimizer)
        said = capsys.readouterr().out
        if found is None:
            aside.append(damaged)
            assert said.startswith(name) and f"kept as {name}.damaged-{len(aside)}, and training starts anew." in said
            assert not file.exists() and not any(p.any() for p in learned.values())
        else:
            assert found == story and same(right, adapter(tiny_model)) and not said
            for p, kept in zip(learned.values() if optimizer else (), moments, strict=True):
                assert all(torch.equal(optimizer.state[p][key], kept[key]) for key in kept)
    assert len(aside) > 250
    kept = [(tmp_path / f"{name}.damaged-{number}").read_bytes() for number in range(1, len(aside) + 1)]
    assert kept == aside, "none is overwritten by the next"


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda tensors, about: about.clear(), "carries no checksum"),
        (lambda tensors, about: about.pop("sha256"), "carries no checksum"),
        (lambda tensors, about: about.pop("training"), "is damaged"),
        (lambda tensors, about: about.update(training="[]"), "is damaged"),
        (lambda tensors, about: about.update(training='{"losses": 3}'), "is damaged"),
        (lambda tensors, about: about.update(run="another run"), "is damaged"),
        (lambda tensors, about: tensors.popitem(), "is damaged"),
        (lambda tensors, about: tensors.update({n: t.T.contiguous() for n, t in tensors.items()}), "is damaged"),
        (lambda tensors, about: tensors.update({n: t.double() for n, t in tensors.items()}), "is damaged"),
        (lambda tensors, about: tensors.update(another=torch.ones(1)), "is damaged"),
    ],
)
def test_a_run_that_was_put_together_otherwise_is_set_aside(tiny_model, tmp_path, capsys, change, said):
    learned, story, _ = one_run(tiny_model, training.FINISHED)
    file = tmp_path / training.FINISHED
    checkpoint.write_checkpoint(file, "this run", learned, story)
    with safe_open(file, "pt") as opened:
        tensors, about = load_file(file), opened.metadata()
    change(tensors, about)
    save_file(tensors, file, about)
    assert checkpoint.read_checkpoint(file, "this run", learned) is None
    assert capsys.readouterr().out.startswith(f"{file.name} {said}")


def test_an_interrupted_run_under_the_name_of_a_finished_one_is_not_taken_for_it(tiny_model, tmp_path, capsys):
    learned, story, optimizer = one_run(tiny_model, training.CHECKPOINT)
    checkpoint.write_checkpoint(tmp_path / training.CHECKPOINT, "this run", learned, story, optimizer)
    assert training.steps_done(tmp_path / training.CHECKPOINT) == 2
    (tmp_path / training.CHECKPOINT).rename(tmp_path / training.FINISHED)
    assert checkpoint.read_checkpoint(tmp_path / training.FINISHED, "this run", learned) is None
    assert "is damaged" in capsys.readouterr().out
    (tmp_path / training.CHECKPOINT).write_bytes(b"half")
    assert [training.steps_done(tmp_path / name) for name in (training.CHECKPOINT, training.FINISHED)] == [0, 0]


def test_a_damaged_run_that_cannot_be_renamed_is_a_sentence(tiny_model, tmp_path, monkeypatch):
    learned, *_ = one_run(tiny_model, training.FINISHED)
    file = tmp_path / training.FINISHED
    file.write_bytes(b"half")
    locked = PermissionError(13, "Permission denied", str(file))
    monkeypatch.setattr(checkpoint, "set_aside", Mock(side_effect=locked))
    with pytest.raises(TrainingStopped, match="Permission denied.: choose another"):
        checkpoint.read_checkpoint(file, "this run", learned)


def test_dropout_is_drawn_again_in_a_resumed_run(tiny_model, tmp_path):
    """Each step draws its random numbers anew, from the seed and its own number: resumed, it draws the same ones."""
    for block in tiny_model.model.layers:
        block.self_attn.attention_dropout = tiny_model.config.attention_dropout = 0.5
    lora.attach(tiny_model, r=4)
    (broken, one), (whole, other) = broken_and_whole(lambda: copy.deepcopy(tiny_model), SHORT, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
