"""The ways to take a loss: the same number and gradient each time, and the copies of the logits that the plan says."""

from dataclasses import replace

import pytest
import torch
from tiny_configs import small
from transformers import AutoModelForCausalLM

from lora_lessons import memory
from lora_lessons.memory import Job, bill
from lora_lessons.tools import planning

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
    from transformers.loss.loss_utils import ForCausalLMLoss

    torch.manual_seed(0)
    logits, labels = torch.randn(2, tokens, WORDS), torch.randint(WORDS, (2, tokens))
    labels[0, :9] = -100
    leaf = logits.clone().requires_grad_()
    theirs = ForCausalLMLoss(leaf, labels, WORDS)
    theirs.backward()
    ours, gradient = taken(way, logits, labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, leaf.grad)


@pytest.mark.parametrize("recipe", memory.RECIPES)
@pytest.mark.parametrize("way", WAYS)
def test_a_real_step_holds_what_is_planned(way, recipe):
    """On "meta" an eighth of the words stands for an eighth of the tokens."""
    shape, job = memory.shape_of(small("llama")), Job("lora", r=8, seq=TOKENS, batch_size=2, recipe=recipe, loss=way)
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


def test_a_model_with_a_loss_of_its_own_is_refused():
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(small("bart"))
    bill.use(model, "whole")
    with pytest.raises(ValueError, match="plan it with loss = 'whole'"):
        bill.use(model, "chunked")


def test_the_way_is_said():
    assert planning.describe(Job(loss="chunked")).endswith("the loss in chunks")
    with pytest.raises(ValueError, match="loss 'sum' is not known: choose one of whole, shifted, chunked"):
        Job(loss="sum")
