"""The effective-scale lab: what was measured is shown, what was not is said to be so, and a fair fight is fair."""

import re
import statistics

import pytest
from stills import scale_lab_still

from lora_lessons.drawing import GREY, VERMILION
from lora_lessons.experiments import sweep
from lora_lessons.lessons.l05_rank_and_alpha import widget


def row(method="lora", r=8, alpha=16.0, seed=0, loss=3.0, rate=0.004, targets="all-linear", status="ok"):
    """One run as sweep.run_one keeps it; its curve falls from 5 to the held-out loss."""
    setting = sweep.Trial(method, r, alpha, rate, targets, 3, 2, seed)
    return setting._asdict() | {
        "name": setting.name,
        "status": status,
        "scale": alpha / (r**0.5 if method == "rslora" else r),
        "loss_held_out": loss,
        "update_relative": 0.001 * r + 0.0001 * seed,
        "trainable": 1000 * r,
        "train_losses": f"5.0 {4 + seed}.0 {loss}",
        "train_seconds": 1.0,
        "seconds": 2.0,
        "date": "2025-01-01",
        "machine": "a machine, of some kind",
        "error": "",
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """LoRA at r = 1, 8, 64 with α = 2r and 16, rsLoRA at r = 16; and what the lab must leave out."""
    rows = [
        row(r=r, alpha=a, seed=s, loss=3 + r / 100 + a / 1000 + s / 10)
        for s in range(3)
        for r, a in [(1, 2.0), (1, 16.0), (8, 16.0), (64, 128.0), (64, 16.0)]
    ]
    rows += [row("rslora", 16, 16.0, s, 2.5 + s / 10, rate=0.001) for s in range(3)]
    rows += [row("dora", 4, 8.0, s, 1.0) for s in range(3)] + [row(r=2, alpha=4.0, loss=1.0)]
    rows += [row(r=2, alpha=2.0, seed=s, loss=1.0, targets="q_proj") for s in range(3)]
    rows += [row(r=32, alpha=64.0, seed=s, loss=1.0, status="failed") for s in range(3)]
    folder = tmp_path_factory.mktemp("sweep")
    sweep.write_table(rows, folder)
    return folder / sweep.TABLE


def words(table, method="LoRA", r=8, alpha=16, rate=0.004, fair=widget.FAIR[0]):
    return scale_lab_still(method, r, alpha, rate, fair, table)[1]


def test_only_what_can_be_compared_is_shown(table):
    every = widget.measured(table)
    assert sorted((m.r, m.scale) for m in every) == [(1, 2), (1, 16), (8, 2), (16, 4), (64, 0.25), (64, 2)]
    assert all(m.loss.seeds == 3 for m in every)


def test_the_numbers_are_the_tables_means_and_intervals(table):
    losses, moved = [3.096, 3.196, 3.296], [0.008, 0.0081, 0.0082]
    (m,) = [m for m in widget.measured(table) if m.r == 8]
    assert m.loss.mean == pytest.approx(statistics.fmean(losses)) and m.update == pytest.approx(statistics.fmean(moved))
    assert m.curve == pytest.approx([5, 5, 3.196]), "mean over seeds, step by step"
    half = 4.303 * statistics.stdev(losses) / 3**0.5
    text = words(table)
    assert text == (
        "LoRA, r = 8, α = 16, learning rate 0.004: scale α/r = 2. Measured: the held-out loss is 3.196 "
        f"nats (95% interval {3.196 - half:.2f} to {3.196 + half:.2f} over 3 seeds), and ‖ΔW‖/‖W‖ is 0.81%."
    )


def test_what_was_not_measured_is_said_to_be_so_and_the_nearest_is_named(table):
    text = words(table, r=8, alpha=32)
    assert (
        "scale α/r = 4. Not measured. The nearest setting that was has r = 8, scale 2 and learning rate 0.004: " in text
    )
    assert "there the held-out loss is 3.196 nats" in text, "the nearest one's own loss"
    assert "scale α/r = 2. Not measured. The nearest setting that was has r = 8," in words(table, r=6, alpha=12)
    assert "Not measured. The nearest setting that was has r = 16, scale 4 and learning rate 0.001" in words(
        table, r=16, alpha=64, rate=0.002
    )


def test_nearest_counts_doublings(table):
    every = widget.measured(table)
    for m in every:
        assert widget.nearest(m.r, m.scale, m.learning_rate, every) == (m, True)
    for r, scale, rate, (near, near_scale) in [
        (2, 2, 0.004, (1, 2)),
        (4, 2, 0.004, (8, 2)),
        (64, 0.5, 0.004, (64, 0.25)),
        (16, 3, 0.0011, (16, 4)),
    ]:
        best, exact = widget.nearest(r, scale, rate, every)
        assert (best.r, best.scale, exact) == (near, near_scale, False)


def test_the_two_methods_differ_by_the_root(table):
    assert "rsLoRA, r = 64, α = 16, learning rate 0.004: scale α/√r = 2. Measured: " in words(table, "rsLoRA", 64)
    assert "LoRA, r = 64, α = 16, learning rate 0.004: scale α/r = 0.25. Measured: " in words(table, "LoRA", 64)
    same = [words(table, *setting).partition("Measured: ")[2] for setting in (("rsLoRA", 64), ("LoRA", 64, 128))]
    assert same[0] == same[1] != "", "at one scale the two are one"


@pytest.mark.parametrize("method", ["LoRA", "rsLoRA"])
def test_a_fair_fight_holds_the_scale_or_the_push_at_every_rank(table, method):
    for fair, scale_at in (("same scale", lambda r: 2), ("same push", lambda r: 16 / r)):
        scene = widget.scale_lab_scene(method, 8, 99, 0.004, fair, table)
        assert scene.locked == ["lora_alpha"] and scene.stops == [1, 8, 16, 64]
        for r, text in zip(scene.stops, scene.words, strict=True):
            alpha = scale_at(r) * (r if method == "LoRA" else r**0.5)
            assert text.startswith(f"{method}, r = {r}, α = {alpha:.4g}, learning rate 0.004: scale α/")
            assert re.search(rf"scale α/√?r = {scale_at(r):.3g}\. ", text)
        assert [" Measured: " in text for text in scene.words] == [True, True, False, True]


def test_the_push_is_what_adamw_makes_of_scale_and_rank(table):
    assert {(m.r, m.scale): m.push for m in widget.measured(table)}[64, 0.25] == 16


@pytest.mark.parametrize("setting", [("DoRA", widget.FAIR[0]), ("LoRA", True), ("LoRA", "always")])
def test_another_method_or_fight_is_refused(table, setting):
    with pytest.raises(ValueError, match="method is LoRA or rsLoRA, fair one of"):
        widget.scale_lab_scene(setting[0], 8, 16, 0.004, setting[1], table)


def test_an_unfair_fight_locks_nothing_and_keeps_alpha(table):
    scene = widget.scale_lab_scene("LoRA", 8, 16, 0.004, widget.FAIR[0], table)
    assert scene.locked == [] and all(", α = 16," in text for text in scene.words)
    assert [f"scale α/r = {16 / r:.3g}. " in text for r, text in zip(scene.stops, scene.words, strict=True)] == [
        True
    ] * 4


def test_the_ring_and_the_curve_are_the_named_points(table):
    every = {(m.r, m.scale): m for m in widget.measured(table)}
    place = widget._lab(table).place
    for alpha, near, color, said in [
        (16, every[8, 2], VERMILION, "scale 2, push 16; measured: r = 8"),
        (32, every[8, 2], GREY, "scale 4, push 32; nearest measured: r = 8"),
    ]:
        figure, _ = scale_lab_still("LoRA", 8, alpha, 0.004, widget.FAIR[0], table)
        left, right = figure.axes
        here, ring = left.lines[-2:]
        assert here.get_xdata().tolist() == [alpha, alpha], "a line at the push asked for, measured or not"
        assert ring.get_xydata().tolist() == [list(place(near))]
        assert ring.get_markeredgecolor() == color and ring.get_markerfacecolor() == "none"
        assert right.lines[-1].get_ydata() == pytest.approx(near.curve)
        assert said in [text.get_text() for text in left.texts]
        assert len(right.lines) == len(every) + 1, "one curve more"


def test_a_rank_stands_at_its_push_and_loss_and_what_is_too_high_at_the_edge(table):
    lab = widget._lab(table)
    for m in widget.measured(table):
        x, y = lab.place(m)
        assert 1 / 1.5 < x / m.push < 1.5 and y <= m.loss.mean
    said = {text.get_text() for text in lab.left.texts}
    too_high = {f"{m.loss.mean:.2f}" for m in widget.measured(table) if lab.place(m)[1] < m.loss.mean}
    assert too_high <= said and all(name in too_high or name.startswith("rate ") for name in said)


def test_a_typed_rank_is_a_stop(table):
    scene = widget.scale_lab_scene("LoRA", 5, 16, 0.004, widget.FAIR[0], table)
    assert scene.stops == [1, 5, 8, 16, 64] and "r = 5" in scene.words[1]


def turn(stage, **values):
    """Set controls as the page does."""
    stage.values = stage.values | values
    assert stage.answered == stage.values


@pytest.mark.parametrize(
    "typed, said",
    [
        *(({"r": r}, "choose 1 ≤ r ≤ 576") for r in (0, -3, 10_000)),
        *(({"r": r}, "rank r is a whole number such as 8") for r in ("eight", 2.5, True, "")),
        *(({"lora_alpha": alpha}, "must be a number above 0") for alpha in (0, -3, "eight", True, "")),
        *(({"learning_rate": rate}, "lies between 0 and 1") for rate in (0, -3, 10_000, "eight", 2.5, True, "")),
    ],
)
def test_what_cannot_be_is_refused_and_the_picture_stays(table, typed, said):
    stage = widget.scale_lab(table)
    scene, sentence = stage.scene, stage.still()[1]
    turn(stage, **typed)
    assert said in stage.said and stage.scene is scene and stage.still()[1] == sentence
    turn(stage, r=64, lora_alpha=16, learning_rate=0.004)
    assert stage.said == "" and "r = 64, α = 16" in stage.still()[1]


def test_the_widget_draws_its_backdrop_once_and_its_still_has_one_ring(table):
    stage = widget.scale_lab(table)
    backdrop = stage.backdrop
    turn(stage, fair="same scale")
    turn(stage, method="rsLoRA", learning_rate=0.001)
    assert stage.backdrop is backdrop and stage.scene["locked"] == ["lora_alpha"]
    hollow = [[line.get_markerfacecolor() for line in stage.still()[0].axes[0].lines].count("none") for _ in range(3)]
    assert hollow == [1, 1, 1]
    assert stage.scene["stops"] == [1, 8, 16, 64]
    rates = next(c["stops"] for c in stage.controls if c["name"] == "learning_rate")
    assert {m.learning_rate for m in widget.measured(table)} <= set(rates) == {0.001, 0.002, 0.004, 0.008, 0.016}


# ---- the sweep that ships ----


def test_the_recorded_sweep_has_three_seeds_for_all_that_is_shown():
    every = widget.measured()
    assert {m.r for m in every} == {1, 2, 4, 8, 16, 32, 64}
    assert [(m.r, m.scale, m.loss.seeds) for m in every if m.loss.seeds != 3] == []
    assert all(0 < m.update < 1 and m.loss.low < m.loss.mean < m.loss.high for m in every)
    assert len({len(m.curve) for m in every}) == 1, "curves of one length"


def test_the_first_picture_of_the_recorded_sweep_is_measured_also_in_a_fair_fight():
    stage = widget.scale_lab()
    assert "Measured: " in stage.still()[1] and (stage.values["r"], stage.values["lora_alpha"]) == widget.REFERENCE
    for fair in widget.FAIR[1:]:
        turn(stage, fair=fair)
        assert [text for text in stage.scene["words"] if "Not measured" in text] == []
