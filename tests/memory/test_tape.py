"""The tape against what it does not share a line with: PyTorch's profiler, its memory tracker, saved-tensor hooks; and
what a forward pass keeps."""

import bitsandbytes as bnb
import pytest
import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker

from lora_lessons.memory import tape
from lora_lessons.memory.tape import kept_for_backward, out_and_kept
from lora_lessons.tasks import Encoded


def batch_of(model, batch=2, seq=16):
    ids = torch.randint(3, model.config.vocab_size, (batch, seq), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "labels": ids}


def ready(model):
    """AdamW over what trains, its state made."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    model(**batch_of(model)).loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return optimizer


def test_births_and_deaths_by_hand():
    written = tape.Tape()
    x = torch.zeros(1000)
    written.see(x, "rest")
    with written:
        y = x + 1  # + 4,000 bytes
        z = y.view(10, 100) * 2  # a view is no birth; + 4,000
        del y
        z.add_(1)  # in place: nothing
        z = z.sum()
    trace = written.read()
    assert trace.sizes.tolist() == [4000, 4000, 4000, 4]
    assert list(zip(trace.numbers.tolist(), trace.signs.tolist(), strict=True)) == [
        (0, 1),
        (1, 1),
        (2, 1),
        (1, -1),
        (3, 1),
        (2, -1),
    ]
    forward = trace.peaks()[0, :, 0]
    assert forward[tape.KINDS.index("rest")] == 4000 and forward.sum() == 12_000


def test_the_four_bit_product_still_has_the_name_that_the_tape_looks_for():
    """Its dequantized weight lives inside the kernel: under another name it would be missing from every bill,
    silently."""
    layer = bnb.nn.Linear4bit(192, 320, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    layer.weight = bnb.nn.Params4bit(torch.randn(320, 192), requires_grad=False, quant_type="nf4").to("cpu")
    layer.support_avx512bf16_for_cpu = False
    with (written := tape.Tape()):
        layer(torch.randn(5, 192, requires_grad=True))
    assert 320 * 192 * 4 in written.read().sizes.tolist()


def test_factors_tell_by_what_a_size_grows():
    batch, seq, r = 1009, 9241, 13
    assert tape.factors(4 * batch * seq * 96, (batch, seq, r)) == (384.0, (1, 1, 0))
    assert tape.factors(2 * batch * seq * seq * r, (batch, seq, r)) == (2.0, (1, 2, 1))
    assert tape.factors(8 * batch * (seq + 1), (batch, seq, r)) == (8.0, (1, 1, 0)), "labels with one pad"
    assert tape.factors(batch * 64 * seq * (seq + 1), (batch, seq, r)) == (64.0, (1, 2, 0)), "scores with a sink"
    assert tape.factors(0, (batch, seq, r)) == (0.0, (0, 0, 0)) and tape.factors(14, (0, 0, 0)) == (14.0, (0, 0, 0))


def test_the_step_is_the_step_that_it_watches(tiny_model):
    """Weights after a taped step are those after the same step without a tape."""
    after = []
    for taped in (True, False):
        model = type(tiny_model)(tiny_model.config).train()
        model.load_state_dict(tiny_model.state_dict())
        optimizer = ready(model)
        if taped:
            tape.step(model, batch_of(model), optimizer)
        else:
            model(**batch_of(model)).loss.backward()
            optimizer.step()
        after.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*after, strict=True))


def test_pytorchs_memory_tracker_agrees(tiny_model):
    model = tiny_model.train()
    optimizer, batch = ready(model), batch_of(model, 2, 64)
    ours = tape.step(model, batch, optimizer).read().peaks()[:, :, 0].sum(axis=1).max()
    tracker = MemTracker()
    tracker.track_external(model, optimizer)
    with tracker:
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    theirs = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]
    assert ours == pytest.approx(theirs, rel=0.01)


def test_what_is_no_language_model_is_refused():
    with pytest.raises(ValueError, match="no output head"):
        tape.step(nn.Linear(2, 2), {}, torch.optim.SGD(nn.Linear(2, 2).parameters()))


def test_hooks_are_taken_off_when_a_step_fails(tiny_model):
    model = tiny_model.train()
    optimizer = ready(model)
    with pytest.raises(ValueError, match="input_ids"):
        tape.step(model, {"nonsense": torch.zeros(1)}, optimizer)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


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
