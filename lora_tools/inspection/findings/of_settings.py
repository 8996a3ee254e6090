"""Findings from the configuration: the scale, the targets, the start."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Sequence

from lora_lessons.peft_config import DEFAULT_ALPHA

from ..reading import AdapterFolder
from ..served import layers
from ..settings import NEEDS_COVARIANCES, NEEDS_GRADIENTS, AdapterSettings, all_matching
from ..xray import AdaptedMatrix, Finding, dropped, other_ranks
from .of_numbers import named

# From this rank on, PEFT's default lora_alpha makes the scale a quarter or less.
LARGE_R = 32
TINY, HUGE = 0.25, 16
# The least α of recipes that keep it at every rank (QLoRA's paper; TRL's LoRA Without Regret has 16 with r = 256).
USUAL_ALPHA = 16
# Names that match nothing are named, the first so many, and so many characters of each.
MOST_TYPOS, LONGEST_NAME = 10, 80

# LoRA's variants that PEFT keeps under LoRA's name → what each does beside A, B, r and α.
VARIANTS = {
    "alora_invocation_tokens": "Activated LoRA: A and B work from the invocation tokens on. A prompt without these tokens gets the "
    "base's answer, and the adapter cannot be merged.",
    "layer_replication": "layer_replication: PEFT stacks the base's layers anew and adapts every copy by itself. Only a program that "
    "stacks them in the same way can use the adapter.",
    "arrow_config": "Arrow: it chooses among other adapters for each token, and is of no use without them.",
    "kasa_config": "KaSA: PEFT drops the r smallest directions of W when it loads the adapter, which then replaces them. The ‖ΔW‖ "
    "shown here counts what was added alone.",
    "use_bdlora": "BD-LoRA: the file holds the blocks of block-diagonal matrices, which other programs take for whole ones.",
    "use_qalora": "QA-LoRA: on a GPTQ base, A reads the means of groups of inputs, so it fits that base alone. On any other base it "
    "is plain LoRA.",
    "monteclora_config": "MonteCLoRA: it added noise to A while it was trained. What it learned about that noise lies in the file too, "
    "and PEFT alone reads it.",
    "velora_config": "VeLoRA: it saved memory while it was trained, and computes what plain LoRA does. Its extra tensors are of no "
    "further use.",
}

SORTED = "PEFT takes the first pattern that means a matrix, and its save_pretrained sorts them by name"


def findings(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """All findings from the settings."""
    settings = opened.settings
    if not settings.is_lora:
        yield Finding(
            "not_lora",
            "note",
            f"This is no LoRA adapter but {settings.kind}: scale, ranks and ‖ΔW‖ are not worked out, and the rest is looked at.",
        )
        return
    yield from _unsaid(settings)
    yield from _scale(opened, matrices)
    yield from _typos(opened)
    yield from _disagreements(opened, matrices)
    if settings.use_rslora:
        r = _usual_r(matrices) or settings.r
        scale, told = settings.lora_alpha / math.sqrt(r), settings.lora_alpha / r
        yield Finding(
            "rslora_export",
            "look",
            f"rsLoRA: the scale is α/√r = {_short(scale)}. A converter that reads lora_alpha alone, as llama.cpp's does, makes "
            f"it α/r = {_short(told)}, √r = {_short(math.sqrt(r))} times too small.",
            "lesson 10",
        )
    if settings.starts(NEEDS_COVARIANCES, NEEDS_GRADIENTS):
        stops = settings.starts(NEEDS_COVARIANCES)
        yield Finding(
            "start_changed_base",
            "wrong",
            f"init_lora_weights is {settings.init_lora_weights!r}: this start took a part out of W, and PEFT cannot repeat it when it "
            f"loads the adapter, so it {'stops' if stops else 'answers wrongly without a word'}. Convert it where it was trained, with "
            "save_pretrained(folder, path_initial_model_for_weight_conversion=…).",
            "lesson 05's side trip",
        )
    elif settings.changes_base:
        yield Finding(
            "start_changed_base",
            "look",
            f"init_lora_weights is {settings.init_lora_weights!r}: this start took a part out of W, so B·A is not the change of the "
            "plain W, and a program that adds it to the plain W gets another model. "
            + (
                "PEFT converts other such starts and not LoftQ: merge it, on the base that it was trained on."
                if settings.starts("loftq")
                else "PEFT can convert it where it was trained."
            ),
            "lesson 05's side trip",
        )
    for name in VARIANTS.keys() & settings.others.keys():
        yield Finding("variant", "note", VARIANTS[name], f"PEFT's {name}")
    if settings.use_dora:
        yield Finding(
            "dora",
            "note",
            "DoRA: beside B·A it rescales every row of W, and the ‖ΔW‖ shown here is B·A alone.",
            "lesson 05's side trip",
        )


def _scale(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    settings = opened.settings
    usual = Counter((matrix.r, matrix.scale) for matrix in matrices).most_common(1)
    if not usual:
        return
    (r, scale), count = usual[0]
    where = "" if count == len(matrices) else f" in {count} of {len(matrices)} matrices"
    alpha = scale * (math.sqrt(r) if settings.use_rslora else r)
    as_told = f"lora_alpha = {_short(alpha)}, r = {r}"
    if r >= LARGE_R and alpha == DEFAULT_ALPHA and not settings.use_rslora:
        yield Finding(
            "alpha_at_default",
            "look",
            f"The scale is {_short(scale)}{where}: lora_alpha is {DEFAULT_ALPHA}, PEFT's default, while r = {r}. The model "
            f"gets 1/{_short(1 / scale)} of B·A, so it learns little at a low learning rate. Rate and scale trade places: if "
            "this adapter does what it should, keep it. If it learned too little, set the lora_alpha that worked at another rank, "
            "or raise the rate.",
            "lerobot#3551, lesson 05",
        )
    elif scale <= 0:
        effect = "the adapter adds nothing" if not scale else "the update is subtracted"
        yield Finding("scale_tiny", "wrong", f"The scale is {_short(scale)}{where} ({as_told}): {effect}.", "lesson 02")
    elif scale <= TINY:
        yield Finding(
            "scale_tiny",
            "note" if alpha >= USUAL_ALPHA else "look",
            f"The scale is {_short(scale)}{where} ({as_told}). It is usually 1 or 2, and less where α was kept as the rank "
            "rose, as in QLoRA's paper (16 with r = 64). If the adapter learned too little, raise lora_alpha or the learning rate.",
            "lesson 05; TRL's docs, LoRA Without Regret",
        )
    elif alpha / r >= HUGE:
        yield Finding(
            "scale_huge",
            "look",
            f"The scale is {_short(scale)}{where} ({as_told}). It is usually 1 or 2, and 20 by mlx-lm's default: did someone write α where α/r was "
            "meant, or train with a program that does not divide by r?",
            "mlx-vlm#986, lesson 02",
        )


def _typos(opened: AdapterFolder) -> Iterator[Finding]:
    settings = opened.settings
    modules = {one.module for one in opened.tensors}
    names = dict.fromkeys(settings.target_modules if isinstance(settings.target_modules, tuple) else ())
    ends = {end for module in modules for end in _ends(module)}
    wrong = [name for name in names if name not in ends and not name.endswith(settings.modules_to_save)]
    held, usual = {module.rpartition(".")[2] for module in modules}, layers("usual")
    for name in [] if "exclude_modules" in settings.others else wrong[:MOST_TYPOS]:
        # a name of another family is no slip of the fingers
        leaves = sorted((held | ({"qkv_proj", "gate_up_proj"} if name in usual else usual)) - names.keys())
        close = difflib.get_close_matches(name.rpartition(".")[2][:LONGEST_NAME], leaves, n=1, cutoff=0.6)
        yield Finding(
            "target_typo",
            "wrong" if close and name not in usual else "look",
            f"target_modules names {name[:LONGEST_NAME]!r}, and no matrix in the file is called that: PEFT skips a name that matches "
            f"nothing, as long as another one matches.{f' Was {close[0]!r} meant?' if close else ''}",
            "peft#1959, lesson 04",
        )


def _ends(module: str) -> Iterator[str]:
    """What means `module` in a list of names: its whole name, and each end behind a dot."""
    parts = module.split(".")
    return (".".join(parts[at:]) for at in range(len(parts)))


def _disagreements(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    settings = opened.settings
    if lost := dropped(opened):
        kinds = Counter(module.replace(".base_layer", "").rpartition(".")[2] for module in lost)
        names = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        yield Finding(
            "dropped_by_targets",
            "wrong",
            f"The configuration leaves out {named(lost, len(list(opened.pairs())))} ({names}), although the file holds their A and B: "
            "PEFT drops them without a word. If they were trained, mend target_modules, exclude_modules or layers_to_transform in "
            "adapter_config.json.",
            "lesson 14",
        )
    if others := other_ranks(opened, matrices):
        first = others[0]
        patterns = all_matching(settings.rank_pattern, first.module)
        meant = next((one for one in patterns if settings.rank_pattern[one] == first.r), "")
        mend = f"Write {meant!r} first into rank_pattern: {SORTED}."
        yield Finding(
            "rank_differs",
            "wrong",
            f"adapter_config.json says r = {settings.rank_of(first.module)}, and the tensors have r = {first.r} in "
            f"{named([one.module for one in others], len(matrices))}: PEFT stops with a size mismatch. "
            f"{mend if meant else 'Get the adapter_config.json that was saved with this file.'}",
            "lesson 04",
        )
    yield from _sorted_patterns(settings, matrices)


def _sorted_patterns(settings: AdapterSettings, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """Where two patterns give a module another alpha each, and the order of the file may be that of PEFT's save_pretrained."""
    alphas = settings.alpha_pattern
    meant = {one.module: [*all_matching(alphas, one.module)] for one in matrices}
    twice = [module for module, patterns in meant.items() if len({alphas[one] for one in patterns}) > 1]
    if not twice or [*alphas] != sorted(alphas):
        return
    each = ", ".join(f"{one!r} = {_short(alphas[one])}" for one in meant[twice[0]])
    yield Finding(
        "pattern_order",
        "look",
        f"Several patterns of alpha_pattern mean {named(twice, len(matrices))} ({each}). {SORTED}: if another one came first "
        "while you trained, PEFT now computes with another lora_alpha, without a word. Then write that one first.",
        "peft.utils.get_pattern_key",
    )


def _unsaid(settings: AdapterSettings) -> Iterator[Finding]:
    """What the file does not say and programs need, and what it says that PEFT does not know."""
    if settings.unsaid:
        names = " and ".join(settings.unsaid)
        yield Finding(
            "setting_missing",
            "look",
            f"adapter_config.json does not say {names}: PEFT takes {DEFAULT_ALPHA} without a word, whatever the training had, and vLLM, "
            f"SGLang and llama.cpp's converter stop. Write {names} of the training into it.",
            "surogate#173, vllm/lora/peft_helper.py",
        )
    if settings.unknown:
        names = ", ".join(name[:LONGEST_NAME] for name in settings.unknown[:MOST_TYPOS])
        wrote = settings.others.get("peft_version")
        by = f", {str(wrote)[:LONGEST_NAME]}" if wrote else ""
        yield Finding(
            "setting_unknown",
            "look",
            f"adapter_config.json sets {names}, which PEFT 0.21 does not know: it leaves that out with a warning, and what A and B "
            f"were trained with may be more than is computed. Load it with the PEFT that wrote it{by}.",
            "PEFT's own warning",
        )


def _usual_r(matrices: Sequence[AdaptedMatrix]) -> int:
    return Counter(matrix.r for matrix in matrices).most_common(1)[0][0] if matrices else 0


def _short(number: float) -> str:
    return f"{number:.4g}"
