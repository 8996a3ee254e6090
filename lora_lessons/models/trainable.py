"""A trap of bitsandbytes on processors, and the guard against it: evaluated once, a 4-bit layer may no longer learn."""

from __future__ import annotations

from typing import Any


def keep_trainable(net: Any) -> Any:
    """Keep every bitsandbytes Linear4bit of `net` trainable on a CPU, whatever runs before training; returns `net`.

    The story: on processors with AVX-512 bf16 a Linear4bit repacks its weight at the first forward in eval mode
    without gradients (one evaluation or `generate` is enough) and never unpacks it. The packed product has no autograd:
    from then on no gradient passes through the layer. What is left flows along the residual stream, so adapters on
    o_proj and down_proj still learn, those on q, k, v, gate and up get exactly zero, PyTorch warns once, and the loss
    falls a little. (Each absmax is rounded to bf16 as well.) With `support_avx512bf16_for_cpu` off the layer never
    repacks; the price is the packed product's speed in generation. Harmless where there is nothing to repack.
    Raises ValueError when a layer is repacked already: that cannot be undone without loss.
    """
    import bitsandbytes as bnb

    for name, module in net.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            if getattr(getattr(module.weight, "quant_state", None), "packing_format_for_cpu", False):
                raise ValueError(
                    f"{name} was repacked for inference by a forward pass without gradients and can no longer be trained: "
                    "load the base again, and call keep_trainable before the first forward."
                )
            module.support_avx512bf16_for_cpu = False
    return net
