"""Which programs load the adapter, and why: of the rows of runtimes.toml the first that holds for a program."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from math import isclose
from pathlib import Path
from typing import Any

from lora_lessons import models
from lora_lessons.adapter import ADAPTER_CONFIG
from lora_lessons.errors import ModelError
from lora_lessons.peft_config import TASK_TYPES, read_config

from ..exporting import gguf
from ..exporting.gguf.source import PACKED
from .architectures import (
    TOWERS,
    architecture_of,
    base_in_name,
    by_architecture,
    config_of,
    kinds_of_keys,
    packed_by,
    refused_by_peft,
    tied_by_name,
)
from .findings.of_base import other_width
from .reading import (
    FLOATS,
    AdapterFolder,
    adapter_name,
    besides,
    ends,
    is_norm,
    leaf_of,
    nowhere,
    odd_keys,
    weights_beside,
)
from .served import architecture_named, by_list, if_served, layers
from .settings import EMBEDDINGS, NEEDS_COVARIANCES, NEEDS_GRADIENTS, AdapterSettings
from .xray import (
    AdaptedMatrix,
    AgainstBase,
    Answer,
    Runtime,
    all_dropped,
    biased_by,
    dropped,
    not_in_file,
    other_ranks,
    tokens_dropped,
    tokens_misfit,
)

# Where it was read that nothing but adapter_model.safetensors is opened.
OPENS_ONE = "ktransformers#2146 (2026-08-08); run here with PEFT"

# Of PEFT 0.21's kinds, those that it folds into W ...
MERGED = (
    *("LORA", "ADALORA", "ADAMSS", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA"),
    *("HIRA", "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA", "RANDLORA"),
    *("ROAD", "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT"),
)
# ... and those that it does not: they stand before the text or inside attention, or depend on what is read.
NOT_MERGED = (
    *("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CPT", "CARTRIDGE"),
    *("LILY", "POLY", "SHADOW", "XLORA"),
)
# Further settings that rows ask for.
VARIANTS = (
    *("alora_invocation_tokens", "layer_replication", "fan_in_fan_out"),
    *("use_bdlora", "use_qalora", "ensure_weight_tying"),
)

# What PEFT adapts in no model that has Mamba's layers, and the models that it knows to have them
# (peft.tuners.tuners_utils).
MAMBA_LEAVES = {"out_proj", "conv1d"}
MAMBAS = {f"{name}ForCausalLM" for name in ("FalconH1", "Mamba", "Mamba2", "FalconMamba", "NemotronH")}

# vLLM's default for --max-lora-rank, and what else it may be (vllm/config/lora.py, 2026).
VLLM_RANK, VLLM_RANKS = 16, (8, 16, 32, 64, 128, 256, 320, 512)

# What Ollama's importer stops at (ollama#17377, 2026-07-24, open), and how to avoid that.
POINTED = re.compile(r'"lora_alpha":\s*\d+(\.|e)', re.IGNORECASE)
UNPOINT = " (before, write lora_alpha without a point for it: its importer stops at one, ollama#17377)"


def runtimes(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None = None, finite: bool = True
) -> tuple[Runtime, ...]:
    """What each program makes of the adapter. `finite`: it holds neither NaN nor infinity."""
    facts, beside = facts_of(opened, matrices, against), weights_beside(opened)

    def answer(name: str) -> Runtime:
        program = name.partition(" ")[0]
        said = Runtime(name, *_first(program, facts | _of_program(program, opened, matrices, against)))
        if not finite and said.loads in ("yes", "care"):
            return Runtime(
                name, "no" if name == merging else "care", "NaN or infinity in it would spread to every answer"
            )
        if said.loads != "yes" or not beside:
            return said
        return Runtime(
            name, "care", f"without what {beside[0]} holds, which it does not open; else {said.reason}", OPENS_ONE
        )

    merging = "Ollama (merged)"
    merged = answer(merging)
    facts["merges"] = merged.loads not in ("no", "depends")
    return (*map(answer, ("PEFT", "llama.cpp", "vLLM", "SGLang", "MLX")), merged)


def facts_of(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> dict[str, Any]:
    """What a row may ask, whatever its program: each fact holds what is to be said of it, or nothing."""
    of_file = _of_settings(opened.settings) | _of_file(opened) | _of_matrices(opened, matrices)
    return of_file | _of_base(opened, matrices, against)


@cache
def _said() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("runtimes.toml").read_text(encoding="utf-8"))


def rows() -> list[list[Any]]:
    """The rows of runtimes.toml."""
    return list(_said()["rows"])


def looked_up(runtime: str) -> str:
    """Which version of a program its rows are of, and when that was read."""
    return str(_said()["looked_up"][runtime.partition(" ")[0]])


def _first(program: str, facts: dict[str, Any]) -> Answer:
    """The answer of the first row for `program` whose facts all hold."""
    of_program = (row for row in rows() if program in row[0].split())
    _, asks, *said = next(row for row in of_program if all(facts[name] for name in row[1].split()))
    it: Any = facts[asks.split()[-1]]
    if not said:
        return it
    loads, behind, reason = said
    return loads, reason.format(it=it, **facts), behind


def _of_settings(settings: AdapterSettings) -> dict[str, Any]:
    return {
        **settings._asdict(),
        **{name: name in settings.others for name in VARIANTS},
        "always": True,
        "is_lora": settings.is_lora,
        "not_lora": not settings.is_lora,
        "no_such_kind": settings.kind not in (*MERGED, *NOT_MERGED),
        "not_folded": settings.kind in NOT_MERGED,
        "no_such_task": settings.task_type[:40] if settings.task_type not in ("", *TASK_TYPES) else "",
        "neither_chats_nor_embeds": settings.task_type not in ("", "CAUSAL_LM", "FEATURE_EXTRACTION"),
        # PEFT trains a head for them, too, and saves it whole
        "with_a_head": settings.task_type in ("SEQ_CLS", "TOKEN_CLS"),
        "writes_another_text": settings.task_type == "SEQ_2_SEQ_LM",
        "needs_covariances": settings.starts(NEEDS_COVARIANCES),
        "needs_gradients": settings.starts(NEEDS_GRADIENTS),
        "changes_base": settings.changes_base,
        "to_plain": settings.to_plain,
        "unsaid": " and ".join(settings.unsaid),
        "alpha_unsaid": "lora_alpha" in settings.unsaid,
        "unknown": settings.unknown,
        "bias": settings.bias if settings.bias != "none" else "",
        "bias_or_modules": settings.bias != "none" or settings.modules_to_save,
        "by_pattern": isinstance(settings.target_modules, str) and settings.target_modules not in ("all", "all-linear"),
    }


def _of_file(opened: AdapterFolder) -> dict[str, Any]:
    more = besides(opened)
    embeddings = [one for one in opened.tensors if one.role == "embedding"]
    named_so = [one for one in opened.tensors if one.module.rpartition(".")[2] in EMBEDDINGS]
    return {
        "empty": len(opened.empty),
        "misshapen": len(opened.misshapen),
        "odd_keys": odd_keys(opened),
        "adapter_name": adapter_name(opened),
        "all_dropped": all_dropped(opened),
        "dropped": len(dropped(opened)),
        "nowhere": len(nowhere(opened)),
        "not_in_file": not_in_file(opened),
        "tokens_dropped": tokens_dropped(opened),
        "besides": ends(more),
        "besides_and_no_embedding": ends([one for one in more if one.role != "embedding"]),
        "besides_or_embeddings": ends([*more, *named_so]),
        "embeddings_whole": embeddings,
        "embeddings_alone": ends([one for one in embeddings if ".base_layer." not in one.key]),
        "norms": ends([one for one in opened.tensors if is_norm(one)]),
        "halved": _halved(opened),
        "if_pointed": UNPOINT if POINTED.search((opened.place / ADAPTER_CONFIG).read_text(encoding="utf-8")) else "",
    }


def _of_matrices(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> dict[str, Any]:
    parts = [one.module.split(".") for one in matrices]
    leaves = {leaf_of(one.module) for one in matrices}
    whole_leaves = {one[-1] for one in parts}
    on_head = any(one.module.endswith("lm_head") for one in matrices)
    on_embedding = any(one.on_embedding for one in matrices)
    largest = max((one.r for one in matrices), default=0)
    return {
        "names": ", ".join(f'"{leaf}"' for leaf in sorted(leaves)),
        "not_usual": next(
            (leaf for leaf in sorted(leaves) if leaf not in layers("usual") and not leaf.isdecimal()), ""
        ),
        "not_sglangs": sorted(leaves - layers("sglang")),
        "adapts_embeddings": leaves & {*EMBEDDINGS},
        "of_mamba": sorted(whole_leaves & MAMBA_LEAVES),
        "on_head_or_embedding": whole_leaves & {*EMBEDDINGS},
        "on_head": on_head,
        "on_embedding": on_embedding,
        "on_head_or_lora_embedding": on_head or on_embedding,
        "other_ranks": other_ranks(opened, matrices),
        "another_rank": next((one.r for one in matrices if one.r != opened.settings.r), 0),
        "above_vllms_ranks": largest if largest > VLLM_RANKS[-1] else 0,
        "above_vllms_default": next((one for one in VLLM_RANKS if one >= largest > VLLM_RANK), 0),
        "vllms_largest": VLLM_RANKS[-1],
        "vllms_default": VLLM_RANK,
        "root_of_r": (largest or opened.settings.r) ** 0.5,
        "scaled_apart": _scaled_apart(opened.settings, matrices),
        "encoder": opened.settings.task_type == "SEQ_2_SEQ_LM"
        or any("encoder" in one and TOWERS.isdisjoint(one) for one in parts),
    }


def _of_base(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> dict[str, Any]:
    ties, packed = _ties(opened, matrices, against), _packed(opened, against)
    ours, if_ours = _our_exporters(opened, matrices, against)
    return {
        **(against._asdict() if against else dict.fromkeys(AgainstBase._fields)),
        "base": against is not None,
        "other_width": {} if against else other_width(opened.settings.base_name, matrices),
        "no_base": against is None,
        "lacking": len(against.lacking) if against else 0,
        "built_by_auto": against is not None and against.built_by.startswith("Auto"),
        "not_exported": against.not_exported.rstrip(".") if against else "",
        "tokens_misfit": tokens_misfit(opened, against.vocabulary if against else None),
        "biased": biased_by(opened),
        "a_mamba": architecture_named(opened, against) in MAMBAS,
        "ties": ties,
        "may_tie": ties is not False,
        "packed": packed,
        "rounded": packed == "bitsandbytes",
        "not_converted": packed in ("bitsandbytes", "AWQ", "MLX"),
        "ours": ours,
        "if_ours": if_ours,
        "if_served": if_served(opened, against),
        "refused_by_peft": next(refused_by_peft(opened, matrices, against), None),
    }


def _of_program(
    program: str, opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> dict[str, Any]:
    """What `program` makes of the base's architecture, as whole answers."""
    listed = next(by_list("vLLM" if program == "vLLM" else "llama.cpp", opened, against), None)
    if listed and program == "Ollama":
        listed = "no", f"of llama.cpp, whose converter makes its file: {listed[1]}", listed[2]
    rule = next(by_architecture(program, opened, matrices, against), None)
    # what vLLM says yes to may still have a rank of its own
    decides = rule is not None and rule[0] != "care" and (program, rule[0]) != ("vLLM", "yes")
    return {
        "peft": "it" if program == "PEFT" else "PEFT, which merges it,",
        "by_list": listed,
        "by_architecture": rule if decides else None,
        "care_by_architecture": rule if rule and rule[0] == "care" else None,
    }


def _packed(opened: AdapterFolder, against: AgainstBase | None) -> str:
    """How the base is packed, by its config, or by its name where there is none here (unsloth/…-bnb-4bit);
    "" where it is not.

    gpt-oss, which its makers packed (mxfp4), is unpacked to be trained.
    """
    config = config_of(opened, against)
    if config is not None:
        by = packed_by(config)
        return by.upper() if PACKED.fullmatch(by) else by.replace("mxfp4", "")
    named = PACKED.search(base_in_name(opened) + " mlx" * opened.settings.base_name.startswith("mlx-community/"))
    return named[1].upper().replace("BNB", "bitsandbytes") if named else ""


def _our_exporters(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> tuple[bool, str]:
    """Whether the course's own exporters take it (A, B, r and α, and nothing else),
    and of which bases where none is known."""
    try:
        read_config(opened.place / ADAPTER_CONFIG)
    except ValueError:
        return False, ""
    plain = all(
        one.role in ("A", "B") and not one.on_embedding and one.dtype in FLOATS and len(one.shape) == 2
        for one in opened.tensors
    )
    # they look for model.layers
    placed = {"headless", "wrapped"}.isdisjoint(kinds_of_keys(opened, matrices))
    sound = all(one.norm is not None and one.scale > 0 for one in matrices) and len(matrices) == len(
        list(opened.pairs())
    )
    if not (plain and placed and sound) or other_ranks(opened, matrices):
        return False, ""
    if against is not None:
        return not against.not_exported, ""
    named = architecture_named(opened, against).removesuffix("ForCausalLM").lower()
    if architecture_of(opened).family is not None or _packed(opened, against) or named not in ("", *gguf.EXPORTED):
        return False, ""
    *families, last = gguf.EXPORTED
    return True, "" if _is_ours(opened.settings.base_name) else f" (if its base is {', '.join(families)} or {last})"


def _ties(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> bool | None:
    """Whether the base's head is its embedding; None where nothing says so."""
    if against is not None:
        return against.tied
    on_both = {one.on_embedding for one in matrices if one.module.rpartition(".")[2] in EMBEDDINGS} == {True, False}
    if on_both and "ensure_weight_tying" in opened.settings.others:
        return True
    return tied_by_name(opened.settings.base_name)


def _is_ours(base: str) -> bool:
    """Whether `base`, as an adapter names it, is the course's own."""
    try:
        return models.which(base).kind == "embedded"
    except (ModelError, OSError):  # OSError: a name that no disk can have
        return False


def _halved(opened: AdapterFolder) -> str:
    """Why SGLang, which joins a layer's projections into one, stops at a layer that adapts a part of them;
    "" where it does not."""
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
        return (
            f"it joins q_proj, k_proj and v_proj, and {does} where one layer adapts "
            f"{', '.join(sorted(joins))} and no {lacks}"
        )
    return ""


def _scaled_apart(settings: AdapterSettings, matrices: Sequence[AdaptedMatrix]) -> bool:
    """Whether a matrix has another scale than r and lora_alpha give; a pattern of each may keep them the same."""
    plain = settings._replace(alpha_pattern={})
    return any(not isclose(one.scale, plain.scale_of("", settings.r)) for one in matrices)
