"""Distillation: which KL is which, who learns, what a sample is worth; and the same losses out of TRL."""

import pytest
import torch

from lora_lessons import distillation


@pytest.fixture
def made():
    """Logits of a teacher and of a student, answers × places × words, and which places are taught."""
    torch.manual_seed(0)
    teacher, student = (torch.randn(3, 5, 11, requires_grad=True) for _ in range(2))
    taught = torch.tensor([[1, 1, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    return teacher, student, taught


@pytest.mark.parametrize(("kl", "beta"), [(distillation.forward_kl, 0.0), (distillation.reverse_kl, 1.0)])
def test_ours_is_trls_in_its_loss_and_its_gradients(made, kl, beta):
    trl = pytest.importorskip("trl.experimental.gkd")
    teacher, student, taught = made
    loss = kl(teacher, student, taught)
    labels = torch.where(taught, 1, -100)
    theirs = trl.GKDTrainer.generalized_jsd_loss(student, teacher.detach(), labels, beta)
    assert loss.item() == pytest.approx(theirs.item(), abs=1e-6) and loss.item() > 0.1
    mine, same = (torch.autograd.grad(one, student)[0] for one in (loss, theirs))
    assert mine.abs().max() > 1e-3 and torch.allclose(mine, same, atol=1e-6)
    assert torch.autograd.grad(kl(teacher, student, taught), teacher, allow_unused=True) == (None,)


def test_a_sample_pushes_as_the_reverse_kl_does_on_average(made):
    """At one place: what every word of the vocabulary pushes, weighed by how likely the student says it."""
    teacher, student = (logits.detach()[:1, :1] for logits in made[:2])
    student.requires_grad_()
    here = torch.ones(1, 1).bool()
    p, q = teacher.log_softmax(-1), student.log_softmax(-1)
    pushes = [distillation.on_policy(q[..., word], p[..., word], here) for word in range(11)]
    on_average = sum(q[0, 0, word].exp().detach() * push for word, push in enumerate(pushes))
    mine, same = (
        torch.autograd.grad(one, student, retain_graph=True)[0]
        for one in (on_average, distillation.reverse_kl(teacher, student, here))
    )
    assert mine.abs().max() > 1e-2 and torch.allclose(mine, same, atol=1e-6)
    naive = sum(q[0, 0, word].exp().detach() * (q - p)[0, 0, word] for word in range(11))
    assert torch.autograd.grad(naive, student)[0].abs().max() < 1e-6, "differentiated as it is, it teaches nothing"
