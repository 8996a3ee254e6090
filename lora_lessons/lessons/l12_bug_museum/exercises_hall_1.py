"""Checks of hall 1, the adapter itself: each runs what the learner repaired, and names what is still broken.

At the end, two configurations repaired: the vital signs of "a healthy run" come from them, so solve the exhibits first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ...course.exercises import answered, exercise, one_number


@exercise("12.1", "Fine in PEFT, wild in my converter", difficulty=1, minutes=4)
def exercise_12_1(delta: Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]) -> str | None:
    generator = torch.Generator().manual_seed(0)
    A, B = torch.randn(4, 6, generator=generator), torch.randn(5, 4, generator=generator)
    try:
        got = answered(delta(A, B, {"r": 4, "lora_alpha": 6}))
    except RuntimeError:
        return "These shapes do not multiply. ΔW is B·A, so B (here 5×4) comes first, then A (4×6)."
    if not isinstance(got, Tensor) or got.shape != (5, 6):
        return "Return ΔW itself, a tensor as large as W: here 5×6, which is B (5×4) times A (4×6)."
    size = float((got * (B @ A)).sum() / (B @ A).square().sum())
    if not torch.allclose(got, size * (B @ A), atol=1e-4):
        return "That is no multiple of B·A. ΔW is B·A, times one number."
    for factor, advice in (
        (6.0, "Still broken: that is α times B·A. For r = 4 it is four times too large."),
        (1.0, "The scale is 1 now, where α/r is 1.5: it is missing, or // rounded it down."),
        (4 / 6, "That is r/α, upside down."),
        (3.0, "That is α/√r, the scale of rsLoRA. This adapter is plain LoRA."),
        (24.0, "You multiplied by r. Divide by it."),
        (2.0, "That is the scale of the exhibit's own adapter. Read r and lora_alpha from `config`."),
    ):
        if math.isclose(size, factor, rel_tol=1e-4):
            return advice
    again = delta(A, B, {"r": 4, "lora_alpha": 16})
    if math.isclose(size, 1.5, rel_tol=1e-4) and torch.allclose(again, 4 * (B @ A), atol=1e-3):
        return None
    return f"For r = 4 and α = 6 the scale is 1.5, for α = 16 it is 4; yours begins with {size:.3g}."


@exercise("12.2", "Rank 64, and it barely moves", difficulty=1, minutes=4)
def exercise_12_2(config: Callable[[], Any]) -> str | None:
    from peft import LoraConfig

    got = answered(config())
    if not isinstance(got, LoraConfig):
        return "Return a LoraConfig."
    if got.r != 64:
        return f"The rank is {got.r} now. Keep r = 64: nothing is wrong with it."
    if got.target_modules != "all-linear":
        return 'Keep target_modules="all-linear": the layers were right.'
    scale = got.lora_alpha / (math.sqrt(got.r) if got.use_rslora else got.r)
    if scale == 0.5:
        return None
    for alpha, rslora, advice in (
        (8, False, f"Still broken: lora_alpha is at its default of 8, and the scale is {scale:g}."),
        (
            128,
            False,
            "That is α = 2r. The first step then pushes four times as hard as in the run that worked: keep its α.",
        ),
        (
            256,
            False,
            "That keeps the scale of r = 8, so the first step pushes eight times as hard. Keep its α, not its scale.",
        ),
        (0.5, False, "lora_alpha is α; 0.5 is the healthy run's scale, α/r."),
        (32, True, f"rsLoRA divides by √r, so the scale is {scale:g} now. That of the healthy run was 0.5."),
    ):
        if (got.lora_alpha, bool(got.use_rslora)) == (alpha, rslora):
            return advice
    return f"The scale is {scale:g} now. That of the healthy run was 0.5: which α has r = 8 in the complaint?"


@exercise("12.3", "A perfectly calm start", difficulty=2, minutes=6)
def exercise_12_3(start: Callable[[int, int, int], tuple[Tensor, Tensor]]) -> str | None:
    r, d, k = 4, 10, 12
    got = answered(start(r, d, k))
    if not isinstance(got, (tuple, list)) or not all(isinstance(part, Tensor) for part in got) or len(got) != 2:
        return "Return two tensors: A, then B."
    A, B = (part.detach().float() for part in got)
    if A.shape != (r, k) or B.shape != (d, r):
        return f"A is r×k and B is d×r: here {r}×{k} and {d}×{r}. Yours are {tuple(A.shape)} and {tuple(B.shape)}."
    if not (A.isfinite().all() and B.isfinite().all()):
        return "torch.empty is not filled with anything yet: draw its numbers, or set them to zero."
    if not A.any() and not B.any():
        return "Still broken: both are zero, so each is a zero factor in the other's gradient."
    if (B @ A).any():
        return (
            "B·A is not zero, so the adapter changes the base before it has learned anything. "
            "One of the two starts at zero."
        )
    if torch.linalg.matrix_rank(A if A.any() else B) < r:
        return (
            "It moves, but all directions start alike, get the same gradient and stay alike: a rank of 1 for ever. "
            "Draw the numbers at random."
        )
    return None


@exercise("12.4", "A recipe that worked for a friend", difficulty=2, minutes=6)
def exercise_12_4(unmatched: Callable[[list[str], list[str]], list[str]]) -> str | None:
    blocks = ("self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj")
    layers = [f"model.layers.{i}.{part}" for i in (0, 1) for part in blocks]
    recipe = ["q_proj", "v_proj", "fc1", "fc2"]
    got = answered(unmatched(list(recipe), list(layers)))
    if isinstance(got, (str, bool, int)) or not all(isinstance(name, str) for name in got):
        return "Return a list: the names that match no layer."
    if set(got) == {"q_proj", "v_proj"}:
        return "Turned round: those match. Return the ones that do not."
    if set(got) & set(layers):
        return "You return layers of the model. Return names of target_modules."
    if not got:
        return "Still silent: fc1 and fc2 match nothing here. It is not enough that another name matches."
    if set(got) != {"fc1", "fc2"}:
        return f"Here fc1 and fc2 match no layer. You return {', '.join(sorted(got))}."
    if "proj" not in unmatched(["q_proj", "proj"], list(layers)):
        return (
            "Right so far, but “proj” is only the end of a word: PEFT asks for the whole last part of a layer's name."
        )
    if unmatched(["model.layers.0.mlp.up_proj", "mlp.up_proj"], list(layers)):
        return "A longer name may be given, too: “mlp.up_proj” and “model.layers.0.mlp.up_proj” both match."
    return None


def tiny_mixture() -> Any:
    """A random gpt-oss of two layers and four experts: each kind of expert's weight is one stack of matrices."""
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


@exercise("12.5", "All linear layers, and still so few", difficulty=2, minutes=7)
def exercise_12_5(config: Callable[[], Any]) -> str | None:
    from peft import LoraConfig, get_peft_model

    got = answered(config())
    if not isinstance(got, LoraConfig):
        return "Return a LoraConfig."
    model = tiny_mixture()
    every = weights(model)
    try:
        wrapped = get_peft_model(model, got)
    except ValueError as error:
        return (
            "PEFT finds no such module: the experts are parameters, so name them in target_parameters. "
            f"({str(error)[:80]} …)"
        )
    if got.r != 4:
        return f"The rank is {got.r}. Keep r = 4: the experts were left out by their kind, not by the rank."
    if got.modules_to_save:
        return "modules_to_save trains whole copies of the experts. Give them adapters instead: target_parameters."
    adapted = reached(wrapped)
    experts, others = share(adapted, every, "experts"), share(adapted, every, "self_attn")
    if not experts:
        return "Still broken: no expert carries an adapter."
    if experts < 1:
        return (
            f"{experts:.0%} of the experts' numbers are reached. Each expert has two weights: "
            "gate_up_proj and down_proj."
        )
    return None if others == 1 else "The experts are reached, but the attention lost its adapters: keep all-linear."


@exercise("12.6", "The best training loss of all", difficulty=2, minutes=5)
def exercise_12_6(choose: Callable[[Mapping[float, Sequence[float]], float], float]) -> str | None:
    # rate: (training loss, held-out loss, perplexity on a general text)
    runs = {1e-4: (4.1, 4.2, 40.0), 1e-3: (2.0, 3.1, 43.0), 4e-3: (1.1, 2.9, 71.0), 2e-2: (0.1, 6.0, 900.0)}
    got = one_number(choose(dict(runs), 40.0))
    for wrong, advice in (
        (2e-2, "Still broken: that is the run with the lowest training loss, and its held-out loss is the highest."),
        (
            4e-3,
            (
                "The lowest held-out loss, but perplexity rose from 40 to 71: it forgot too much. "
                "Leave out such runs first."
            ),
        ),
        (
            1e-4,
            (
                "That run forgot nothing because it learned nothing. Among the runs that pass, "
                "take the best held-out loss."
            ),
        ),
    ):
        if got == wrong:
            return advice
    if got != 1e-3:
        return f"Return a rate, one of the keys of `runs`: 0.0001, 0.001, 0.004 or 0.02. You return {got:g}."
    if choose({1e-3: (1.0, 3.5, 30.0), 2e-3: (1.2, 3.0, 30.0)}, 25.0) != 2e-3:
        return "Right here, and wrong elsewhere: when no run forgot much, the lowest held-out loss decides."
    other = choose({1e-3: (2.0, 3.2, 11.0), 2e-3: (1.5, 3.0, 14.0), 4e-3: (1.0, 2.5, 18.0)}, 10.0)
    if other == 4e-3:
        return "Right for this base. Of a base with a perplexity of 10, you keep a run with 18: use base_perplexity."
    if other != 2e-3:
        return "Perplexity only says which runs to leave out. Among the others, the held-out loss alone decides."
    try:
        none_left = choose({1e-3: (0.1, 5.0, 90.0)}, 40.0)
    except ValueError:
        return None
    return (
        None
        if none_left is None
        else "When every run forgot too much, there is none to keep. You return one: raise ValueError."
    )


@exercise("12.22", "Cheaper now, and it stands still", difficulty=1, minutes=5)
def exercise_12_22(rate_for: Callable[[Callable[[float], list[float]], float], float]) -> str | None:
    for recipe, factor in ((2e-5, 100), (1e-4, 10), (2e-4, 30)):
        best = recipe * factor

        def train(rate: float, best: float = best) -> list[float]:
            # lowest at the best rate, and broken far beyond it
            return [4.3, 4.2, 1 + abs(math.log10(rate / best)) if rate < 2 * best else math.nan]

        got = one_number(rate_for(train, recipe))
        if not math.isclose(got, best, rel_tol=1e-3):
            return {
                1: "Still the recipe's rate, where the loss hardly moves. Compare the last losses, not the first ones.",
                10: f"Ten times is where to begin. Here {factor} times is better, so let the runs decide.",
                300: f"At {got:g} the run broke: its last loss is nan. A larger rate is better only up to a point.",
            }.get(round(got / recipe), f"Of the six rates, {best:g} ends with the lowest loss. You return {got:g}.")
    return None


# ---- the hall repaired


def stronger_config() -> Any:
    """12.2: the α that worked at rank 8."""
    from peft import LoraConfig

    return LoraConfig(r=64, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")


def config_with_experts() -> Any:
    """12.5: the stacks of the experts, by their names."""
    from peft import LoraConfig

    stacks = [f"mlp.experts.{part}" for part in ("gate_up_proj", "down_proj")]
    return LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", target_parameters=stacks, task_type="CAUSAL_LM")
