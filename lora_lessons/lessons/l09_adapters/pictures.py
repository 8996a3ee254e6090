"""Pictures of lesson 09: scorecards, prompts beside adapters, an adapter at each scale,
and what merging leaves of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from ... import evaluation
from ...drawing import BLUE, GREY, VERMILION, label
from .measured import PATHS

INK = "black"


def _percent(ax: Any) -> None:
    ax.set(xlim=(-0.08, 1.1), xticks=[0, 0.5, 1])
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")


def cards(found: Mapping[str, evaluation.Scorecard], scored: int, everyday: int) -> Figure:
    """A row an adapter: rules kept, general perplexity and format drift; the base hollow, the adapter filled."""
    figure = Figure(figsize=(7.2, 1.3 + 0.5 * len(found)))
    columns: list[tuple[str, Callable[[evaluation.Score], float]]] = [
        (f"keep every rule\n({scored} answers)", lambda s: s.kept),
        ("perplexity,\ngeneral text", lambda s: s.general),
        (f"format drift\n({everyday} answers)", lambda s: s.drift),
    ]
    for column, (ax, (title, value)) in enumerate(zip(figure.subplots(1, 3, sharey=True), columns, strict=True)):
        for y, card in enumerate(found.values()):
            before, after = value(card.base), value(card.trained)
            ax.plot([before, after], [y, y], color=BLUE, lw=2, alpha=0.5)
            ax.plot(before, y, "o", mfc="white", mec=GREY, mew=2, ms=9)
            ax.plot(after, y, "o", color=BLUE, ms=9)
            label(ax, max(before, after), y, f"{after:.0f}" if column == 1 else f"{after:.0%}", INK, xytext=(9, 0))
        if column == 1:
            ax.set(xlim=(0, 1.5 * max(value(c.trained) for c in found.values())))
        else:
            _percent(ax)
        ax.set_title(title, fontsize=11)
        ax.set_yticks(range(len(found)), [name.replace("_", " ") for name in found])
        ax.set(ylim=(len(found) - 0.5, -0.5))
    return figure


def prompts(found: Mapping[str, Mapping[str, float]], of: int) -> Figure:
    """A row a task: the share of `of` answers that keep every rule, with the best prompt and with the adapter."""
    figure = Figure(figsize=(7.2, 1.3 + 0.62 * len(found)))
    ax = figure.subplots()
    for y, shares in enumerate(found.values()):
        *asked, adapter = shares.values()
        for share, color, up in ((max(asked), GREY, 0.14), (adapter, BLUE, -0.14)):
            ax.plot(evaluation.interval(share, of), [y + up, y + up], color=color, lw=2.5, alpha=0.5)
            ax.plot(share, y + up, "o", color=color, ms=9)
    first = [*next(iter(found.values())).values()]
    label(ax, first[-1], -0.14, "adapter", BLUE, xytext=(0, 8), ha="center", va="bottom")
    label(ax, max(first[:-1]), 0.14, "best prompt", GREY, xytext=(0, -9), ha="center", va="top")
    _percent(ax)
    ax.set_yticks(range(len(found)), [name.replace("_", " ") for name in found])
    ax.set(ylim=(len(found) - 0.5, -0.6), xlabel=f"answers that keep every rule (of {of}; 95% intervals)")
    ax.set_title("On every task, the adapter beats the best prompt")
    return figure


def along_the_scale(scales: Sequence[float], losses: Sequence[float], general: Sequence[float]) -> Figure:
    """The loss on the adapter's own task and on general text, in nats on one axis, for an adapter at each scale."""
    figure = Figure(figsize=(7.2, 3.6))
    ax = figure.subplots()
    for values, color, name in ((losses, BLUE, "its own task"), (general, GREY, "general text")):
        ax.plot(scales, values, "o-", color=color)
        label(ax, scales[-1], values[-1], name, color)
    for at, name in ((0, "the base"), (1, "as trained")):
        ax.axvline(at, color=GREY, lw=1, ls=":", zorder=0.5)
        ax.annotate(name, (at, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=GREY)
    ax.set(xlabel="scale of the update", ylabel="loss (nats a token)", ylim=(0, 1.1 * max(*losses, *general)))
    ax.set(xticks=list(scales), xlim=(scales[0] - 0.1, scales[-1] + 0.85))
    ax.set_title("Half of it helps, its opposite ruins both\n")
    return figure


GROUPS = {
    "16 bits": (),
    "NF4": ("nf4_apart", "into_nf4", "then_nf4"),
    "other 4- and 8-bit formats": ("gguf", "gptq", "awq", "hqq"),
}


def survives(rows: Sequence[Mapping[str, Any]], titles: Mapping[str, str]) -> Figure:
    """A row a way, in groups: right answers with their interval, and the KL from the unmerged model on a log axis."""
    grouped: dict[str, list[Mapping[str, Any]]] = {name: [] for name in GROUPS}
    for row in rows:
        names = [name for name, ways in GROUPS.items() if ways and str(row["way"]).startswith(ways)]
        grouped[names[0] if names else "16 bits"].append(row)
    figure = Figure(figsize=(7.2, 1.2 + 0.38 * (len(rows) + len(GROUPS))))
    left, right = figure.subplots(1, 2, sharey=True)
    top, ticks = 0, []
    for group, some in grouped.items():
        ticks.append((top, group.upper()))
        for y, row in enumerate(some, top + 1):
            color = {"base": GREY, "into_nf4": VERMILION}.get(str(row["way"]), BLUE)
            left.plot([row["low"], row["high"]], [y, y], color=color, lw=2.5, alpha=0.5)
            left.plot(row["kept"], y, "o", color=color, ms=8)
            if row["kl"]:
                right.plot(row["kl"], y, "o", color=color, ms=8)
            ticks.append((y, titles[str(row["way"])]))
        top += len(some) + 1
    figure.suptitle("Only one way loses the adapter", fontsize=12, weight="bold")
    _percent(left)
    left.set_title("right answers", fontsize=11)
    right.set_xscale("log")
    right.set_xticks([1e-5, 1e-3, 1e-1], ["0.00001", "", "0.1"])
    right.minorticks_off()
    right.set(xlim=(1e-6, 3))
    right.set_title("KL from unmerged (nats)", fontsize=11)
    left.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    left.set(ylim=(top - 0.4, -0.6))
    return figure


def left_by_size(nf4: Mapping[float, float], bf16: Mapping[float, float]) -> Figure:
    """The share of an update that is left after a merge against its size, on a base in bf16 and on one in NF4."""
    figure = Figure(figsize=(7.2, 3.4))
    ax = figure.subplots()
    for found, color, name, at in ((bf16, BLUE, "base in bf16", 1 / 16), (nf4, VERMILION, "base in NF4", 4)):
        ax.plot(list(found), list(found.values()), "o-", color=color)
        label(ax, at, found[at], name, INK, xytext=(10, -6))
    ax.axvline(1, color=GREY, lw=1, ls=":")
    ax.annotate("this adapter", (1, 1.02), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=INK)
    ax.set_xscale("log", base=2)
    ax.set_xticks(list(nf4), [f"{size:g}×" if size >= 1 else f"1/{1 / size:.0f}" for size in nf4])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    ax.set(xlabel="size of the update", ylabel="left after the merge", ylim=(-0.03, 1.08))
    ax.set_title("The smaller the update, the less is left\n")
    return figure


def merge_paths(paths: Mapping[str, tuple[float, float]]) -> Figure:
    """A row a path: how far its next-token distribution is from the unmerged model's (KL); its size in MB,
    in a column."""
    figure = Figure(figsize=(7.2, 1.2 + 0.5 * len(paths)))
    ax = figure.subplots()
    most = max(kl for kl, _ in paths.values())
    for y, (name, (kl, megabytes)) in enumerate(paths.items()):
        ax.barh(y, kl, color=GREY if name == PATHS["none"] else VERMILION if kl > most / 2 else BLUE, height=0.55)
        label(ax, kl, y, f"{kl:.2f}", INK)
        ax.annotate(f"{megabytes:.0f} MB", (1.45 * most, y), ha="right", va="center", color=INK)
    ax.set_yticks(range(len(paths)), list(paths))
    ax.invert_yaxis()
    ax.set(xlim=(0, 1.47 * most), xlabel="mean KL from the unmerged model (nats a token)")
    ax.set_title("Merged into 4 bits is like no adapter")
    return figure
