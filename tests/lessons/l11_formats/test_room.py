"""What lesson 11's room says of two numbers: whether their marks are the same,
and whether an interval is apart from zero."""

import torch

from lora_lessons.lessons.l11_formats import measured


def test_marks_next_to_each_other_are_not_the_same():
    W = torch.linspace(-1, 1, 32)[None]
    one = measured.q4_0(W)
    other = one.clone()
    other[0, :8] += 1 / 8
    assert measured.same_marks(one, one) == 1 and measured.same_marks(other, one) == 0.75


def test_apart_means_that_zero_is_outside_the_interval():
    assert measured.apart([-0.2, -0.21, -0.19]) and measured.apart([0.2, 0.21, 0.19])
    assert not measured.apart([-0.2, 0.1, 0.3])
