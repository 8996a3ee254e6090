"""The training bench: both sides take the same steps to the same loss, and the arithmetic is counted, not guessed."""

import json
from itertools import cycle

import pytest
import torch
from short_run import make_examples
from tiny import make_tiny_model
from tiny_folders import BF16, examples, make_folder
from transformers import AutoModelForCausalLM

from lora_lessons import evaluation, lora, models
from lora_lessons.models import tensor_by_tensor
from lora_tools.bench import training_speed as bench


def test_all_sides_train_as_many_numbers_on_the_same_batches_at_the_same_rates(monkeypatch, tmp_path):
    """From one start, the losses after the steps are one number."""
    examples, losses, learned = make_examples(), [], set()
    settings = bench.how(4, in_16_bits=False)
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda t, a=0: t.data.fill_(0.02))  # one start for both
    for by in bench.SIDES.values():
        seconds, trained = by(make_tiny_model(), examples, settings, tmp_path / by.__name__)
        assert seconds > 0
        learned.add(sum(p.numel() for p in trained.parameters() if p.requires_grad))
        losses.append(evaluation.held_out_loss(trained, examples))
    assert len(learned) == 1 and learned.pop() > 0
    start = evaluation.held_out_loss(make_tiny_model(), examples)
    assert losses == pytest.approx([losses[0]] * len(bench.SIDES), abs=1e-5) and losses[0] < start - 1e-3


def test_the_arithmetic_needed_is_what_the_fast_path_multiplies():
    """Counted on the step itself, attention apart: the formula is right to a few percent."""
    from torch.utils.flop_counter import FlopCounterMode

    from lora_lessons.fast import FastPath

    model, examples = make_tiny_model(), make_examples()
    lora.attach(model, r=bench.R, lora_alpha=16)
    in_place = {torch.ops.aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        FastPath(model).loss(examples).backward()
    by_op = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    counted = sum(count for op, count in by_op.items() if "attention" not in op)
    assert bench.needed(model, examples, len(examples)) == pytest.approx(counted, rel=0.05)


def test_the_limit_is_the_best_rate_over_the_models_own_sizes(monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "_rate", lambda d, k, *_: asked.append((d, k)) or d * k)
    assert bench.limit(make_tiny_model()) == 128 * 32  # the head's, the largest
    assert set(asked) == {(32, 32), (16, 32), (64, 32), (32, 64), (128, 32)}


def test_it_runs_both_sides_in_turn_prints_their_ratio_and_keeps_the_recording(monkeypatch, tmp_path, capsys):
    ran = []

    def run(module, task, wanted, folder, environment):
        ran.append((wanted["task"], wanted["side"], wanted["model"]))
        seconds = 2.0 if wanted["side"] == bench.TRAINER else 1.0
        row = {"seconds": seconds, "supervised_per_second": 60 / seconds, "loss": 3.0, "peak": 2e9, "loading": 1e9}
        folder.mkdir(parents=True)
        (folder / "found.json").write_text(json.dumps(row | {"flops": 1e9, "limit": 2e9}), encoding="utf-8")

    monkeypatch.setattr(bench, "run_in_process", run)
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    found = bench.measure(repeats=2, out=tmp_path / "speed.json")
    assert ran == [
        (task, side, models.EMBEDDED)
        for task in bench.TASKS
        for _ in range(2)
        for side in bench.SIDES
        if side != bench.TRL
    ]
    printed = capsys.readouterr().out
    assert (
        "peak 2.00 GB (1.00 once loaded)" in printed
        and "TRL is not installed" in printed
        and "2.00 times Trainer's" in printed
    )
    kept = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert kept["machine"] and len(kept["rows"]) == 6 and found["rows"][1]["share_of_limit"] == 0.5
    ran.clear()
    bench.measure(tmp_path / "mine.json", "a folder", "nf4", repeats=1)
    assert ran == [("persona", bench.TRAINER, "a folder"), ("persona", bench.COURSE, "a folder")]
    mine = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert (mine["model"], mine["precision"], mine["steps"]) == ("a folder", "nf4", bench.OWN_STEPS)


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_both_sides_train_a_folder_in_its_precision_and_the_arithmetic_is_that_of_whole_weights(
    precision, monkeypatch, tmp_path
):
    folder = make_folder(tmp_path / "base")

    def load(model, asked):
        four = asked == "nf4"
        net = (
            tensor_by_tensor.load(folder, BF16)
            if four
            else AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
        )
        return models.Base(models.keep_trainable(net), None, model)

    monkeypatch.setattr(bench.models, "load", load)
    monkeypatch.setattr(bench.tasks, "encode", lambda tokenizer, example: next(encoded))
    found = {}
    for side in (bench.TRAINER, bench.COURSE):
        encoded = cycle(examples(8))
        wanted = {"side": side, "task": "persona", "steps": 2, "precision": precision, "model": str(tmp_path / "base")}
        (tmp_path / side).mkdir()
        bench.one_side(wanted, tmp_path / side)
        found[side] = json.loads((tmp_path / side / "found.json").read_text(encoding="utf-8"))
    theirs, ours = found.values()
    assert ours["flops"] == theirs["flops"] and ours["loss"] == pytest.approx(theirs["loss"], rel=0.02)
    assert ours["limit"] > 0 and ours["peak"] >= ours["loading"] > 0
