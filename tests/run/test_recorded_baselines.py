"""The baselines that are kept: each band is the one that its own seeds make, and no value lies outside it."""

import copy
import json

import pytest

from lora_lessons.paths import course_root
from lora_lessons.run.baselines import entry, inside

KEPT = {p.stem: json.loads(p.read_text("utf-8")) for p in sorted((course_root() / "data" / "baselines").glob("*.json"))}

# A tolerance set by hand is a share of the expected value. Up to a half needs no reason here; above that, this one:
LOOSE = 0.5
REASONS = {
    "drift.full": "a share of 8 everyday answers: full fine-tuning spreads more between machines than LoRA does",
    "overlap.read_64": "a small overlap of directions that another machine's rounding turns",
    "left.into_4_bits": "a share near nothing: a few weights that another machine rounds to the next mark move it",
    "path.dequantized.kl": "a hundred-thousandth of a nat: the sentence is that it is nothing beside the others",
}


def faults(baseline):
    """What is wrong with a baseline in itself: an entry that `entry` would not have made, a value outside,
    a loose band."""
    for name, one in baseline["records"].items():
        made = entry(one["seeds"], one["unit"], one.get("tolerance"), one.get("elsewhere", ()))
        # as text: 1, 1.0 and true are three values
        if json.dumps(made) != json.dumps(one):
            yield f"{name}: expected value and band are not what its seeds make"
        if outside := [v for v in [*one["seeds"], *one.get("elsewhere", [])] if not inside(v, one)]:
            yield f"{name}: {outside[0]} lies outside its own band"
        if one.get("tolerance", 0) > LOOSE and name not in REASONS:
            yield f"{name}: a tolerance of {one['tolerance']} needs a reason in this test"
        if one.get("tolerance", 0) < 0:
            yield f"{name}: a tolerance is not negative"


@pytest.mark.parametrize("stem", KEPT)
def test_a_kept_baseline_is_what_its_seeds_make(stem):
    assert list(faults(KEPT[stem])) == [], (
        "never by hand: lora-lessons run LESSON --update-baselines --update-notebooks"
    )
    assert f"{KEPT[stem]['lesson']}.{KEPT[stem]['profile']}" == stem


def test_every_reason_is_still_needed():
    loose = {n for kept in KEPT.values() for n, one in kept["records"].items() if one.get("tolerance", 0) > LOOSE}
    assert loose == set(REASONS)


def edits(one):
    """Copies of an entry with one thing changed by hand, each by its name."""
    number = type(one["expected"]) in (int, float)

    def other(value):
        return not value if isinstance(value, bool) else f"{value}x" if isinstance(value, str) else 11 * value + 1e-3

    yield "expected", one | {"expected": other(one["expected"])}
    for seed in range(len(one["seeds"])):
        changed = list(one["seeds"])
        changed[seed] = other(changed[seed])
        yield f"seeds[{seed}]", one | {"seeds": changed}
    if number:
        yield "expected, a little", one | {"expected": one["expected"] * (1 + 1e-9) + 1e-12}
        yield "a loose tolerance", {k: v for k, v in one.items() if k not in ("low", "high")} | {"tolerance": 1e9}
        yield "a band where there was none", one | {"low": -1e9, "high": 1e9}
    if "elsewhere" in one:
        yield "elsewhere", one | {"elsewhere": [other(value) for value in one["elsewhere"]]}
    if "low" in one:
        yield "low", one | {"low": one["low"] - abs(one["expected"]) - 1}
        yield "high", one | {"high": one["high"] + abs(one["expected"]) + 1}
        yield "no band", {key: value for key, value in one.items() if key not in ("low", "high")}


@pytest.mark.parametrize("stem", KEPT)
def test_sabotage_an_entry_that_was_edited_alone_is_noticed(stem):
    unseen, tried = [], 0
    for name, one in KEPT[stem]["records"].items():
        for what, changed in edits(copy.deepcopy(one)):
            tried += 1
            if name in REASONS and what == "a loose tolerance":
                continue
            if not list(faults({"records": {name: changed}})):
                unseen.append((name, what))
    assert not unseen and tried > 5
