"""The ledger against real tensors, to the byte; and the ways to take a loss: the same number and gradient each time,
and the copies of the logits that the plan says."""

from dataclasses import replace

import pytest
import torch
from tiny_configs import small
from transformers import AutoModelForCausalLM
from transformers.loss.loss_utils import ForCausalLMLoss

from lora_lessons import memory, planning
from lora_lessons.memory import Job, bill


def test_nf4_takes_what_bitsandbytes_takes():
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = torch.randn(512, 1024, generator=torch.Generator().manual_seed(0))
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    real = memory.held_bytes([packed, state.absmax, state.state2.absmax])  # the codebooks are shared by all layers
    assert real == pytest.approx(memory.BASE_BYTES["nf4"] * weight.numel(), rel=1e-4)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: memory.state(10, "lroa"), "'lroa' is not known: choose one of full fp32, full bf16, lora, qlora"),
        (lambda: memory.state(10, "lora"), "lora trains adapters"),
        (lambda: Job(loss="sum"), "loss 'sum' is not known: choose one of whole, shifted, chunked, fused"),
        (
            # where the loss takes the head's weight
            lambda: memory.predict(
                small("llama"), Job("lora", r=4, seq=64, target_modules=("q_proj", "lm_head"), loss="fused")
            ),
            "leave the head out of target_modules",
        ),
    ],
    ids=range(4),
)
def test_what_cannot_be_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


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


TOKENS, WORDS = 64, 1000
WAYS = ("shifted", "chunked")


def taken(way, logits, labels):
    """The loss in that way, and the gradient of the logits."""
    leaf = logits.clone().requires_grad_()
    made = getattr(bill, way)(logits=leaf * 1, labels=labels, vocab_size=WORDS)
    made.backward()
    return made, leaf.grad


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("tokens", [TOKENS, 37])
def test_loss_and_gradient_are_those_of_transformers(way, tokens):
    torch.manual_seed(0)
    logits, labels = torch.randn(2, tokens, WORDS), torch.randint(WORDS, (2, tokens))
    labels[0, :9] = -100
    leaf = logits.clone().requires_grad_()
    theirs = ForCausalLMLoss(leaf, labels, WORDS)
    theirs.backward()
    ours, gradient = taken(way, logits, labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, leaf.grad)


@pytest.mark.parametrize("tokens", [bill.AT_ONCE, 37])
def test_a_fused_loss_and_its_gradients_are_those_of_transformers(tokens):
    """Of what the head reads, and of the head."""
    torch.manual_seed(0)
    read, labels, head = (
        torch.randn(2, tokens, 32),
        torch.randint(WORDS, (2, tokens)),
        torch.nn.Linear(32, WORDS, False),
    )
    labels[0, :9] = -100
    leaf = read.clone().requires_grad_()
    theirs = ForCausalLMLoss(head(leaf), labels, WORDS)
    wanted = torch.autograd.grad(theirs, [leaf, head.weight])
    ours = bill.fused(head, leaf, labels, WORDS)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, [leaf, head.weight]), wanted)


@pytest.mark.parametrize("recipe", ["course", "hf"])
@pytest.mark.parametrize("way", [*WAYS, "fused"])
def test_a_real_step_holds_what_is_planned(way, recipe):
    """On "meta" an eighth of the words stands for an eighth of the tokens, and the first tokens for all."""
    tokens = bill.AT_ONCE if way == "fused" else TOKENS
    shape, job = memory.shape_of(small("llama")), Job("lora", r=8, seq=tokens, batch_size=2, recipe=recipe, loss=way)
    model, optimizer = memory.build(shape, job, "cpu")
    ids = torch.randint(3, WORDS, (job.batch_size, job.seq))
    measured = memory.measure(model, {"input_ids": ids, "labels": ids}, optimizer)
    predicted = memory.predict(shape, job, card=False)
    assert predicted.moment == measured.moment
    for moment, held in measured.moments.items():
        for line in memory.reconcile(predicted.moments[moment], held):
            assert abs(line.predicted - line.measured) <= max(0.05 * line.measured, 2e-3 * held.total), (
                f"{moment}: {line}"
            )


def test_bytes_per_logit():
    """16-bit logits, their 32-bit copy and its log-softmax; the shifted copy; or 16 bits and an eighth of the rest."""
    job = Job("lora", seq=4096, fast=False)
    logits = 32000 * job.seq

    def each(way):
        return memory.predict("Llama-2-7B", replace(job, loss=way)).moments["loss"].logits / logits

    assert each("whole") == pytest.approx(12, rel=0.01)  # on the way back: the log-softmax and two gradients
    assert each("shifted") == pytest.approx(14, rel=0.01)
    assert each("chunked") == pytest.approx(2 + 8 / bill.CHUNKS, rel=0.01)
    assert each("fused") < 2


def test_a_fused_loss_grows_with_what_the_head_reads_and_not_with_the_words():
    """As in TRL: the 32-bit gradient of what the head reads, and its copy in 16 bits."""
    short, long = (memory.predict("Qwen3-8B", Job(seq=n, loss="fused")).moments["loss"].logits for n in (8192, 16384))
    assert long - short == pytest.approx(8192 * 4096 * 6, rel=0.01)
    whole = memory.predict("Qwen3-8B", Job(seq=8192)).moments["loss"].logits
    assert short < whole / 10


def test_the_whole_loss_is_twice_what_ligers_kernel_held_on_a_card():
    """halo (whitecircle/halo, agent-docs/optimization/liger-kernels.md, September 2026): Qwen3-8B, 16,384 tokens,
    78.6 GiB without Liger.

    With Liger's cross-entropy, whose gradient takes the logits' place, 64.6: so 6 of the 12 bytes of each logit went.
    """
    saved = (78.6 - 64.6) * bill.GIB
    whole = memory.predict("Qwen3-8B", Job(seq=16384)).moments["loss"].logits
    assert whole / 2 == pytest.approx(saved, rel=0.02)


def test_a_model_with_a_loss_of_its_own_is_refused():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(small("bart"))
    bill.use(model, "whole")
    with pytest.raises(ValueError, match="plan it with loss = 'whole'"):
        bill.use(model, "chunked")


def test_the_way_is_said():
    assert planning.describe(Job(loss="chunked")).endswith("the loss in chunks")
    assert planning.describe(Job(loss="fused")).endswith("a fused loss")
