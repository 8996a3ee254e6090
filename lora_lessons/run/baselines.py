"""Baselines: for each lesson and profile, every record's expected value and the band it may move in.

A band comes from runs over several seeds. It is rewritten by `lora-lessons run --update-baselines`, never silently.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..course.records import Record, Value, show_value
from ..errors import first_line
from ..files import check_readable, write_text
from ..machine import machine, stamp
from ..paths import course_root


class Deviation(NamedTuple):
    """One record that is not as the baseline has it. A `warning` alone does not make a lesson deviate."""

    record: str
    sentence: str
    warning: bool = False


def baseline_file(lesson: str, profile: str) -> Path:
    """Where the baseline of `lesson` (a stem) in `profile` lies."""
    return course_root() / "data" / "baselines" / f"{lesson}.{profile}.json"


def read_baseline(lesson: str, profile: str = "quick") -> dict[str, Any] | None:
    """The baseline, or None where there is none.

    Raises ValueError when the file is damaged, or is no baseline; OSError for a pipe or a device.
    """
    file = baseline_file(lesson, profile)
    check_readable(file)
    try:
        baseline = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file.name} is not valid JSON ({first_line(error)}): {_ADVICE}") from error
    if fault := _fault(baseline):
        raise ValueError(f"{file.name} is no baseline ({fault}): {_ADVICE}")
    return baseline


_ADVICE = "restore it from git, or rewrite it with --update-baselines."
_NUMBER, _VALUE = (int, float), (bool, int, float, str)


def _fault(baseline: Any) -> str:
    """What in `baseline` is not built as `update` builds it; "" where all is. The values themselves are not judged."""
    if not isinstance(baseline, dict) or not isinstance(baseline.get("records"), dict):
        return "it has no records by name"
    about: dict[str, Any] = {"machine": str, "seconds": _NUMBER, "peak_ram_bytes": _NUMBER, "volatile": dict}
    if wrong := [name for name, kind in about.items() if name in baseline and not isinstance(baseline[name], kind)]:
        return f"{wrong[0]} is {repr(baseline[wrong[0]])[:80]}"
    wrong = [name for name, one in baseline["records"].items() if not _is_entry(one)]
    wrong += [name for name, one in baseline.get("volatile", {}).items() if not _has(one, value=_VALUE, unit=str)]
    return f"{wrong[0]} is not an entry with its value and unit" if wrong else ""


def _is_entry(one: Any) -> bool:
    if not _has(one, expected=_VALUE, unit=str, seeds=list) or not isinstance(one.get("elsewhere", []), list):
        return False
    limits = [one[name] for name in ("low", "high", "tolerance") if name in one]
    banded = ("low" in one) == ("high" in one) and all(isinstance(limit, _NUMBER) for limit in limits)
    values = [*one["seeds"], *one.get("elsewhere", [])]
    return banded and all(isinstance(v, _VALUE) for v in values) and not (limits and isinstance(one["expected"], str))


def _has(one: Any, **kinds: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(name), kind) for name, kind in kinds.items())


def values(baseline: Mapping[str, Any], seed: int | None = None) -> dict[str, Value]:
    """The values by record name, volatile ones included: those expected, or those measured with `seed`."""
    volatile = {name: entry["value"] for name, entry in baseline.get("volatile", {}).items()}
    steady = {name: e["expected"] if seed is None else e["seeds"][seed] for name, e in baseline["records"].items()}
    return volatile | steady


def entry(
    values: Sequence[Value], unit: str = "", tolerance: float | None = None, elsewhere: Sequence[Value] = ()
) -> dict[str, Any]:
    """One record's baseline from its values with seeds 0, 1, …; `tolerance` is a relative band set by hand.

    Bools, strings and integers that never differ must be equal. A float that never differs (to 1e-6) is
    deterministic: ± 0.5%. Others may move as far beyond the seeds' range as that range is wide, 2% at least.
    `elsewhere` are values of another machine: they widen the band, for processors round differently.
    """
    expected = values[0]
    made: dict[str, Any] = {"expected": expected, "unit": unit, "seeds": list(values)}
    if elsewhere:
        made["elsewhere"] = list(elsewhere)
        values = [*values, *elsewhere]
    if tolerance is not None:
        return made | {"tolerance": tolerance}
    if any(isinstance(v, (bool, str)) for v in values):
        return made
    numbers = [float(v) for v in values]
    low, high = min(numbers), max(numbers)
    if low == high and isinstance(expected, int):
        return made
    if len(numbers) > 1 and all(math.isclose(v, numbers[0], rel_tol=1e-6) for v in numbers):
        margin = max(0.005 * abs(expected), 1e-9)  # type: ignore[arg-type]
    else:
        margin = max(high - low, 0.02 * abs(expected), 1e-9)  # type: ignore[arg-type]
    return made | {"low": low - margin, "high": high + margin}


def band(entry: Mapping[str, Any]) -> tuple[float, float] | None:
    """The lowest and highest value allowed; None where the record must equal the expected value."""
    if "tolerance" in entry:
        margin = entry["tolerance"] * abs(entry["expected"])
        return entry["expected"] - margin, entry["expected"] + margin
    return (entry["low"], entry["high"]) if "low" in entry else None


def inside(value: Value, entry: Mapping[str, Any]) -> bool:
    """Whether `value` is where the baseline entry allows it."""
    expected, allowed = entry["expected"], band(entry)
    number, text = isinstance(value, (int, float)) and not isinstance(value, bool), isinstance(value, str)
    if (isinstance(expected, str), isinstance(expected, bool)) != (text, isinstance(value, bool)):
        return False
    return allowed[0] <= float(value) <= allowed[1] if allowed and number else value == expected


def compare(records: Mapping[str, Record], baseline: Mapping[str, Any]) -> list[Deviation]:
    """What in `records` is not as the baseline has it, in sentences; empty when all is well."""
    deviations = []
    everything = baseline["records"] | baseline.get("volatile", {})
    for name, known in everything.items():
        measured = records.get(name)
        if measured is None:
            deviations.append(Deviation(name, f"{name} was not recorded, though the baseline has it."))
            continue
        if measured.unit != known["unit"]:
            deviations.append(
                Deviation(name, f"{name} is now in {measured.unit!r}, in the baseline in {known['unit']!r}.")
            )
        if name in baseline["records"] and not inside(measured.value, known):
            limits = band(known)
            allowed = f"between {show_value(limits[0])} and {show_value(limits[1])}" if limits else "exactly that"
            sentence = f"{name} is {_exactly(measured.value)}; expected {_exactly(known['expected'])}, {allowed}."
            deviations.append(Deviation(name, sentence))
    for name in records:
        if name not in everything:
            sentence = f"{name} is new and has no baseline: run again with --update-baselines to give it one."
            deviations.append(Deviation(name, sentence, warning=True))
    return deviations


def _exactly(value: Value) -> str:
    return repr(value) if isinstance(value, (bool, str)) else f"{value:.6g}" if isinstance(value, float) else str(value)


def update(
    lesson: str,
    profile: str,
    by_seed: Sequence[Mapping[str, Record]],
    seconds: float,
    peak_ram_bytes: int,
) -> list[str]:
    """Rewrite a lesson's baseline from its records with seeds 0, 1, …; return one line a record, old → new.

    A `tolerance` set by hand in the old baseline is kept. Raises ValueError when the seeds do not record the same.
    """
    names = list(by_seed[0])
    for seed, records in enumerate(by_seed):
        if differ := sorted(set(names) ^ set(records)):
            raise ValueError(f"{lesson}: seed {seed} and seed 0 do not both record {', '.join(differ)}.")
    old = read_baseline(lesson, profile) or {"records": {}}
    old_entries, steady, volatile = old["records"] | old.get("volatile", {}), {}, {}
    lines = [
        f"  {name}: {_shown(entry)} → no longer recorded" for name, entry in old_entries.items() if name not in names
    ]
    for name in names:
        first = by_seed[0][name]
        if first.volatile:
            volatile[name] = new = {"value": first.value, "unit": first.unit}
        else:
            measured = [records[name].value for records in by_seed]
            before = old["records"].get(name, {})
            others = _elsewhere(measured, before, old.get("machine") == machine())
            steady[name] = new = entry(measured, first.unit, before.get("tolerance"), others)
        was = _shown(old_entries[name]) if name in old_entries else "new"
        lines.append(f"  {name}: {was} → {_shown(new)}")
    whole = {
        "lesson": lesson,
        "profile": profile,
        **stamp(),
        "seconds": round(seconds, 1),
        "peak_ram_bytes": peak_ram_bytes,
        "records": steady,
        "volatile": volatile,
    }
    _write(lesson, profile, whole)
    return lines


def keep_volatile(lesson: str, profile: str, records: Mapping[str, Record]) -> None:
    """Give what depends on the machine the values of the run whose outputs are stored: prose quotes that run."""
    baseline = read_baseline(lesson, profile)
    if baseline is None:
        return
    for name, entry in baseline.get("volatile", {}).items():
        if name in records:
            entry["value"] = records[name].value
    _write(lesson, profile, baseline)


def _write(lesson: str, profile: str, baseline: Mapping[str, Any]) -> None:
    write_text(baseline_file(lesson, profile), json.dumps(baseline, indent=1, ensure_ascii=False) + "\n")


def _elsewhere(measured: Sequence[Value], before: Mapping[str, Any], same_machine: bool) -> list[Value]:
    """The values that another machine recorded `before`, if they are of the same thing:
    its band meets that of `measured`."""
    others = before.get("elsewhere", []) if same_machine else before.get("seeds", [])
    if not others or any(type(value) is not type(measured[0]) or isinstance(value, (bool, str)) for value in others):
        return []
    here, there = band(entry(measured)), band(entry(others))
    same = here[0] <= there[1] and there[0] <= here[1] if here and there else False
    return list(others) if same else []


def _shown(entry: Mapping[str, Any]) -> str:
    value, unit = _exactly(entry.get("expected", entry.get("value"))), entry.get("unit", "")
    limits = band(entry) if "expected" in entry else None
    within = f" [{limits[0]:.6g} … {limits[1]:.6g}]" if limits else "" if "expected" in entry else " (volatile)"
    return f"{value}{' ' + unit if unit else ''}{within}"
