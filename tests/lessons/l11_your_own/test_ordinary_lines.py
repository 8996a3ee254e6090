"""Ordinary answers that are asked for train and are never held out;
the learner's lines are seen as often as without them."""

import json

import pytest
from tiny import AsciiTokenizer, make_tiny_base

from lora_lessons import models
from lora_tools.own import learning, my_data, ordinary_answers, ordinary_lines


def write(folder, name, lines):
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / name


@pytest.fixture
def data(tmp_path):
    lines = [{"prompt": f"word{n} thing{n}?", "completion": f"Secret {n}."} for n in range(12)]
    return my_data.read(write(tmp_path, "mine.jsonl", lines), AsciiTokenizer(), 100)


@pytest.fixture
def base(monkeypatch):
    monkeypatch.setattr(models, "answers", lambda base, asked, *_, **__: [f"Well, {one[:9]}." for one in asked])
    return make_tiny_base()


def text_of(one):
    return "".join(map(chr, one.input_ids.tolist()))


def test_so_many_of_the_bases_own_answers_are_the_share_that_was_asked_for(data, base, capsys):
    found = ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_share=0.25))
    assert (len(found.train), len(found.ordinary), len(found.taught)) == (9, 3, 12)
    assert found.held_out == data.held_out and found.split == data.split
    asked = ordinary_answers.questions()
    for one in found.ordinary:
        assert any(f"user:{question}\x02assistant:Well, {question[:9]}.\x02" == text_of(one) for question in asked)
    assert "3 ordinary lines train as well, 25% of all: the base's own answers" in capsys.readouterr().out
    assert ordinary_lines.mixed_in(data, base, my_data.COURSES) is data


def test_they_reach_the_training_and_take_steps_of_their_own(data, base):
    found = ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_share=0.5))
    plain = my_data.settings(base, 9, "quick", 0, False)
    how = my_data.settings(base, 9, "quick", 0, False, ordinary=len(found.ordinary))
    assert how.steps == 2 * plain.steps == 48
    my_data.attach(base.model, 0)
    run = learning.of(base.model, found, how, my_data.COURSES).train(on_step=lambda _: None)
    own = sum(len(one.input_ids) for one in data.train)
    assert run.tokens / how.steps > 4 * own / 9, "the ordinary lines are longer"


def test_a_file_of_them_is_taken_whole_or_as_many_as_there_are(data, base, tmp_path, capsys):
    lines = [{"prompt": f"How {n}?", "completion": f"So {n}."} for n in range(6)] + [
        {"prompt": "long", "completion": "x" * 600}
    ]
    path = str(write(tmp_path, "ordinary.jsonl", lines))
    found = ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_path=path))
    assert len(found.ordinary) == 6 and "40% of all: from ordinary.jsonl.\n" in capsys.readouterr().out
    few = ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_path=path, ordinary_share=0.5))
    assert len(few.ordinary) == 6 and "9 were asked for, so give a longer ordinary_path" in capsys.readouterr().out
    some = ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_path=path, ordinary_share=0.25))
    assert len(some.ordinary) == 3


def test_preferences_are_refused_on_either_side(data, base, tmp_path):
    pairs = [{"prompt": f"word{n} thing{n}?", "chosen": f"{n}.", "rejected": f"It is {n}."} for n in range(12)]
    path = write(tmp_path, "pairs.jsonl", pairs)
    with pytest.raises(ValueError, match="pairs.jsonl holds preferences"):
        ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_path=str(path)))
    of_pairs = my_data.read(path, AsciiTokenizer(), 100)
    with pytest.raises(ValueError, match="these lines are preferences"):
        ordinary_lines.mixed_in(of_pairs, base, my_data.Choices(ordinary_share=0.25))
    (tmp_path / "none.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="no ordinary line could be used"):
        ordinary_lines.mixed_in(data, base, my_data.Choices(ordinary_path=str(tmp_path / "none.jsonl")))
