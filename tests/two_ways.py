"""A batch for the fast path and the plain one, and what either makes of it."""

import torch

from lora_lessons.tasks import IGNORED, Encoded


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
