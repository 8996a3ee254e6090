"""Every backward pass that is written out, against numerical differences in 64 bits."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from lora_lessons.fast import attention
from lora_lessons.fast.attention import ShortAttention
from lora_lessons.fast.backward import LoRAProducts, RMSNorm, Rotation, SwiGLU, Whole
from lora_lessons.fast.rows import CHUNK, HeadLoss


@pytest.fixture
def draw():
    """Random numbers in 64 bits, the same in every test."""
    generator = torch.Generator().manual_seed(0)
    return lambda *shape, learns=True: torch.randn(
        *shape, generator=generator, dtype=torch.float64, requires_grad=learns
    )


@pytest.mark.parametrize("ranks", [[3], [2, 3, 1]])
def test_lora_products(draw, ranks):
    x, weights = draw(5, 6), [draw(4, 6, learns=False) for _ in ranks]
    biases = [None, *(draw(4, learns=False) for _ in ranks[1:])]
    matrices = [*(draw(r, 6) for r in ranks), *(draw(4, r) for r in ranks)]
    at_hand = [Whole(lambda W=W: W, bias) for W, bias in zip(weights, biases, strict=True)]

    def products(x, *matrices):
        return LoRAProducts.apply(x, at_hand, [2.0] * len(ranks), *matrices)

    assert gradcheck(products, (x, *matrices))
    A, B = matrices[: len(ranks)], matrices[len(ranks) :]
    for h, W, bias, a, b in zip(products(x, *matrices), weights, biases, A, B, strict=True):
        wanted = x @ W.T + 2 * x @ a.T @ b.T + (0 if bias is None else bias)
        assert torch.allclose(h, wanted, rtol=1e-12)


def test_lora_products_keep_x_and_its_product_with_a_alone(draw):
    """W·x costs no memory until backward: kept are x (once for all layers), x·Aᵀ, A and B."""
    x, W, A, B = draw(50, 6), draw(40, 6, learns=False), draw(2, 6), draw(40, 2)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        LoRAProducts.apply(x, [Whole(lambda: W)] * 2, [1.0] * 2, A, A, B, B)
    assert sorted(kept) == sorted([x.numel(), 50 * 4, 2 * A.numel(), B.numel(), B.numel()])


def test_a_first_layer_whose_input_learns_nothing_gets_no_gradient_for_it(draw):
    x, W, A, B = draw(5, 6, learns=False), draw(4, 6, learns=False), draw(2, 6), draw(4, 2)
    LoRAProducts.apply(x, [Whole(lambda: W)], [1.0], A, B)[0].sum().backward()
    assert x.grad is None and A.grad.any() and B.grad.any()


def test_rms_norm(draw):
    w = draw(6, learns=False)
    assert gradcheck(lambda x: RMSNorm.apply(x, w, 1e-5, torch.float64), draw(5, 6))
    x, w = draw(5, 64).bfloat16(), draw(64).bfloat16()
    wide = RMSNorm.apply(x.float(), w, 1e-5, torch.float32)
    assert torch.equal(RMSNorm.apply(x, w, 1e-5, torch.bfloat16), wide.bfloat16()), (
        "16 bits are rounded once, at the end"
    )


def test_swiglu(draw):
    assert gradcheck(SwiGLU.apply, (draw(5, 6), draw(5, 6)))


def test_rotation(draw):
    angle = draw(5, 1, 3, learns=False)
    assert gradcheck(lambda x: Rotation.apply(x, angle.cos(), angle.sin()), draw(5, 2, 6))


@pytest.mark.parametrize("answers", [3, CHUNK + 3])
def test_the_loss_at_supervised_tokens(draw, answers):
    h, E, labels = draw(answers, 4), draw(7, 4, learns=False), torch.arange(answers) % 7
    loss = HeadLoss.apply(h, Whole(lambda: E), labels)
    assert torch.allclose(loss, cross_entropy(h @ E.T, labels), rtol=1e-12)
    (gradient,) = torch.autograd.grad(loss, h)
    (wanted,) = torch.autograd.grad(cross_entropy(h @ E.T, labels), h)
    assert torch.allclose(gradient, wanted, rtol=1e-10)
    h, E = h.bfloat16(), E.bfloat16()
    assert torch.allclose(
        HeadLoss.apply(h, Whole(lambda: E), labels), cross_entropy((h @ E.T).float(), labels), rtol=1e-6
    )


def test_attention_over_short_texts(draw):
    sees = torch.cat([torch.ones(4, 2), torch.ones(4, 4).tril()], dim=1).bool()
    Q, K, V = draw(2, 6, 4, 3), draw(2, 2, 6, 3), draw(2, 2, 6, 3)
    assert gradcheck(lambda *x: ShortAttention.apply(*x, sees), (Q, K, V))
    theirs = scaled_dot_product_attention(Q, K, V, attn_mask=sees, enable_gqa=True)
    assert torch.allclose(ShortAttention.apply(Q, K, V, sees), theirs, rtol=1e-12)


def test_only_long_texts_and_cards_take_pytorchs_attention(draw, monkeypatch):
    Q, K, V, sees = draw(1, 2, 4, 3), draw(1, 2, 4, 3), draw(1, 2, 4, 3), torch.ones(4, 4).bool()
    with monkeypatch.context() as patch:
        patch.setattr(attention, "scaled_dot_product_attention", None)
        short = attention.attention(Q, K, V, sees)
    monkeypatch.setattr(attention, "KEPT", 3)
    monkeypatch.setattr(ShortAttention, "apply", None)
    assert torch.allclose(attention.attention(Q, K, V, sees), short, rtol=1e-12)


def test_without_a_mask_each_token_sees_its_past(draw, monkeypatch):
    Q, K, V, sees = draw(1, 4, 5, 3), draw(1, 2, 5, 3), draw(1, 2, 5, 3), torch.ones(5, 5).tril().bool()
    masked = ShortAttention.apply(Q, K, V, sees)
    for kept in (attention.KEPT, 3):
        monkeypatch.setattr(attention, "KEPT", kept)
        assert torch.allclose(attention.attention(Q, K, V, None), masked, rtol=1e-12)
