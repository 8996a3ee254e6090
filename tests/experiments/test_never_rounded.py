"""The control base: its grids are llama.cpp's, its weights come back, its task is drawn by the seed,
its recording is whole."""

import gguf
import numpy as np
import pytest
import torch

from lora_lessons import models, quant
from lora_lessons.experiments import never_rounded


@pytest.fixture(scope="module")
def encoder():
    return models.load_encoder()


@pytest.fixture(scope="module")
def kept(encoder):
    return never_rounded.weights(encoder)


@pytest.mark.parametrize("offset, name", [(False, "Q4_0"), (True, "Q4_1")])
def test_even_marks_in_blocks_of_32_are_llama_cpps(offset, name):
    W = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    W[0, :32] = 0
    kind = gguf.GGMLQuantizationType[name]
    theirs = gguf.quants.dequantize(gguf.quants.quantize(W.numpy(), kind), kind)
    ours = never_rounded.even_marks(W, 32, offset).numpy()
    np.testing.assert_array_equal(ours, theirs)
    assert never_rounded.WAYS[name].bits == 8 * gguf.GGML_QUANT_SIZES[kind][1] / 32
    assert not np.array_equal(never_rounded.even_marks(W, 64, offset).numpy(), theirs)


def test_after_rounding_the_weights_are_what_they_were(encoder, kept):
    before = encoder.embed(["A lamp."])
    with (
        pytest.raises(KeyError, match="stopped"),
        never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["int4"]),
    ):
        name, W = next(iter(kept.items()))
        assert not torch.equal(encoder.model.get_submodule(name).weight, W)
        raise KeyError("stopped")
    assert all(torch.equal(encoder.model.get_submodule(name).weight, W) for name, W in kept.items())
    assert torch.equal(encoder.embed(["A lamp."]), before)


def test_rounded_and_back_is_what_the_4_bit_layer_computes(kept):
    encoder, texts = models.load_encoder(), ["Two jars of honey for Monday, please.", "A lamp."]
    with never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["NF4 + double"]):
        by_value = encoder.embed(texts)
    quant.quantize_linears(encoder.model, encoder.linears, "nf4", double=True)
    torch.testing.assert_close(encoder.embed(texts), by_value, atol=1e-5, rtol=1e-4)
