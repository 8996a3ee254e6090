"""A second round begins where the first ended, trains as PEFT does, leaves the old adapter alone,
and refuses another base."""

import json
import math

import peft
import pytest
import torch
from short_run import SHORT, adapter, broken_and_whole, make_examples, same
from tiny import AsciiTokenizer, make_tiny_base, make_tiny_model

from lora_lessons import lora, training
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from lora_lessons.course.blind_judge import Tally
from lora_tools.exporting.model_card import model_card
from lora_tools.own import learning, my_data, publishing, scoring, second_round

TARGETS = ["q_proj", "v_proj", "down_proj"]


@pytest.fixture
def base():
    return make_tiny_base()._replace(name="makers/tiny")


@pytest.fixture
def first(tmp_path):
    """The folder of a first round, of another rank, α and targets than the lesson's own."""
    model = make_tiny_model()
    lora.attach(model, r=4, lora_alpha=12, target_modules=TARGETS, use_rslora=True)
    training.train(model, make_examples(), SHORT, run_dir=tmp_path / "first round")
    return save_adapter(model, tmp_path / "first", "makers/tiny")


@pytest.fixture
def data(tmp_path):
    lines = [{"prompt": f"word{n} thing{n}?", "completion": f"Secret {n}."} for n in range(12)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return my_data.read(tmp_path / "mine.jsonl", AsciiTokenizer(), 100)


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


def test_preferences_are_learned_against_the_first_round(base, first, tmp_path):
    pairs = [{"prompt": f"word{n} thing{n}?", "chosen": f"{n}.", "rejected": f"It is {n}, I think."} for n in range(12)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    data = my_data.read(tmp_path / "pairs.jsonl", AsciiTokenizer(), 100)
    start, chosen = put_on(base, first)
    how = my_data.settings(base, 9, "quick", 0, False, chosen=chosen, of_pairs=True)
    assert learning.of(base.model, data, how, chosen, start).look() == pytest.approx([math.log(2)] * 3, abs=1e-6)


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
