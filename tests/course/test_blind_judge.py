"""The blind comparison without a browser: nothing on the page tells the sides apart,
every judgement counts and is kept."""

import json
from itertools import pairwise, product

import pytest

from lora_lessons.course import blind_judge as blind
from lora_lessons.course.blind_judge import BlindJudge, Pair, Tally, by_chance, enough, in_words

pytestmark = pytest.mark.usefixtures("progress")


PAIRS = [Pair(f"question {n}?", f"base {n}", f"tuned {n}") for n in range(8)]


def press(judge, *choices):
    """What the page sends: each choice for the first pair that is open."""
    for choice in choices:
        judge.asked = {"number": judge.heard + 1, "pair": judge.choices.index("."), "choice": choice}


def for_the_adapter(judge, n):
    return "l" if judge.pairs[n]["left"].startswith("tuned") else "r"


def test_what_is_chosen_counts_for_whoever_wrote_it():
    judge = BlindJudge(PAIRS)
    other = {"l": "r", "r": "l"}
    press(judge, *[for_the_adapter(judge, n) for n in range(5)], other[for_the_adapter(judge, 5)], "=")
    assert judge.tally() == Tally(adapter=5, base=1, same=1, open=1) and judge.heard == 7


def test_the_page_is_told_both_answers_and_not_whose_they_are():
    judge = BlindJudge(PAIRS)
    state = json.dumps({name: value for name, value in judge.get_state().items() if name in judge.keys})
    assert "tuned 3" in state and "base 3" in state
    assert "adapter" not in json.dumps([judge.pairs, judge.choices, judge.said])
    lefts = [pair["left"].split()[0] for pair in judge.pairs]
    assert sorted(lefts) == ["base"] * 4 + ["tuned"] * 4, "as often left as right"
    assert any(a == b for a, b in pairwise(lefts)), "and not in turn"


def test_nothing_is_said_before_all_are_judged():
    judge = BlindJudge(PAIRS)
    for n in range(8):
        assert judge.said == ""
        press(judge, for_the_adapter(judge, n))
    assert judge.said.startswith("You preferred the adapter's answer in 8 of 8")
    judge.asked = {"number": 9, "pair": 7, "choice": "."}
    assert judge.said == "" and judge.choices[7] == "." and judge.tally().open == 1


def test_judgements_survive_a_restart_on_the_same_sides_and_belong_to_these_answers_alone():
    first = BlindJudge(PAIRS, seed=3)
    press(first, "l", "r", "=", "l")
    again = BlindJudge(PAIRS, seed=3)
    assert (again.choices, again.tally(), again.pairs) == (first.choices, first.tally(), first.pairs)
    retrained = [pair._replace(adapter=pair.adapter + "!") for pair in PAIRS]
    assert BlindJudge(retrained, seed=3).choices == "." * 8
    flipped = BlindJudge(PAIRS, seed=4)
    assert flipped.tally() == first.tally(), "kept by whose answer it was, not by its side"


@pytest.mark.parametrize(
    "asked", [{}, {"pair": 99, "choice": "l"}, {"pair": "0", "choice": "l"}, {"pair": 0, "choice": "x"}]
)
def test_what_the_page_should_not_send_changes_nothing(asked):
    judge = BlindJudge(PAIRS)
    judge.asked = {"number": 1, **asked}
    assert judge.choices == "." * 8 and judge.heard == 1


def test_answers_that_are_the_same_are_not_asked_about_and_count_as_no_difference():
    judge = BlindJudge([*PAIRS[:2], Pair("again?", "same", "same")])
    assert len(judge.pairs) == 2 and judge.tally() == Tally(0, 0, 1, 2)
    everything = BlindJudge([Pair("a?", "x", "x")])
    assert everything.pairs == [] and everything.said == "In all 1 you saw no difference."


@pytest.mark.parametrize(("wins", "of"), [(0, 1), (1, 1), (5, 6), (6, 6), (9, 10), (3, 10), (5, 10), (12, 13)])
def test_chance_is_what_counting_every_way_in_which_coins_fall_gives(wins, of):
    uneven = abs(2 * wins - of)
    falls = [abs(2 * sum(coins) - of) >= uneven for coins in product((0, 1), repeat=of)]
    assert by_chance(wins, of) == pytest.approx(sum(falls) / len(falls))


@pytest.mark.parametrize(("of", "wins"), [(1, None), (5, None), (6, 6), (10, 9), (20, 15)])
def test_enough_is_what_a_coin_seldom_does(of, wins):
    assert enough(of) == wins


@pytest.mark.parametrize(
    ("tally", "says"),
    [
        (Tally(0, 0, 0, 8), "Nothing has been judged yet."),
        (Tally(0, 0, 8, 0), "In all 8 you saw no difference."),
        (Tally(3, 0, 0, 0), "So few pairs cannot tell"),
        (Tally(7, 1, 0, 0), "this does not tell. With 8 decided pairs, only 8 or more"),
        (Tally(9, 1, 2, 0), "you do prefer the adapter's answers"),
        (Tally(1, 9, 0, 0), "you do prefer the base's answers"),
        (Tally(9, 1, 2, 4), "9 of 10 decided pairs, 2 without a difference, 4 still open: 90%"),
    ],
)
def test_the_sentence_says_what_the_tally_can_tell(tally, says):
    assert says in in_words(tally)


def test_a_page_without_a_kernel_shows_one_pair_and_not_whose():
    pairs = [Pair("a <b>?", "base says", "tuned <i>says")]
    page = BlindJudge(pairs)._repr_mimebundle_()[0]["text/html"]
    assert "a &lt;b&gt;?" in page and "base says" in page and "tuned &lt;i&gt;says" in page and "A still" in page
    assert "nothing to judge" in blind.still([])
