"""A run: its name changes with everything that its result depends on; reused when finished, resumed bit for bit,
stopped with advice. On disk it is tensors and text alone, written whole; damage is noticed and said."""

import copy
import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
import short_run
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from short_run import SHORT, adapter, broken_and_whole, same, until
from torch import nn

from lora_lessons import lora, paths, quant, tasks, training
from lora_lessons.errors import Interrupted
from lora_lessons.training import Settings, TrainingStopped, checkpoint, runs, train
from lora_lessons.training.loop import trainable
from lora_lessons.training.runs import LOCK


def anew(model):
    """The model with adapters at their start in place of those that it has."""
    lora.detach(model)
    lora.attach(model, r=4)
    return model


def test_who_listens_hears_of_every_step_and_changes_nothing(tiny_model, examples, tmp_path, monkeypatch):
    """The checkpoint is there before the listener is called, so one that is interrupted loses nothing.
    A step's seconds are its own."""
    heard = []

    def listen(story):
        heard.append((len(story.losses), (tmp_path / "heard" / training.CHECKPOINT).is_file()))
        tiny_model.eval()(examples[0].input_ids[None])  # as an answer does
        tiny_model.train()

    monkeypatch.setattr(runs, "time", Mock(perf_counter=iter(range(99)).__next__))  # a second at each look
    story = train(anew(tiny_model), examples, SHORT, run_dir=tmp_path / "heard", on_step=listen)
    first = adapter(tiny_model)
    assert story.seconds == SHORT.steps and heard == [(1, False), (2, True), (3, True), (4, True), (5, True), (6, True)]
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


def test_nothing_to_train_is_an_error(tiny_model, examples):
    with pytest.raises(ValueError, match="Attach adapters first"):
        train(tiny_model.requires_grad_(False), examples, SHORT)
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="empty"):
        train(tiny_model, [], SHORT)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some room"),
        (SafetensorError("No space left on device"), "free some room"),
        (
            OSError(errno.EROFS, "Read-only file system"),
            "Read-only file system.*to a folder that you may write to, and run again.$",
        ),
    ],
    ids=["full", "full to safetensors", "read-only"],
)
def test_a_checkpoint_that_cannot_be_written_is_a_sentence_and_nothing_is_left(
    tiny_model, examples, tmp_path, monkeypatch, failure, said
):
    """Only a full disk is a matter of room, and nothing is promised of a checkpoint that was never written."""
    lora.attach(tiny_model.train(False), r=4)
    monkeypatch.setattr(checkpoint, "save_file", Mock(side_effect=failure))
    with pytest.raises(TrainingStopped, match=said) as stopped:
        train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert ("room" in str(stopped.value)) == ("room" in said) and [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert not tiny_model.training, "the model is left in the mode it was found in"


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


def one_run(model):
    """What a run has at hand when it writes a checkpoint: what it learns, its story, and AdamW after a step."""
    lora.attach(model, r=4)
    learned = trainable(model)
    optimizer = torch.optim.AdamW(learned.values())
    for number, p in enumerate(learned.values()):
        p.grad = torch.full_like(p, 0.1 + number)
    optimizer.step()
    return learned, training.Training([1.5, 1.25], steps=6, seconds=0.5, tokens=40, supervised=24), optimizer


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
        (lambda tensors, about: tensors.update({n: t + 1 for n, t in tensors.items() if "exp_avg" in n}), "is damaged"),
        (lambda tensors, about: tensors.update(another=torch.ones(1)), "is damaged"),
    ],
)
def test_a_run_that_was_put_together_otherwise_is_set_aside(tiny_model, tmp_path, capsys, change, said):
    learned, story, optimizer = one_run(tiny_model)
    file = tmp_path / training.CHECKPOINT
    checkpoint.write_checkpoint(file, "this run", learned, story, optimizer)
    with safe_open(file, "pt") as opened:
        tensors, about = load_file(file), opened.metadata()
    change(tensors, about)
    save_file(tensors, file, about)
    for p in learned.values():
        nn.init.zeros_(p)
    assert checkpoint.read_checkpoint(file, "this run", learned, optimizer) is None
    assert not any(p.any() for p in learned.values()) and not file.exists()
    assert capsys.readouterr().out.startswith(f"{file.name} {said}")


def test_an_interrupted_run_under_the_name_of_a_finished_one_is_not_taken_for_it(tiny_model, tmp_path, capsys):
    learned, story, optimizer = one_run(tiny_model)
    checkpoint.write_checkpoint(tmp_path / training.CHECKPOINT, "this run", learned, story, optimizer)
    assert training.steps_done(tmp_path / training.CHECKPOINT) == 2
    (tmp_path / training.CHECKPOINT).rename(tmp_path / training.FINISHED)
    assert checkpoint.read_checkpoint(tmp_path / training.FINISHED, "this run", learned) is None
    assert "is damaged" in capsys.readouterr().out
    (tmp_path / training.CHECKPOINT).write_bytes(b"half")
    assert [training.steps_done(tmp_path / name) for name in (training.CHECKPOINT, training.FINISHED)] == [0, 0]


def test_a_damaged_run_that_cannot_be_renamed_is_a_sentence(tiny_model, tmp_path, monkeypatch):
    learned, *_ = one_run(tiny_model)
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


def test_the_fingerprint_changes_with_weights_data_and_settings(tiny_model, examples):
    lora.attach(tiny_model, r=4)
    prints = [training.fingerprint(tiny_model, examples, SHORT)]
    assert training.fingerprint(tiny_model, examples, SHORT) == prints[0]
    prints.append(training.fingerprint(tiny_model, examples[1:], SHORT))
    untaught = [one._replace(labels=torch.full_like(one.labels, tasks.IGNORED)) for one in examples]
    prints.append(training.fingerprint(tiny_model, untaught, SHORT))
    with torch.no_grad():
        tiny_model.model.embed_tokens.weight[5, 5] += 1e-3
    prints.append(training.fingerprint(tiny_model, examples, SHORT))
    assert len(set(prints)) == len(prints) == 4


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_the_fingerprint_changes_with_every_setting(tiny_model, examples, field):
    lora.attach(tiny_model, r=1)
    now = getattr(SHORT, field.name)
    other = not now if isinstance(now, bool) else now + 1 if isinstance(now, int) else "adamw_8bit"
    if isinstance(now, float):
        other = now / 2 + 0.1
    if now is None:
        other = 1.0
    changed = dataclasses.replace(SHORT, **{field.name: other})
    assert training.fingerprint(tiny_model, examples, changed) != training.fingerprint(tiny_model, examples, SHORT)


def test_the_fingerprint_changes_with_each_file_that_a_run_depends_on_and_no_other(
    tiny_model, examples, monkeypatch, tmp_path
):
    package = Path(lora.__file__).parent
    shutil.copytree(package, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__", "lessons", "export"))
    monkeypatch.setattr(paths, "package", lambda: tmp_path / "copy")
    lora.attach(tiny_model, r=4)
    before = training.fingerprint(tiny_model, examples, SHORT)
    folders = ("models", "quant", "tasks", "fast", "training")
    files = [
        tmp_path / "copy" / "lora.py",
        tmp_path / "copy" / "targets.py",
        *(file for name in folders for file in (tmp_path / "copy" / name).glob("*.py")),
    ]
    assert {"conversations.py", "loop.py", "nf4.py", "rows.py"} <= {file.name for file in files}
    for file in files:
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "# another\n", encoding="utf-8")
        assert training.fingerprint(tiny_model, examples, SHORT) != before, file
        file.write_text(text, encoding="utf-8")
    (tmp_path / "copy" / "evaluation.py").write_text("# another: no run depends on it")
    assert training.fingerprint(tiny_model, examples, SHORT) == before


def test_what_no_parameter_shows_changes_the_fingerprint(tiny_model, examples):
    """The scales of weights in 4 bits, whose codes are the same for W and for 2·W; a dropout's share; a norm's ε;
    α and rsLoRA."""
    from peft import LoraConfig, get_peft_model

    def packed(times, double):
        model = copy.deepcopy(tiny_model)
        names = [name for name, _ in model.named_modules() if name.endswith("q_proj")]
        for name in names:
            model.get_submodule(name).weight.data *= times
        quant.quantize_linears(model, names, double=double)
        lora.attach(model, r=2)
        return model

    def dropping(share):
        return get_peft_model(copy.deepcopy(tiny_model), LoraConfig(r=2, target_modules=["q_proj"], lora_dropout=share))

    def rounding(epsilon):
        model = copy.deepcopy(tiny_model)
        model.model.norm.variance_epsilon = epsilon
        lora.attach(model, r=2)
        return model

    def scaled(alpha, rslora):
        model = copy.deepcopy(tiny_model)
        lora.attach(model, r=4, lora_alpha=alpha, use_rslora=rslora)
        return model

    for make, ways in (
        (packed, [(1, False), (2, False), (1, True), (2, True)]),
        (dropping, [(0.1,), (0.5,)]),
        (rounding, [(1e-6,), (1e-2,)]),
        (scaled, [(8, False), (64, False), (8, True)]),
    ):
        prints = []
        for way in ways:
            torch.manual_seed(0)  # PEFT draws A from it
            prints.append(training.fingerprint(make(*way), examples, SHORT))
        assert len(set(prints)) == len(ways), make.__name__
