"""The baselines that are kept: each band is the one that its own seeds make, and no value lies outside it."""

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
