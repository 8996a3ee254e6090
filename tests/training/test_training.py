"""The loop: repeatable, resumable after kill -9, strict about gradients, losses and settings."""

import copy
import dataclasses
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import peft
import peft.optimizers
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from lora_lessons import lora, models, tasks, training
from lora_lessons.training import Settings, TrainingStopped, train

SHORT = Settings(steps=6, batch_size=2, learning_rate=1e-2, warmup=1, checkpoint_every=2)


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 128, (8, 10), generator=generator)
    labels = ids.clone()
    labels[:, :4] = tasks.IGNORED
    return [tasks.Encoded(i, label) for i, label in zip(ids, labels, strict=True)]


def adapter(model):
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_loss_falls_and_the_base_stays_bit_for_bit(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    digest = models.weights_digest(tiny_model)
    result = train(tiny_model, examples, dataclasses.replace(SHORT, steps=30), run_dir=tmp_path)
    assert result.losses[-1] < result.losses[0] - 0.1
    assert models.weights_digest(tiny_model) == digest
    assert result.supervised == 30 * 2 * 6 and result.tokens == 30 * 2 * 10


def test_same_seed_same_adapter_other_seed_another(tiny_model, examples, tmp_path):
    state, runs = {k: v.clone() for k, v in tiny_model.state_dict().items()}, []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_model.load_state_dict(state)
        lora.attach(tiny_model, r=4)
        train(tiny_model, examples, dataclasses.replace(SHORT, seed=seed), run_dir=tmp_path / name)
        runs.append(adapter(tiny_model))
        lora.detach(tiny_model)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


KILLED = """
    import os, signal, sys, torch
    sys.path[:0] = {tests!r}
    from tiny import make_tiny_model
    from test_training import SHORT
    from lora_lessons import lora, tasks, training
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 128, (8, 10), generator=generator)
    labels = ids.clone(); labels[:, :4] = tasks.IGNORED
    model = make_tiny_model()
    lora.attach(model, r=4)
    forward, calls = model.forward, [0]
    def counting(*args, **kwargs):
        calls[0] += 1
        if calls[0] == 6:  # in the sixth step, after the checkpoint of step 4
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(*args, **kwargs)
    model.forward = counting
    training.train(model, [tasks.Encoded(i, l) for i, l in zip(ids, labels)], SHORT, run_dir={folder!r})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_and_resumed_equals_unbroken_bit_for_bit(tiny_model, examples, tmp_path, capsys):
    tests = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = textwrap.dedent(KILLED.format(tests=tests, folder=str(tmp_path / "killed")))
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


def test_the_fingerprint_changes_with_weights_data_settings_and_code(tiny_model, examples, monkeypatch, tmp_path):
    lora.attach(tiny_model, r=4)
    prints = [training.fingerprint(tiny_model, examples, SHORT)]
    assert training.fingerprint(tiny_model, examples, SHORT) == prints[0]
    prints.append(training.fingerprint(tiny_model, examples[1:], SHORT))
    prints.append(training.fingerprint(tiny_model, examples, dataclasses.replace(SHORT, seed=3)))
    with torch.no_grad():
        tiny_model.model.embed_tokens.weight[5, 5] += 1e-3
    prints.append(training.fingerprint(tiny_model, examples, SHORT))
    changed = tmp_path / "lora.py"
    changed.write_text("# another layer")
    monkeypatch.setattr(lora, "__file__", str(changed))
    prints.append(training.fingerprint(tiny_model, examples, SHORT))
    assert len(set(prints)) == 5


def test_alpha_and_rslora_change_the_fingerprint_though_no_weight_shows_them(tiny_model, examples):
    prints = set()
    for settings in ({"lora_alpha": 8}, {"lora_alpha": 64}, {"lora_alpha": 8, "use_rslora": True}):
        lora.attach(tiny_model, r=4, **settings)
        prints.add(training.fingerprint(tiny_model, examples, SHORT))
        lora.detach(tiny_model)
    assert len(prints) == 3


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


def test_a_nan_loss_stops_with_advice(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    with torch.no_grad():
        tiny_model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(TrainingStopped, match="lower the learning rate"):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert not (tmp_path / training.FINISHED).exists()


class NoGradient(nn.Linear):
    """Stands in for any layer whose forward cuts the graph, such as a quantized one without autograd."""

    def forward(self, x):
        return super().forward(x.detach())


def test_matrices_without_gradient_stop_training_and_are_named(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4, target_modules=["q_proj", "down_proj"])
    cut = tiny_model.model.layers[1].mlp.down_proj.base_layer
    cut.__class__ = NoGradient  # down_proj of layer 1: everything below it in this branch goes silent
    tiny_model.model.layers[1].mlp.down_proj.forward = lambda x: cut(x)
    with pytest.raises(
        TrainingStopped, match=r"1 of 8 trainable matrices got no gradient: .*layers\.1\.mlp\.down_proj\.lora_B|2 of 8"
    ):
        train(tiny_model, examples, SHORT, run_dir=tmp_path)


def test_a_silent_lora_a_is_noticed_once_its_b_is_not_zero(tiny_model):
    lora.attach(tiny_model, r=2, target_modules=["q_proj"])
    learned = {n: p for n, p in tiny_model.named_parameters() if p.requires_grad}
    for p in learned.values():
        p.grad = torch.ones_like(p)
    name = next(n for n in learned if "lora_A" in n)
    learned[name].grad.zero_()
    training.check_gradients(learned)  # B is zero: A waits
    learned[name.replace("lora_A", "lora_B")].data.fill_(1.0)
    with pytest.raises(TrainingStopped, match="lora_A"):
        training.check_gradients(learned)


def test_nothing_to_train_is_an_error(tiny_model, examples):
    with pytest.raises(ValueError, match="Attach adapters first"):
        train(tiny_model.requires_grad_(False), examples, SHORT)
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="empty"):
        train(tiny_model, [], SHORT)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch_size": 1.5},
        {"learning_rate": 0},
        {"learning_rate": "eight"},
        {"warmup": -1},
        {"checkpoint_every": True},
        {"lr_ratio": 0},
        {"lr_ratio": "16"},
        {"lr_ratio": float("inf")},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Settings(**wrong)


def test_the_rate_rises_then_falls_and_batches_cover_each_epoch():
    s = Settings(steps=10, batch_size=2, warmup=3, learning_rate=0.1)
    rates = [s.rate(i) for i in range(10)]
    assert rates[0] < rates[1] < rates[2] < rates[3] == pytest.approx(0.1) and rates[-1] < rates[-2] < rates[4]
    order = training.batches(10, s)
    assert sorted(sum(order[:5], [])) == list(range(10)) == sorted(sum(order[5:], []))


def test_lr_ratio_is_pefts_lora_plus(tiny_model, examples, tmp_path):
    settings, trained = dataclasses.replace(SHORT, lr_ratio=16.0), []
    for library in (False, True):
        torch.manual_seed(0)
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        model = peft.get_peft_model(copy.deepcopy(tiny_model), config)
        if not library:
            losses = train(model, examples, settings, run_dir=tmp_path).losses
        else:
            losses = _loop(model, examples, settings, peft.optimizers.create_loraplus_optimizer)
        trained.append((losses, adapter(model)))
    (ours, mine), (theirs, yours) = trained
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert mine.keys() == yours.keys() and all(torch.allclose(mine[n], yours[n], atol=1e-6) for n in mine)
    lora.attach(tiny_model, r=4, lora_alpha=8)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "plain").losses
    assert plain[-1] != pytest.approx(ours[-1], abs=1e-3), "the ratio matters"


def _loop(model, examples, settings, create):
    """PEFT's LoRA+ in the shortest loop: each group's own rate, times where the schedule stands."""
    optimizer = create(model, torch.optim.AdamW, lr=settings.learning_rate, loraplus_lr_ratio=settings.lr_ratio)
    peak, losses = [group["lr"] for group in optimizer.param_groups], []
    for step, batch in enumerate(training.batches(len(examples), settings)):
        for group, rate in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = rate * settings.rate(step) / settings.learning_rate
        loss = model.train()(**tasks.collate([examples[i] for i in batch], pad_id=0)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_full_disk_is_a_sentence_and_leaves_the_old_checkpoint(tiny_model, examples, tmp_path, monkeypatch):
    lora.attach(tiny_model, r=4)

    for number, failure in enumerate(
        (OSError(28, "No space left on device"), SafetensorError("No space left on device"))
    ):

        def full(*args, failure=failure, **kwargs):
            raise failure

        monkeypatch.setattr(loop, "save_file", full)
        tiny_model.train(False)
        with pytest.raises(TrainingStopped, match="free some room"):
            train(tiny_model, examples, SHORT, run_dir=tmp_path / str(number))
        assert list((tmp_path / str(number)).iterdir()) == []
        assert not tiny_model.training, "the model is left in the mode it was found in"


def test_the_file_holds_only_tensors_and_text(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    train(tiny_model, examples, SHORT, run_dir=tmp_path)
    assert all(name.startswith("weights.") for name in load_file(tmp_path / training.FINISHED))


class Killed(Exception):
    """Stands for whatever stops a run in the middle of it."""


def broken_and_whole(make, examples, settings, tmp_path):
    """The same run, once stopped in its fourth step and resumed, once unbroken: losses and adapters of both."""
    found = []
    for name in ("broken", "whole"):
        model = make()
        if name == "broken":
            forward, calls = model.forward, []

            def stopping(*args, forward=forward, calls=calls, **kwargs):
                calls.append(1)
                if len(calls) == 4:
                    raise Killed
                return forward(*args, **kwargs)

            model.forward = stopping
            with pytest.raises(Killed):
                train(model, examples, settings, run_dir=tmp_path / name)
            assert (tmp_path / name / training.CHECKPOINT).is_file()
            model = make()
        result = train(model, examples, settings, run_dir=tmp_path / name)
        found.append((result, adapter(model)))
    return found


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_every_optimizer_resumes_bit_for_bit(tiny_model, examples, tmp_path, optimizer):
    def make():
        model = copy.deepcopy(tiny_model)
        lora.attach(model, r=128 // 4, target_modules=["q_proj", "gate_proj"])
        for _, layer in lora.lora_layers(model):
            nn.init.normal_(layer.lora_B, std=0.01, generator=torch.Generator().manual_seed(0))
        return model

    monkey = dataclasses.replace(SHORT, optimizer=optimizer)
    (broken, one), (whole, other) = broken_and_whole(make, examples, monkey, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert broken.optimizer_bytes == whole.optimizer_bytes


def test_8_bit_moments_are_a_quarter_and_train_alike(examples, tmp_path):
    """bitsandbytes keeps moments of fewer than 4,096 numbers in fp32, so this needs a wider layer."""
    from tiny import make_tiny_model

    found = {}
    for optimizer in ("adamw", "adamw_8bit"):
        model = make_tiny_model()
        model.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(True)  # 128 × 32 numbers
        settings = dataclasses.replace(SHORT, steps=20, learning_rate=1e-3, optimizer=optimizer)
        found[optimizer] = train(model, examples, settings, run_dir=tmp_path / optimizer)
    assert found["adamw"].optimizer_bytes == 2 * 4 * 4096
    assert found["adamw_8bit"].optimizer_bytes == 2 * (4096 + 4 * 4096 // 256)
    assert found["adamw_8bit"].losses == pytest.approx(found["adamw"].losses, abs=0.05)
    assert found["adamw_8bit"].losses != found["adamw"].losses


def test_a_paged_optimizer_needs_a_card_and_an_unknown_one_is_named(tiny_model, examples, tmp_path):
    lora.attach(tiny_model, r=4)
    with pytest.raises(ValueError, match="on a CPU choose 'adamw_8bit' or 'adamw'"):
        train(tiny_model, examples, dataclasses.replace(SHORT, optimizer="paged_adamw_8bit"), run_dir=tmp_path)
    with pytest.raises(ValueError, match="'sgd' is not known: choose from adamw, adamw_8bit, paged_adamw_8bit"):
        Settings(optimizer="sgd")


def test_checkpointing_keeps_less_and_changes_nothing(tiny_model, examples, tmp_path):
    found = {}
    for on in (False, True):
        model = copy.deepcopy(tiny_model)
        lora.attach(model, r=4)
        kept = []
        batch = tasks.collate(examples[:2], pad_id=0)
        with (
            training.checkpointing(model.train()) if on else training.nullcontext(),
            torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.nbytes) or t, lambda t: t),
        ):
            model(**batch)
        settings = dataclasses.replace(SHORT, gradient_checkpointing=on)
        losses = train(model, examples, settings, run_dir=tmp_path / str(on)).losses
        found[on] = (losses, adapter(model), sum(kept))
        assert not any(getattr(m, "gradient_checkpointing", False) for m in model.modules()), "left as it was found"
        assert model.config.use_cache
    assert found[True][0] == pytest.approx(found[False][0], abs=1e-6)
    assert all(torch.allclose(p, found[False][1][name], atol=1e-6) for name, p in found[True][1].items())
    assert found[True][2] < found[False][2] / 2


def test_fp16_trains_with_a_scaled_loss_and_resumes(tiny_model, examples, tmp_path):
    def make():
        model = copy.deepcopy(tiny_model).half()
        lora.attach(model, r=4)
        return model

    (broken, one), (whole, other) = broken_and_whole(make, examples, SHORT, tmp_path)
    assert broken.losses == whole.losses and same(one, other)
    assert whole.loss_scale["scale"] == 2.0**12 and whole.loss_scale["_growth_tracker"] == SHORT.steps
    lora.attach(tiny_model, r=4)
    plain = train(tiny_model, examples, SHORT, run_dir=tmp_path / "fp32")
    assert whole.losses == pytest.approx(plain.losses, abs=0.02) and plain.loss_scale == {}
