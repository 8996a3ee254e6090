"""Baselines: a band made from seeds, and every way a record can leave it said in a sentence."""

import json

import pytest

from lora_lessons.course.records import Record
from lora_lessons.machine import machine, versions
from lora_lessons.run.baselines import band, baseline_file, compare, entry, inside, read_baseline, update, values


def one(value, unit="", volatile=False, name="x"):
    return {name: Record(name, value, unit, volatile)}


@pytest.mark.parametrize(
    ("seeds", "low", "high"),
    [
        pytest.param([2.0, 2.1, 1.8], 1.8 - 0.3, 2.1 + 0.3, id="as far beyond the range as the range is wide"),
        pytest.param([2.0, 2.001, 2.0005], 2.0 - 0.04, 2.001 + 0.04, id="2% at least"),
        pytest.param([2.0, 2.0000001, 2.0], 2.0 - 0.01, 2.0000001 + 0.01, id="deterministic: 0.5%"),
        ([0.0, 0.0], -1e-9, 1e-9),
        pytest.param([2.0], 2.0 - 0.04, 2.0 + 0.04, id="one seed cannot show that it is deterministic"),
        pytest.param([10, 12, 11], 8.0, 14.0, id="whole numbers that differ"),
        ([-2.0, -2.0, -2.0], -2.01, -1.99),
    ],
)
def test_a_band_comes_from_the_seeds(seeds, low, high):
    made = entry(seeds)
    assert made["expected"] == seeds[0] and made["seeds"] == seeds
    assert band(made) == pytest.approx((low, high), abs=1e-12)
    assert all(inside(value, made) for value in seeds)


@pytest.mark.parametrize(
    ("seeds", "within", "others"),
    [
        ([True] * 3, True, [False, 1, "True"]),
        ([7] * 3, 7, [8, 7.5, "7", True]),
        (["nf4"] * 3, "nf4", ["fp4", 4]),
        pytest.param([1.0, 1.1], 1, [True, "1.0"], id="a measured number"),
    ],
)
def test_exact_values_have_no_band_and_no_value_turns_into_another_kind_unseen(seeds, within, others):
    made = entry(seeds)
    assert (band(made) is None) == (seeds[0] == seeds[1])
    assert [one for one in (within, *others) if inside(one, made)] == [within]


def test_a_tolerance_set_by_hand_is_used_and_kept(course):
    update("00_a", "quick", [one(10.0)] * 2, 1.0, 1)
    whole = json.loads(baseline_file("00_a", "quick").read_text())
    whole["records"]["x"]["tolerance"] = 0.3
    baseline_file("00_a", "quick").write_text(json.dumps(whole))
    assert compare(one(12.9), read_baseline("00_a")) == [] and len(compare(one(13.1), read_baseline("00_a"))) == 1
    update("00_a", "quick", [one(20.0)] * 2, 1.0, 1)
    assert band(read_baseline("00_a")["records"]["x"]) == pytest.approx((14.0, 26.0))


def test_what_another_machine_measured_keeps_its_place_in_the_band(course):
    def record_anew(*numbers, by):
        update("00_a", "quick", [one(n) for n in numbers], 1.0, 1)
        whole = json.loads(baseline_file("00_a", "quick").read_text())
        baseline_file("00_a", "quick").write_text(json.dumps(whole | {"machine": by}))
        return read_baseline("00_a")["records"]["x"]

    record_anew(3.00, 3.02, 3.04, by="another, 2 cores")
    new = record_anew(3.07, 3.05, by=machine())
    assert new["expected"] == 3.07 and new["seeds"] == [3.07, 3.05] and new["elsewhere"] == [3.00, 3.02, 3.04]
    assert band(new) == pytest.approx((2.93, 3.14))
    again = record_anew(3.06, 3.06, by=machine())
    assert again["elsewhere"] == [3.00, 3.02, 3.04], "recorded twice here: the other machine's values stay"
    assert "elsewhere" not in record_anew(9.0, 9.1, by=machine()), "another thing by the same name"


def test_each_deviation_is_a_sentence(course):
    good = {**one(1.0, "nats", name="loss"), **one(4.2, "s", True, "time"), **one(8, name="rank")}
    update("00_a", "quick", [good] * 3, 1.0, 1)
    baseline = read_baseline("00_a")
    assert compare(good, baseline) == []
    assert compare(good | one(99.0, "s", True, "time"), baseline) == [], "volatile records have no band"

    def said(records):
        return [(d.sentence, d.warning) for d in compare(records, baseline)]

    assert said(good | one(1.1, "nats", name="loss")) == [
        ("loss is 1.1; expected 1, between 0.995 and 1.005.", False),
    ]
    assert said(good | one(16, name="rank")) == [("rank is 16; expected 8, exactly that.", False)]
    assert said(good | one(1.0, "bits", name="loss")) == [("loss is now in 'bits', in the baseline in 'nats'.", False)]
    assert said({k: v for k, v in good.items() if k != "time"}) == [
        ("time was not recorded, though the baseline has it.", False),
    ]
    assert said(good | one(1, name="new")) == [
        ("new is new and has no baseline: run again with --update-baselines to give it one.", True),
    ]


def test_a_baseline_says_where_and_when_it_was_made(course):
    lines = update("00_a", "quick", [one(1.0, "nats"), one(1.2, "nats")], 12.34, 5_000)
    assert lines == ["  x: new → 1 nats [0.8 … 1.4]"]
    lines = update("00_a", "quick", [one(2.0, "nats", name="y")] * 2, 12.34, 5_000)
    assert lines == ["  x: 1 nats [0.8 … 1.4] → no longer recorded", "  y: new → 2 nats [1.99 … 2.01]"]
    whole = read_baseline("00_a")
    assert whole["machine"] == machine() and whole["versions"] == versions() and "torch" in whole["versions"]
    assert (whole["seconds"], whole["peak_ram_bytes"], whole["lesson"], whole["profile"]) == (
        12.3,
        5000,
        "00_a",
        "quick",
    )
    assert read_baseline("00_a", "full") is None


def test_values_are_those_expected_or_those_of_a_seed(course):
    update("00_a", "quick", [{**one(1.0), **one(5, "s", True, "t")}, {**one(1.2), **one(6, "s", True, "t")}], 1, 1)
    baseline = read_baseline("00_a")
    assert values(baseline) == {"x": 1.0, "t": 5} and values(baseline, seed=1) == {"x": 1.2, "t": 5}


def test_seeds_must_record_the_same(course):
    with pytest.raises(ValueError, match="00_a: seed 1 and seed 0 do not both record y"):
        update("00_a", "quick", [one(1.0), {**one(1.0), **one(1, name="y")}], 1, 1)
    assert read_baseline("00_a") is None
