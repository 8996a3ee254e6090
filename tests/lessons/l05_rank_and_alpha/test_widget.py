"""The six-run game: its cards are the recorded runs, and what its page plays without a kernel is whole."""

import re

import pytest

from lora_lessons.course.on_the_web import KINDS, SCENE
from lora_lessons.experiments import recorded
from lora_lessons.lessons import l05


@pytest.fixture(scope="module")
def runs():
    return recorded("lesson_05_sweep").query("method == 'lora' and target_modules == 'all-linear'")


def test_a_card_is_a_setting_with_a_loss_for_each_seed_in_the_seeds_order(runs):
    game = l05.six_runs(runs.sample(frac=1, random_state=0))
    assert sum(len(card["losses"]) for card in game.cards) == len(runs) and len(game.cards) == len(runs) // 3
    knobs = [tuple(card[name] for name in l05.KNOBS) for card in game.cards]
    assert len(set(knobs)) == len(knobs)
    for card in game.cards:
        for seed, loss in enumerate(card["losses"]):
            wanted = " and ".join(f"{name} == {card[name]}" for name in l05.KNOBS)
            assert runs.query(f"{wanted} and seed == {seed}").loss_held_out.tolist() == [loss]
    assert {name: game.cards[game.recipe][name] for name in l05.RECIPE} == l05.RECIPE


def test_runs_without_the_recipes_own_are_refused(runs):
    with pytest.raises(ValueError, match="needs the recipe's own setting"):
        l05.six_runs(runs.query("r == 64"))


def test_a_page_without_a_kernel_gets_all_that_the_game_reads_and_begins_anew(runs):
    game = l05.six_runs(runs)
    game.runs = [1, 2]
    bundle, _ = game._repr_mimebundle_()
    read = set(re.findall(r'model\.get\("(\w+)"\)', str(l05.SixRuns._esm)))
    kept = bundle[SCENE]
    assert read - {"heard"} == kept["state"].keys()
    assert kept["state"]["runs"] == [] and kept["kind"] in KINDS
    assert f"{len(game.cards)} settings" in bundle["text/html"]
