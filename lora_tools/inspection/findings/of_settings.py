"""Findings from the configuration: the scale, the targets, the start."""

from __future__ import annotations

import difflib
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from lora_lessons.peft_config import DEFAULT_ALPHA

from ..reading import AdapterFolder
from ..served import layers
from ..settings import NEEDS_COVARIANCES, NEEDS_GRADIENTS, AdapterSettings, all_matching
from ..xray import AdaptedMatrix, Finding, dropped, other_ranks
from .said import finding, named, read

# From this rank on, PEFT's default lora_alpha makes the scale a quarter or less.
LARGE_R = 32
TINY, HUGE = 0.25, 16
# The least α of recipes that keep it at every rank (QLoRA's paper; TRL's LoRA Without Regret has 16 with r = 256).
USUAL_ALPHA = 16
# Names that match nothing are named, the first so many, and so many characters of each.
MOST_TYPOS, LONGEST_NAME = 10, 80

SORTED = "PEFT takes the first pattern that means a matrix, and its save_pretrained sorts them by name"


def findings(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """All findings from the settings."""
    settings = opened.settings
    if not settings.is_lora:
        yield finding("not_lora", kind=settings.kind)
        return
    yield from _unsaid(settings)
    yield from _scale(opened, matrices)
    yield from _typos(opened)
    yield from _disagreements(opened, matrices)
    if settings.use_rslora:
        r = statistics.mode(one.r for one in matrices) if matrices else settings.r
        scale, told = settings.lora_alpha / math.sqrt(r), settings.lora_alpha / r
        yield finding("rslora_export", scale=_short(scale), told=_short(told), root=_short(math.sqrt(r)))
    if settings.starts(NEEDS_COVARIANCES, NEEDS_GRADIENTS):
        stops = settings.starts(NEEDS_COVARIANCES)
        yield finding("start_is_cordas" if stops else "start_is_lora_gas", start=settings.init_lora_weights)
    elif settings.changes_base:
        yield finding(
            "start_is_loftqs" if settings.starts("loftq") else "start_changed_base", start=settings.init_lora_weights
        )
    variants = [name for name in read()["variants"] if name in settings.others]
    yield from (finding("variant", does=read()["variants"][name], name=name) for name in variants)
    if settings.use_dora:
        yield finding("dora")


def _scale(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    settings = opened.settings
    usual = Counter((matrix.r, matrix.scale) for matrix in matrices).most_common(1)
    if not usual:
        return
    (r, scale), count = usual[0]
    where = "" if count == len(matrices) else f" in {count} of {len(matrices)} matrices"
    alpha = scale * (math.sqrt(r) if settings.use_rslora else r)
    said: dict[str, Any] = {"scale": _short(scale), "where": where, "alpha": _short(alpha), "r": r}
    if r >= LARGE_R and alpha == DEFAULT_ALPHA and not settings.use_rslora:
        yield finding("alpha_at_default", default=DEFAULT_ALPHA, inverse=_short(1 / scale), **said)
    elif scale <= 0:
        yield finding("scale_below_zero" if scale else "scale_zero", **said)
    elif scale <= TINY:
        yield finding("scale_tiny", "note" if alpha >= USUAL_ALPHA else "look", **said)
    elif alpha / r >= HUGE:
        yield finding("scale_huge", **said)


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
        yield finding(
            "target_typo",
            "wrong" if close and name not in usual else "look",
            name=name[:LONGEST_NAME],
            meant=f" Was {close[0]!r} meant?" if close else "",
        )


def _ends(module: str) -> Iterator[str]:
    """What means `module` in a list of names: its whole name, and each end behind a dot."""
    parts = module.split(".")
    return (".".join(parts[at:]) for at in range(len(parts)))


def _disagreements(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    settings = opened.settings
    if lost := dropped(opened):
        kinds = Counter(module.replace(".base_layer", "").rpartition(".")[2] for module in lost)
        yield finding(
            "dropped_by_targets",
            where=named(lost, len(list(opened.pairs()))),
            names=", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        )
    if others := other_ranks(opened, matrices):
        first = others[0]
        patterns = all_matching(settings.rank_pattern, first.module)
        meant = next((one for one in patterns if settings.rank_pattern[one] == first.r), "")
        mend = f"Write {meant!r} first into rank_pattern: {SORTED}."
        yield finding(
            "rank_differs",
            said=settings.rank_of(first.module),
            r=first.r,
            where=named([one.module for one in others], len(matrices)),
            mend=mend if meant else "Get the adapter_config.json that was saved with this file.",
        )
    yield from _sorted_patterns(settings, matrices)


def _sorted_patterns(settings: AdapterSettings, matrices: Sequence[AdaptedMatrix]) -> Iterator[Finding]:
    """Where two patterns give a module another alpha each,
    and the order of the file may be that of PEFT's save_pretrained."""
    alphas = settings.alpha_pattern
    meant = {one.module: [*all_matching(alphas, one.module)] for one in matrices}
    twice = [module for module, patterns in meant.items() if len({alphas[one] for one in patterns}) > 1]
    if not twice or [*alphas] != sorted(alphas):
        return
    yield finding(
        "pattern_order",
        where=named(twice, len(matrices)),
        each=", ".join(f"{one!r} = {_short(alphas[one])}" for one in meant[twice[0]]),
        sorted=SORTED,
    )


def _unsaid(settings: AdapterSettings) -> Iterator[Finding]:
    """What the file does not say and programs need, and what it says that PEFT does not know."""
    if settings.unsaid:
        names = " and ".join(settings.unsaid)
        yield finding("setting_missing", names=names, default=DEFAULT_ALPHA)
    if settings.unknown:
        names = ", ".join(name[:LONGEST_NAME] for name in settings.unknown[:MOST_TYPOS])
        wrote = settings.others.get("peft_version")
        yield finding("setting_unknown", names=names, by=f", {str(wrote)[:LONGEST_NAME]}" if wrote else "")


def _short(number: float) -> str:
    return f"{number:.4g}"
