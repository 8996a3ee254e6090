"""The page's own MXFP4, NVFP4 and FP8: what the package gguf writes, and values worked out by hand."""

import pytest
import torch
from gguf import GGMLQuantizationType, quants
from sources import read

from lora_lessons import quant
from lora_lessons.lessons import l10


@pytest.fixture(scope="module")
def page():
    scope = {"torch": torch, "Tensor": torch.Tensor, "quant": quant, "l10": l10, "own": lambda *_, otherwise: otherwise}
    for cell in read("10_ship_it").cells:
        if cell.id in ("10grid", "10ways"):
            exec(cell.source, scope)
    return scope


@pytest.fixture(scope="module")
def weight():
    """Rows of every size, one of them zeros."""
    made = torch.randn(24, 128, generator=torch.Generator().manual_seed(0))
    return made * torch.logspace(-3, 1, 24)[:, None] * (torch.arange(24) != 5)[:, None]


def test_mxfp4_is_ggufs(page, weight):
    kind = GGMLQuantizationType.MXFP4
    theirs = torch.tensor(quants.dequantize(quants.quantize(weight.numpy(), kind), kind))
    assert torch.equal(page["ways"]["MXFP4"](weight), theirs)
    largest = weight.abs().amax(1)
    scales = page["power_of_two"](largest[largest > 0])
    assert torch.equal(scales.to(torch.float8_e8m0fnu).float(), scales), "its 8 bits hold every scale exactly"


def test_nvfp4_takes_the_nearest_scale_and_the_nearest_mark(page, weight):
    blocks, whole = weight.reshape(-1, 16), weight.abs().max() / (448 * 6)
    floats = torch.tensor([(m / 8 + (e > 0)) * 2.0 ** (max(e, 1) - 7) for e in range(16) for m in range(8)][:-1])
    wanted = blocks.abs().amax(1, keepdim=True) / 6 / whole
    scales = floats[(wanted - floats).abs().argmin(1, keepdim=True)] * whole
    marks = scales[..., None] * page["E2M1"].expand(192, 16, 15)
    nearest = marks.gather(2, (blocks[..., None] - marks).abs().argmin(2, keepdim=True))
    assert torch.allclose(page["ways"]["NVFP4"](weight), nearest.view_as(weight), rtol=1e-6, atol=0)


def test_by_hand(page):
    W = torch.tensor([[6.0, 2.4, -0.7, 0.2, 5.2, -7.9, 3.4, 0.0] * 4])
    assert page["ways"]["MXFP4"](W)[0, :8].tolist() == [6, 2, -0.5, 0, 6, -6, 3, 0], "a scale of 1: −7.9 is cut off"
    marks = torch.tensor([4, 2, -0.5, 0, 4, -6, 3, 0]) * 7.9 / 6  # 7.9 is the matrix's largest, so its scale is 448
    assert torch.allclose(page["ways"]["NVFP4"](W)[0, :8], marks, rtol=1e-6, atol=0)
    eight = torch.tensor([[448.0, 17.1, -0.0073, 300.0]])
    assert page["fp8"](eight).tolist() == [[448, 18, -0.0078125, 288]]


def test_nf4_is_quants(page, weight):
    assert torch.allclose(page["ways"]["NF4"](weight), quant.dequantize(quant.quantize(weight)), rtol=1e-6, atol=0)
