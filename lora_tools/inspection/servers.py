"""What servers that put an adapter beside the base make of it: vLLM and SGLang, read in their sources and threads, not run here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isclose

from .architectures import TOWERS, by_architecture
from .reading import AdapterFolder, besides, last, leaf_of
from .served import by_list, if_served, layers
from .settings import EMBEDDINGS
from .xray import AdaptedMatrix, AgainstBase, Answer, other_ranks

# vLLM's default for --max-lora-rank, and what else it may be (vllm/config/lora.py, 2026).
VLLM_RANK, VLLM_RANKS = 16, (8, 16, 32, 64, 128, 256, 320, 512)
_VLLM_READS = "vllm/lora/peft_helper.py"
_SGLANG_READS, _SGLANG_KNOWS = "sglang/srt/lora/lora.py (2026)", "sglang/srt/lora/utils.py (2026)"
_JOINS = "sglang/srt/lora/lora.py (2026), sglang#25913 (2026-05-20), sglang#28199 (open, 2026-06-14)"
_ENCODER = "it was made for a model that reads with an encoder"
ON_GPTQ = "if its base is in GPTQ, QA-LoRA's A reads the means of groups of inputs, which it does not make"


def vllm(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    """What vLLM makes of it; the first answer decides."""
    settings = opened.settings
    if not settings.is_lora:
        yield "no", f"its adapters are A and B, and this is {settings.kind}", ""
    if settings.unsaid:
        yield "no", f"it stops: adapter_config.json does not say {' and '.join(settings.unsaid)}", _VLLM_READS
    if settings.task_type == "SEQ_2_SEQ_LM":
        yield "unknown", f"{_ENCODER}, and T5 was not among those that it serves", "vllm#7366"
    if settings.modules_to_save:
        yield "no", "it takes no modules_to_save: merge it first", "vllm#9280"
    if settings.use_dora:
        yield "no", "it takes no DoRA: merge it first", "vllm#6983, vllm#10849"
    whole = [one for one in besides(opened) if one.role != "embedding"]
    if whole:
        yield "no", f"it takes A and B alone, and the file has {last(whole)} too: merge it first", "vllm#7441"
    if settings.bias != "none":
        yield "no", f"it refuses bias={settings.bias!r}, also where the file has no bias: merge it first", "vllm#7441"
    if "layer_replication" in settings.others:
        yield "no", "layer_replication adds layers that its model has not", _VLLM_READS
    if "use_bdlora" in settings.others:
        yield "no", "it takes no BD-LoRA: merge it first", "vllm#28136"
    if lone := [one for one in opened.tensors if one.role == "embedding" and ".base_layer." not in one.key]:
        reason = f"it stops at {last(lone)}, a matrix that is saved whole: merge it first"
        yield "no", reason, "vllm/lora/utils.py (2026), vllm#9280"
    largest = max((one.r for one in matrices), default=0)
    if largest > VLLM_RANKS[-1]:
        reason = f"it takes ranks up to {VLLM_RANKS[-1]}, and r is {largest:,}: cut it with `lora-lessons export rank`, or merge it first"
        yield "no", reason, "vllm/config/lora.py (2026)"
    yield from by_list("vLLM", opened, against)
    if against is None and (strange := not_usual(matrices)):
        yield (
            "unknown",
            f"it stops where its model has no {strange[:60]}, a name of somebody's own: merge it first",
            "vllm/lora/lora_model.py (2026)",
        )
    by_base = [one for one in by_architecture("vLLM", opened, matrices, against) if one[0] != "yes"]
    yield from (one for one in by_base if one[0] != "care")
    if "alora_invocation_tokens" in settings.others:
        yield (
            "care",
            "it adapts the whole prompt, and this one was trained to begin at its invocation tokens",
            "vllm#19710",
        )
    if other_ranks(opened, matrices):
        yield "care", "its scale comes from the r of the configuration, which is not that of the tensors", _VLLM_READS
    if _leaves(matrices) & set(EMBEDDINGS):
        reason = "it adapts embedding and head of models whose class names them as embedding_modules, Llama's for long and Qwen3's of late"
        yield "care", f"{reason}, and stops at others: if it does, merge it first", "vllm#32599, vllm#33234"
    if against is None and "use_qalora" in settings.others:
        yield "care", ON_GPTQ, ""
    if settings.changes_base:
        yield "care", f"{settings.init_lora_weights} changed the base too: {settings.to_plain}", "lesson 05"
    if _scaled_apart(opened, matrices):
        reason = "it reads r and lora_alpha once for all matrices: those that a pattern names get another scale"
        yield "care", reason, _VLLM_READS
    yield from by_base
    still_open = if_served(opened, against)
    if largest > VLLM_RANK:
        rank = next(one for one in VLLM_RANKS if one >= largest)
        yield "yes", f"with --max-lora-rank {rank}{still_open}: its default is {VLLM_RANK}", "vllm#2847"
    yield "yes", f"with --enable-lora{still_open}", "lesson 16"


def sglang(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    """What SGLang makes of it; the first answer decides. It finds a layer by its number, so language_model may stand in a key."""
    settings = opened.settings
    if not settings.is_lora:
        yield "no", f"its adapters are A and B, and this is {settings.kind}", ""
    if "layer_replication" in settings.others:
        yield "no", "layer_replication adds layers that its model has not", _SGLANG_READS
    if settings.unsaid:
        reason = f"it stops: adapter_config.json does not say {' and '.join(settings.unsaid)}"
        yield "no", reason, "sglang/srt/lora/lora_config.py"
    if settings.use_dora:
        yield "no", "it stops at DoRA: merge it first", "sglang#22125 (merged 2026-04-04)"
    parts = [set(one.module.split(".")) for one in matrices]
    if settings.task_type == "SEQ_2_SEQ_LM" or any("encoder" in one and not TOWERS & one for one in parts):
        yield "unknown", f"{_ENCODER}, and whether it serves this one was not looked at", ""
    more = [*besides(opened), *(one for one in opened.tensors if one.module.rpartition(".")[2] in EMBEDDINGS)]
    if more or settings.bias != "none" or settings.modules_to_save:
        beside = f"{last(more)} in the file" if more else "what its configuration asks for"
        yield "unknown", f"it reads A and B, and what it makes of {beside} was not looked at: merge it first", ""
    if "alora_invocation_tokens" in settings.others:
        yield (
            "unknown",
            "what it makes of aLoRA was not looked at, and none can be merged: use PEFT or llama-server",
            "",
        )
    if {"use_bdlora", "use_qalora"} & settings.others.keys():
        yield "unknown", "what it makes of this variant of LoRA was not looked at: merge it first", ""
    strange, halved = sorted(_leaves(matrices) - layers("sglang")), _halved(opened)
    if isinstance(settings.target_modules, str) and settings.target_modules not in ("all", "all-linear"):
        named = ", ".join(f'"{leaf}"' for leaf in sorted(_leaves(matrices)))
        todo = f"write the names as a list into adapter_config.json: [{named}]"
        if halved:
            todo = f"a list of the names does not help, because {halved}: merge it first"
        elif strange:
            todo = f"a list of the names may not help, because its adapters know no {strange[0][:60]}: merge it first"
        yield "no", f"it stops where target_modules is a pattern: {todo}", _JOINS if halved else _SGLANG_KNOWS
    if strange:
        reason = f"its adapters know layers such as q_proj and gate_proj, and it stops at {strange[0][:60]} unless the model's own class names it"
        yield "unknown", f"{reason}: merge it first", _SGLANG_KNOWS
    if halved:
        yield "no", f"{halved}: merge it first", _JOINS
    if other := next((one for one in matrices if one.r != settings.r), None):
        reason = f"it keeps room for r = {settings.r} alone and stops at a matrix of another rank, such as {other.r}: merge it first"
        yield "no", reason, "sglang/srt/lora/mem_pool.py (2026)"
    by_base = [*by_architecture("SGLang", opened, matrices, against)]
    yield from (one for one in by_base if one[0] != "care")
    if settings.use_rslora:
        r = max((one.r for one in matrices), default=settings.r)
        reason = f"it computes α/r where rsLoRA means α/√r: raise lora_alpha √r-fold ({r**0.5:.3g}) and switch use_rslora off, or merge it first"
        yield "care", reason, "sglang#40835 (open, 2026-09-23)"
    if settings.changes_base:
        yield "care", f"{settings.init_lora_weights} changed the base too: {settings.to_plain}", "lesson 05"
    if _scaled_apart(opened, matrices):
        reason = "it reads lora_alpha once for all matrices: those that alpha_pattern names get another scale: merge it first"
        yield "care", reason, _SGLANG_READS
    yield from by_base
    yield "yes", f"with --enable-lora and --lora-paths{if_served(opened, against)}", "docs.sglang.io, LoRA Serving"


def mlx(merges: bool) -> Answer:
    """What mlx-lm makes of PEFT's layout, and the way round it where PEFT merges the adapter."""
    way = ": merge it with PEFT, and convert the merged model with mlx_lm.convert" if merges else ""
    return "no", f"mlx-lm reads adapters in a layout of its own alone{way}", "mlx-lm#1119 (closed, 2026-04)"


def not_usual(matrices: Sequence[AdaptedMatrix]) -> str:
    """A layer that is adapted and has a name which no family of transformers uses; "" where there is none."""
    return next(
        (leaf for leaf in sorted(_leaves(matrices)) if leaf not in layers("usual") and not leaf.isdecimal()), ""
    )


def _halved(opened: AdapterFolder) -> str:
    """Why SGLang, which joins a layer's projections into one, stops at a layer that adapts a part of them; "" where it does not."""
    adapted: dict[str, set[str]] = {}
    for module, _, _ in opened.pairs():
        part, _, leaf = module.rpartition(".")
        adapted.setdefault(part, set()).add(leaf)
    for part, leaves in adapted.items():
        joins = leaves & {"q_proj", "k_proj", "v_proj"}
        # latent attention has no v_proj
        latent = "kv_a_proj_with_mqa" in leaves
        if not joins or latent or {"q_proj", "v_proj"} <= leaves or TOWERS & set(part.split(".")):
            continue
        does, lacks = ("stops", "v_proj") if "q_proj" in leaves else ("stops or leaves them out", "q_proj")
        return f"it joins q_proj, k_proj and v_proj, and {does} where one layer adapts {', '.join(sorted(joins))} and no {lacks}"
    return ""


def _scaled_apart(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> bool:
    """Whether a matrix has another scale than r and lora_alpha give; a pattern of each may keep them the same."""
    usual = opened.settings._replace(alpha_pattern={}).scale_of("", opened.settings.r)
    return any(not isclose(one.scale, usual) for one in matrices)


def _leaves(matrices: Sequence[AdaptedMatrix]) -> set[str]:
    """The last names of the layers that are adapted."""
    return {leaf_of(one.module) for one in matrices}
