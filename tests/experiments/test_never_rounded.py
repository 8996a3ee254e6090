"""The control base: its grids are llama.cpp's, its weights come back, its task is drawn by the seed,
its recording is whole."""

import gguf
import numpy as np
import pytest
import torch

from lora_lessons import models, quant, tasks
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


def test_a_dose_is_as_large_as_what_rounding_adds_and_fills_a_low_rank():
    W = torch.randn(256, 8, generator=torch.Generator().manual_seed(0)) @ torch.ones(8, 128)
    W += torch.randn(256, 128, generator=torch.Generator().manual_seed(1))
    lost = W - never_rounded.even_marks(W, 32, offset=True)
    assert float(never_rounded.dose(W, 1).norm() / lost.norm()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(never_rounded.dose(W, 3), 3 * never_rounded.dose(W, 1))
    thin = torch.outer(torch.linspace(1, 2, 128), torch.linspace(-1, 1, 64))
    assert never_rounded.directions(thin, [0]) == [1] < never_rounded.directions(thin, [64])


def test_the_ranking_is_of_all_ways_and_coarser_marks_move_more(encoder):
    two = {name: never_rounded.WAYS[name] for name in ("NF4", "FP4")}
    found = never_rounded.rank(encoder, never_rounded.sentences(3), two)
    assert list(found) == ["NF4", "FP4"] and all(len(row["moved"]) == 3 for row in found.values())
    assert found["NF4"]["error"] < found["FP4"]["error"] and min(found["NF4"]["moved"]) > 0


def test_sentences_are_those_of_the_general_text():
    found = never_rounded.sentences()
    assert len(found) > 100 and all(one[-1] in ".!?”\"'" for one in found)
    assert " ".join(found) == " ".join(tasks.general_text().split())
