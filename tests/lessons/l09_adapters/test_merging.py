"""What 4 bits leave of an update, the mixtures' names, and the words and pictures of lesson 09."""

import pytest
import torch

from lora_lessons import evaluation, mixing, quant
from lora_lessons.adapter import read_adapter
from lora_lessons.experiments import prompting, shipped_adapters, survives
from lora_lessons.lessons.l09_adapters import measured, pictures


@pytest.fixture(scope="module")
def layers():
    """Two layers and a small update of each."""
    generator = torch.Generator().manual_seed(0)
    W = {name: torch.randn(64, 128, generator=generator).bfloat16().float() for name in "ab"}
    return W, {name: 0.03 * torch.randn(64, 128, generator=generator) for name in "ab"}


def test_the_larger_an_update_the_more_of_it_is_left_and_bf16_keeps_more_than_nf4(layers):
    nf4, bf16 = (measured.left_by_size(*layers, stored) for stored in (measured.in_nf4, measured.in_bf16))
    for left in (nf4, bf16):
        assert [*left] == sorted(left) and left[1 / 64] < 0.3 < 0.9 < left[16] < 1.1
    assert nf4[1] < 0.1 < 0.9 < bf16[1]
    W, delta = (part["a"] for part in layers)
    W4 = measured.in_nf4(W)
    assert 0 < measured.mean_move(W4, delta) < measured.mean_move(W4, 4 * delta) < 1


def test_an_adapter_summed_by_exercise_09_1_is_the_weighted_sum():
    known = [read_adapter(folder) for folder in shipped_adapters.shipped().values()][:2]
    parts = list(zip(known, (0.5, -2.0), strict=True))
    ours, theirs = measured.summed(parts, measured.add), mixing.weighted_sum(parts)
    assert all(torch.allclose(ours.delta(name), theirs.delta(name), atol=1e-6) for name in list(theirs.A)[::30])


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


def test_each_picture_draws_what_it_is_given():
    cards = {name: shipped_adapters.recorded_card(name) for name in shipped_adapters.shipped()}
    words = measured.cards_in_words(cards, 40)
    assert all(f"{name}: rules kept" in words for name in cards)
    rows = [row for row in survives.recorded()["rows"] if "failed" not in row]
    drawn = [
        pictures.cards(cards, 40, 12),
        pictures.prompts(measured.shares_by_prompt(), 40),
        pictures.along_the_scale([-1, 0, 1], [9.0, 4.0, 3.0], [6.0, 4.0, 4.1]),
        pictures.left_by_size({1 / 4: 0.5, 1 / 16: 0.1, 1: 0.9, 4: 1.0}, {1 / 16: 0.1, 1: 0.9, 4: 1.0}),
        pictures.survives(rows, survives.TITLES),
        pictures.merge_paths({"unmerged": (0.0, 60.0), "merged into 4 bits": (1.5, 56.0)}),
    ]
    assert [len(figure.axes) for figure in drawn] == [3, 1, 1, 1, 2, 1]
    assert len(drawn[4].axes[0].get_yticklabels()) == len(rows) + len(pictures.GROUPS)


def test_an_interval_holds_its_share_and_narrows_with_more_trials():
    assert evaluation.interval(0, 12) == (0, pytest.approx(0.2425, abs=1e-3))
    low, high = evaluation.interval(0.75, 40)
    assert (low, high) == (pytest.approx(0.598, abs=2e-3), pytest.approx(0.858, abs=2e-3))
    with pytest.raises(ValueError, match="trials"):
        evaluation.interval(0.5, 0)
