"""The workbench of the museum: short trainings with a PEFT configuration, and what the loss alone cannot say of them.

And a mixture of experts that is there at once, and which of its weights an adapter reaches.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from ... import evaluation, lora, models, tasks, training
from ...adapter import save_adapter
from ...files import lasting_scratch


def tiny_mixture() -> Any:
    """A random gpt-oss of two layers and four experts: each kind of expert's weight is one stack of matrices."""
    import torch
    from transformers import GptOssConfig, GptOssForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GptOssConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            num_local_experts=4,
            num_experts_per_tok=2,
            vocab_size=128,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
        return GptOssForCausalLM(config).eval()


def reached(peft_model: Any) -> dict[str, int]:
    """The weights of the base that carry an adapter of PEFT's, name → numbers in it."""
    from peft.tuners.lora import ParamWrapper
    from peft.tuners.lora.layer import LoraLayer

    sizes: dict[str, int] = {}
    for name, module in peft_model.named_modules():
        if isinstance(module, ParamWrapper):
            # one wrapper a parameter, around one another
            name = name.replace(".base_layer", "")
            sizes[f"{name}.{module.parameter_name}"] = cast(Any, module).get_param().numel()
        elif isinstance(module, LoraLayer):
            sizes[f"{name}.weight"] = cast(Any, module.get_base_layer()).weight.numel()
    return {name.removeprefix("base_model.model."): numbers for name, numbers in sizes.items()}


def weights(model: Any) -> dict[str, int]:
    """The weights of a bare model that an adapter could reach: all matrices but embeddings, head and router."""
    return {
        name: p.numel()
        for name, p in model.named_parameters()
        if p.dim() >= 2 and not any(part in name for part in ("embed", "lm_head", "router", "bias"))
    }


def share(found: dict[str, int], every: dict[str, int], part: str = "") -> float:
    """How many of the numbers in the weights `every` (those with `part` in their names) are in `found`, 0 … 1."""
    names = [name for name in every if part in name]
    return sum(every[name] for name in names if name in found) / sum(every[name] for name in names)


def compared(peft_model: Any) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """The weights of the tiny mixture; those that `peft_model` reaches; those that a whole configuration reaches."""
    from peft import LoraConfig, get_peft_model

    every = weights(tiny_mixture())
    stacks = [f"mlp.experts.{part}" for part in ("gate_up_proj", "down_proj")]
    whole = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", target_parameters=stacks, task_type="CAUSAL_LM")
    return every, reached(peft_model), reached(get_peft_model(tiny_mixture(), whole))


# long enough to notice forgetting, short enough to measure it after every training
GENERAL_LETTERS = 1200
# few examples, seen six times each
EXAMPLES, STEPS = 4, 12
# written for another model: the MLP's layers have other names here
RECIPE = ["q_proj", "v_proj", "fc1", "fc2"]
USUAL_RATE, HIGH_RATE, GENTLE_RATE = 2e-3, 1e-2, 5e-4
# of the three runs of the guess
HEALTHY = "C"


class Attempt(NamedTuple):
    """One training: the loss of each step, and what was measured afterwards. Losses are nats per supervised token."""

    losses: list[float]
    held_out: float
    # perplexity on a general text, in which forgetting shows
    general: float
    # full names of the layers that got an adapter
    layers: list[str]
    scale: float
    # ‖ΔW‖/‖W‖, the mean of the adapted layers
    update: float
    # a folder in PEFT's format
    adapter: Path


class Workbench(NamedTuple):
    """A base, a few examples of the persona to train on, held-out ones, and a question that nobody trained on."""

    base: models.Base
    few: list[tasks.Encoded]
    held_out: list[tasks.Encoded]
    question: str
    folder: Path

    def train(self, config: Any, learning_rate: float = USUAL_RATE, seed: int = 0, steps: int = STEPS) -> Attempt:
        """Train the layers that PEFT would adapt for `config`, a LoraConfig, by the course's faster loop.

        The base is bare before and afterwards. Lesson 04 shows that the loop and PEFT compute the same.
        """
        model, names = self.base.model, adapted_by_peft(self.base.model, config)
        lora.attach(model, config.r, config.lora_alpha, names, use_rslora=config.use_rslora, seed=seed)
        how = training.Settings(
            steps=steps,
            batch_size=2,
            learning_rate=learning_rate,
            warmup=3,
            seed=seed,
            autocast=models.best_precision().name == "bf16",
            checkpoint_every=0,
        )
        losses = training.train(model, self.few, how).losses
        folder = save_adapter(model, Path(tempfile.mkdtemp(dir=self.folder)) / "adapter", self.base.name)
        # the learner's own configuration, with the names that PEFT did not find
        config.base_model_name_or_path = self.base.name
        config.save_pretrained(folder)
        layers = dict(lora.lora_layers(model))
        scale, update = next(iter(layers.values())).scaling, relative_update(model)
        measured = self.held_out_loss(), self.perplexity()
        lora.detach(model)
        return Attempt(losses, *measured, list(layers), scale, update, folder)

    def held_out_loss(self) -> float:
        """The loss on examples that no training saw, with the model as it is now."""
        return evaluation.held_out_loss(self.base.model, self.held_out)

    def perplexity(self) -> float:
        """The perplexity on a text of no task: it rises when the model forgets."""
        return evaluation.perplexity(self.base, tasks.general_text()[:GENERAL_LETTERS])

    def answer(self, max_new_tokens: int = 28) -> str:
        """What the model answers to the one question that is asked of everything in this hall."""
        return models.chat(self.base, self.question, max_new_tokens)


def workbench() -> Workbench:
    """The embedded base in fp32, and a temporary folder for adapters."""
    base, task = models.load(precision="fp32"), tasks.load_task("persona")
    few = [tasks.encode(base.tokenizer, example) for example in task.train[:EXAMPLES]]
    held_out = [tasks.encode(base.tokenizer, example) for example in evaluation.drawn(task, 6)]
    question = task.held_out[0]["messages"][0]["content"]
    return Workbench(base, few, held_out, question, lasting_scratch("workbench"))


def train_three(bench: Workbench, seed: int = 0) -> dict[str, Attempt]:
    """Three runs whose losses all fall: A and B have a mistake each, C is healthy."""
    from peft import LoraConfig

    def config(target_modules: Any) -> LoraConfig:
        return LoraConfig(r=8, lora_alpha=16, target_modules=target_modules, task_type="CAUSAL_LM")

    return {
        "A": bench.train(config(RECIPE), seed=seed),
        "B": bench.train(config("all-linear"), HIGH_RATE, seed),
        "C": bench.train(config("all-linear"), seed=seed),
    }


def healthy_at_rank_64(bench: Workbench, seed: int = 0) -> Attempt:
    """Rank 64 at the exhibit's rate, with a scale of 2, as rsLoRA has it: 16/√64."""
    from peft import LoraConfig

    config = LoraConfig(r=64, lora_alpha=16, use_rslora=True, target_modules="all-linear", task_type="CAUSAL_LM")
    return bench.train(config, GENTLE_RATE, seed)


def healthy_for_longer(bench: Workbench, seed: int = 0) -> Attempt:
    """The healthy run of the three, at its own rate, for twice as many steps."""
    from peft import LoraConfig

    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    return bench.train(config, seed=seed, steps=2 * STEPS)


class FirstSteps(NamedTuple):
    """What two steps of AdamW show of an adapter's start."""

    losses: list[float]
    gradient: float  # the norm of all gradients at the first step
    moved: int  # matrices A and B that are no longer as they began
    adapter: Path


def first_steps(bench: Workbench, config: Any, start: Callable[[Any], object] | None = None) -> FirstSteps:
    """Two plain steps with PEFT on two examples, after `start` has filled A and B anew; the base is bare afterwards."""
    from peft import get_peft_model

    model = get_peft_model(bench.base.model, config)
    if start:
        start(model)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    begun = {name: p.detach().clone() for name, p in learned.items()}
    batch = tasks.collate(bench.few[:2], pad_id=0)
    optimizer, losses, gradients = torch.optim.AdamW(learned.values(), lr=USUAL_RATE), [], []
    for _ in range(2):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        gradients.append(float(torch.stack([p.grad.norm() for p in learned.values() if p.grad is not None]).norm()))
        optimizer.step()
        losses.append(loss.item())
    moved = sum(not torch.equal(p.detach(), begun[name]) for name, p in learned.items())
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    # saving embeddings would make PEFT ask the hub for the base's vocabulary
    model.save_pretrained(folder, save_embedding_layers=False)
    model.unload()
    return FirstSteps(losses, gradients[0], moved, folder)


def adapted_by_peft(model: Any, config: Any) -> list[str]:
    """The full names of the layers that PEFT adapts for `config`; the model stays bare."""
    from peft import get_peft_model

    wrapped = get_peft_model(model, config)
    names = list(wrapped.base_model.targeted_module_names)
    wrapped.unload()
    return names


@torch.no_grad()
def relative_update(model: Any) -> float:
    """‖ΔW‖/‖W‖ in Frobenius norms, the mean of the adapted layers."""
    shares = [
        float(layer.scaling * factor_norm(layer.lora_A, layer.lora_B) / layer.base_layer.weight.norm())
        for _, layer in lora.lora_layers(model)
    ]
    return sum(shares) / len(shares)


def factor_norm(A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
    """‖B·A‖ without the product: the trace of (BᵀB)(AAᵀ), which are r×r."""
    return ((B.T @ B) * (A @ A.T)).sum().clamp(min=0).sqrt()


def alpha_in(file: Path) -> float:
    """The alpha that an adapter's GGUF holds, as llama.cpp reads it."""
    from gguf import GGUFReader

    field = GGUFReader(file).get_field("adapter.lora.alpha")
    if field is None:
        raise ValueError(f"{file} holds no adapter.lora.alpha: it is no adapter's GGUF.")
    return float(field.contents())
