"""A sweep: the training notebook of notebooks/experiments/, run by papermill once for each setting.

Every result is written as its run ends, so that a sweep can be stopped, resumed, and read while it runs.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from ..files import whole_file, write_text
from ..machine import machine, versions
from ..paths import course_root
from ..run import runner

RANKS = (1, 2, 4, 8, 16, 32, 64)
METHODS = ("lora", "rslora", "lora+", "dora", "pissa")
BASES = ("16-bit", "nf4", "nf4+double", "fp4", "int4")  # how the frozen base is kept (lesson 07)
RESULT, TABLE, ABOUT, FIGURE = "result.json", "results.csv", "about.json", "figure.png"
ADAPTER = "adapter"  # the folder that a run keeps its adapter in, when asked to


class Setting(NamedTuple):
    """What one run is given: the parameters of the training notebook."""

    method: str
    r: int
    lora_alpha: float
    learning_rate: float
    target_modules: str
    steps: int
    batch_size: int
    seed: int
    base_format: str = BASES[0]

    @property
    def name(self) -> str:
        """The name of its folder: no two settings share one."""
        targets = self.target_modules.replace(",", "+").replace(".", "-")
        how = f"lr{self.learning_rate:g}_{self.steps}x{self.batch_size}_seed{self.seed}"
        base = "" if self.base_format == BASES[0] else f"_{self.base_format}"
        return f"{self.method}_r{self.r}_alpha{self.lora_alpha:g}_{targets}_{how}{base}"


def grid(
    r: Sequence[int],
    alpha: Sequence[str],
    seeds: int | Sequence[int],
    *,
    methods: Sequence[str] = ("lora",),
    learning_rates: Sequence[float] = (4e-3,),
    target_modules: str = "all-linear",
    steps: int = 24,
    batch_size: int = 4,
    bases: Sequence[str] = BASES[:1],
) -> list[Setting]:
    """Every combination once, all settings of the first seed first; `seeds` are their number, or themselves. An alpha is a number or a multiple of r such as "2x".

    Raises ValueError with what to change when a value cannot be.
    """
    for values, word in (
        (r, "--r"),
        (alpha, "--alpha"),
        (methods, "--method"),
        (learning_rates, "--lr"),
        (bases, "--base"),
    ):
        if not values:
            raise ValueError(f"{word} is empty: give at least one value.")
    if wrong := [rank for rank in r if rank < 1]:
        raise ValueError(f"--r {wrong[0]}: a rank is a whole number of at least 1.")
    names = [name.strip() for name in target_modules.split(",")]
    if not all(re.fullmatch(r"[\w.-]+", name) for name in names):
        raise ValueError(f"--targets {target_modules!r}: give all-linear, or names joined by commas: q_proj,v_proj.")
    if unknown := [method for method in methods if method not in METHODS]:
        raise ValueError(f"--method {unknown[0]}: choose from {', '.join(METHODS)}.")
    if unknown := [base for base in bases if base not in BASES]:
        raise ValueError(f"--base {unknown[0]}: choose from {', '.join(BASES)}.")
    if set(bases) - {BASES[0]} and set(methods) & {"dora", "pissa"}:
        raise ValueError("--method dora and pissa read W itself, which is packed here in 4 bits: use --base 16-bit.")
    if wrong_rate := [rate for rate in learning_rates if not 0 < rate < 1]:
        raise ValueError(f"--lr {wrong_rate[0]:g}: a learning rate lies between 0 and 1 (4e-3 is lesson 03's).")
    chosen = range(seeds) if isinstance(seeds, int) else seeds
    if min(len(chosen), steps, batch_size) < 1:
        raise ValueError("--seeds, --steps and --batch-size are counts of at least 1.")
    made = {
        Setting(method, rank, alpha_of(word, rank), rate, ",".join(names), steps, batch_size, seed, base): None
        for seed, method, rank, word, rate, base in product(chosen, methods, r, alpha, learning_rates, bases)
    }
    names = [setting.name for setting in made]
    if twins := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two settings would share the folder {twins[0]}: give numbers that differ in six digits.")
    return list(made)


def alpha_of(word: str, r: int) -> float:
    """lora_alpha as the command line says it: "16", or "2x" for twice the rank."""
    try:
        value = float(word.removesuffix("x")) * (r if word.endswith("x") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"--alpha {word}: give a number above 0, such as 16, or a multiple of r, such as 2x.")
    return value


def run(
    settings: Sequence[Setting], out: Path, *, resume: bool = False, keep_adapters: bool = False
) -> list[dict[str, Any]]:
    """Train once for each setting; write out/runs/<name>/result.json as each ends, then the table and the figure.

    Returns the rows of `settings`. With keep_adapters=True each run's adapter stays in its folder (`kept_adapter`).
    With resume=True a setting whose result is there is skipped; one that failed is tried again. A run that fails is
    recorded as failed, and the next one starts. Raises FileExistsError when `out` holds results and resume is False, or
    another sweep is writing there; ValueError for PiSSA's adapters, which fit no other base; KeyboardInterrupt when
    stopped (the run in progress goes on from its checkpoint when the sweep is resumed).
    """
    from filelock import FileLock, Timeout

    if keep_adapters and any(setting.method == "pissa" for setting in settings):
        raise ValueError("PiSSA changes W itself, so its A and B fit no other base: sweep it without keeping adapters.")
    out = Path(out).resolve()
    (out / "runs").mkdir(parents=True, exist_ok=True)
    runner.check_parameters([experiment()], settings[0]._asdict())
    try:
        with FileLock(out / ".lock", timeout=0):
            return _run(settings, out, resume, keep_adapters)
    except Timeout as error:
        raise FileExistsError(
            f"another sweep is writing to {out.name}: let it end, or choose another --out."
        ) from error


def _run(settings: Sequence[Setting], out: Path, resume: bool, keep_adapters: bool) -> list[dict[str, Any]]:
    from tqdm.auto import tqdm

    before = {setting_of(row): row["status"] for row in results(out)}
    if before and not resume:
        raise FileExistsError(
            f"{out.name} holds the results of {len(before)} runs: add --resume to go on, or choose another --out."
        )
    todo = [s for s in settings if before.get(s) != runner.OK]
    for done in set(settings) - set(todo):
        shutil.rmtree(out / "runs" / done.name / "checkpoints", ignore_errors=True)  # left by a kill at the very end
    if len(todo) < len(settings):
        print(f"{len(settings) - len(todo)} of {len(settings)} runs are done already.")
    bar = tqdm(todo, unit="run", dynamic_ncols=True, mininterval=0.1 if sys.stderr.isatty() else 20)
    for setting in bar:
        bar.set_postfix_str(setting.name)
        row = run_one(setting, out / "runs" / setting.name, keep_adapters)
        if row["status"] == runner.FAILED:
            bar.write(f"{setting.name}: failed: {row['error']}")
        try:
            write_table(results(out), out)
        except OSError as error:  # the table is open in another program, say; each result is safe in its own file
            bar.write(f"{TABLE} could not be written now ({error.strerror}); the sweep goes on.")
    write_table(results(out), out)  # also when nothing was left to do: a stop may have come before the last one
    draw(out)
    return [row for row in results(out) if setting_of(row) in set(settings)]


def experiment() -> Path:
    """The training notebook that a sweep runs."""
    return course_root() / "notebooks" / "experiments" / "train_adapter.ipynb"


def kept_adapter(out: Path, row: Mapping[str, Any]) -> Path:
    """Where the sweep `out` kept the adapter of the run `row`, in PEFT's format."""
    return Path(out) / "runs" / row["name"] / ADAPTER


def run_one(setting: Setting, folder: Path, keep_adapter: bool = False) -> dict[str, Any]:
    """Run the training notebook with one setting in `folder`; return its row of the table, which is also written there.

    The checkpoints of a run that did not end well stay: the next try goes on from them.
    """
    checkpoints = folder / "checkpoints"
    given = setting._asdict() | {"checkpoints": str(checkpoints)}
    if keep_adapter:
        given["adapter"] = str(folder / ADAPTER)
    result = runner.run_one(experiment(), given, folder, progress=False)
    if result.status == runner.INTERRUPTED:
        raise KeyboardInterrupt
    measured = {name.replace(".", "_"): record.value for name, record in result.records.items()}
    error = str(result.error or "").replace(str(folder), "its folder")
    row = {
        "name": setting.name, "status": result.status, **setting._asdict(), **measured,
        "error": " ".join(error.split()), "seconds": round(result.seconds, 1),
        "date": date.today().isoformat(), "machine": machine(),
    }  # fmt: skip
    write_text(folder / RESULT, json.dumps({"row": row, "versions": versions()}, indent=1) + "\n")
    if result.status == runner.OK:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return row


def setting_of(row: Mapping[str, Any]) -> Setting:
    """The setting that a row of the table was measured with."""
    return Setting(**{name: row[name] for name in Setting._fields})


def results(out: Path) -> list[dict[str, Any]]:
    """The rows of every run that ended in the sweep `out`, in the order of their settings, each with its `versions`.

    A damaged result is said to be so and counts as not done.
    """
    rows = []
    for path in out.glob(f"runs/*/{RESULT}"):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            setting_of(kept["row"])
            rows.append(kept["row"] | {"versions": kept["versions"]})
        except (ValueError, KeyError, TypeError):
            print(f"{path.parent.name}: its {RESULT} is damaged, so the run counts as not done.", file=sys.stderr)
    return sorted(rows, key=setting_of)


COLUMNS = (
    *Setting._fields, "status", "scale", "loss_held_out", "update_relative", "trainable", "train_losses",
    "train_seconds", "seconds", "date", "machine", "error",
)  # fmt: skip


def write_table(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Write `rows` as out/results.csv, and the machines, days and versions that they come from as out/about.json."""
    rows = list(rows)
    with whole_file(out / TABLE) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    about = {
        "what": "one row a training run of notebooks/experiments/train_adapter.ipynb; losses in nats a supervised token",
        "machine": sorted({row["machine"] for row in rows}),
        "date": sorted({row["date"] for row in rows}),
        "versions": [dict(pairs) for pairs in sorted({tuple(row.get("versions", {}).items()) for row in rows})],
    }
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")


def recorded(name: str = "lesson_05_sweep") -> Path:
    """The table of a sweep that ships with the course; machine, date and versions lie beside it, in a .json."""
    return course_root() / "data" / "measurements" / f"{name}.csv"


def read_table(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a sweep's table: numbers as numbers, `train_losses` as a list.

    Raises FileNotFoundError or ValueError with what to do when there is none, it lacks a column or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no table at {path.name}: make one with lora-lessons sweep.")
    try:
        csv.field_size_limit(2**30)  # a long run's losses are one long field
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{path.name} is not a table of text: make it anew with lora-lessons sweep --resume."
        ) from error
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(f"{path.name} has no column {', '.join(missing)}: it is not a sweep's results.csv.")
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            row = dict(zip(header, line, strict=True))
            rows += [_typed(row)] if row["status"] == runner.OK else []
        except ValueError as error:
            raise ValueError(
                f"{path.name}: row {number} is damaged; lora-lessons sweep --resume writes it anew."
            ) from error
    return rows


_KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("r", "steps", "batch_size", "seed", "trainable"), int),
    **dict.fromkeys(("lora_alpha", "learning_rate", "scale", "loss_held_out", "update_relative", "train_seconds", "seconds"), float),
    "train_losses": lambda text: [float(loss) for loss in text.split()],
}  # fmt: skip


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    return {name: _KINDS.get(name, str)(text) for name, text in row.items()}


class Summary(NamedTuple):
    """One setting over its seeds: the mean of a quantity and its 95% interval (Student's t)."""

    mean: float
    low: float
    high: float
    seeds: int

    def apart(self, other: Summary) -> bool:
        """Whether the two intervals do not overlap: only then may one be called better."""
        return self.low > other.high or other.low > self.high


# Student's t for a 95% interval, by the number of seeds; beyond these, that of 11, which is a little wide.
_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


def summary(values: Sequence[float]) -> Summary:
    """Mean and 95% interval of the mean. Raises ValueError for fewer than two values: one run has no interval."""
    if len(values) < 2:
        raise ValueError("an interval needs at least two seeds.")
    half = _T.get(len(values), 2.228) * statistics.stdev(values) / len(values) ** 0.5
    mean = statistics.fmean(values)
    return Summary(mean, mean - half, mean + half, len(values))


def paired(a: Iterable[Mapping[str, Any]], b: Iterable[Mapping[str, Any]], quantity: str = "loss_held_out") -> Summary:
    """a's quantity minus b's, seed by seed, over the seeds that both have: the luck that a seed brings both cancels."""
    first, second = ({run["seed"]: run[quantity] for run in runs} for runs in (a, b))
    return summary([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])


def by_setting(rows: Iterable[Mapping[str, Any]]) -> dict[Setting, list[Mapping[str, Any]]]:
    """The runs that differ only in their seed, together; the key's seed is 0."""
    groups: dict[Setting, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[Setting(**{name: row[name] for name in Setting._fields} | {"seed": 0})].append(row)
    return dict(groups)


def lines(rows: Iterable[Mapping[str, Any]], quantity: str = "loss_held_out") -> dict[str, list[tuple[int, Summary]]]:
    """A quantity against r, one line for each way to set alpha that covers at least half of the ranks.

    Ways: LoRA at one α, LoRA at one α/r, and every other method at one of either. Settings with one seed are left out.
    """
    groups = {s: [run[quantity] for run in runs] for s, runs in by_setting(rows).items() if len(runs) > 1}
    ranks = {s.r for s in groups}
    found: dict[str, dict[int, Summary]] = defaultdict(dict)
    differ = {
        "lr ": len({s.learning_rate for s in groups}) > 1,
        "on ": len({s.target_modules for s in groups}) > 1,
        "steps ": len({(s.steps, s.batch_size) for s in groups}) > 1,
    }
    for s, values in groups.items():
        named = (f"{s.learning_rate:g}", s.target_modules, f"{s.steps}×{s.batch_size}")
        several = [word + value for (word, many), value in zip(differ.items(), named, strict=True) if many]
        multiple = f"α = {s.lora_alpha / s.r:g}r" if s.lora_alpha != s.r else "α = r"
        for alpha in (multiple, f"α = {s.lora_alpha:g}"):
            way = ", ".join([*([s.method] if s.method != "lora" else []), alpha, *several])
            found[way][s.r] = summary(values)
    return {way: sorted(points.items()) for way, points in found.items() if len(points) >= max(2, len(ranks) / 2)}


def draw(out: Path) -> None:
    """Write out/figure.png from out/results.csv, where there is something to compare."""
    from ..course import pictures
    from ..course.figures import use_style

    found = lines(read_table(out / TABLE))
    (out / FIGURE).unlink(missing_ok=True)  # one of other rows would mislead
    if found:
        use_style()
        with whole_file(out / FIGURE) as temporary:
            pictures.sweep_lines(found).savefig(temporary, format="png", dpi=150)
