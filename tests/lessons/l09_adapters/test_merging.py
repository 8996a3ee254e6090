"""What 4 bits leave of an update, the mixtures' names, and the words and pictures of lesson 09."""

import pytest
import torch

from lora_lessons import evaluation, quant
from lora_lessons.experiments import prompting, shipped_adapters, survives
from lora_lessons.lessons.l09_adapters import measured, pictures


@pytest.fixture(scope="module")
def layers():
    """Two layers and a small update of each."""
    generator = torch.Generator().manual_seed(0)
    W = {name: torch.randn(64, 128, generator=generator).bfloat16().float() for name in "ab"}
    return W, {name: 0.03 * torch.randn(64, 128, generator=generator) for name in "ab"}


def test_merged_first_an_update_is_kept_and_on_a_rounded_base_it_snaps_back(layers):
    moves = measured.moves(*layers, groups=5)
    assert moves.kept_into < 0.1 and 0.7 < moves.kept_then < 1.3
    assert moves.asked == sorted(moves.asked) and len(moves.into_rounded) == len(moves.then_rounded) == 5
    assert abs(moves.into_rounded[-1]) < 0.3 * moves.asked[-1]


def test_a_large_update_survives_even_on_a_rounded_base(layers):
    W, delta = (part["a"] for part in layers)
    packed = quant.quantize(W.bfloat16(), double=True)
    kept = [measured.kept_in_four_bits(packed, delta, factor) for factor in (1, 4, 32)]
    assert kept == sorted(kept) and kept[0] < 0.1 and kept[2] > 0.9
    assert 0 < measured.mean_move(packed, delta) < measured.mean_move(packed, 4 * delta) < 1


def test_the_paths_of_a_merge(layers):
    W, delta = (part["a"] for part in layers)
    packed = quant.quantize(W.bfloat16(), double=True)
    W4 = quant.dequantize(packed).float()
    gone = {path: measured.on_path(path, W, packed, delta) for path in measured.PATHS}
    assert torch.equal(gone["none"], W4) and torch.allclose(gone["original"], W + delta, atol=0.02)
    assert torch.allclose(gone["dequantized"], W4 + delta, atol=0.02)
    left = ((gone["into_4_bits"] - W4) * delta).sum() / delta.square().sum()
    assert left < 0.2, "the update snaps back"


def test_broken_rules_are_counted_by_rule():
    examples = [{"messages": []}] * 2
    found = measured.broken_rules("persona", ["A wave. Keep the lamp lit.", "No."], examples)
    assert found["write 18 to 41 words before the closing"] == 2 and found["end with 'Keep the lamp lit.'"] == 1
    assert found["add an image from sea, light or weather"] == 1


def test_shares_by_prompt_are_the_recorded_ones():
    shares = measured.shares_by_prompt()
    assert list(shares) == list(shipped_adapters.shipped())
    for name, found in shares.items():
        card = shipped_adapters.recorded_card(name)
        assert (found["the base"], found["adapter"]) == (card.base.kept, card.trained.kept)
        assert len(found) == 2 + len(prompting.WAYS) and f"{name}: the base" in measured.shares_in_words(shares)


def test_each_picture_draws_what_it_is_given(layers):
    cards = {name: shipped_adapters.recorded_card(name) for name in shipped_adapters.shipped()}
    words = measured.cards_in_words(cards, 40)
    assert all(f"{name}: rules kept" in words for name in cards)
    rows = [row for row in survives.recorded()["rows"] if "failed" not in row]
    drawn = [
        pictures.cards(cards, 40, 12),
        pictures.prompts(measured.shares_by_prompt(), 40),
        pictures.along_the_scale([-1, 0, 1], [9.0, 4.0, 3.0], [6.0, 4.0, 4.1]),
        pictures.snaps(measured.moves(*layers)),
        pictures.survives(rows, survives.TITLES),
        pictures.merge_paths({"unmerged": (0.0, 60.0), "merged": (1.5, 56.0)}),
    ]
    assert [len(figure.axes) for figure in drawn] == [3, 4, 1, 1, 2, 1]
    assert len(drawn[4].axes[0].get_yticklabels()) == len(rows)
    assert measured.listed(rows, survives.TITLES).count("KL") == len(rows)


def test_an_interval_holds_its_share_and_narrows_with_more_trials():
    assert evaluation.interval(0, 12) == (0, pytest.approx(0.2425, abs=1e-3))
    low, high = evaluation.interval(0.75, 40)
    assert (low, high) == (pytest.approx(0.598, abs=2e-3), pytest.approx(0.858, abs=2e-3))
    with pytest.raises(ValueError, match="trials"):
        evaluation.interval(0.5, 0)
