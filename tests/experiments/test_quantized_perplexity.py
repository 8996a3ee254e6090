"""The recordings behind lesson 10 and its side trip: what they are calibrated on, what they hold, how they are made."""

import torch

from lora_lessons import models, tasks
from lora_lessons.experiments import quantized_perplexity


class Words:
    """A tokenizer whose tokens are words."""

    def __init__(self):
        self.ids = {}

    def __call__(self, text, **_):
        return {"input_ids": torch.tensor([[self.ids.setdefault(word, len(self.ids)) for word in text.split()]])}


def test_the_calibration_text_is_no_part_of_the_text_measured_on():
    base = models.Base(None, Words(), "words")
    measured = base.tokenizer(tasks.general_text())["input_ids"][0].tolist()
    runs = {tuple(measured[i : i + 8]) for i in range(len(measured) - 7)}
    read = torch.cat(quantized_perplexity.calibration(base, 0, windows=200, length=64)).tolist()
    assert not any(tuple(window[i : i + 8]) in runs for window in read for i in range(57))


def test_calibration_is_drawn_by_its_seed():
    base = models.Base(None, Words(), "words")
    first, again, other = (quantized_perplexity.calibration(base, seed, windows=6, length=32) for seed in (0, 0, 1))
    assert [batch.shape for batch in first] == [(4, 32), (2, 32)]
    assert torch.equal(torch.cat(first), torch.cat(again)) and not torch.equal(torch.cat(first), torch.cat(other))
