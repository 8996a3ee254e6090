"""Lesson 11 takes a preference file: read, planned, trained with DPO against the adapter turned off, scored,
and said."""

import json
import math

import pytest
import torch
from tiny import AsciiTokenizer, make_tiny_base

from lora_lessons import lora, preferences, tasks
from lora_lessons.course.blind_judge import Tally
from lora_lessons.paths import course_root
from lora_tools.exporting.model_card import model_card
from lora_tools.own import beforehand, learning, my_data, pictures, publishing, scoring

PAIRS = [{"prompt": f"word{n} thing{n}?", "chosen": f"{n}.", "rejected": f"It is {n}, I think."} for n in range(12)]
LN_2 = math.log(2)


def write(folder, lines, name="mine.jsonl"):
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / name


@pytest.fixture
def data(tmp_path):
    return my_data.read(write(tmp_path, PAIRS), AsciiTokenizer(), 100)


@pytest.fixture
def base():
    made = make_tiny_base()
    my_data.attach(made.model, 0, my_data.Choices(r=4))
    return made


def test_pairs_are_split_by_what_is_asked_and_made_into_tokens_of_both_answers(data):
    assert data.of_pairs and data.unit == "nats per pair" and (len(data.train), len(data.held_out)) == (9, 3)
    for pair, one in zip(data.train, data.split.train, strict=True):
        for row, other in zip(pair, tasks.encode_pair(AsciiTokenizer(), one), strict=True):
            assert torch.equal(row.input_ids, other.input_ids) and torch.equal(row.labels, other.labels)
    longest = max(len(one.rejected.input_ids) for one in data.train + data.held_out)
    assert f"to {longest} tokens long" in pictures.lines_of(data)[2]
    assert my_data.question_of(data.split.train[0]).startswith("word")


def test_a_pair_of_which_one_answer_is_too_long_is_left_out(tmp_path):
    long = {"prompt": "why?", "chosen": "So.", "rejected": "x" * 600}
    found = my_data.read(write(tmp_path, [*PAIRS, long]), AsciiTokenizer(), 100)
    assert found.left_out == 1 and len(found.train) + len(found.held_out) == 12


def test_a_file_of_both_kinds_is_a_sentence(tmp_path):
    mixed = [*PAIRS, {"prompt": "Which?", "completion": "That one."}]
    with pytest.raises(ValueError, match="12 of 13 lines are preferences.*put them into two files"):
        my_data.read(write(tmp_path, mixed), AsciiTokenizer(), 100)


def test_pairs_are_planned_with_smaller_steps_and_both_answers_in_memory(base, data):
    how = my_data.settings(base, 9, "quick", 0, False, of_pairs=True)
    assert how.learning_rate == my_data.RATE / 4 and not how.fast
    assert my_data.settings(base, 9, "quick", 0, False, rate=1e-4, of_pairs=True).learning_rate == 1e-4
    assert beforehand.seconds_a_step(base.model, data.train, how) > 0 and not base.model.training
    assert all(p.grad is None for p in base.model.parameters())
    rejected = [one.rejected for one in data.train]
    assert beforehand.bill(base, how, data.train) > 1.1 * beforehand.bill(base, how, rejected)


def test_a_look_begins_at_ln_2_and_falls_where_the_chosen_answer_rises(base, data):
    how = my_data.settings(base, 9, "quick", 0, False, steps=20, rate=2e-2, of_pairs=True)
    lesson = learning.of(base.model, data, how, my_data.Choices(beta=0.5))
    before = lesson.look()
    assert before == pytest.approx([LN_2] * 3, abs=1e-6)
    keep = scoring.KeepBest(base.model, lesson.look, lesson.kept_in())
    run = lesson.train(pictures.LossesAndLooks(keep, before, data.unit))
    assert run.losses[0] == pytest.approx(LN_2, abs=1e-5) and run.losses[-1] < 0.5
    after = keep.looks[keep.restore()]
    with torch.no_grad(), preferences.adapter_off(base.model):
        reference = preferences.scored(base.model, data.held_out)
    margins = preferences.margins(preferences.scored(base.model, data.held_out), reference)
    assert after == pytest.approx((-torch.nn.functional.logsigmoid(0.5 * margins)).tolist(), abs=1e-5)
    assert [loss < LN_2 for loss in after] == (margins > 0).tolist()


def test_the_reference_is_the_base_though_the_adapter_has_learned_before(base, data):
    """As when the cell runs again without attaching anew: a margin is never measured against the adapter itself."""
    for _, layer in lora.lora_layers(base.model):
        layer.lora_B.data.normal_(std=0.1)
    how = my_data.settings(base, 9, "quick", 0, False, of_pairs=True)
    assert max(abs(loss - LN_2) for loss in learning.of(base.model, data, how, my_data.COURSES).look()) > 1e-3


def test_another_run_never_gets_this_runs_adapter(base, data):
    how = my_data.settings(base, 9, "quick", 0, False, of_pairs=True)
    lesson = learning.of(base.model, data, how, my_data.COURSES)
    assert lesson.kept_in() != lesson.kept_in()


BARE = scoring.Heard(["a long answer of seven words indeed", "one two three"], ["c"], 40.0)
TUNED = scoring.Heard(["short", f"one two{scoring.CUT}"], ["c"], 44.0)


def test_the_score_has_accuracy_with_its_interval_length_and_forgetting():
    found = scoring.score([LN_2] * 4, [0.5, 0.6, 0.8, 0.3], BARE, TUNED, None, of_pairs=True)
    assert found.preferred.share == 0.75 and found.preferred.words == (5.0, 1.5) and found.unit == "nats per pair"
    rows = {row[0]: row[1:] for row in pictures.score(found, 2)}
    assert rows["pairs that were learned"][1:] == ("75%", "30% to 95% (95%, 4 pairs); a coin: 50%")
    assert rows["words an answer"][:2] == ("5", "2") and "held-out loss, nats per pair" in rows
    assert "× 1.10" in rows["perplexity on general text"][2]
    assert scoring.score([1.0], [0.5], BARE, TUNED, None).preferred is None


def test_a_pair_that_did_not_move_was_not_learned():
    assert scoring.score([LN_2] * 2, [LN_2, 0.6], BARE, TUNED, None, of_pairs=True).preferred.share == 0.5


def test_the_card_and_the_handover_say_that_a_preference_was_learned(data):
    base = make_tiny_base()
    how = my_data.settings(base, 9, "quick", 0, False, of_pairs=True)
    found = scoring.score([LN_2] * 3, [0.5, 0.6, 0.8], BARE, TUNED, None, of_pairs=True)
    text = model_card(publishing.about("own", base, data, how, found, 2, [], Tally(0, 0, 0, 3), 24))
    for said in (
        "DPO, β = 0.1; the reference is the base",
        "which of two answers is preferred",
        "| pairs that were learned |",
    ):
        assert said in text, said
    assert "became likelier against the rejected one" in text and "word1" not in text
    shipped = publishing.Exported([], "", "")
    assert "nats per pair" in repr(publishing.handover(data.path.parent, data, "embedded", found, "", shipped))


def test_the_courses_pairs_are_the_courses_and_lie_with_the_progress():
    path = course_root() / "data" / "preferences" / "train_pairs.jsonl"
    data = my_data.read(my_data.find(str(path)), AsciiTokenizer(), 60)
    assert data.of_pairs and data.is_ours and data.adapter_place == "adapters/train_pairs"
    assert data.split.by == "topic"
