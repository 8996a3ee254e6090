"""Rounding that looks at what a layer reads: the grid, the sums of its inputs, GPTQ against the optimal-brain textbook,
AWQ against the paper's formula, both against round-to-nearest; and a whole model, block by block."""

import pytest
import torch
from random_weights import correlated, grid_marks, normal
from torch import nn

from lora_lessons.quant import blockwise
from lora_lessons.quant.gptq import ALPHAS, Inputs, awq, gptq, output_error, read, round_to_nearest


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_round_to_nearest_takes_the_nearest_mark(bits, symmetric):
    W = normal(6, 64) + 0.5
    back = round_to_nearest(W, bits, 16, symmetric).dequantize()
    for row in range(6):
        for first in range(0, 64, 16):
            group = W[row, first : first + 16]
            marks = grid_marks(group, bits, symmetric)
            best = (group.double()[:, None] - marks).abs().min(1).values
            assert torch.allclose((group - back[row, first : first + 16]).abs().double(), best, atol=1e-5)


def test_weights_on_a_grid_of_fp16_come_back_exactly():
    codes = torch.randint(0, 16, (4, 64), generator=torch.Generator().manual_seed(0))
    codes[:, ::32], codes[:, 1::32] = 0, 15
    W = 0.25 * (codes - 5).float()
    assert torch.equal(round_to_nearest(W, 4, 32, symmetric=False).dequantize(), W)


def test_zeros_stay_zeros_and_a_bf16_weight_is_taken():
    assert not round_to_nearest(torch.zeros(2, 64)).dequantize().any()
    assert round_to_nearest(normal(2, 64).bfloat16()).dequantize().dtype == torch.float32


def test_bits_are_those_of_the_packed_tensors():
    W, inputs = normal(96, 128), read(normal(50, 128))
    assert round_to_nearest(W).bits_per_weight == 4 + 16 / 64
    assert round_to_nearest(W, 3, 32, symmetric=False).bits_per_weight == 3 + (16 + 3) / 32
    assert gptq(W, inputs.H, 3).bits_per_weight == 3 + 16 / 64
    assert awq(W, inputs, alphas=[0.5]).bits_per_weight == 4 + 16 / 64 + 16 / 96


# ---- bad input ----

W8, GOOD = normal(8, 64), read(correlated())


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: round_to_nearest(W8, 1), "bits = 1: choose a whole number from 2 to 8"),
        (lambda: round_to_nearest(W8, True), "from 2 to 8"),
        (lambda: gptq(W8, GOOD.H, 9), "from 2 to 8"),
        (lambda: round_to_nearest(normal(2, 576), 4, 128), r"group = 128 does not divide 576 columns: .*64, 32"),
        (lambda: round_to_nearest(W8, 4, 0), "does not divide"),
        (lambda: round_to_nearest(normal(64)), "a d×k matrix of floats"),
        (lambda: round_to_nearest(torch.ones(2, 64, dtype=torch.int8)), "a d×k matrix of floats"),
        (lambda: round_to_nearest(torch.full((2, 64), torch.nan)), "the weight holds NaN"),
        (lambda: round_to_nearest(torch.full((2, 64), 1e9)), "too large for a scale in 16 bits"),
        (lambda: awq(torch.full((2, 64), 3e38), GOOD, alphas=[1.0]), r"3e\+38 is too large for a scale in 16 bits"),
        (lambda: round_to_nearest(torch.empty(2, 64, device="meta")), "the weight is on the meta device"),
        (lambda: gptq(W8, torch.empty(64, 64, device="meta")), "H is on the meta device"),
        (lambda: read(torch.empty(2, 4, device="meta")), "what the layer reads is on the meta device"),
        (lambda: read(torch.full((2, 4), 1e30)), r"goes up to 1e\+30, and its squares no longer fit into fp32"),
        (lambda: gptq(W8, torch.zeros(64, 64)), "no calibration text has passed"),
        (lambda: gptq(W8, GOOD.H[:32, :32]), "H is k×k"),
        (lambda: gptq(W8, GOOD.H * torch.inf), "H holds NaN or infinity"),
        (lambda: gptq(W8, read(normal(4, 64)).H, damp=0.0), "cannot be inverted with damp = 0.0"),
        (lambda: awq(W8, Inputs(torch.zeros(64, 64), torch.zeros(64), 0)), "no calibration text has passed"),
        (lambda: awq(W8, GOOD, alphas=[]), "at least one alpha"),
        (lambda: read(torch.zeros(0, 64)), "give some calibration text"),
        (lambda: read(normal(64)), "X is tokens×k"),
        (lambda: read(torch.full((2, 4), torch.inf)), "reads holds NaN"),
    ],
)
def test_what_cannot_be_rounded_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_h_and_the_error_are_those_of_the_outputs():
    X, W = normal(40, 16), normal(8, 16, seed=1)
    inputs, W_hat = read(X), round_to_nearest(W, 3, 16).dequantize()
    assert torch.allclose(inputs.H, 2 * X.T @ X) and torch.allclose(inputs.mean_abs, X.abs().mean(0))
    wanted = (X @ W.T - X @ W_hat.T).norm() / (X @ W.T).norm()
    assert output_error(W, W_hat, inputs.H) == pytest.approx(wanted.item(), rel=1e-4)


def test_an_output_of_zeros_has_no_error_until_something_is_added():
    H, W = read(normal(40, 16)).H, normal(8, 16)
    assert output_error(torch.zeros(8, 16), torch.zeros(8, 16), H) == 0
    assert output_error(torch.zeros(8, 16), W, H) == float("inf")


def optimal_brain(W, H, bits, group, symmetric, damp):
    """Optimal brain quantization (Frantar & Alistarh 2022) in the order left to right, row by row,
    H⁻¹ updated by Gauss."""
    d, k = W.shape
    W = W.double().clone()
    H = H.double() + damp * H.double().diagonal().mean() * torch.eye(k, dtype=torch.float64)
    for row in range(d):
        inverse = torch.linalg.inv(H)
        grids = [grid_marks(group_of, bits, symmetric) for group_of in W[row].clone().split(group)]
        for i in range(k):
            marks = grids[i // group]
            rounded = marks[(marks - W[row, i]).abs().argmin()]
            step = (W[row, i] - rounded) / inverse[i, i] * inverse[i]
            step[:i] = 0  # those are rounded already
            W[row] -= step
            W[row, i] = rounded
            inverse = inverse - inverse[:, i : i + 1] @ inverse[i : i + 1] / inverse[i, i]
    return W


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits, group", [(4, 8), (3, 16), (2, 48)])
def test_gptq_is_the_optimal_brain_textbook(bits, group, symmetric):
    W, H = normal(5, 48), read(correlated(200, 48)).H.double()
    ours = gptq(W, H, bits, group, symmetric, damp=0.01).dequantize()
    assert torch.allclose(ours.double(), optimal_brain(W, H, bits, group, symmetric, 0.01), atol=1e-5)


@pytest.mark.parametrize("by_activation", [False, True])
@pytest.mark.parametrize("bits", [3, 4])
def test_gptq_beats_round_to_nearest_where_inputs_are_correlated(bits, by_activation):
    W, inputs = normal(64, 64), read(correlated())
    plain = output_error(W, round_to_nearest(W, bits, 32).dequantize(), inputs.H)
    ours = output_error(W, gptq(W, inputs.H, bits, 32, by_activation=by_activation).dequantize(), inputs.H)
    assert ours < 0.7 * plain


@pytest.mark.parametrize("by_activation", [False, True])
def test_gptq_is_round_to_nearest_where_inputs_are_independent(by_activation):
    W, H = normal(8, 64), torch.diag(torch.rand(64, generator=torch.Generator().manual_seed(0)) + 0.1)
    ours, plain = gptq(W, H, 3, 16, by_activation=by_activation), round_to_nearest(W, 3, 16)
    assert all(torch.equal(a, b) for a, b in zip(ours[:3], plain[:3], strict=True))


def test_act_order_rounds_the_loudest_column_first_and_leaves_the_result_in_its_place():
    X = correlated()
    loud = int(read(X).H.diagonal().argmax())
    W, H = normal(16, 64), read(X).H
    ours, plain = gptq(W, H, 3, 16, by_activation=True).dequantize(), round_to_nearest(W, 3, 16).dequantize()
    assert torch.equal(ours[:, loud], plain[:, loud])  # nothing was passed on to the first
    assert not torch.equal(ours, plain)


def test_a_column_that_is_never_read_is_rounded_to_nearest_and_disturbs_nothing():
    X = correlated()
    X[:, 5] = 0
    W, plain = normal(8, 64), round_to_nearest(normal(8, 64), 4, 64).dequantize()
    ours = gptq(W, read(X).H, 4, 64).dequantize()
    assert torch.isfinite(ours).all() and torch.equal(ours[:, 5], plain[:, 5])


def test_awq_with_alpha_0_is_round_to_nearest():
    W, inputs = normal(8, 64), read(correlated())
    ours, plain = awq(W, inputs, 3, 16, alphas=[0]), round_to_nearest(W, 3, 16)
    assert torch.equal(ours.codes, plain.codes) and ours.channels is None


@pytest.mark.parametrize("seed", range(4))
def test_awqs_search_takes_the_best_and_is_never_worse_than_round_to_nearest(seed):
    W, inputs = normal(32, 64, seed=seed), read(correlated(seed=10 * seed))
    found = [output_error(W, awq(W, inputs, 3, 16, alphas=[a]).dequantize(), inputs.H) for a in ALPHAS]
    best = output_error(W, awq(W, inputs, 3, 16).dequantize(), inputs.H)
    assert best == min(found) <= found[0]
    assert best < 0.95 * found[0]


def test_awq_keeps_the_function_until_it_rounds():
    """With 8 bits and tiny groups hardly anything is rounded: what remains is W, so s is divided out again."""
    W, inputs = normal(8, 64), read(correlated())
    ours = awq(W, inputs, 8, 1, alphas=[1.0])
    assert ours.channels.max() > 3 * ours.channels.min()
    assert (ours.dequantize() - W).norm() < 5e-3 * W.norm()


def test_awq_follows_the_papers_formula():
    W, inputs = normal(8, 64), read(correlated())
    s = inputs.mean_abs**0.5
    s = (s / s.log().mean().exp()).half()
    plain = round_to_nearest(W * s, 4, 32).dequantize() / s.float()
    assert torch.allclose(awq(W, inputs, 4, 32, alphas=[0.5]).dequantize(), plain, rtol=1e-2)


def test_awq_leaves_a_channel_that_is_never_read_finite():
    X = correlated()
    X[:, 5] = 0
    ours = awq(normal(8, 64), read(X), 4, 64, alphas=[1.0])
    assert torch.isfinite(ours.dequantize()).all() and ours.channels[5] == 1


def test_awq_of_an_fp16_weight_is_that_of_the_same_numbers_in_fp32():
    """Products with a loud channel's s do not fit into fp16: they were refused as infinities in the weight."""
    W, inputs = 3000 * normal(8, 64).half(), read(correlated())
    ours, wide = awq(W, inputs, alphas=[1.0]), awq(W.float(), inputs, alphas=[1.0])
    assert torch.equal(ours.codes, wide.codes) and torch.equal(ours.scales, wide.scales)


NAMES = [
    f"model.layers.{i}.{part}"
    for i in range(2)
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj")
]
HOW = {"bits": 3, "group": 16}


def batches(seed=0):
    return list(torch.randint(3, 128, (4, 2, 32), generator=torch.Generator().manual_seed(seed)))


def logits(model, ids):
    with torch.no_grad():
        return model(ids).logits


def test_collect_sums_up_what_each_layer_reads(tiny_model):
    seen: list[torch.Tensor] = []
    layer = tiny_model.get_submodule(NAMES[3])
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].flatten(0, 1)))
    found = blockwise.collect(tiny_model, NAMES, batches())
    X = torch.cat(seen)
    assert set(found) == set(NAMES) and found[NAMES[3]].tokens == len(X) == 4 * 2 * 32
    assert torch.allclose(found[NAMES[3]].H, 2 * X.T @ X, rtol=1e-4, atol=1e-6)
    assert torch.allclose(found[NAMES[3]].mean_abs, X.abs().mean(0), rtol=1e-4)
    assert len(layer._forward_pre_hooks) == 1  # ours is gone


def test_later_blocks_are_calibrated_on_rounded_earlier_ones(tiny_model):
    """Block 1's weights are what GPTQ makes of what block 1 reads once block 0 is rounded,
    and not of what it read before."""
    name = NAMES[4]
    intact = {n: tiny_model.get_submodule(n).weight.detach().clone() for n in NAMES}
    before = blockwise.collect(tiny_model, [name], batches())[name].H
    rounded = blockwise.quantize_model(tiny_model, NAMES, "gptq", batches(), **HOW)
    after = blockwise.collect(tiny_model, [name], batches())[name].H  # block 0 is rounded now
    assert torch.equal(rounded[name].codes, gptq(intact[name], after, **HOW).codes)
    assert not torch.equal(rounded[name].codes, gptq(intact[name], before, **HOW).codes)


@pytest.mark.parametrize("method", blockwise.METHODS)
def test_a_models_weights_are_replaced_and_come_back_bit_for_bit(tiny_model, method):
    ids = batches(seed=9)[0]
    before = logits(tiny_model, ids)
    with pytest.raises(KeyboardInterrupt), blockwise.restored(tiny_model, NAMES):
        rounded = blockwise.quantize_model(tiny_model, NAMES, method, batches(), **HOW)
        assert list(rounded) == NAMES
        for name in NAMES:
            assert torch.equal(tiny_model.get_submodule(name).weight, rounded[name].dequantize())
        assert not torch.allclose(logits(tiny_model, ids), before)
        raise KeyboardInterrupt
    assert torch.equal(logits(tiny_model, ids), before)


def test_blocks_that_are_not_named_are_passed_through(tiny_model):
    name = NAMES[7]
    wanted = gptq(
        tiny_model.get_submodule(name).weight, blockwise.collect(tiny_model, [name], batches())[name].H, **HOW
    )
    assert torch.equal(blockwise.quantize_model(tiny_model, [name], "gptq", batches(), **HOW)[name].codes, wanted.codes)


PACKED = "model.layers.0.mlp.up_proj"


@pytest.mark.parametrize(
    "call, arguments, words",
    [
        (blockwise.quantize_model, (NAMES, "gtpq", [1]), "no method is named 'gtpq': choose from rtn, gptq, awq"),
        (blockwise.quantize_model, (NAMES, "awq"), "awq needs calibration text"),
        (blockwise.quantize_model, (["lm_head"], "rtn"), "blocks of one list"),
        (blockwise.quantize_model, (["model.layers.0.mlp"], "rtn"), "only a Linear"),
        (blockwise.collect, (NAMES, []), "no calibration text"),
        (blockwise.collect, ([PACKED], batches()), "only a Linear"),
    ],
    ids=range(6),
)
def test_a_model_that_cannot_be_rounded_is_said(tiny_model, call, arguments, words):
    packed = torch.zeros(64, 32, dtype=torch.uint8)
    tiny_model.get_submodule(PACKED).weight = nn.Parameter(packed, requires_grad=False)
    with pytest.raises(ValueError, match=words):
        call(tiny_model, *arguments)
