"""What lesson 05 reads out of a sweep: the runs that can be compared, rules side by side, and six runs by the recipe."""

import pytest

from lora_lessons.lessons.l05_rank_and_alpha import measured, pictures


def run(r=8, alpha=16.0, rate=4e-3, seed=0, loss=3.0, method="lora", targets="all-linear"):
    setting = {"method": method, "r": r, "lora_alpha": alpha, "learning_rate": rate, "target_modules": targets}
    shape = {"steps": 3, "batch_size": 2, "seed": seed, "base_format": "16-bit"}
    return setting | shape | {"loss_held_out": loss}


def seeds(loss, spread=0.01, **how):
    return [run(seed=s, loss=loss + spread * (s - 1), **how) for s in range(3)]


RUNS = [
    *seeds(3.30, rate=1e-3),
    *seeds(3.10),
    *seeds(3.90, rate=1.6e-2),
    *seeds(3.09, spread=0.03, r=64),
    *seeds(3.06, r=32, alpha=32.0),
    *seeds(3.50, r=64, alpha=128.0),
    *seeds(3.00, method="dora"),
    *seeds(3.40, targets="q_proj,v_proj"),
]


def test_plain_runs_differ_in_rank_alpha_and_seed_alone():
    plain = measured.plain(RUNS)
    assert len(plain) == 12 and {r["learning_rate"] for r in plain} == {4e-3}
    assert {(r["method"], r["target_modules"]) for r in plain} == {("lora", "all-linear")}


def test_one_setting_is_found_by_all_that_names_it():
    assert measured.over_seeds(RUNS, "lora", 8, 16, 1e-3).mean == pytest.approx(3.30)
    assert [r["loss_held_out"] for r in measured.setting(RUNS, "dora", 8, 16)] == pytest.approx([2.99, 3.00, 3.01])
    assert measured.setting(RUNS, "lora", 8, 16, targets="q_proj,v_proj")[0]["loss_held_out"] == pytest.approx(3.39)
    assert measured.setting(RUNS, "lora", 5, 16) == []


def test_the_rules_hold_alpha_as_they_say():
    by_rule = measured.by_rule(measured.plain(RUNS))
    found = {rule: [(one[0]["r"], one[0]["lora_alpha"]) for one in ranks] for rule, ranks in by_rule.items()}
    assert found == {"α = r": [(32, 32)], "α = 2r": [(8, 16), (64, 128)], "α = 16": [(8, 16), (64, 16)]}


def test_ranks_of_one_alpha_lie_closer_than_alphas():
    within, between = measured.within_and_between(measured.plain(RUNS))
    assert within == pytest.approx(0.01) and between == pytest.approx(3.50 - 3.06)


def test_the_recipe_chooses_a_rate_then_asks_whether_a_higher_rank_wins():
    six = measured.recipe(RUNS)
    assert six.chosen == pytest.approx(3.10) and six.higher == pytest.approx(3.09)
    assert six.seeds == pytest.approx(0.06), "the widest setting where only the rank differs"
    assert six.best == pytest.approx(3.00) and six.behind == pytest.approx(0.10) and six.settings == 8


def test_intervals_are_said_to_the_thousandth():
    """3.161 and 3.163 miss each other, and as 3.16 and 3.16 they would look as if they touched."""
    rows = {"a": measured.over_seeds(RUNS, "lora", 8, 16)}
    assert pictures.of_intervals(rows) == "a: 3.075 to 3.125."


def test_only_what_lies_above_the_reference_is_drawn_as_worse():
    near, far = measured.over_seeds(RUNS, "lora", 8, 16), measured.over_seeds(RUNS, "lora", 64, 128)
    figure, finding, numbers = pictures.of_methods(
        {"LoRA": {"here": near}, "other": {"as it was": near, "louder": far}}
    )
    marks = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert marks == [pictures.BLUE, pictures.BLUE, pictures.VERMILION]
    assert "1 lie above it" in finding and "other, louder: " in numbers
