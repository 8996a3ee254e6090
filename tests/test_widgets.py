"""The rank explorer: the cut matrix in the picture, right numbers beside it, impossible ranks refused with a sentence."""

import pytest
import torch

from lora_lessons import lowrank
from lora_lessons.course import pictures, widgets


@pytest.fixture
def W():
    return torch.randn(12, 20, generator=torch.Generator().manual_seed(0))


def shown(figure):
    return torch.tensor(figure.axes[0].images[0].get_array().data)


def test_the_picture_is_the_matrix_cut_to_that_rank(W):
    for r in (1, 5, 12):
        figure = widgets.rank_explorer_figure(W, r, "W")
        assert torch.allclose(shown(figure).to(W), lowrank.truncate(W, r), atol=1e-5)
        assert f"W, rank {r} of 12" in [figure.axes[0].get_title(loc) for loc in ("left", "center")]


def test_the_mark_stands_on_the_energy_curve(W):
    curve, mark = widgets.rank_explorer_figure(W, 5, "W").axes[1].lines[:2]
    assert mark.get_xydata().tolist() == [curve.get_xydata()[4].tolist()]
    assert curve.get_ydata()[-1] == pytest.approx(1)


def test_the_numbers_in_words(W):
    kept = float(lowrank.energy(lowrank.svd(W).S)[4])
    words = widgets.rank_explorer_words(W, 5)
    for part in (f"{kept:.1%}", f"{(1 - kept) ** 0.5:.3f}", "160 numbers, 67% of W's 240", "Break-even rank: 7."):
        assert part in words


def test_a_photograph_is_grey_and_weights_have_two_sides(W):
    assert widgets.rank_explorer_figure(W.abs() / 4, 3, "photo").axes[0].images[0].get_cmap().name == "gray"
    low, high = widgets.rank_explorer_figure(W, 3, "W").axes[0].images[0].get_clim()
    assert low == -high < 0


@pytest.fixture
def explorer(W, monkeypatch):
    """The widget over two matrices, its controls by description, and a count of the SVDs it made."""
    calls = []
    svd = lowrank.svd
    monkeypatch.setattr(lowrank, "svd", lambda W: calls.append(1) or svd(W))
    box = widgets.rank_explorer({"wide": W, "small": W[:4, :4]}, r=3)
    controls = {child.description: child for child in box.children if getattr(child, "description", "")}
    said, picture = box.children[-2:]
    return controls, said, picture, calls


def test_moving_the_slider_changes_the_picture_and_not_the_svd(explorer):
    controls, said, picture, calls = explorer
    before = picture.value
    assert bytes(before).startswith(b"\x89PNG")
    controls["rank r"].value = 9
    assert controls["or type it"].value == 9 and picture.value != before and said.value == ""
    assert len(calls) == 1


def test_a_typed_rank_moves_the_slider(explorer):
    controls, *_ = explorer
    controls["or type it"].value = 7
    assert controls["rank r"].value == 7


@pytest.mark.parametrize("typed", [0, -3, 13, 10_000])
def test_an_impossible_rank_is_refused_and_the_picture_stays(explorer, typed):
    controls, said, picture, _ = explorer
    before = picture.value
    controls["or type it"].value = typed
    assert f"between 1 and 12 (the smaller side of the matrix); got {typed}" in said.value and picture.value == before
    controls["or type it"].value = 5
    assert said.value == "" and picture.value != before


def test_another_matrix_has_its_own_ranks(explorer):
    controls, said, picture, calls = explorer
    controls["rank r"].value = 9
    controls["matrix"].value = "small"
    assert "between 1 and 4" in said.value
    controls["rank r"].value = 2
    assert said.value == "" and len(calls) == 2


def test_the_photograph_is_a_matrix_of_grey_values():
    photo = pictures.photograph()
    assert photo.shape == (300, 451) and photo.dtype == torch.float32 and 0 <= photo.min() < photo.max() <= 1
