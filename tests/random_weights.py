"""Weights and inputs for the tests of rounding, the same every time, and a grid from its definition."""

import torch


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def correlated(tokens=512, k=64, seed=1):
    """Inputs of which some channels say nearly the same, and a few are loud."""
    X = normal(tokens, k // 4, seed=seed) @ normal(k // 4, k, seed=seed + 1) + 0.3 * normal(tokens, k, seed=seed + 2)
    return X * (4 * normal(k, seed=seed + 3)).exp().clamp(0.1, 10)


def grid_marks(weights, bits, symmetric):
    """Every mark of the grid of one group, fp64: from its definition, not from the code under test."""
    low, high = min(weights.min().item(), 0.0), max(weights.max().item(), 0.0)
    if symmetric:  # 4 bits: −7 … 7
        half = 2 ** (bits - 1) - 1
        return torch.tensor(max(high, -low) / half).half().double() * torch.arange(-half, half + 1)
    scale = torch.tensor((high - low) / (2**bits - 1)).half().double()
    return scale * (torch.arange(2**bits) - (-low / scale).round())
