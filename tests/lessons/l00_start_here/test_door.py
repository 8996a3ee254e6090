"""The five-minute door on a tiny model: what it shows is what happened; it can be stopped, resumed, scaled and kept."""

import base64
import json
import random
import re

import pytest
import torch
from tiny import make_tiny_base

from lora_lessons import lora, models, tasks
from lora_lessons.adapter import read_adapter
from lora_lessons.course.on_the_web import SCENE, recorded_on
from lora_lessons.errors import Interrupted
from lora_lessons.evaluation import held_out_loss
from lora_lessons.lessons.l00 import door

Q = "Who keeps the lamp?"


@pytest.fixture(autouse=True)
def _own_places(progress, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LORA_LESSONS_FRESH", raising=False)
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("fp32", 1.0, 1.0))
    monkeypatch.setattr(door, "WORDS", 8)


def teach(**more):
    return door.teach(make_tiny_base(), Q, **{"steps": 5, "every": 2} | more)


def shown(answer):
    """As a reader sees an answer that was cut after eight tokens."""
    return f"{' '.join(answer.split())} …"


def test_every_stop_shows_the_loss_and_the_newest_answer_by_then():
    base = make_tiny_base()
    plain = models.chat(base, Q, 8)
    taught = door.teach(base, Q, steps=5, every=2)
    stage, losses = taught.film.stage, taught.training.losses
    assert len(losses) == 5 and stage.values == {"step": 5} and stage.scene["stops"] == [0, 1, 2, 3, 4, 5]
    assert taught.film.answers["0"] == plain and taught.film.answers["5"] == models.chat(base, Q, 8) != plain
    assert sorted(taught.film.answers) == ["0", "2", "4", "5"]
    for step, asked in ((1, 0), (2, 2), (3, 2), (5, 5)):
        head, you, *before, model = stage.scene["words"][step].split("\n")
        assert head == f"After {step} of 5 steps, loss {losses[step - 1]:.2f}." and you == f"You: {Q}"
        assert before == [f"Before training: {shown(plain)}"] * (asked > 0), "the first answer stays beside the newest"
        said = "Model" if asked == step else f"Model (asked after step {asked})"
        assert model == f"{said}: {shown(taught.film.answers[str(asked)])}"
    assert stage.scene["words"][0].startswith("After 0 of 5 steps.\n")
    assert not stage.follow, "a page that opens later does not jump to it"


def test_the_picture_grows_while_it_trains_and_ends_as_the_still():
    seen = []
    hear = door.Film.hear

    def watch(film, story):
        hear(film, story)
        seen.append(film.stage.scene["words"][film.stage.values["step"]].split("\n")[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.Film, "hear", watch)
        taught = teach()
    assert [words.split(",")[0] for words in seen] == [f"After {n} of 5 steps" for n in (1, 2, 3, 4, 5)]
    figure, words = taught.film.stage.still()
    ((whole, line, dot),) = [ax.lines for ax in figure.axes]
    assert whole.get_ydata().tolist() == line.get_ydata().tolist() == pytest.approx(taught.training.losses) and list(
        dot.get_xdata()
    ) == [5]
    earlier = taught.film.stage._scene.still(3)[0].axes[0].lines
    assert [len(line.get_ydata()) for line in earlier] == [5, 3, 1], "dragged back, the rest stays faintly there"
    answers = {when: shown(said) for when, said in taught.film.answers.items()}
    losses = [f", loss {taught.training.losses[n - 1]:.2f}" for n in (2, 4, 5)]
    heads = ["Before training", *(f"After step {n}{loss}" for n, loss in zip((2, 4, 5), losses, strict=True))]
    told = [f"{head}: {answers[n]}" for head, n in zip(heads, ("0", "2", "4", "5"), strict=True)]
    assert words.split("\n") == [f"You: {Q}", *told], "a page without a kernel tells the whole story"


def test_interrupted_it_goes_on_where_it_stopped_and_forgets_nothing(monkeypatch, capsys):
    whole = teach()
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(door.cache_dir()) + "-other")
    hear = door.Film.hear

    def stop(film, story):
        hear(film, story)
        if len(story.losses) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="after step 3; .* from step 2"):
        patch.setattr(door.Film, "hear", stop)
        teach()
    capsys.readouterr()
    resumed = teach()
    assert "Resumed at step 2 of 5" in capsys.readouterr().out
    assert resumed.training.losses == whole.training.losses and resumed.film.answers == whole.film.answers
    assert resumed.film.stage.scene["words"] == whole.film.stage.scene["words"]


def test_run_again_it_is_shown_at_once_and_another_question_or_again_trains_anew(monkeypatch):
    first = teach()
    with monkeypatch.context() as patch:
        patch.setattr(models, "chat", lambda *_, **__: pytest.fail("the answers are kept"))
        second = teach()
    assert second.training.reused and second.film.stage.scene["words"] == first.film.stage.scene["words"]
    assert not door.teach(make_tiny_base(), "And who else?", steps=5, every=2).training.reused
    assert not teach(again=True).training.reused and teach().training.reused
    second.film.stage.values = {"step": 9}
    assert second.film.stage.said == "step 9 is not recorded: choose 0 to 5."


def test_the_slider_scales_the_update_and_leaves_it_as_trained():
    taught = teach()
    held_out = [tasks.encode(taught.base.tokenizer, e) for e in tasks.load_task("persona").held_out[: door.JUDGED]]
    stage = taught.scales()
    assert stage.scene["stops"] == [0, 0.25, 0.5, 0.75, 1] and stage.values == {"scale": 1}
    for n, scale in enumerate(stage.scene["stops"]):
        lora.set_scale(taught.base.model, scale)
        assert taught.answers[n] == models.chat(taught.base, Q, 8)
        assert taught.losses[n] == pytest.approx(held_out_loss(taught.base.model, held_out), rel=1e-4)
    lora.set_scale(taught.base.model, 1)
    assert taught.answers[0] == taught.film.answers["0"] != taught.answers[4] == taught.film.answers["5"]
    assert taught.losses[4] < taught.losses[0]
    taught.scales()
    assert {layer.scaling for _, layer in lora.lora_layers(taught.base.model)} == {door.ALPHA / door.RANK}
    told = stage.still()[1].split("\n")
    assert told[0] == f"You: {Q}" and len(told) == 6
    assert told[1].startswith(f"Scale 0 (the base alone), loss {taught.losses[0]:.2f}: ")
    assert told[5].startswith(f"Scale 1 (as trained), loss {taught.losses[4]:.2f}: ")
    stage.values = {"scale": 0.3}
    assert stage.said == "scale 0.3 has no answer here: choose 0, 0.25, 0.5, 0.75, 1."


def test_another_question_is_asked_of_both_and_trains_nothing(monkeypatch, capsys):
    taught, asked = teach(), "And who pays for the oil?"
    with monkeypatch.context() as patch:
        patch.setattr(door.training, "train", lambda *_, **__: pytest.fail("nothing is trained"))
        taught.ask(asked)
        box = taught.chat(asked)
        taught.ask()
    base, adapted = make_tiny_base(), models.chat(taught.base, asked, 8)
    lines = [
        f"The base: {shown(models.chat(base, asked, 8))}",
        f"With the adapter: {shown(adapted)}",
    ]
    *said, sentence = capsys.readouterr().out.splitlines()
    assert said[-3:] == [f"You: {asked}", *lines] and sentence.startswith("Write a question between quotes: ")
    assert [one["question"] for one in box.turns] == [Q, Q, asked, asked]
    assert [one["answer"] for one in box.turns[2:]] == [line.partition(": ")[2] for line in lines]


def test_a_scale_that_fails_leaves_the_adapter_as_trained(monkeypatch):
    taught = teach()

    def fail(*_, **__):
        raise RuntimeError("no")

    monkeypatch.setattr(door.evaluation, "held_out_loss", fail)
    with pytest.raises(RuntimeError):
        taught.scales()
    assert {layer.scaling for _, layer in lora.lora_layers(taught.base.model)} == {door.ALPHA / door.RANK}


def test_what_is_kept_is_what_was_trained_and_nothing_is_overwritten(capsys):
    taught = teach()
    folder, second = taught.keep(), taught.keep()
    assert (folder.name, second.name) == ("wick", "wick-2")
    said = capsys.readouterr().out
    assert re.search(rf"^Yours: adapters/wick/adapter_model.safetensors, {door.megabytes(folder):.1f} MB$", said, re.M)
    assert f'In a terminal: lora-lessons ask adapters/wick "{Q}"' in said
    kept, layers = read_adapter(folder), dict(lora.lora_layers(taught.base.model))
    assert kept.A.keys() == layers.keys() and kept.origin == "lesson 00"
    assert all(torch.equal(kept.B[name], layer.lora_B) for name, layer in layers.items())


def test_an_answer_that_was_damaged_on_disk_is_not_shown(tmp_path):
    whole = teach()
    (file,) = (tmp_path / "cache" / "runs").glob("door-*/answers.json.gz")
    data, draw = file.read_bytes(), random.Random(0)
    assert door._kept(file) == whole.film.answers
    for _ in range(100):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= draw.randrange(1, 256)
        file.write_bytes(changed)
        assert door._kept(file) in ({}, whole.film.answers)


def test_a_page_without_a_kernel_plays_every_stop_that_was_measured():
    taught = teach()
    for stage, name in ((taught.film.stage, "door"), (taught.scales(), "door_scales")):
        kept = stage._repr_mimebundle_()[0][SCENE]
        assert (kept["name"], kept["kind"], kept["note"]) == (name, "stage", recorded_on())
        state = json.loads(json.dumps(kept))["state"]
        assert state["scene"]["stops"] == stage.scene["stops"] and state["scene"]["words"] == stage.scene["words"]
        assert [mark["kind"] for mark in state["scene"]["marks"]] == [mark["kind"] for mark in stage.scene["marks"]]
        assert state["values"] == state["answered"] == stage.values and state["axis"] == stage.axis
        assert base64.b64decode(state["backdrop"]["png"]["base64"]).startswith(b"\x89PNG")
        assert state["scene"]["backdrop"] == state["backdrop"]["id"]
    assert kept["answers"]["unheld"] == {"scale": "This is a recording: it has stops from 0 to 1; use the slider."}
