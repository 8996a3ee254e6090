"""Lesson 11 learns: the best of a few looks is put back; ordinary answers train beside the learner's; a preference file
is trained with DPO; a second round begins where the first ended, as PEFT's would."""

import json
import math

import peft
import pytest
import torch
from short_run import SHORT, adapter, broken_and_whole, make_examples, same
from tiny import AsciiTokenizer, make_tiny_base, make_tiny_model, write_lines

from lora_lessons import lora, models, preferences, tasks, training
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from lora_lessons.course.blind_judge import Tally
from lora_lessons.paths import course_root
from lora_lessons.training.loop import trainable
from lora_tools.checking.likeness import Frame
from lora_tools.exporting.model_card import model_card
from lora_tools.own import (
    beforehand,
    learning,
    my_data,
    ordinary_answers,
    ordinary_lines,
    pictures,
    publishing,
    scoring,
    second_round,
)
from lora_tools.own.scoring import KeepBest, folder_of

HOW = training.Settings(steps=8, batch_size=1, learning_rate=1e-2, checkpoint_every=1)


@pytest.fixture
def adapted():
    torch.manual_seed(0)
    model = make_tiny_model()
    lora.attach(model, r=2, lora_alpha=4)
    return model


@pytest.fixture
def examples():
    return make_examples()


def put_back(model, first):
    """What a new kernel begins with: the fresh adapter."""
    with torch.no_grad():
        for name, p in trainable(model).items():
            p.copy_(first[name])


class Looks:
    """The losses that are found, one after the other, and the adapter as it was at each look."""

    def __init__(self, model, *losses):
        self.model, self.losses, self.seen = model, list(losses), []

    def __call__(self):
        self.seen.append(adapter(self.model))
        return [self.losses.pop(0)]


def test_the_best_look_is_put_back_and_not_the_last(adapted, examples, tmp_path):
    looks = Looks(adapted, 3.0, 1.0, 2.0, 4.0)
    keep = KeepBest(adapted, looks, tmp_path, lambda: ["late"])
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    assert list(keep.looks) == [2, 4, 6, 8] and keep.best == 4 and keep.heard == {8: ["late"]}
    assert same(adapter(adapted), looks.seen[3]), "training itself is not changed"
    assert keep.restore() == 4 and same(adapter(adapted), looks.seen[1])


def test_in_a_frame_the_look_with_the_most_different_answers_is_kept_whatever_the_loss_and_read_back(
    adapted, examples, tmp_path
):
    heard = iter([["<a>", "<a>", "<a>"], ["<a>", "<b>", "c"], ["<a>", "<c>", "<a>"], ["a", "b", "c"]])
    looks, frame, first = Looks(adapted, 1.0, 3.0, 2.0, 0.5), Frame("<", ">"), adapter(adapted)
    keep = KeepBest(adapted, looks, tmp_path, lambda: next(heard), frame)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    put_back(adapted, first)
    again = KeepBest(adapted, Looks(adapted), tmp_path, list, frame)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=again)
    assert keep.best == again.restore() == 6 and again.heard == keep.heard and same(adapter(adapted), looks.seen[2])


def test_a_killed_run_goes_on_with_what_it_had_found(adapted, examples, tmp_path):
    first = adapter(adapted)
    looks = Looks(adapted, 3.0, 1.0, 2.0, 4.0)
    keep = KeepBest(adapted, looks, tmp_path)

    def killed(run):
        keep(run)
        if len(run.losses) == 5:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=killed)
    put_back(adapted, first)
    again = Looks(adapted, 2.0, 4.0)
    resumed = KeepBest(adapted, again, tmp_path)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=resumed)
    assert again.losses == [] and resumed.looks == {2: [3.0], 4: [1.0], 6: [2.0], 8: [4.0]}
    resumed.restore()
    assert same(adapter(adapted), looks.seen[1])


def test_a_damaged_file_costs_the_earlier_looks_and_nothing_else(adapted, examples, tmp_path):
    first = adapter(adapted)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run")
    put_back(adapted, first)
    (tmp_path / "best.safetensors").write_bytes(b"half a fi")
    keep = KeepBest(adapted, Looks(adapted, 2.5), tmp_path)
    training.train(adapted, examples, HOW, run_dir=tmp_path / "run", on_step=keep)
    assert keep.looks == {8: [2.5]} and keep.restore() == 8


def test_another_run_or_other_held_out_lines_have_another_folder(adapted, examples, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    one = folder_of(adapted, examples[:4], examples[4:], HOW)
    assert one == folder_of(adapted, examples[:4], examples[4:], HOW)
    assert one != folder_of(adapted, examples[:4], examples[5:], HOW)
    assert one != folder_of(adapted, examples[:3], examples[4:], HOW)


LINES = [{"prompt": f"word{n} thing{n}?", "completion": f"Secret {n}."} for n in range(12)]
PAIRS = [{"prompt": f"word{n} thing{n}?", "chosen": f"{n}.", "rejected": f"It is {n}, I think."} for n in range(12)]


@pytest.fixture
def data(tmp_path):
    return my_data.read(write_lines(tmp_path, LINES), AsciiTokenizer(), 100)


@pytest.fixture
def pairs(tmp_path):
    return my_data.read(write_lines(tmp_path, PAIRS, "pairs.jsonl"), AsciiTokenizer(), 100)


@pytest.fixture
def base():
    return make_tiny_base()._replace(name="makers/tiny")


@pytest.fixture
def answering(base, monkeypatch):
    """The base, with answers that can be known beforehand."""
    monkeypatch.setattr(models, "answers", lambda base, asked, *_, **__: [f"Well, {one[:9]}." for one in asked])
    return base


@pytest.fixture
def fresh(base):
    """The base with an adapter at its start."""
    my_data.attach(base.model, 0, my_data.Choices(r=4))
    return base


def text_of(one):
    return "".join(map(chr, one.input_ids.tolist()))


def test_so_many_of_the_bases_own_answers_are_the_share_that_was_asked_for(data, answering, capsys):
    found = ordinary_lines.mixed_in(data, answering, my_data.Choices(ordinary_share=0.25))
    assert (len(found.train), len(found.ordinary), len(found.taught)) == (9, 3, 12)
    assert found.held_out == data.held_out and found.split == data.split
    asked = ordinary_answers.questions()
    for one in found.ordinary:
        assert any(f"user:{question}\x02assistant:Well, {question[:9]}.\x02" == text_of(one) for question in asked)
    assert "3 ordinary lines train as well, 25% of all: the base's own answers" in capsys.readouterr().out
    assert ordinary_lines.mixed_in(data, answering, my_data.COURSES) is data


def test_they_reach_the_training_and_take_steps_of_their_own(data, answering):
    found = ordinary_lines.mixed_in(data, answering, my_data.Choices(ordinary_share=0.5))
    plain = my_data.settings(answering, 9, "quick", 0, False)
    how = my_data.settings(answering, 9, "quick", 0, False, ordinary=len(found.ordinary))
    assert how.steps == 2 * plain.steps == 48
    my_data.attach(answering.model, 0)
    run = learning.of(answering.model, found, how, my_data.COURSES).train(on_step=lambda _: None)
    own = sum(len(one.input_ids) for one in data.train)
    assert run.tokens / how.steps > 4 * own / 9, "the ordinary lines are longer"


def test_a_file_of_them_is_taken_whole_or_as_many_as_there_are(data, answering, tmp_path, capsys):
    lines = [{"prompt": f"How {n}?", "completion": f"So {n}."} for n in range(6)] + [
        {"prompt": "long", "completion": "x" * 600}
    ]
    path = str(write_lines(tmp_path, lines, "ordinary.jsonl"))
    found = ordinary_lines.mixed_in(data, answering, my_data.Choices(ordinary_path=path))
    assert len(found.ordinary) == 6 and "40% of all: from ordinary.jsonl.\n" in capsys.readouterr().out
    few = ordinary_lines.mixed_in(data, answering, my_data.Choices(ordinary_path=path, ordinary_share=0.5))
    assert len(few.ordinary) == 6 and "9 were asked for, so give a longer ordinary_path" in capsys.readouterr().out
    some = ordinary_lines.mixed_in(data, answering, my_data.Choices(ordinary_path=path, ordinary_share=0.25))
    assert len(some.ordinary) == 3


def test_preferences_are_refused_on_either_side(data, pairs, answering, tmp_path):
    none = write_lines(tmp_path, [{}], "none.jsonl")
    for lines, chosen, said in (
        (data, {"ordinary_path": str(pairs.path)}, "pairs.jsonl holds preferences"),
        (pairs, {"ordinary_share": 0.25}, "these lines are preferences"),
        (data, {"ordinary_path": str(none)}, "no ordinary line could be used"),
    ):
        with pytest.raises(ValueError, match=said):
            ordinary_lines.mixed_in(lines, answering, my_data.Choices(**chosen))


LN_2 = math.log(2)


def test_pairs_are_split_by_what_is_asked_and_made_into_tokens_of_both_answers(pairs):
    assert pairs.of_pairs and pairs.unit == "nats per pair" and (len(pairs.train), len(pairs.held_out)) == (9, 3)
    for pair, one in zip(pairs.train, pairs.split.train, strict=True):
        for row, other in zip(pair, tasks.encode_pair(AsciiTokenizer(), one), strict=True):
            assert torch.equal(row.input_ids, other.input_ids) and torch.equal(row.labels, other.labels)
    longest = max(len(one.rejected.input_ids) for one in pairs.train + pairs.held_out)
    assert f"to {longest} tokens long" in pictures.lines_of(pairs)[2]
    assert my_data.question_of(pairs.split.train[0]).startswith("word")


def test_a_pair_of_which_one_answer_is_too_long_is_left_out(tmp_path):
    long = {"prompt": "why?", "chosen": "So.", "rejected": "x" * 600}
    found = my_data.read(write_lines(tmp_path, [*PAIRS, long]), AsciiTokenizer(), 100)
    assert found.left_out == 1 and len(found.train) + len(found.held_out) == 12


def test_a_file_of_both_kinds_is_a_sentence(tmp_path):
    mixed = [*PAIRS, {"prompt": "Which?", "completion": "That one."}]
    with pytest.raises(ValueError, match="12 of 13 lines are preferences.*put them into two files"):
        my_data.read(write_lines(tmp_path, mixed), AsciiTokenizer(), 100)


def test_pairs_are_planned_with_smaller_steps_and_both_answers_in_memory(fresh, pairs):
    how = my_data.settings(fresh, 9, "quick", 0, False, of_pairs=True)
    assert how.learning_rate == my_data.RATE / 4 and not how.fast
    assert my_data.settings(fresh, 9, "quick", 0, False, rate=1e-4, of_pairs=True).learning_rate == 1e-4
    assert beforehand.seconds_a_step(fresh.model, pairs.train, how) > 0 and not fresh.model.training
    assert all(p.grad is None for p in fresh.model.parameters())
    rejected = [one.rejected for one in pairs.train]
    assert beforehand.bill(fresh, how, pairs.train) > 1.1 * beforehand.bill(fresh, how, rejected)


def test_a_look_begins_at_ln_2_and_falls_where_the_chosen_answer_rises(fresh, pairs):
    how = my_data.settings(fresh, 9, "quick", 0, False, steps=20, rate=2e-2, of_pairs=True)
    lesson = learning.of(fresh.model, pairs, how, my_data.Choices(beta=0.5))
    before = lesson.look()
    assert before == pytest.approx([LN_2] * 3, abs=1e-6)
    keep = scoring.KeepBest(fresh.model, lesson.look, lesson.kept_in())
    run = lesson.train(pictures.LossesAndLooks(keep, before, pairs.unit))
    assert run.losses[0] == pytest.approx(LN_2, abs=1e-5) and run.losses[-1] < 0.5
    after = keep.looks[keep.restore()]
    with torch.no_grad(), preferences.adapter_off(fresh.model):
        reference = preferences.scored(fresh.model, pairs.held_out)
    margins = preferences.margins(preferences.scored(fresh.model, pairs.held_out), reference)
    assert after == pytest.approx((-torch.nn.functional.logsigmoid(0.5 * margins)).tolist(), abs=1e-5)
    assert [loss < LN_2 for loss in after] == (margins > 0).tolist()


def test_the_reference_is_the_base_though_the_adapter_has_learned_before(fresh, pairs):
    """As when the cell runs again without attaching anew: a margin is never measured against the adapter itself."""
    for _, layer in lora.lora_layers(fresh.model):
        layer.lora_B.data.normal_(std=0.1)
    how = my_data.settings(fresh, 9, "quick", 0, False, of_pairs=True)
    assert max(abs(loss - LN_2) for loss in learning.of(fresh.model, pairs, how, my_data.COURSES).look()) > 1e-3


def test_another_run_never_gets_this_runs_adapter(fresh, pairs):
    how = my_data.settings(fresh, 9, "quick", 0, False, of_pairs=True)
    lesson = learning.of(fresh.model, pairs, how, my_data.COURSES)
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


def test_the_card_and_the_handover_say_that_a_preference_was_learned(pairs):
    base = make_tiny_base()
    how = my_data.settings(base, 9, "quick", 0, False, of_pairs=True)
    found = scoring.score([LN_2] * 3, [0.5, 0.6, 0.8], BARE, TUNED, None, of_pairs=True)
    text = model_card(publishing.about("own", base, pairs, how, found, 2, [], Tally(0, 0, 0, 3), 24))
    for said in (
        "DPO, β = 0.1; the reference is the base",
        "which of two answers is preferred",
        "| pairs that were learned |",
    ):
        assert said in text, said
    assert "became likelier against the rejected one" in text and "word1" not in text
    shipped = publishing.Exported([], "", "")
    assert "nats per pair" in repr(publishing.handover(pairs.path.parent, pairs, "embedded", found, "", shipped))


def test_the_courses_pairs_are_the_courses_and_lie_with_the_progress():
    path = course_root() / "data" / "preferences" / "train_pairs.jsonl"
    pairs = my_data.read(my_data.find(str(path)), AsciiTokenizer(), 60)
    assert pairs.of_pairs and pairs.is_ours and pairs.adapter_place == "adapters/train_pairs"
    assert pairs.split.by == "topic"


TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture
def first(tmp_path):
    """The folder of a first round, of another rank, α and targets than the lesson's own."""
    model = make_tiny_model()
    lora.attach(model, r=4, lora_alpha=12, target_modules=TARGETS, use_rslora=True)
    training.train(model, make_examples(), SHORT, run_dir=tmp_path / "first round")
    return save_adapter(model, tmp_path / "first", "makers/tiny")


def put_on(base, folder):
    start, chosen = second_round.read(str(folder), base, my_data.COURSES)
    my_data.attach(base.model, 0, chosen, start)
    return start, chosen


def test_it_trains_as_peft_does_with_is_trainable(base, first):
    """The same batches, a plain AdamW by hand: each loss, and each A and B afterwards."""
    put_on(base, first)
    theirs = peft.PeftModel.from_pretrained(make_tiny_model(), first, is_trainable=True)
    ours = training.train(base.model, make_examples(), SHORT)
    optimizer = torch.optim.AdamW((p for p in theirs.parameters() if p.requires_grad), weight_decay=0.0)
    losses = []
    for step, chosen in enumerate(training.batches(8, SHORT)):
        rows = [make_examples()[i] for i in chosen]
        batch = {name: torch.stack([getattr(row, name) for row in rows]) for name in ("input_ids", "labels")}
        loss = theirs(**batch).loss
        loss.backward()
        optimizer.param_groups[0]["lr"] = SHORT.rate(step)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert ours.losses == pytest.approx(losses, abs=1e-5) and losses[-1] < losses[0]
    for name, layer in lora.lora_layers(base.model):
        other = theirs.base_model.model.get_submodule(name)
        assert torch.allclose(layer.lora_A, other.lora_A["default"].weight, atol=1e-5), name
        assert torch.allclose(layer.lora_B, other.lora_B["default"].weight, atol=1e-5), name


def test_it_begins_at_the_loss_where_the_first_ended_with_its_rank_alpha_and_layers(
    base, data, first, tmp_path, capsys
):
    lora.attach(base.model, r=4, lora_alpha=12, target_modules=TARGETS, use_rslora=True)
    bare = scoring.line_losses(base.model, data.held_out)
    worn = make_tiny_base()
    start, chosen = put_on(worn, first)
    before = scoring.line_losses(worn.model, data.held_out)
    assert before != pytest.approx(bare, abs=1e-4) and (chosen.r, chosen.lora_alpha) == (4, 12)
    assert "Training goes on from first: r = 4, lora_alpha = 12, 6 layers." in capsys.readouterr().out
    theirs = peft.PeftModel.from_pretrained(make_tiny_model(), first)
    assert before == pytest.approx(scoring.line_losses(theirs, data.held_out), abs=1e-5)
    kept = {file.name: file.read_bytes() for file in first.iterdir()}
    how = my_data.settings(worn, 9, "quick", 0, False, steps=6, rate=1e-2, chosen=chosen)
    lesson = learning.of(worn.model, data, how, chosen, start)
    keep = scoring.KeepBest(worn.model, lesson.look, lesson.kept_in())
    lesson.train(keep)
    keep.restore()
    assert scoring.mean(keep.looks[keep.best]) < scoring.mean(before)
    assert {file.name: file.read_bytes() for file in first.iterdir()} == kept


def test_what_it_is_held_against_is_the_adapter_it_began_with(base, data, first, monkeypatch):
    start, _ = put_on(base, first)
    began = adapter(base.model)
    training.train(base.model, make_examples(), SHORT)
    learned, seen = adapter(base.model), []
    monkeypatch.setattr(scoring, "measure", lambda *_: seen.append(adapter(base.model)))
    scoring.without(base, data, start)
    assert same(seen[0], began) and same(adapter(base.model), learned) and not same(learned, began)


def test_preferences_are_learned_against_the_first_round(base, pairs, first):
    start, chosen = put_on(base, first)
    how = my_data.settings(base, 9, "quick", 0, False, chosen=chosen, of_pairs=True)
    assert learning.of(base.model, pairs, how, chosen, start).look() == pytest.approx([LN_2] * 3, abs=1e-6)


def test_it_goes_on_after_a_kill_to_the_same_bits(first, tmp_path):
    def make():
        base = make_tiny_base()
        put_on(base, first)
        return base.model

    (one, broken), (other, whole) = broken_and_whole(make, SHORT, tmp_path)
    assert one.losses == other.losses and same(broken, whole)


@pytest.mark.parametrize(
    ("base_name", "asked", "said"),
    [
        (
            "makers/other",
            {},
            "first was trained on makers/tiny, and the base here is makers/other: say -p model makers/tiny",
        ),
        ("makers/tiny", {"r": 16}, "r = 16, and first has 4: a second round keeps"),
        ("makers/tiny", {"lora_alpha": 32}, "lora_alpha = 32, and first has 12"),
    ],
)
def test_another_base_rank_or_alpha_is_refused(base, first, base_name, asked, said):
    with pytest.raises(ValueError, match=said):
        second_round.read(str(first), base._replace(name=base_name), my_data.Choices(**asked))


def test_a_base_that_is_named_alike_or_not_at_all_is_taken(base, first, tmp_path):
    for name in ("elsewhere/Tiny", str(tmp_path / "tiny")):
        assert second_round.read(str(first), base._replace(name=name), my_data.Choices(r=4, lora_alpha=12))[0]
    config = json.loads((first / ADAPTER_CONFIG).read_text())
    (first / ADAPTER_CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": None}))
    assert second_round.read(str(first), base._replace(name="any"), my_data.COURSES)[0]
    assert second_round.read("", base, my_data.COURSES) == (None, my_data.COURSES)


def test_an_adapter_of_other_shapes_is_refused_before_anything_is_trained(base, first):
    from safetensors.torch import load_file, save_file

    wider = {
        name: torch.cat([part, part], 1) if "lora_A" in name else part
        for name, part in load_file(first / ADAPTER_WEIGHTS).items()
    }
    save_file(wider, first / ADAPTER_WEIGHTS)
    with pytest.raises(ValueError, match="another base model"):
        put_on(base, first)


def test_card_and_handover_say_where_it_began_and_how_to_see_that_it_changed(base, data, first):
    start, chosen = put_on(base, first)
    how = my_data.settings(base, 9, "quick", 0, False, chosen=chosen)
    found = scoring.SideBySide((3.0, 2.0), None, None, None, (40.0, 44.0))
    about = publishing.about("own", base, data, how, found, 1, [], Tally(0, 0, 0, 3), 24, chosen, start)
    text = model_card(about)
    assert (
        "- went on from: first\n- r: 4\n- lora_alpha: 12\n" in text and "names the base, that adapter is meant" in text
    )
    shipped = publishing.Exported([], "", "")
    said = repr(publishing.handover(first, data, "embedded", found, "", shipped, None, "old one"))
    assert f"lora-lessons inspect {first} --before 'old one'" in said
