"""What a forward pass keeps: neither what went in nor what the model holds anyway counts,
and its output is handed on."""

import pytest
import torch
from torch import nn

from lora_lessons.memory.tape import kept_for_backward, out_and_kept
from lora_lessons.tasks import Encoded


def test_a_layers_input_and_weight_are_there_anyway_and_what_lies_between_is_kept():
    net = nn.Sequential(nn.Linear(8, 16), nn.SiLU(), nn.Linear(16, 4))
    x = torch.randn(3, 8)
    out, kept = out_and_kept(net, x, net)
    assert torch.equal(out, net(x))
    assert kept == 2 * 4 * 3 * 16, "before and after SiLU"


@pytest.mark.parametrize("rows", [1, 3])
def test_a_batch_of_conversations_goes_in_as_it_is(rows):
    table = nn.Embedding(10, 4)
    batch = [Encoded(torch.arange(5), torch.arange(5))] * rows
    kept = kept_for_backward(lambda batch: sum(table(one.input_ids).sum() for one in batch), batch, table)
    assert kept == 0, "an embedding's way back needs only the ids, which are the batch's own"
