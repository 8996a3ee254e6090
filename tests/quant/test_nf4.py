"""NF4 and its relatives against bitsandbytes, bit for bit; what it costs, and what is refused; and a layer in 4
bits."""

import math

import pytest
import torch
from random_weights import normal
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lora_lessons import lora, quant

functional = pytest.importorskip("bitsandbytes.functional")

PUBLISHED = [  # QLoRA, appendix E
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]


# ---- the levels ----


def test_nf4_is_the_published_table():
    assert quant.levels("nf4").tolist() == PUBLISHED


def test_fp4_and_the_scales_levels_are_those_of_bitsandbytes():
    state = functional.quantize_4bit(normal(64, 64), quant_type="fp4", compress_statistics=True)[1]
    assert torch.equal(quant.levels("fp4"), state.code)
    assert torch.equal(quant.dynamic_levels(), state.state2.code)


def test_int4_is_even_symmetric_and_has_a_zero():
    table = quant.levels("int4")
    assert torch.allclose(table.diff(), torch.full((14,), 1 / 7)) and torch.equal(table, -table.flip(0))
    assert 0 in table


@pytest.mark.parametrize("codebook", quant.CODEBOOKS)
def test_nearest_is_nearest(codebook):
    table, x = quant.levels(codebook), torch.linspace(-1, 1, 2001)
    distance = (x[:, None] - table).abs()
    assert torch.allclose((x - table[quant.nearest(x, table).int()]).abs(), distance.min(1).values)


# ---- bit for bit ----


MAKE = {
    "plain": lambda W, n: W,
    "zeros": lambda W, n: W * (n >= max(1, W.numel() // 2)),
    "outlier": lambda W, n: W.where(n != W.numel() // 3, -1e4),
    "small": lambda W, n: 1e-30 * W,
    "on a grid": lambda W, n: (4 * W).round() / 4,  # many ties
}
SHAPES = [(1,), (7,), (65,), (4097,), (64, 64), (129, 3), (128, 130), (3, 5, 7), (301, 101), (96, 576)]


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("codebook", ["nf4", "fp4"])
def test_bitsandbytes_has_the_same_bits(make, dtype, codebook):
    for shape in SHAPES:
        W = normal(*shape)
        W = make(W, torch.arange(W.numel()).view_as(W)).to(dtype)
        for blocksize in (32, 64, 128, 256, 512, 1024, 2048, 4096):
            for double in (False, True):
                same(W, codebook, blocksize, double)


def same(W, codebook, blocksize, double):
    packed, state = functional.quantize_4bit(W, quant_type=codebook, blocksize=blocksize, compress_statistics=double)
    ours = quant.quantize(W, codebook, blocksize, double)
    setting = (tuple(W.shape), blocksize, double)
    assert torch.equal(ours.packed, packed.view(-1)), setting
    if not double:
        assert torch.equal(ours.absmax, state.absmax), setting
    else:
        assert torch.equal(ours.absmax.offset, state.offset), setting
        if (state.state2.absmax > 1e-37).all():  # else all scales are one number, and their codes say nothing
            assert torch.equal(ours.absmax.absmax, state.state2.absmax), setting
            assert torch.equal(ours.absmax.codes, state.absmax), setting
    # Its CPU kernel takes a wrong scale where a row is no whole number of blocks (rows of 32, 96 or 160 in blocks of
    # 64, 0.50.2 with AVX-512), so it is asked for one long row.
    state.shape = torch.Size((1, W.numel()))
    theirs = functional.dequantize_4bit(packed, state)
    assert torch.equal(quant.dequantize(ours), theirs.view(W.shape)), setting


def test_chunks_leave_no_seam(monkeypatch):
    W = normal(1000, 37)
    whole = quant.quantize(W, "nf4", 32)
    monkeypatch.setattr(quant.nf4, "CHUNK", 100)  # 96 numbers at a time
    cut = quant.quantize(W, "nf4", 32)
    assert torch.equal(whole.packed, cut.packed) and torch.equal(whole.absmax, cut.absmax)


def test_what_comes_back_has_shape_and_dtype_and_is_near():
    for codebook, largest in (("nf4", 0.16), ("fp4", 0.17), ("int4", 1 / 14 + 1e-6)):
        W = normal(3, 50, 7).to(torch.float16)
        # the last block is short, and louder than the one before
        W.view(-1)[-(1050 % 64) :] *= 10
        q = quant.quantize(W, codebook)
        back = quant.dequantize(q)
        assert back.shape == W.shape and back.dtype == W.dtype
        room = q.absmax.repeat_interleave(64)[: W.numel()].view(W.shape)
        assert ((W - back).abs().float() <= largest * room + 1e-3).all()


# ---- what it costs ----


@pytest.mark.parametrize(
    "blocksize, double, bits",
    [(64, False, 4.5), (64, True, 4 + 8 / 64 + 32 / (64 * 256)), (32, False, 5.0), (128, False, 4.25)],
)
def test_bits_are_counted_and_computed_alike(blocksize, double, bits):
    q = quant.quantize(normal(2048, 1024), "nf4", blocksize, double)
    assert quant.bits_per_parameter(blocksize, double) == bits
    assert q.bits == pytest.approx(bits, abs=1e-4)
    assert round(quant.bits_per_parameter(64, True), 3) == 4.127


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes while this is on, in bytes; views of `given` do not count."""

    def __init__(self, given):
        super().__init__()
        self.bytes, self.given = 0, given.untyped_storage().data_ptr()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() != self.given:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return out


def test_quantizing_needs_no_large_temporaries():
    W = normal(2048, 2048).to(torch.bfloat16)
    quant.levels("nf4")
    with Largest(W) as made:
        q = quant.quantize(W, "nf4")
    assert made.bytes <= max(8 * quant.CHUNK, q.packed.nbytes) < W.nbytes


# ---- what it refuses ----


def holding(bad, where):
    W = normal(3, 43)
    W.view(-1)[where] = bad
    return W


LOUD = torch.where(torch.arange(4096) < 64, 1.0, 65504.0).half()


@pytest.mark.parametrize(
    "call, words",
    [
        *(
            (lambda bad=bad, where=where: quant.quantize(holding(bad, where)), "holds NaN or infinity")
            for bad in (math.nan, math.inf, -math.inf)
            for where in (0, 64, -1)
        ),
        *(
            (
                lambda size=size: quant.quantize(normal(8), blocksize=size),
                "blocksize = .*: give an even whole number of",
            )
            for size in (0, 1, -64, 63, True, 64.0, "64")
        ),
        (lambda: quant.quantize(normal(8), "nf5"), "no codebook is named 'nf5': choose from nf4, fp4, int4"),
        *((lambda W=W: quant.quantize(W), "tensor of floats") for W in (torch.arange(4), torch.empty(0), [1.0, 2.0])),
        (lambda: quant.quantize(torch.tensor([1.0, 1e300], dtype=torch.float64)), r"goes up to 1e\+300, and fp32 ends"),
        (lambda: quant.quantize(LOUD, double=True), "leaves no room for scales in 8 bits: use double=False"),
        (lambda: quant.quantize(torch.empty(64, 64, device="meta")), "meta device.*load the weights"),
        (lambda: quant.double_quantize(torch.tensor([1.0, math.nan])), "scales holds NaN"),
        (lambda: quant.QuantizedLinear(nn.Linear(64, 64, device="meta")), "on the meta device"),
    ],
    ids=range(25),
)
def test_what_cannot_be_quantized_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# ---- numbers at fp32's end ----


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_near_the_end_of_fp32_are_rounded_like_any_others(dtype, double):
    """The sum of their scales is beyond fp32, and its mean is not."""
    W = normal(64, 64)
    W = W / W.abs().max()
    far = 2.0**126 * W.to(dtype)
    back = quant.dequantize(quant.quantize(far, double=double))
    near = quant.dequantize(quant.quantize(W.to(dtype), double=double))
    torch.testing.assert_close(back / 2.0**126, near)
    assert quant.relative_error(far, double=double) == pytest.approx(
        quant.relative_error(W.to(dtype), double=double), rel=0.01
    )


def test_loud_numbers_in_16_bits_come_back_finite_and_zeros_without_an_error():
    assert torch.isfinite(quant.dequantize(quant.quantize(LOUD))).all()
    assert quant.relative_error(torch.zeros(64)) == quant.relative_error(torch.zeros(64), double=True) == 0


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layer_is_a_linear_with_the_rounded_weight(bias, dtype):
    linear = nn.Linear(96, 64, bias=bias, dtype=dtype)
    layer = quant.QuantizedLinear(linear, "nf4", double=True)
    rounded = nn.Linear(96, 64, bias=bias, dtype=dtype)
    rounded.load_state_dict({"weight": quant.dequantize(layer.quantized)} | ({"bias": linear.bias} if bias else {}))
    x = normal(2, 5, 96).to(dtype).requires_grad_()
    y = x.detach().clone().requires_grad_()
    out, expected = layer(x), rounded(y)
    torch.testing.assert_close(out, expected)
    out.float().square().sum().backward()
    expected.float().square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert not any(p.requires_grad for p in layer.parameters())


def test_the_layer_keeps_no_16_bit_copy_for_backward():
    layer, kept = quant.QuantizedLinear(nn.Linear(256, 256, bias=False)), []
    x = normal(3, 256).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
        layer(x).sum().backward()
    assert sum(kept) == 0 and x.grad.any()
    assert sum(p.nbytes for p in layer.parameters()) == 256 * 256 // 2


def test_lora_goes_around_it_and_learns(tiny_model):
    names = lora.resolve_targets(tiny_model, "all-linear")
    quant.quantize_linears(tiny_model, names)
    assert lora.attach(tiny_model, r=2, lora_alpha=4) == names
    ids = torch.arange(8)[None]
    tiny_model(input_ids=ids, labels=ids).loss.backward()
    assert all(layer.lora_B.grad.any() for _, layer in lora.lora_layers(tiny_model))
    with pytest.raises(ValueError, match=r"is a LoRALinear: only"):
        quant.quantize_linears(tiny_model, names[:1])
    lora.detach(tiny_model)
    with pytest.raises(ValueError, match=r"is a QuantizedLinear: only"):
        quant.quantize_linears(tiny_model, names[:1])


@pytest.mark.parametrize("double", [False, True])
def test_its_state_is_saved_loaded_and_moved_whole(double):
    one, other = (quant.QuantizedLinear(nn.Linear(64, 64), double=double) for _ in range(2))
    x = normal(2, 64)
    assert not torch.equal(one(x), other(x))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x), other(x)), "codes without their scales would be another weight"
    assert all(t.is_meta for t in (*other.to("meta").quantized.scales.values(), other.quantized.packed))


def test_one_wrong_name_replaces_nothing(tiny_model):
    name = "model.layers.0.mlp.up_proj"
    for wrong, words in (("model.layers.0.mlp.no_proj", "no layer named"), ("model.layers.0.mlp", "only a Linear")):
        with pytest.raises(ValueError, match=words):
            quant.quantize_linears(tiny_model, [name, wrong])
        assert type(tiny_model.get_submodule(name)) is nn.Linear
