"""The rank explorer: the cut matrix in the picture, right numbers beside it,
impossible ranks refused with a sentence."""

import numpy as np
import pytest
import torch
from stills import rank_explorer_still, refused, turn

from lora_lessons import lowrank
from lora_lessons.lessons import l01


@pytest.fixture
def W():
    return torch.randn(12, 20, generator=torch.Generator().manual_seed(0))


def test_the_picture_is_the_matrix_cut_to_that_rank(W):
    for r in (1, 5, 12):
        figure, _ = rank_explorer_still(W, r, "W")
        shown = torch.tensor(np.asarray(figure.axes[0].images[0].get_array()))
        assert torch.allclose(shown, lowrank.truncate(W, r), atol=1e-5)
        assert f"W, rank {r} of 12" in [text.get_text() for text in figure.axes[0].texts]


def test_the_mark_stands_on_the_energy_curve(W):
    figure, _ = rank_explorer_still(W, 5, "W")
    curve, even, mark = figure.axes[1].lines
    assert mark.get_xydata().tolist() == [curve.get_xydata()[4].tolist()]
    assert curve.get_ydata()[-1] == pytest.approx(1) and even.get_xdata()[0] == lowrank.break_even_rank(12, 20)


def test_every_stop_has_the_numbers_of_its_rank(W):
    scene = l01.rank_explorer_scene(W, 3, "W")
    assert scene.stops == list(range(1, 13))
    kept = lowrank.energy(torch.linalg.svdvals(W.double())).tolist()
    for r, words in zip(scene.stops, scene.words, strict=True):
        error = lowrank.relative_error(W, lowrank.truncate(W, r))
        stored = 12 * r + r * 20
        assert words == (
            f"Rank {r} keeps {kept[r - 1]:.1%} of the energy; the relative error is {error:.3f}. "
            f"B and A hold {stored} numbers, {stored / 240:.0%} of W's 240. They hold fewer than W up to rank 7."
        )


def test_a_large_matrix_is_shown_by_every_second_row_and_column():
    big = torch.randn(470, 1000, generator=torch.Generator().manual_seed(0))
    (mark,) = [m for m in l01.rank_explorer_scene(big, 1, "big").page()["marks"] if m["kind"] == "product"]
    assert (mark["rows"], mark["cols"]) == (235, 334)
    B = np.frombuffer(mark["B"], np.float32).reshape(-1, 235)
    A = np.frombuffer(mark["A"], np.float32).reshape(-1, 334)
    assert np.allclose(B.T @ A, big[::2, ::3], atol=1e-3), "all directions together are the matrix"


def test_a_photograph_is_grey_and_weights_have_two_sides(W):
    photo = rank_explorer_still(W.abs() / 4, 3, "photo")[0].axes[0].images[0]
    assert photo.get_cmap().name == "gray" and photo.get_clim() == (0, 1)
    low, high = rank_explorer_still(W, 3, "W")[0].axes[0].images[0].get_clim()
    assert low == -high < 0


@pytest.fixture
def explorer(W, monkeypatch):
    """The widget over two matrices, and a count of the SVDs it made."""
    calls = []
    svd = lowrank.svd
    monkeypatch.setattr(lowrank, "svd", lambda W: calls.append(1) or svd(W))
    return l01.rank_explorer({"wide": W, "small": W[:4, :4]}, r=3), calls


def test_moving_the_slider_asks_for_no_svd(explorer):
    stage, calls = explorer
    for r in (9, 12, 1):
        turn(stage, r=r)
    assert len(calls) == 1 and stage.said == "" and stage.still()[1].startswith("Rank 1 keeps ")


@pytest.mark.parametrize(
    "typed, said",
    [
        *((r, f"between 1 and 12 (the smaller side of the matrix); got {r}.") for r in (0, -3, 13, 10_000)),
        *((r, f"rank r is a whole number such as 8; got {r!r}.") for r in ("eight", 2.5, True, "", None, float("nan"))),
    ],
)
def test_what_is_no_rank_of_the_matrix_is_refused_and_the_picture_stays(explorer, typed, said):
    refused(explorer[0], {"r": typed}, said, {"r": 5}, "Rank 5 keeps ")


def test_a_rank_too_large_for_the_next_matrix_becomes_its_full_rank(explorer):
    stage, _ = explorer
    turn(stage, r=9)
    turn(stage, name="small")
    assert stage.said == "" and stage.values["r"] == 4 and stage.scene["stops"] == [1, 2, 3, 4]
    assert stage.still()[1].startswith("Rank 4 keeps ") and "W's 16." in stage.scene["words"][1]
    turn(stage, r=9)
    assert "between 1 and 4" in stage.said, "a typed rank is not changed behind the learner's back"
    assert stage.still()[1].startswith("Rank 4 keeps ")
    turn(stage, r=2)
    turn(stage, name="wide")
    assert stage.said == "" and stage.values["r"] == 2 and len(stage.scene["stops"]) == 12


@pytest.fixture
def layers(W):
    """The widget over a picture and two layers with matrices of two kinds."""
    small = W[:4, :6]
    return l01.rank_explorer(
        {"picture": W.abs(), "layer 0": {"q": W, "up": small}, "layer 1": {"q": 2 * W, "up": 3 * small}}, r=5
    )


def test_a_layer_and_a_kind_choose_the_matrix(layers, W):
    assert [control["name"] for control in layers.controls] == ["name", "kind", "r"]
    assert layers.controls[0]["options"] == ["picture", "layer 0", "layer 1"]
    assert layers.controls[1]["options"] == ["q", "up"]
    for layer, factor in (("layer 0", 1), ("layer 1", 2)):
        turn(layers, name=layer, kind="q")
        assert layers.still()[1] == rank_explorer_still(factor * W, 5, "")[1]
        assert f"{layer}, q, rank 5 of 12" in [text.get_text() for text in layers.still()[0].axes[0].texts]
    turn(layers, kind="up")
    assert layers.values["r"] == 4 and layers.still()[1].startswith("Rank 4 keeps ")


def test_the_slider_takes_small_steps_where_ranks_are_small():
    stops = l01.slider_ranks(300)
    assert stops[:20] == list(range(1, 21)) and stops[-1] == 300 and len(stops) < 70
    steps = [after / one for one, after in zip(stops[20:], stops[21:], strict=False)]
    assert max(steps) < 1.16 and stops == sorted(set(stops))
    assert stops[len(stops) // 2] < 60, "half of the way is still a small rank"
    assert l01.slider_ranks(12) == list(range(1, 13)) and l01.slider_ranks(1) == [1]
