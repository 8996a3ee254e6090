"""The report: findings first, then the settings, the matrices by kind, and the runtimes; as text, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from lora_lessons.outside import in_line

from .reading import leaf_of
from .runtimes import looked_up
from .xray import AdaptedMatrix, Xray

MARKS = {"wrong": "✗", "look": "!", "note": "·"}
WIDTH = 100
# Names of layers that are shown, and the characters of one.
MOST, LONGEST = 60, 2_000
LOADS = {"yes": "yes", "care": "with care", "no": "no", "depends": "depends", "unknown": "not known"}


def in_words(xray: Xray) -> str:
    """The report as text, findings first."""
    below = ["", *_settings(xray), "", *_table(xray), *_base(xray), "", *_runtimes(xray)]
    return "\n".join([*_findings(xray), *map(in_line, below)])


def _findings(xray: Xray) -> Iterator[str]:
    if not any(finding.severity != "note" for finding in xray.findings):
        yield in_line(f"{xray.name}: nothing stands out.")
    for finding in xray.findings:
        yield textwrap.fill(
            in_line(f"{MARKS[finding.severity]} {finding.sentence}{f' [{finding.behind}]' if finding.behind else ''}"),
            WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _settings(xray: Xray) -> Iterator[str]:
    settings, size = xray.settings, xray.size
    if settings.is_lora:
        scales = ", ".join(f"{scale:.4g}" for scale in xray.scales) or "none"
        ranks = sorted({matrix.r for matrix in xray.matrices})
        r = f"{ranks[0]} … {ranks[-1]}" if len(ranks) > 1 else str(ranks[0] if ranks else settings.r)
        yield f"r = {r}, lora_alpha = {settings.lora_alpha:.4g}: scale {scales}"
    targets = [
        *([settings.target_modules] if isinstance(settings.target_modules, str) else settings.target_modules or ())
    ]
    targets += settings.target_parameters
    if shown := ", ".join(name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in targets[:MOST] if name):
        yield f"targets: {shown}" + f" and {len(targets) - MOST} more" * (len(targets) > MOST)
    if xray.features:
        yield f"uses: {', '.join(xray.features)}"
    revision = f" (revision {settings.revision})" if settings.revision else ""
    yield f"base: {settings.base_name or 'not named'}{revision}"
    dtypes = ", ".join(size.dtypes)
    parts = [("A and B", size.lora), ("whole embeddings", size.embeddings), ("others", size.others)]
    held = ", ".join(f"{name} {part / 1e6:.3g} MB" for name, part in parts if part)
    yield f"file: {size.file / 1e6:.3g} MB in {dtypes}, {size.numbers:,} numbers ({held})"


def _table(xray: Xray) -> Iterator[str]:
    """One line for each kind of matrix, with the medians over its layers."""
    if not xray.matrices:
        return
    ratio = any(matrix.ratio is not None for matrix in xray.matrices)
    yield (
        f"{'matrix':<16}{'count':>6}{'‖ΔW‖':>10}" + ("‖ΔW‖/‖W‖".rjust(12) if ratio else "") + f"{'effective rank':>16}"
    )
    for kind, group in by_kind(xray.matrices).items():
        norms, ranks = _known(group, "norm"), _known(group, "effective_rank")
        line = f"{kind:<16}{len(group):>6}{_middle(norms, '.3g'):>10}"
        line += _middle(_known(group, "ratio"), ".3f").rjust(12) if ratio else ""
        of_r = " … ".join(map(str, sorted({min(one.r for one in group), max(one.r for one in group)})))
        yield line + f"{_middle(ranks, '.1f')} of {of_r}".rjust(16)
    finite = "" if all(one.norm is not None for one in xray.matrices) else " that are finite"
    yield f"Numbers are medians over the layers{finite}. Effective rank: how many of the r directions the"
    yield "update really uses (Roy and Vetterli 2007)."


def by_kind(matrices: Sequence[AdaptedMatrix]) -> dict[str, list[AdaptedMatrix]]:
    """The matrices by the last part of their names, in the order of the file."""
    kinds: dict[str, list[AdaptedMatrix]] = {}
    for matrix in matrices:
        kinds.setdefault(leaf_of(matrix.module), []).append(matrix)
    return kinds


def _known(group: Sequence[AdaptedMatrix], field: str) -> list[float]:
    return [value for one in group if (value := getattr(one, field)) is not None]


def _middle(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}}" if values else "–"


def _base(xray: Xray) -> Iterator[str]:
    base = xray.base
    yield ""
    if base is None:
        yield "Name the base with --base to see ‖ΔW‖/‖W‖, the layers that were left out, and its chat template."
        return
    if xray.settings.is_lora:
        left = ", ".join(f"{name} ({count})" for name, count in base.not_adapted.items())
        yield (
            f"against {base.name}: "
            f"{f'Linear layers without an adapter: {left}' if left else 'every Linear layer is adapted'}"
        )
    if base.intruders:
        new, seen = base.intruders
        yield f"Of the {seen} strongest directions of W + ΔW that we checked, W lacks {new or 'none'}."
    if base.perplexity:
        yield f"perplexity on general text: {base.perplexity[0]:.1f} alone, {base.perplexity[1]:.1f} with the adapter"


def _runtimes(xray: Xray) -> Iterator[str]:
    yield "which programs load it:"
    for runtime in xray.runtimes:
        behind = f" [{runtime.behind}]" if runtime.behind else ""
        yield f"{runtime.name:<16}{LOADS[runtime.loads]}: {runtime.reason}{behind}"
    if any("merge it" in runtime.reason for runtime in xray.runtimes):
        ours = any("lora-lessons export ollama" in runtime.reason for runtime in xray.runtimes)
        by_us = f"lora-lessons export merged {xray.name} --base BASE --out DIR"
        by_peft = "with PEFT, merge_and_unload() and save_pretrained(); `export merged` takes A and B alone"
        yield f"Merge it: {by_us if ours else by_peft}"
    oldest = min(looked_up(runtime.name).rpartition(" ")[2] for runtime in xray.runtimes)
    when = f"{datetime.strptime(oldest, '%Y-%m'):%B %Y}"
    yield f"Servers change: this was looked up in {when}; --json says of which version."


def as_json(xray: Xray) -> dict[str, Any]:
    """The X-ray as plain data. Its keys stay: adapter, place, settings, size, features, matrices, findings, runtimes,
    base.

    A matrix has the fields of `AdaptedMatrix`, a finding those of `Finding`, and so on; what is not known is null.
    """
    return {
        "adapter": xray.name,
        "place": xray.place,
        "settings": xray.settings._asdict(),
        "scales": xray.scales,
        "size": xray.size._asdict(),
        "features": xray.features,
        "matrices": [matrix._asdict() for matrix in xray.matrices],
        "findings": [finding._asdict() for finding in xray.findings],
        "runtimes": [runtime._asdict() | {"looked_up": looked_up(runtime.name)} for runtime in xray.runtimes],
        "base": xray.base._asdict() | {"place": str(xray.base.place)} if xray.base else None,
    }
