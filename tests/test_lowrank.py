"""Low rank: the truncation is the best one, and the small sums around it are right."""

import pytest
import torch

from lora_lessons import lowrank


@pytest.fixture
def W():
    return torch.randn(12, 20, generator=torch.Generator().manual_seed(0))


def test_error_equals_the_discarded_singular_values(W):
    """Eckart and Young: what is lost is exactly the tail of the spectrum."""
    S = lowrank.svd(W).S
    for r in (1, 5, 11, 12):
        tail = float((S[r:] ** 2).sum().sqrt() / (S**2).sum().sqrt())
        assert lowrank.relative_error(W, lowrank.truncate(W, r)) == pytest.approx(tail, abs=1e-6)


def test_factors_have_the_shapes_of_b_and_a(W):
    B, A = lowrank.factors(lowrank.svd(W), 3)
    assert B.shape == (12, 3) and A.shape == (3, 20)
    assert torch.allclose(B @ A, lowrank.truncate(W, 3), atol=1e-5)


def test_rank_for_energy_is_the_smallest_that_suffices():
    S = torch.tensor([3.0, 2.0, 1.0, 1.0])  # energy 9, 13, 14, 15 of 15
    assert [lowrank.rank_for_energy(S, share) for share in (0.5, 0.6, 0.61, 13 / 15, 0.9, 1.0)] == [1, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("d,k", [(576, 576), (576, 1536), (3, 7), (4096, 11008)])
def test_break_even_rank_is_the_last_that_saves(d, k):
    r = lowrank.break_even_rank(d, k)
    assert lowrank.stored_numbers(d, k, r) < d * k <= lowrank.stored_numbers(d, k, r + 1)


def test_gaussian_control_matches_mean_and_spread():
    W = torch.randn(200, 300) * 0.3 + 0.1
    control = lowrank.gaussian_like(W)
    assert control.shape == W.shape
    assert float(control.mean()) == pytest.approx(float(W.mean()), abs=0.01)
    assert float(control.std()) == pytest.approx(float(W.std()), rel=0.02)


def test_subspace_overlap_runs_from_zero_to_one():
    eye = torch.eye(6)
    assert lowrank.subspace_overlap(eye[:2], eye[:2], 2, 2) == pytest.approx(1)
    assert lowrank.subspace_overlap(eye[:2], eye[2:4], 2, 2) == pytest.approx(0)
    assert lowrank.subspace_overlap(eye[:1], eye[:4], 1, 4) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        *((lambda W, r=r: lowrank.truncate(W, r), "between 1 and 12") for r in (0, -1, 13)),
        (lambda W: lowrank.svd(W * torch.nan), "NaN or infinity"),
        (lambda W: lowrank.svd(W[0]), "needs a matrix"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_a_sentence(W, call, said):
    with pytest.raises(ValueError, match=said):
        call(W)


def test_relative_error_of_zeros_is_0_or_infinite():
    zeros, ones = torch.zeros(2, 3), torch.ones(2, 3)
    assert lowrank.relative_error(zeros, zeros) == 0 and lowrank.relative_error(zeros, ones) == float("inf")


def test_a_products_svd_is_found_from_its_factors():
    generator = torch.Generator().manual_seed(0)
    for d, r, k in ((12, 4, 20), (3, 5, 20), (12, 5, 3), (7, 1, 7)):
        B, A = torch.randn(d, r, generator=generator), torch.randn(r, k, generator=generator)
        parts, whole = lowrank.svd_of_product(B, A), lowrank.svd(B @ A)
        assert torch.allclose(parts.S, whole.S[: len(parts.S)], atol=1e-5)
        assert torch.allclose(parts.U * parts.S @ parts.Vh, B @ A, atol=1e-5)
        assert torch.allclose(parts.U.T @ parts.U, torch.eye(len(parts.S)), atol=1e-5)
    with pytest.raises(ValueError, match="finite numbers"):
        lowrank.svd_of_product(torch.full((3, 2), torch.nan), torch.ones(2, 3))
