"""A run's name changes with everything that its result depends on."""

import copy
import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from short_run import SHORT

from lora_lessons import lora, paths, quant, tasks, training
from lora_lessons.training import Settings


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
