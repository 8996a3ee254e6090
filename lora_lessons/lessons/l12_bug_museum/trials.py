"""Hall 3's workshop: a Llama that is there at once, and each repair tried on it: what it did, in numbers.

The notebook's vital signs and the checks use the same.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from ...files import lasting_scratch

transformers_logging.disable_progress_bar()


# Four rows of 16 tokens, learned by heart; and four others, for a second adapter.
IDS, OTHER_IDS = torch.randint(3, 128, (2, 4, 16), generator=torch.Generator().manual_seed(0))
# Eight rows of 128, one part in 1,024 of a batch of a million tokens: the more tokens share a loss,
# the smaller each one's gradient.
LONG_IDS, PARTS = torch.randint(3, 128, (8, 128), generator=torch.Generator().manual_seed(1)), 1024


def tiny_llama(tied: bool = False, seed: int = 0) -> Any:
    """A random Llama of two layers and 128 tokens, the same every time; `tied`: its head is its embedding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=128,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=tied,
            use_cache=False,
        )
        return LlamaForCausalLM(config).eval()


@cache
def _scratch() -> Path:
    return lasting_scratch("museum")


def scratch() -> Path:
    """A new folder; it is gone when the kernel is."""
    return Path(tempfile.mkdtemp(dir=_scratch()))


def lora_config(*targets: str) -> LoraConfig:
    """r = 4, α = 8 on the layers named, or on every Linear but the head."""
    return LoraConfig(r=4, lora_alpha=8, target_modules=list(targets) or "all-linear")


def adamw(parameters: Iterable[nn.Parameter], learning_rate: float = 1e-2) -> torch.optim.AdamW:
    """AdamW without decay over those of `parameters` that ask for a gradient."""
    return torch.optim.AdamW(
        [p for p in parameters if p.requires_grad], lr=learning_rate, weight_decay=0.0, foreach=False
    )


def learn(model: Any, optimizer: torch.optim.Optimizer, steps: int = 20, ids: Tensor = IDS) -> list[float]:
    """Learn `ids` by heart; the loss of each step, in nats per token."""
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    return losses


@torch.no_grad()
def loss_of(model: Any, ids: Tensor = IDS) -> float:
    """The loss on `ids`, in nats per token."""
    return float(model.eval()(input_ids=ids, labels=ids).loss)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    """The logits of IDS, rows × tokens × vocabulary."""
    return model.eval()(input_ids=IDS).logits


def gradients(model: Any) -> dict[str, Tensor]:
    """The gradient of every lora_B after one batch, by name; zeros where none came."""
    model.train().zero_grad(set_to_none=True)
    model(input_ids=IDS, labels=IDS).loss.backward()
    named = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in named.items()}


def heard(found: dict[str, Tensor]) -> int:
    """How many of these gradients are not zero."""
    return sum(bool(gradient.any()) for gradient in found.values())


def weights_of(model: nn.Module, part: str) -> dict[str, Tensor]:
    """Copies of the parameters with `part` in their names."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if part in name}


def moved(model: nn.Module, before: dict[str, Tensor]) -> int:
    """How many of the tensors in `before` are other ones now."""
    now = dict(model.named_parameters())
    return sum(not torch.equal(now[name], tensor) for name, tensor in before.items())


class Wrapped(nn.Module):
    """A class of somebody's own around the model, as many training scripts have one."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, **batch: Any) -> Any:
        return self.net(**batch)


def a_saved_folder(steps: int = 20) -> tuple[Path, Any]:
    """An adapter trained on a wrapped model and saved from it: its folder, and the model."""
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"])
    model = get_peft_model(Wrapped(tiny_llama()), config)
    learn(model, adamw(model.parameters()), steps)
    folder = scratch()
    model.save_pretrained(str(folder))
    return folder, model


def loaded(load: Callable[[Any, Path], Any], folder: Path, model: Any) -> SimpleNamespace:
    """What `load` makes of a bare model and the folder in which `model`'s adapter was saved."""
    back = load(tiny_llama(), folder)
    b = [p for name, p in back.named_parameters() if "lora_B" in name]
    return SimpleNamespace(
        trained=loss_of(model),
        loaded=loss_of(back),
        base=loss_of(tiny_llama()),
        # the largest difference of logits from the trained model's
        apart=float((logits(back) - logits(model)).abs().max()),
        # lora_B that are not zero, and all
        b_moved=sum(bool(p.any()) for p in b),
        b_all=len(b),
    )


def tied(merged: Callable[[Any], Any], steps: int = 20) -> SimpleNamespace:
    """Train adapters on q, v and the head of a tied model, merge, save, load."""
    torch.manual_seed(0)
    model: Any = get_peft_model(tiny_llama(tied=True), lora_config("q_proj", "v_proj", "lm_head"))
    learn(model, adamw(model.parameters()), steps)
    right, with_adapter = logits(model), loss_of(model)
    embedding = model.get_base_model().model.embed_tokens.weight.detach().clone()
    net = merged(model)
    config_ties = bool(net.config.tie_word_embeddings)
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        again: Any = LlamaForCausalLM.from_pretrained(folder)
    return SimpleNamespace(
        in_memory=float((logits(net) - right).abs().max()),
        reloaded=float((logits(again) - right).abs().max()),
        # the largest change of the embedding's weight
        embedding=float((net.model.embed_tokens.weight - embedding).abs().max()),
        tied=again.lm_head.weight is again.model.embed_tokens.weight,
        # whether the merged model's configuration ties them, before anything is saved
        config_ties=config_ties,
        with_adapter=with_adapter,
        from_file=loss_of(again),
    )


STEPS = 20


class _Kept:
    """Something that a graph holds; it is gone when nothing holds the graph."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def an_epoch(
    epoch: Callable[[Any, torch.optim.Optimizer, list[Tensor], list[Tensor]], Any],
) -> tuple[list[tuple[int, int]], Any]:
    """What is alive as each pass begins while `epoch` trains on twenty rows and looks at eight others, and at the end:
    graphs of earlier passes, and tensors saved in them for a backward pass; and what `epoch` returns."""
    torch.manual_seed(0)
    model: Any = get_peft_model(tiny_llama(), lora_config())
    graphs, saved, alive = WeakSet[_Kept](), WeakSet[_Kept](), list[tuple[int, int]]()

    def keep(held: WeakSet[_Kept], tensor: Tensor) -> _Kept:
        # detached: what a node saves of itself would hold the node
        held.add(kept := _Kept(tensor.detach()))
        return kept

    def passed(_module: Any, _args: Any, out: Tensor) -> None:
        getattr(out.grad_fn, "metadata", {})["kept"] = keep(graphs, out.detach()[:0])

    model.register_forward_pre_hook(lambda *_: alive.append((len(graphs), len(saved))))
    model.get_base_model().lm_head.register_forward_hook(passed)
    with torch.autograd.graph.saved_tensors_hooks(partial(keep, saved), lambda kept: kept.tensor):
        losses = epoch(model, adamw(model.parameters()), list(IDS.split(1)) * 5, list(OTHER_IDS.split(1)) * 2)
    return [*alive, (len(graphs), len(saved))], losses


def checkpointed(save_memory: Callable[[Any], Any], steps: int = 20) -> SimpleNamespace:
    """The gradients of one step, and some training, with adapters on q, v and the head."""

    def adapted(change: Callable[[Any], Any]) -> Any:
        torch.manual_seed(0)
        return get_peft_model(change(tiny_llama()), lora_config("q_proj", "v_proj", "lm_head"))

    right, model = gradients(adapted(lambda net: net)), adapted(save_memory)
    blocks = model.get_base_model().model.layers
    ran = Counter[int]()
    hooks = [
        block.self_attn.register_forward_hook(lambda *_, number=i: ran.update([number]))
        for i, block in enumerate(blocks)
    ]
    grads = gradients(model)
    runs = [ran[i] for i in range(len(blocks))]
    for hook in hooks:
        hook.remove()
    apart = max(float((grads[name] - right[name]).abs().max()) for name in right)
    model.zero_grad()
    losses = learn(model, adamw(model.parameters()), steps)
    folder = scratch()
    model.save_pretrained(str(folder))
    return SimpleNamespace(
        heard=heard(grads),
        of=len(grads),
        # how often each block ran in one step: 2 where its inside was thrown away and computed again
        runs=runs,
        # the largest difference from the gradients without checkpointing
        apart=apart,
        losses=losses,
        folder=folder,
    )


def half_base() -> Any:
    """The tiny Llama in fp16 with adapters on; A and B are in fp32, because PEFT makes them so."""
    torch.manual_seed(0)
    return get_peft_model(tiny_llama().half(), lora_config())


def in_fp16(
    gradients_in_fp16: Callable[[Any, Tensor, int], dict[str, Tensor]], parts: int = PARTS, steps: int = 0
) -> SimpleNamespace:
    """Compare what `gradients_in_fp16` returns with the gradients in fp32, then let AdamW take `steps` with it."""
    torch.manual_seed(0)
    whole: Any = get_peft_model(tiny_llama(), lora_config())
    (whole(input_ids=LONG_IDS, labels=LONG_IDS).loss / parts).backward()
    right = flat({name: p.grad for name, p in whole.named_parameters() if "lora_B" in name})
    grads = flat(gradients_in_fp16(half_base(), LONG_IDS, parts))
    cosine = torch.cosine_similarity(grads, right, 0) if bool(grads.any()) else torch.zeros(())
    return SimpleNamespace(
        zeros=float((grads == 0).float().mean()),
        cosine=float(cosine),
        # ‖g‖ / ‖right g‖
        size=float(grads.norm() / right.norm()),
        finite=bool(torch.isfinite(grads).all()),
        # the loss before and after B learned from them
        losses=_learned(gradients_in_fp16, parts, steps),
    )


def _learned(gradients_in_fp16: Callable[[Any, Tensor, int], dict[str, Tensor]], parts: int, steps: int) -> Any:
    """The loss before and after `steps` of AdamW on every B."""
    model = half_base()
    b = {name: p for name, p in model.named_parameters() if "lora_B" in name}
    before, optimizer = loss_of(model, LONG_IDS), adamw(b.values())
    for _ in range(steps):
        model.zero_grad()
        for name, gradient in gradients_in_fp16(model, LONG_IDS, parts).items():
            b[name].grad = gradient
        optimizer.step()
    return before, loss_of(model, LONG_IDS)


def flat(tensors: dict[str, Tensor]) -> Tensor:
    """All numbers of these tensors in one row, in fp32."""
    return torch.cat([tensor.float().flatten() for tensor in tensors.values()])


def second_adapter(add_second: Callable[[Any], Any], steps: int = 20) -> SimpleNamespace:
    """Train "first" on IDS, then whatever `add_second` trains on OTHER_IDS."""
    torch.manual_seed(0)
    model = get_peft_model(tiny_llama(), lora_config(), adapter_name="first")
    learn(model, adamw(model.parameters()), steps)
    before = loss_of(model)
    kept = weights_of(model, "")
    optimizer = add_second(model)
    start = weights_of(model, ".second.")
    losses = learn(model, optimizer, 1, OTHER_IDS)
    seconds = [p.grad for name, p in model.named_parameters() if "lora_B.second" in name]
    heard = sum(grad is not None and bool(grad.any()) for grad in seconds)
    losses += learn(model, optimizer, steps - 1, OTHER_IDS)
    folder = scratch()
    model.save_pretrained(str(folder))
    model.set_adapter("first")
    first = {name: tensor for name, tensor in kept.items() if ".first." in name}
    base = {name: tensor for name, tensor in kept.items() if ".first." not in name}
    return SimpleNamespace(
        first=moved(model, first),
        second=moved(model, start),
        base=moved(model, base),
        losses=losses,
        # the first adapter's loss on its own text, before and after
        on_first=(before, loss_of(model)),
        # lora_B of the second adapter with a gradient after the first backward
        heard=heard,
        folder=folder,
    )


def continued(load: Callable[[Any, Path], Any], steps: int = 20) -> SimpleNamespace:
    """Save an adapter, `load` it onto a bare model, and let a usual loop train that on OTHER_IDS.

    The embedding's output asks for a gradient, as everyone sets it who uses checkpointing: without that, a frozen model
    stops in backward.
    """
    torch.manual_seed(0)
    first, folder = get_peft_model(tiny_llama(), lora_config()), scratch()
    learn(first, adamw(first.parameters()))
    first.save_pretrained(str(folder))
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    net = tiny_llama()
    net.enable_input_require_grads()
    model = load(net, folder)
    before, begins = weights_of(model, ""), loss_of(model)
    adapter = {name: tensor for name, tensor in before.items() if "lora_" in name}
    base = {name: tensor for name, tensor in before.items() if name not in adapter}
    learned = [p for p in model.parameters() if p.requires_grad]
    # in a group, as Trainer does: no library minds that the group is empty
    losses = learn(model, torch.optim.AdamW([{"params": learned}], lr=1e-2), steps, OTHER_IDS)
    saved = scratch()
    model.save_pretrained(str(saved))
    return SimpleNamespace(
        # numbers that ask for a gradient
        trainable=sum(p.numel() for p in learned),
        # tensors of A and B, all and those that moved, and tensors of the base that moved
        of=len(adapter),
        moved=moved(model, adapter),
        base_moved=moved(model, base),
        # the loss on the first round's rows, at its end and as the second one begins
        first_ended=loss_of(first),
        begins=begins,
        # the second round's losses; the loss on its rows at its end, and of its file on a bare model
        losses=losses,
        ends=loss_of(model, OTHER_IDS),
        from_file=loss_of(PeftModel.from_pretrained(tiny_llama(), str(saved)), OTHER_IDS),
        # whether the first round's folder is another one now
        other_file={file.name: file.read_bytes() for file in folder.iterdir()} != kept,
    )
