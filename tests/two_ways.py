"""A batch for the fast path and the plain one, and what either makes of it."""

import pytest
import torch

from lora_lessons.fast import FastPath
from lora_lessons.tasks import IGNORED, Encoded
from lora_lessons.training.losses import plain


def batch(lengths=((9, 5), (14, 3), (11, 8)), vocabulary=500, shared=6):
    """Conversations of random tokens (prompt, answer) with the same first tokens."""
    generator = torch.Generator().manual_seed(1)
    draw = lambda n: torch.randint(3, vocabulary, (n,), generator=generator)  # noqa: E731
    opening, made = draw(shared), []
    for prompt, answer in lengths:
        ids = torch.cat([opening, draw(prompt - shared), draw(answer)])
        labels = ids.clone()
        labels[:prompt] = IGNORED
        made.append(Encoded(ids, labels))
    return made


def loss_and_gradients(model, loss_of, examples):
    model.zero_grad()
    loss = loss_of(examples)
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(model, examples=None, limit=1e-5, loss_of=None):
    """Loss and gradients equal to the plain path's within `limit`."""
    examples = examples or batch()
    loss, wanted = loss_and_gradients(model, plain(model), examples)
    found_loss, found = loss_and_gradients(model, loss_of or FastPath(model).loss, examples)
    assert found_loss == pytest.approx(loss, rel=limit) and found.keys() == wanted.keys() and len(found) > 0
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= limit * gradient.norm(), name
