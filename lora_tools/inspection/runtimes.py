"""Which programs load the adapter, and why: PEFT and llama.cpp, Ollama by way of a merge, and the servers of servers.py.

llama.cpp's rows were read in its source and threads in November 2026; what the base's architecture adds is in architectures.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lora_lessons import models
from lora_lessons.adapter import ADAPTER_CONFIG
from lora_lessons.errors import ModelError
from lora_lessons.peft_config import TASK_TYPES, read_config

from ..exporting import gguf
from . import servers
from .architectures import (
    architecture_of,
    base_in_name,
    by_architecture,
    config_of,
    kinds_of_keys,
    packed_by,
    refused_by_peft,
)
from .reading import FLOATS, AdapterFolder, adapter_name, besides, is_norm, last, nowhere, odd_keys, weights_beside
from .served import architecture_named, by_list, if_served
from .servers import ON_GPTQ, not_usual
from .settings import EMBEDDINGS, NEEDS_COVARIANCES, NEEDS_GRADIENTS
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

# How a base may be packed, as its name says it in small letters: all but bnb are written in large ones.
PACKED = re.compile(r"(?<![a-z])(bnb|gptq|awq|fp8|gguf|nvfp4|w[48]a\d+|mlx)(?![a-z])")

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

# Tasks for which PEFT trains a head, too, and saves it whole.
WITH_A_HEAD = ("SEQ_CLS", "TOKEN_CLS")

# What PEFT adapts in no model that has Mamba's layers, and the models that it knows to have them (peft.tuners.tuners_utils).
MAMBA_LEAVES = {"out_proj", "conv1d"}
MAMBAS = {f"{name}ForCausalLM" for name in ("FalconH1", "Mamba", "Mamba2", "FalconMamba", "NemotronH")}


def runtimes(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None = None, finite: bool = True
) -> tuple[Runtime, ...]:
    """What each program makes of the adapter: of its reasons the first that decides. `finite`: it holds neither NaN nor infinity."""

    beside = weights_beside(opened)

    def answer(name: str, reasons: Any) -> Runtime:
        said = Runtime(name, *(_by_keys(opened, name, against) or next(reasons(opened, matrices, against))))
        if not finite and said.loads in ("yes", "care"):
            return Runtime(
                name, "no" if reasons is _merged else "care", "NaN or infinity in it would spread to every answer"
            )
        if said.loads != "yes" or not beside:
            return said
        return Runtime(
            name, "care", f"without what {beside[0]} holds, which it does not open; else {said.reason}", OPENS_ONE
        )

    merged = answer("Ollama (merged)", _merged)
    return (
        answer("PEFT", _peft),
        answer("llama.cpp", _llama_cpp),
        answer("vLLM", servers.vllm),
        answer("SGLang", servers.sglang),
        Runtime("MLX", *servers.mlx(merged.loads not in ("no", "depends"))),
        merged,
    )


def _by_keys(opened: AdapterFolder, runtime: str, against: AgainstBase | None) -> Answer | None:
    """What follows from keys that are not PEFT's or the base's, and from shapes that cannot be; None where all can."""
    by_peft = runtime in ("PEFT", "Ollama (merged)")
    if against and against.other_shapes:
        return "no", "its matrices have other shapes than this base's", "peft#1457"
    if against and against.lacking:
        lacking = f"this base has no module for {len(against.lacking)} of its matrices"
        if by_peft:
            how, behind = (
                ("with a warning only", "peft#2566, peft#2699")
                if against.unfilled
                else ("without a word", "unsloth#6936")
            )
            return "care", f"without them, and {how}: {lacking}", behind
        return "no" if runtime == "llama.cpp" else "unknown", lacking, ""
    if opened.settings.is_lora and opened.empty:
        return "no", f"{len(opened.empty)} tensors of its file hold no number", "peft#2450"
    if opened.settings.is_lora and (misshapen := opened.misshapen):
        return "no", f"A and B of {len(misshapen)} of its matrices cannot be multiplied", ""
    if opened.settings.is_lora and odd_keys(opened):
        if by_peft:
            return "no", "the keys of its file are not those that PEFT looks for", "peft#1678, peft#2171"
        return "unknown", "the keys of its file are not PEFT's: save it anew first", ""
    if name := adapter_name(opened):
        if by_peft:
            return "care", f"only under the name in its keys, with adapter_name={name!r}", ""
        return "no", f"it knows no keys with an adapter's name ({name}) in them", "llama.cpp#3640"
    return None


def _peft(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    settings = opened.settings
    if settings.kind not in (*MERGED, *NOT_MERGED):
        yield "unknown", f"PEFT 0.21 has no kind called {settings.kind}: a later release may", ""
    if settings.task_type not in ("", *TASK_TYPES):
        yield "no", f"it stops: it knows no task_type {settings.task_type[:40]!r}", ""
    yield from _loading(opened, matrices, against, "it")
    if settings.unknown:
        yield "care", f"its release 0.21 leaves {settings.unknown[0][:40]} out with a warning: a later one may not", ""
    if settings.changes_base:
        yield "yes", "it works the same start out of the base anew, so the base must be the very same", ""
    if "alora_invocation_tokens" in settings.others:
        yield (
            "yes",
            "A and B work from the invocation tokens on: a prompt without them gets the base's answer",
            "peft#2609",
        )
    if against and against.built_by:
        reason = f"of this base's two models, on that of {against.built_by}: on the other it stops, or warns and applies nothing"
        yield "yes" if against.built_by.startswith("Auto") else "care", reason, "run here"
    yield from by_architecture("PEFT", opened, matrices, against)
    unseen = "" if settings.is_lora or against is None else "; whether this kind fits the base was not looked at"
    yield "yes", f"it wrote the format{unseen}", ""


def _loading(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None, peft: str
) -> Iterator[Answer]:
    """Where PEFT, called `peft` here, stops when it loads the adapter, and what it leaves out without stopping."""
    if all_dropped(opened):
        yield "no", f"{peft} stops, because the configuration means none of the modules in the file", ""
    if misfit := tokens_misfit(opened, against.vocabulary if against else None):
        yield "no", f"{peft} stops: {misfit}", ""
    if missing := not_in_file(opened):
        yield "care", f"{peft} stops where the base has {missing}, which the file lacks", ""
    where_trained = "convert it where you trained it"
    if opened.settings.starts(NEEDS_COVARIANCES):
        yield "no", f"{peft} stops: CorDA's start needs the covariances of its training: {where_trained}", ""
    if other_ranks(opened, matrices):
        yield "no", f"{peft} stops: the r of its configuration is not that of its tensors, a size mismatch", ""
    refused = MAMBA_LEAVES & {one.module.rpartition(".")[2] for one in matrices}
    if refused and architecture_named(opened, against) in MAMBAS:
        yield "no", f"{peft} stops: of a model with Mamba's layers it takes no {min(refused)}", "PEFT 0.21's own source"
    if lost := dropped(opened):
        yield "care", f"without the {len(lost)} matrices that its configuration leaves out", ""
    if strange := nowhere(opened):
        yield (
            "care",
            f"without the {len(strange)} tensors by names that PEFT does not know, and without a word",
            "run here",
        )
    if rows := tokens_dropped(opened):
        yield "care", f"without the {rows} tokens that its configuration does not name", ""
    if opened.settings.starts(NEEDS_GRADIENTS):
        reason = f"{peft} puts it on the plain W without a word, and LoRA-GA had changed W: {where_trained}"
        yield "care", reason, ""


def _llama_cpp(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[Answer]:
    settings = opened.settings
    if not settings.is_lora:
        yield "no", f"its adapters are A and B, and this is {settings.kind}", ""
    yield from by_list("llama.cpp", opened, against)
    if settings.task_type in WITH_A_HEAD:
        reason = "its converter stops at a head of the adapter's own, and merged it takes classifiers of BERT's kind alone (SEQ_CLS)"
        yield "no", f"{reason}: use transformers, or merge it for vLLM", "llama.cpp, conversion/__init__.py (2026)"
    if settings.use_dora:
        yield "no", "its converter stops at DoRA's magnitudes: merge it first", "llama.cpp#6536"
    if other := besides(opened):
        yield "no", f"its converter takes A and B alone and stops at {last(other)}: merge it first", "llama.cpp#11554"
    if "lora_alpha" in settings.unsaid:
        yield (
            "no",
            "its converter stops: adapter_config.json does not say lora_alpha",
            "llama.cpp, convert_lora_to_gguf.py",
        )
    if "fan_in_fan_out" in settings.others:
        reason = "its converter turns GPT-2's W around, and A and B with it, which PEFT had turned: merge it first"
        yield "no", reason, "llama.cpp, convert_lora_to_gguf.py"
    if "layer_replication" in settings.others:
        yield "no", "layer_replication adds layers that the base's GGUF has not", "llama.cpp, src/llama-adapter.cpp"
    if "use_bdlora" in settings.others:
        yield (
            "no",
            "it multiplies A and B as they are, and BD-LoRA keeps blocks: merge it first",
            "llama.cpp, src/llama-adapter.cpp",
        )
    tied = _ties(opened, matrices, against)
    if tied and any(one.module.endswith("lm_head") for one in matrices):
        yield "no", "this base's head is its embedding, and its converter leaves no lm_head alone", "llama.cpp#9065"
    if tied and any(one.on_embedding for one in matrices):
        yield "no", "it stops at an adapter of the embedding where the head is the same matrix", "tried with llama.cpp"
    if against is None and (strange := not_usual(matrices)):
        yield (
            "no",
            f"its converter has no name for {strange[:60]} and stops: merge it first",
            "llama.cpp, convert_lora_to_gguf.py",
        )
    by_base = [*by_architecture("llama.cpp", opened, matrices, against)]
    yield from (one for one in by_base if one[0] != "care")
    if against is None and "use_qalora" in settings.others:
        yield "care", ON_GPTQ, ""
    if settings.changes_base:
        yield "care", f"{settings.init_lora_weights} changed the base too: {settings.to_plain}", "lesson 05"
    if tied is None and any(one.on_embedding or one.module.endswith("lm_head") for one in matrices):
        yield (
            "care",
            "it stops where the base ties head and embedding: untie them first, or merge it",
            "tried with llama.cpp",
        )
    if norms := [one for one in opened.tensors if is_norm(one)]:
        reason = f"it leaves trained norms out without a word, such as {last(norms)}: merge it first"
        yield "care", reason, "llama.cpp, src/llama-adapter.cpp"
    if (packed := _packed(opened, against)) in ("bitsandbytes", "AWQ", "MLX"):
        reason = f"its converter stops at a base in {packed}: give it the 16-bit one that this was made from"
        yield "care", reason, "llama.cpp, conversion/base.py (2026)"
    yield from by_base
    ours, known = _our_exporters(opened, matrices, against)
    if settings.alpha_pattern:
        reason = "its converter has one alpha for all matrices, and alpha_pattern gives some another"
        reason += f"; `lora-lessons export gguf`{known} writes each matrix with its own" if ours else ""
        yield "care", reason, "lesson 10"
    if settings.use_rslora:
        reason = "its converter reads lora_alpha alone"
        reason += f"; `lora-lessons export gguf`{known} writes α·√r in its place" if ours else ""
        yield "care", reason, "lesson 10"
    if "alora_invocation_tokens" in settings.others:
        yield (
            "yes",
            "its own converter writes the file, and llama-server adapts from the invocation tokens on",
            "llama.cpp#15327",
        )
    if against and against.not_exported:
        yield (
            "yes",
            f"its own converter writes the file, ours does not: {against.not_exported.rstrip('.')}",
            "lesson 10",
        )
    by = f"`lora-lessons export gguf`{known} or its" if ours else "its"
    yield "yes", f"{by} own converter writes the file{if_served(opened, against)}", "lesson 10"


def _merged(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> Iterator[Answer]:
    settings = opened.settings
    if settings.kind in NOT_MERGED:
        yield "no", f"PEFT does not fold {settings.kind} into W", ""
    if settings.kind not in MERGED:
        yield "unknown", f"PEFT, which merges it, has no kind called {settings.kind} in its release 0.21", ""
    if "alora_invocation_tokens" in settings.others:
        yield (
            "no",
            "PEFT does not merge aLoRA, which leaves what stands before its invocation tokens to the base",
            "peft#2609",
        )
    if "layer_replication" in settings.others:
        yield "no", "layer_replication's copies share one W, so merging would add each copy's update to all of them", ""
    if against and against.without_bias:
        yield "no", f"PEFT merges a bias into the base's own, and {against.without_bias[0]} has none", ""
    if settings.task_type not in ("", "CAUSAL_LM", "FEATURE_EXTRACTION"):
        yield "no", f"it was made for {settings.task_type}, and Ollama serves models that chat or embed", ""
    for _, reason, behind in by_list("llama.cpp", opened, against):
        yield "no", f"of llama.cpp, whose converter makes its file: {reason}", behind
    if against is None and (strange := not_usual(matrices)):
        reason = f"llama.cpp's converter, which makes its file, may know no model with a layer called {strange[:60]}: name the base to see"
        yield "unknown", reason, "llama.cpp, conversion/__init__.py (2026)"
    yield from _loading(opened, matrices, against, "PEFT, which merges it,")
    yield from refused_by_peft(opened, matrices, against)
    if against is None and biased_by(opened):
        yield "care", "PEFT merges its bias only where the base's layer has one: name the base to see", ""
    tied = _ties(opened, matrices, against)
    if tied is not False and any(one.module.rpartition(".")[2] in EMBEDDINGS for one in matrices):
        if tied and "ensure_weight_tying" in settings.others:
            yield "no", "PEFT adapts head and embedding alike and merges both into the one matrix that they share", ""
        yield "care", "if the base ties head and embedding, untie them before PEFT merges, or both change", "peft#2018"
    if against is None and "use_qalora" in settings.others:
        yield "care", "PEFT does not merge into a GPTQ base, which QA-LoRA is made for", ""
    if tied is not False and any(one.role == "embedding" for one in opened.tensors):
        reason = "if the base ties head and embedding, look that the merged model's config says tie_word_embeddings: false, as PEFT 0.21 has it"
        yield "care", reason, "transformers#45127"
    if packed := _packed(opened, against):
        rounds = packed == "bitsandbytes"
        does = "rounds what it merges into" if rounds else "cannot merge, or merges rounded, into"
        reason = f"PEFT {does} a base in {packed}: merge into the 16-bit one that this was made from"
        yield "care", reason, "lesson 09's side trip" if rounds else "peft#1853; PEFT 0.21's own source"
    by_hand = "PEFT's merge_and_unload, then llama.cpp's converter"
    ours, known = _our_exporters(opened, matrices, against)
    how = f"`lora-lessons export ollama`{known}{f', otherwise by {by_hand}' if known else ''}" if ours else by_hand
    written = (opened.place / ADAPTER_CONFIG).read_text(encoding="utf-8")
    # ollama#17377 (2026-07-24, open)
    pointed = re.search(r'"lora_alpha":\s*\d+(\.|e)', written, re.I)
    before = " (before, write lora_alpha without a point for it: its importer stops at one, ollama#17377)"
    yield (
        "yes",
        f"by {how}; from 0.34.1 on Ollama takes no ADAPTER{before if pointed else ''}",
        "lesson 10, ollama#14969",
    )


def _packed(opened: AdapterFolder, against: AgainstBase | None) -> str:
    """How the base is packed, by its config, or by its name where there is none here (unsloth/…-bnb-4bit); "" where it is not.

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
    """Whether the course's own exporters take it (A, B, r and α, and nothing else), and of which bases where none is known."""
    try:
        read_config(opened.place / ADAPTER_CONFIG)
    except ValueError:
        return False, ""
    if not all(one.role in ("A", "B") and not one.on_embedding for one in opened.tensors):
        return False, ""
    if not {"headless", "wrapped"}.isdisjoint(kinds_of_keys(opened, matrices)):  # they look for model.layers
        return False, ""
    plain = all(one.dtype in FLOATS and len(one.shape) == 2 for one in opened.tensors)
    sound = all(one.norm is not None and one.scale > 0 for one in matrices) and len(matrices) == len(
        list(opened.pairs())
    )
    if not plain or not sound or other_ranks(opened, matrices):
        return False, ""
    if against is not None:
        return not against.not_exported, ""
    if architecture_of(opened).family is not None or _packed(opened, against):
        return False, ""
    named = architecture_named(opened, against).removesuffix("ForCausalLM").lower()
    if named and named not in gguf.EXPORTED:
        return False, ""
    *families, last = gguf.EXPORTED
    return True, "" if _is_ours(opened.settings.base_name) else f" (if its base is {', '.join(families)} or {last})"


def _ties(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None) -> bool | None:
    """Whether the base's head is its embedding; None where nothing says so."""
    if against is not None:
        return against.tied
    on_both = {one.on_embedding for one in matrices if one.module.rpartition(".")[2] in EMBEDDINGS} == {True, False}
    return True if on_both and "ensure_weight_tying" in opened.settings.others else None


def _is_ours(base: str) -> bool:
    """Whether `base`, as an adapter names it, is the course's own."""
    try:
        return models.which(base).kind == "embedded"
    except (ModelError, OSError):  # OSError: a name that no disk can have
        return False
