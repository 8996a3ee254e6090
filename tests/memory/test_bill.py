"""The ledger against real tensors: what PyTorch and bitsandbytes hold is what it predicts, to the byte."""

import pytest
import torch

from lora_lessons import lora, memory


def held(model):
    """A Bill of the tensors that one AdamW step leaves behind, each counted from its storage."""
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned)
    model(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    optimizer.step()
    states = [optimizer.state[p] for p in learned]
    assert all(set(s) == {"step", "exp_avg", "exp_avg_sq"} and s["step"].numel() == 1 for s in states)
    adapters = [p for name, p in model.named_parameters() if "lora_" in name]
    blocks = [p for name, p in model.named_parameters() if "proj" in name and "lora_" not in name]
    return memory.Bill(
        base=memory.held_bytes(blocks),
        rest=memory.held_bytes(p for name, p in model.named_parameters() if "proj" not in name),
        adapters=memory.held_bytes(adapters),
        gradients=memory.held_bytes(p.grad for p in model.parameters() if p.grad is not None),
        optimizer=memory.held_bytes(s[moment] for s in states for moment in ("exp_avg", "exp_avg_sq")),
    )


def unquantized(model):
    """The numbers outside the blocks' linear layers."""
    return sum(p.numel() for name, p in model.named_parameters() if "proj" not in name)


@pytest.mark.parametrize("method, dtype", [("full fp32", torch.float32), ("full bf16", torch.bfloat16)])
def test_full_fine_tuning_holds_what_the_ledger_says(tiny_model, method, dtype):
    model = tiny_model.to(dtype)
    bill = held(model)
    assert bill == memory.state(sum(p.numel() for p in model.parameters()), method, 0, unquantized(model))
    assert bill.total == bill.fixed == bill.weights * 4


def test_lora_holds_what_the_ledger_says(tiny_model):
    model = tiny_model.to(torch.bfloat16)
    parameters, outside = sum(p.numel() for p in model.parameters()), unquantized(model)
    lora.attach(model, r=4, lora_alpha=8)
    assert held(model) == memory.state(parameters, "lora", lora.trainable_parameters(model), outside)


def test_nf4_takes_what_bitsandbytes_takes():
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(512, 1024, generator=torch.Generator().manual_seed(0))
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    real = memory.held_bytes([packed, state.absmax, state.state2.absmax])  # the codebooks are shared by all layers
    assert real == pytest.approx(memory.BASE_BYTES["nf4"] * weight.numel(), rel=1e-4)


def test_what_it_does_not_know_it_says():
    with pytest.raises(ValueError, match="'lroa' is not known: choose one of full fp32, full bf16, lora, qlora"):
        memory.state(10, "lroa")
    with pytest.raises(ValueError, match="lora trains adapters"):
        memory.state(10, "lora")


def test_a_ledger_is_reconciled_line_by_line():
    predicted = memory.Bill(base=100e6, activations=30e6, working=5e6)
    measured = memory.Bill(base=100e6, activations=25e6, logits=5e6)
    lines = {line.name: line for line in memory.reconcile(predicted, measured)}
    assert list(lines) == ["weights", "  linear layers", "activations", "logits, loss", "working", "total"]
    assert lines["weights"].error == 0 and lines["activations"].error == pytest.approx(0.2)
    assert lines["logits, loss"].error == -1 and lines["working"].error == float("inf")
    assert lines["total"].error == pytest.approx(135 / 130 - 1)


def test_every_size_of_a_bill_has_one_line_and_its_parts_sum_to_the_total():
    bill = memory.Bill(*(2.0**n for n in range(10)))
    assert list(memory.LINES) == ["weights", *memory.Bill._fields] and bill.lines["  NF4's scales"] == 2
    assert sum(bill.parts.values()) == bill.total and len(bill.parts) == 8
    assert list(bill.parts)[:2] == ["weights", "adapters"] and bill.parts["weights"] == 7


def test_shared_storage_counts_once():
    t = torch.zeros(10)
    assert memory.held_bytes([t, t[:5], t.view(2, 5)]) == 40
