"""One transformer block in a dozen lines, and the loss of a batch through all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..lora import LoRALinear
from ..models.frozen import Frozen, FrozenProduct, WidenedLinear
from ..quant import QuantizedLinear, dequantize
from ..tasks import Encoded
from .attention import attend
from .backward import LoRAProducts, RMSNorm, Rotation, SwiGLU, Whole
from .rows import CHUNK, HeadLoss, Rows

# Models made of this block, by the first part of their classes' names in transformers.
FAMILIES = ("Llama", "Mistral", "Qwen2")
PARTS = ("ForCausalLM", "Model", "DecoderLayer", "Attention", "MLP", "RMSNorm", "RotaryEmbedding")
# The linear layers of a block.
SEVEN = [f"self_attn.{kind}_proj" for kind in "qkvo"] + [f"mlp.{kind}_proj" for kind in ("gate", "up", "down")]


_OURS = __name__.partition(".")[0]
_SLICED = f"{_OURS}.models.four_bit.SlicedLinear4bit"  # by name: its module imports bitsandbytes


def why_not(model: Any, on: str = "") -> str:
    """Why this model trains the plain way, in a few words; empty when the fast path knows all of it.

    `on` ("cpu" or "cuda") says where it is to train, if it lies elsewhere now.
    """
    from transformers.loss.loss_utils import ForCausalLMLoss
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    known = {f"transformers.models.{f.lower()}.modeling_{f.lower()}.{f}{part}" for f in FAMILIES for part in PARTS}
    known |= {_name(kind) for kind in (nn.Linear, nn.Embedding, nn.ModuleList, nn.SiLU, LoRALinear, QuantizedLinear)}
    known |= {
        "transformers.activations.SiLUActivation",
        "bitsandbytes.nn.modules.Linear4bit",
        _SLICED,
        _name(WidenedLinear),
    }
    if strange := [module for module in (model, *model.modules()) if _name(type(module)) not in known]:
        return f"it knows the blocks of {', '.join(FAMILIES)}, and this one has a {type(strange[0]).__name__}"
    config, blocks = model.config, model.model.layers
    if model.dtype == torch.float16:
        return "its gradients are scaled, as fp16 needs"
    if any(type(m).__name__ == "Linear4bit" and (on or m.weight.device.type) == "cpu" for m in model.modules()):
        return "bitsandbytes packs a layer for processors as it likes"
    if getattr(config, "sliding_window", None) or "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        return "its attention looks through a window"
    if not getattr(config, "is_causal", True) or not all(b.self_attn.is_causal for b in blocks):
        return "its attention looks ahead"
    # None is eager attention, which stands beside the block; the planner's own stands for a card's
    attend = ALL_ATTENTION_FUNCTIONS.get(config._attn_implementation)
    if attend is not None and not attend.__module__.startswith(("transformers.", f"{_OURS}.")):
        return f"its attention is a function of your own, {config._attn_implementation}"
    if getattr(config, "attention_dropout", 0) or any(b.self_attn.attention_dropout for b in blocks):
        return "its attention has dropout"
    if len(set(blocks)) < len(blocks) or len(blocks) != config.num_hidden_layers:
        return "it uses a block twice, or not at all"
    if model.loss_function is not ForCausalLMLoss:
        return "its loss is not the usual one"
    if type(model.lm_head) not in (nn.Linear, WidenedLinear):
        return "its head is adapted or packed"
    if model.lm_head.bias is not None or any(b.self_attn.scaling != b.self_attn.head_dim**-0.5 for b in blocks):
        return "its head has a bias, or its attention a scale of its own"
    if watched := [name or "the model" for name, m in model.named_modules() if _is_watched(m)]:
        return f"{watched[0]} is hooked or has another forward than its class"
    adapters = {id(p) for m in model.modules() if type(m) is LoRALinear for p in (m.lora_A, m.lora_B)}
    if others := [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in adapters]:
        return f"more than the course's own adapters trains: {others[0]}"
    return ""


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_watched(module: nn.Module) -> bool:
    """Whether calling this module does more than its class, as it was written, says: the fast path goes by the class.

    Two hooks of the embedding are known, which leave its numbers as they are: checkpointing has it ask for a gradient,
    and one in 16 bits below layers that compute in fp32 gives fp32.
    """
    groups = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    hooks = [hook for group in groups for hook in group.values()]
    written = next(kind for kind in type(module).__mro__ if "forward" in vars(kind))
    return (
        "forward" in vars(module)
        or vars(written)["forward"].__module__ != written.__module__
        or any(_name_of(hook) not in ("make_inputs_require_grads", "widened") for hook in hooks)
        or torch.nn.modules.module._has_any_global_hook()
    )


def _name_of(hook: Any) -> str:
    return getattr(getattr(hook, "func", hook), "__name__", "")  # of a partial, its function's


class FastPath:
    """The loss of a batch, and gradients for its adapters, with the least work that we know of.

    `dtype` is what is multiplied in: torch.bfloat16 as under autocast, or the model's own, as its norms have it. A base
    kept in more bits is copied to it once, while this object lives; one in 4 bits is unpacked for each product anew.
    `on` ("cpu" or "cuda") says whose way attention goes where the model lies on neither; `chunk` is how many supervised
    tokens have their logits at once.
    """

    def __init__(self, model: Any, dtype: torch.dtype | None = None, share_prefix: bool = True, on: str = "") -> None:
        self.model, self.share_prefix, self.on, self.chunk = model, share_prefix, on, CHUNK
        self.dtype = dtype or model.model.norm.weight.dtype
        self.heads = model.config.num_attention_heads
        self.kv_heads = model.config.num_key_value_heads
        self.frozen = {id(layer): frozen(_base(layer), self.dtype) for layer in self.layers()}

    def layers(self) -> list[Any]:
        """The linear layers: seven of each block, and the head."""
        return [*(b.get_submodule(name) for b in self.model.model.layers for name in SEVEN), self.model.lm_head]

    def loss(self, batch: Sequence[Encoded]) -> Tensor:
        """Mean cross-entropy per supervised token of `batch`, in nats, as the model itself computes it."""
        return self.loss_of(self.rows(batch))

    def rows(self, batch: Sequence[Encoded]) -> Rows:
        return Rows(batch, self.model.lm_head.weight.device, self.share_prefix)

    def loss_of(self, rows: Rows) -> Tensor:
        core = self.model.model
        x = core.embed_tokens(rows.input_ids)
        cos, sin = (t[0, :, None, : t.shape[-1] // 2] for t in core.rotary_emb(x[None], rows.positions[None]))
        for block in core.layers:
            through = partial(self.block, block=block, cos=cos, sin=sin, rows=rows)
            remembers = not (block.gradient_checkpointing and block.training)
            x = through(x) if remembers else checkpoint(through, x, use_reentrant=False)
        return self.head(x, rows)

    def head(self, x: Tensor, rows: Rows) -> Tensor:
        """The loss, from what the last block gives (tokens × d)."""
        h = self.norm(x[rows.supervised], self.model.model.norm)
        return HeadLoss.apply(h, self.frozen[id(self.model.lm_head)], rows.labels, self.chunk)

    def block(self, x: Tensor, block: Any, cos: Tensor, sin: Tensor, rows: Rows) -> Tensor:
        """x (tokens × d) after one block: attention looks back at earlier tokens, the MLP works on each alone."""
        attention, mlp = block.self_attn, block.mlp
        h = self.norm(x, block.input_layernorm)
        q, k, v = self.products(h, attention.q_proj, attention.k_proj, attention.v_proj)
        q, k = (Rotation.apply(t.unflatten(1, (n, -1)), cos, sin) for t, n in ((q, self.heads), (k, self.kv_heads)))
        looked = attend(q, k, v.unflatten(1, (self.kv_heads, -1)), rows, self.on)
        x = x + self.products(looked, attention.o_proj)[0]
        h = self.norm(x, block.post_attention_layernorm)
        gate, up = self.products(h, mlp.gate_proj, mlp.up_proj)
        return x + self.products(SwiGLU.apply(gate, up), mlp.down_proj)[0]

    def norm(self, x: Tensor, norm: Any) -> Tensor:
        return RMSNorm.apply(x, norm.weight, norm.variance_epsilon, self.dtype)

    def products(self, x: Tensor, *layers: Any) -> tuple[Tensor, ...]:
        """What each of these layers gives for the same x, adapters included."""
        frozen = [self.frozen[id(layer)] for layer in layers]
        if not all(isinstance(layer, LoRALinear) for layer in layers):
            return tuple(
                LoRAProducts.apply(x, [W], [layer.scaling], layer.lora_A, layer.lora_B)[0]
                if isinstance(layer, LoRALinear)
                else FrozenProduct.apply(x, W)
                for W, layer in zip(frozen, layers, strict=True)
            )
        scales = [layer.scaling for layer in layers]
        A, B = ([getattr(layer, name) for layer in layers] for name in ("lora_A", "lora_B"))
        return LoRAProducts.apply(x, frozen, scales, *A, *B)


def frozen(layer: Any, dtype: torch.dtype) -> Frozen:
    """How a frozen layer multiplies in `dtype`: on its own, slice by slice, or by its weight whole.

    The whole weight is at hand, or unpacked from 4 bits whenever it is asked for.
    """
    if hasattr(layer, "add_back"):
        return layer
    if isinstance(layer, QuantizedLinear):
        return Whole(lambda: dequantize(layer.quantized).to(dtype), layer.bias)
    if type(layer).__name__ == "Linear4bit":
        from bitsandbytes.functional import dequantize_4bit

        return Whole(lambda: dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(dtype), layer.bias)
    weight = layer.weight.detach().to(dtype)
    return Whole(lambda: weight, layer.bias)


def _base(layer: Any) -> Any:
    return layer.base_layer if isinstance(layer, LoRALinear) else layer
