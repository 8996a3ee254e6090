"""The table of a sweep, one row a run; and what the runs say together: means over seeds with 95% intervals, pairs,
lines by rank."""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...files import whole_file, write_text
from ...paths import measurements
from ...run.result import OK
from ...sums import sha256
from .trials import Trial

TABLE, ABOUT = "results.csv", "about.json"
STOPPED = "stopped"  # the status of a run that was stopped early: it has losses, and no result
MEASURED = ("scale", "loss_held_out", "update_relative", "trainable", "train_losses", "train_seconds")
COLUMNS = (*Trial._fields, "status", *MEASURED, "seconds", "date", "machine", "error")
INTEGERS = {"r", "steps", "batch_size", "seed", "trainable"}
NUMBERS = {"lora_alpha", "learning_rate", "seconds", *MEASURED} - INTEGERS - {"train_losses"}


def trial_of(row: Mapping[str, Any]) -> Trial:
    """The trial that a row of the table was measured with. Raises KeyError or TypeError for a row of something else."""
    trial = Trial(**{name: row[name] for name in Trial._fields})
    words, numbers = trial[:1] + trial[4:5] + trial[8:], trial[1:4] + trial[5:8]
    if not all(isinstance(word, str) for word in words) or not all(type(n) in (int, float) for n in numbers):
        raise TypeError("a trial's method, targets and base are words, and the rest are numbers")
    return trial


def check_row(row: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError where `row`, read from a file, is none that a run of a sweep writes."""
    ok = row["status"] == OK
    for name in (*Trial._fields, "name", "seconds", "date", "machine", "error", *(MEASURED if ok else ())):
        row[name]
    for name, value in row.items():
        number = name in INTEGERS | NUMBERS
        if name == "versions":
            fine = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        elif number:
            fine = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")
        else:
            fine = isinstance(value, (str, bool, int, float))
        if not fine or (name in INTEGERS and not isinstance(value, int)):
            raise TypeError(name)
        if isinstance(value, str):
            value.encode()  # half a character cannot be written
        elif name in COLUMNS and not number:
            raise TypeError(name)
    if ok:
        _typed({name: str(row[name]) for name in COLUMNS})


def write_table(rows: Iterable[Mapping[str, Any]], out: Path) -> None:
    """Write `rows` as out/results.csv, and as out/about.json where they come from: machines, days, versions,
    the table's SHA-256."""
    rows = list(rows)
    with (
        whole_file(out / TABLE) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    about = {
        "what": (
            "one row a training run of notebooks/experiments/train_adapter.ipynb; losses in nats a supervised token"
        ),
        "machine": sorted({str(row["machine"]) for row in rows}),
        "date": sorted({str(row["date"]) for row in rows}),
        "versions": [dict(pairs) for pairs in sorted({_pairs(row.get("versions")) for row in rows})],
        "table_sha256": sha256(out / TABLE),
    }
    write_text(out / ABOUT, json.dumps(about, indent=1) + "\n")


def _pairs(versions: Any) -> tuple[tuple[str, str], ...]:
    """What a run says of its libraries; nothing where it says none."""
    return tuple((str(name), str(version)) for name, version in versions.items()) if isinstance(versions, dict) else ()


def recorded(name: str = "lesson_05_sweep") -> Path:
    """The table of a sweep that ships with the course; machine, date and versions lie beside it, in a .json."""
    return measurements() / f"{name}.csv"


def read_table(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a sweep's table: numbers as numbers, `train_losses` as a list.

    Raises FileNotFoundError or ValueError with what to do when there is none, it lacks a column or is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no table at {path.name}: make one with lora-lessons sweep.")
    try:
        csv.field_size_limit(2**30)  # a long run's losses are one long field
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        sentence = f"{path.name} is not a table of text: make it anew with lora-lessons sweep --resume."
        raise ValueError(sentence) from error
    if missing := [name for name in COLUMNS if name not in header]:
        raise ValueError(
            f"{path.name} has no column {', '.join(missing)}: it is not a sweep's results.csv. "
            "Make one with lora-lessons sweep."
        )
    rows = []
    for number, line in enumerate(lines, 2):
        try:
            row = dict(zip(header, line, strict=True))
            rows += [_typed(row)] if row["status"] == OK else []
        except ValueError as error:
            sentence = f"{path.name}: row {number} is damaged; lora-lessons sweep --resume writes it anew."
            raise ValueError(sentence) from error
    return rows


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    """The texts of a row as what they are."""
    losses = [float(loss) for loss in row["train_losses"].split()]
    integers = {name: int(row[name]) for name in row.keys() & INTEGERS}
    numbers = {name: float(row[name]) for name in row.keys() & NUMBERS}
    return {**row, **integers, **numbers, "train_losses": losses}


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


def by_setting(rows: Iterable[Mapping[str, Any]]) -> dict[Trial, list[Mapping[str, Any]]]:
    """The runs that differ only in their seed, together; the key's seed is 0."""
    groups: dict[Trial, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[Trial(**{name: row[name] for name in Trial._fields} | {"seed": 0})].append(row)
    return dict(groups)


def lines(rows: Iterable[Mapping[str, Any]], quantity: str = "loss_held_out") -> dict[str, list[tuple[int, Summary]]]:
    """A quantity against r, one line for each way to set alpha that covers at least half of the ranks.

    Ways: LoRA at one α, LoRA at one α/r, and every other method at one of either. Settings with one seed are left out.
    """
    groups = {s: [run[quantity] for run in runs] for s, runs in by_setting(rows).items() if len(runs) > 1}
    ranks = {s.r for s in groups}
    ways: dict[str, dict[int, Summary]] = defaultdict(dict)
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
            ways[way][s.r] = summary(values)
    return {way: sorted(points.items()) for way, points in ways.items() if len(points) >= max(2, len(ranks) / 2)}
