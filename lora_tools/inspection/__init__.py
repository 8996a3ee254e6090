"""An X-ray for any adapter that PEFT wrote: what it says, what its numbers are, and what will go wrong with it.

reading ── the folder, tolerant of every kind      settings ── configuration, against the file
xray ── ‖ΔW‖ and ranks, from r×r numbers           findings ── what stands out, in sentences
with_base ── the same beside the base's weights    runtimes ── who loads it, servers too
talk ── how it and its base talk                   architectures ── rules by the base's kind
words ── the report, as text and JSON
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .findings import all_findings
from .reading import AdapterFolder, open_adapter
from .runtimes import runtimes
from .words import as_json, in_words
from .xray import AdaptedMatrix, Finding, Runtime, Size, Xray, measure

__all__ = ["AdaptedMatrix", "Finding", "Runtime", "Xray", "as_json", "in_words", "inspect"]


def inspect(
    adapter: Path | str, base: str | None = None, *, before: Path | str | None = None, forgetting: bool = False
) -> Xray:
    """What an adapter contains, and what will go wrong with it: a folder, or a hub id. It is only read,
    one matrix at a time.

    With `base` (as `models.load` takes it) its update is held against the weights that it changes; with `forgetting`
    the base is loaded too and reads general text, with the adapter and without. `before` is the adapter that its
    training went on from: what is still the same is named. Raises FileNotFoundError, ValueError or ModelError with what
    to do where something cannot be read; a pickle is refused.
    """
    opened = open_adapter(adapter)
    started_from = open_adapter(before) if before is not None else None
    matrices = tuple(_measured(opened))
    against = None
    if base is not None:
        from .with_base import hold_against

        matrices, against = hold_against(opened, matrices, base, forgetting)
    findings = all_findings(opened, matrices, against, started_from)
    finite = all(one.code != "not_finite" for one in findings)
    return Xray(
        name=opened.place.name or str(opened.place),
        place=str(opened.place),
        settings=opened.settings,
        matrices=matrices,
        findings=findings,
        runtimes=runtimes(opened, matrices, against, finite),
        size=_size(opened),
        features=_features(opened),
        base=against,
    )


def _measured(opened: AdapterFolder) -> Iterator[AdaptedMatrix]:
    settings, misshapen = opened.settings, opened.misshapen
    for module, A, B in opened.pairs() if settings.is_lora else ():
        if A is None or B is None or module in misshapen or not (A.numbers and B.numbers):
            continue
        rows, rank = A.shape[0], settings.rank_of(module)
        experts = rows // rank if settings.stacks(module) and rows > rank and rows % rank == 0 else 1
        yield measure(
            module, *opened.factors(module, A, B), settings.scale_of(module, rows // experts), experts, A.on_embedding
        )


def _size(opened: AdapterFolder) -> Size:
    held = {"lora": 0, "embeddings": 0, "others": 0}
    for one in opened.tensors:
        part = "lora" if one.role in ("A", "B") else "embeddings" if one.role == "embedding" else "others"
        held[part] += one.bytes
    return Size(
        opened.file.stat().st_size,
        **held,
        dtypes=tuple(sorted({one.dtype for one in opened.tensors})),
        numbers=sum(one.numbers for one in opened.tensors),
    )


def _features(opened: AdapterFolder) -> tuple[str, ...]:
    """PEFT's features by PEFT's names, those that change what is computed."""
    settings = opened.settings
    features = {
        "rsLoRA": settings.use_rslora,
        "DoRA": settings.use_dora,
        "rank_pattern": bool(settings.rank_pattern),
        "alpha_pattern": bool(settings.alpha_pattern),
        "modules_to_save": bool(settings.modules_to_save),
        "target_parameters": bool(settings.target_parameters),
        f"bias={settings.bias}": settings.bias != "none",
        f"init_lora_weights={settings.init_lora_weights}": settings.init_lora_weights not in ("", "false"),
        "LoRA on embeddings": any(one.on_embedding for one in opened.tensors),
        "whole embeddings saved": any(one.role == "embedding" for one in opened.tensors),
    }
    others = (
        "layers_to_transform",
        "trainable_token_indices",
        "lora_bias",
        "exclude_modules",
        "fan_in_fan_out",
        "layer_replication",
        "alora_invocation_tokens",
        "use_qalora",
        "use_bdlora",
        "arrow_config",
        "kasa_config",
        "monteclora_config",
        "velora_config",
        "ensure_weight_tying",
    )
    return (*(name for name, used in features.items() if used), *(name for name in others if name in settings.others))
