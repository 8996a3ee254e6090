"""The shipped adapters: small, in 16 bits, and as good as their record says."""

import pytest
import torch
from safetensors.torch import load_file

from lora_lessons import evaluation, mixing, tasks
from lora_lessons.adapter import ADAPTER_WEIGHTS, read_adapter
from lora_lessons.experiments import shipped_adapters as kept
from workshop.record import shipped_adapters

# One of them always, the others with `make reliability`: each takes half a minute.
EVERY = [
    pytest.param(name, marks=() if name == "persona" else pytest.mark.reliability) for name in shipped_adapters.ABOUT
]


@pytest.mark.parametrize("name", EVERY)
def test_a_shipped_adapter_is_small_in_16_bits_and_gains_what_its_record_says(name, base_fp32):
    file = kept.shipped()[name] / ADAPTER_WEIGHTS
    assert 4.5e6 < file.stat().st_size < 5.5e6 and {t.dtype for t in load_file(file).values()} == {torch.float16}
    made = kept.recorded()["adapters"][name]
    assert made["trained"]["kept"] > made["base"]["kept"] and made["seed"] == 0
    assert (made["steps"], made["rate"]) == (shipped_adapters.STEPS, shipped_adapters.RATE[name])
    task = tasks.load_task(name)
    drawn = evaluation.drawn(task, shipped_adapters.SCORED)
    examples = [tasks.encode(base_fp32.tokenizer, example) for example in drawn]
    with mixing.attached(base_fp32.model, read_adapter(file.parent)) as model:
        assert evaluation.held_out_loss(model, examples) == pytest.approx(made["trained"]["loss"], rel=0.01)


def test_four_are_shipped_and_all_are_trained_alike():
    assert sorted(kept.shipped()) == sorted(shipped_adapters.ABOUT) == sorted(shipped_adapters.RATE)
    assert {shipped_adapters.settings(name).steps for name in shipped_adapters.ABOUT} == {shipped_adapters.STEPS}
    assert all(tasks.load_task(name) for name in shipped_adapters.ABOUT)
    made = kept.recorded()
    assert {"date", "machine", "versions"} < set(made)
    assert {name: one["rate"] for name, one in made["adapters"].items()} == shipped_adapters.RATE
