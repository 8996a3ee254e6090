"""A learner's examples in two parts: by topic, else copies together; the same by seed; nothing on both sides."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_lessons.tasks import splitting
from lora_lessons.tasks.splitting import ALIKE, alike, draw, prompt_of, split, topic_of, words


def example(prompt, **fields):
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": "Yes."}], **fields}


def numbered(count, **fields):
    return [example(f"word{n} thing{n} item{n}", **fields) for n in range(count)]


def test_topics_are_held_out_whole_and_a_quarter_is():
    examples = [example(f"q{n} about{n}", topic=f"t{n % 8}") for n in range(80)]
    found = split(examples)
    assert found.by == "topic" and len(found.held_out) == 20 and len(found.train) == 60
    assert {topic_of(one) for one in found.held_out} == set(found.topics)
    assert not set(found.topics) & {topic_of(one) for one in found.train}


def test_the_same_seed_holds_out_the_same_and_another_seed_does_not():
    examples = numbered(40)
    assert split(examples, 3) == split(examples, 3)
    assert len({tuple(map(prompt_of, split(examples, seed).held_out)) for seed in range(5)}) == 5


@pytest.mark.parametrize(("count", "held_out"), [(4, 1), (12, 3), (80, 20), (1000, 40)])
def test_a_quarter_is_held_out_but_never_more_than_forty(count, held_out):
    found = split(numbered(count))
    assert len(found.held_out) == held_out and len(found.train) == count - held_out


def test_copies_stay_on_one_side_whatever_the_seed():
    twins = [f"how do I reset the red lamp number {n} today" for n in range(10)]
    examples = [example(text) for twin in twins for text in (twin, twin.upper() + "!")]
    examples += [example(f"other{n} words{n} here{n}") for n in range(20)]
    for seed in range(20):
        found = split(examples, seed)
        taught = {words(prompt_of(one)) for one in found.train}
        assert not taught & {words(prompt_of(one)) for one in found.held_out}


def test_a_held_out_copy_of_another_topics_line_goes_over_to_training():
    examples = [example(f"plain{n} text{n} line{n}", topic=f"t{n % 6}") for n in range(24)]
    examples += [example("where is my red bag", topic=f"t{n}") for n in range(6)]
    found = split(examples)
    assert found.by == "topic" and found.moved == 1 + (len(found.topics) > 1) * (len(found.topics) - 1)
    assert all("red bag" not in prompt_of(one) for one in found.held_out)
    assert len(found.train) + len(found.held_out) == 30


def test_two_topics_or_a_line_without_one_are_split_by_groups():
    assert split([example(f"q{n} w{n}", topic=f"t{n % 2}") for n in range(20)]).by == "group"
    assert split([*numbered(19, topic="a"), example("no topic here")]).by == "group"
    assert split([example(f"q{n} w{n}", category=f"t{n % 5}") for n in range(20)]).by == "topic"
    assert split([example(f"q{n} w{n}", topic=n % 5) for n in range(20)]).by == "topic", "numbered from 0"


def test_one_large_topic_does_not_become_the_whole_test():
    examples = [example(f"q{n} w{n}", topic="large" if n < 70 else f"t{n % 6}") for n in range(100)]
    for seed in range(10):
        found = split(examples, seed)
        assert "large" not in found.topics and 20 <= len(found.held_out) <= 30


def test_too_few_or_all_alike_is_a_sentence():
    with pytest.raises(ValueError, match="write at least 4"):
        split(numbered(3))
    with pytest.raises(ValueError, match="all examples ask nearly the same"):
        split([example("say it again")] * 9)


def test_a_file_made_from_one_template_is_split_all_the_same_with_equal_prompts_together():
    examples = [example(f"where do {n % 30} of my things go, in the hall or in the attic") for n in range(60)]
    found = split(examples)
    assert found.by == "copy" and len(found.held_out) >= 14
    assert not {prompt_of(one) for one in found.train} & {prompt_of(one) for one in found.held_out}


def test_a_system_prompt_that_all_share_makes_nothing_alike():
    shared = {"role": "system", "content": "You are a very long and careful helper of our small company in the town"}
    examples = [one | {"messages": [shared, *one["messages"]]} for one in numbered(12)]
    assert len(split(examples).held_out) == 3


texts = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=7).map(" ".join), max_size=14)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_alike_finds_every_pair_that_comparing_all_with_all_finds(texts):
    sets, apart = [words(text) for text in texts], list(range(len(texts)))
    for a, b in itertools.combinations(range(len(texts)), 2):
        if len(sets[a] & sets[b]) >= ALIKE * len(sets[a] | sets[b]):
            apart = [apart[a] if one == apart[b] else one for one in apart]
    found = alike(texts)
    pairs = list(itertools.combinations(range(len(texts)), 2))
    assert [found[a] == found[b] for a, b in pairs] == [apart[a] == apart[b] for a, b in pairs]


def test_a_draw_gives_each_the_same_chance_keeps_the_order_and_says_of_how_many():
    counts = [0] * 20
    for seed in range(2000):
        drawn = draw(iter(range(20)), 5, seed)
        assert drawn.of == 20 and drawn.examples == sorted(drawn.examples) and len(set(drawn.examples)) == 5
        for one in drawn.examples:
            counts[one] += 1
    assert all(420 < count < 580 for count in counts)  # 500 expected, standard deviation 19
    assert draw(iter(range(3)), 5) == ([0, 1, 2], 3)
    with pytest.raises(ValueError, match="at least 4"):
        draw([], 2)


def test_a_stream_is_not_kept_in_memory():
    held = []

    def stream():
        for n in range(5000):
            yield n
            held.append(n)

    assert len(draw(stream(), 10, 1).examples) == 10 and len(held) == 5000


def test_what_was_drawn_at_random_is_split_as_quickly_when_it_is_large():
    chance = random.Random(0)
    vocabulary = [f"w{n}" for n in range(400)]
    examples = [example(" ".join(chance.choices(vocabulary, k=12))) for _ in range(4000)]
    assert len(split(examples).held_out) == splitting.MOST_HELD_OUT
