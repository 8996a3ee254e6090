"""What a run kept with a notebook's outputs: found by name, as the site's host plays it; what is damaged is said."""

import json

import nbformat
import pytest

from lora_lessons import lessons
from lora_lessons.course.lesson import lessons as notebooks
from lora_lessons.course.on_the_web import SCENE, played
from lora_lessons.experiments import mixer_answers
from workshop.site import widgets

KEPT = {
    "00_start_here": {"door", "door_scales", "chat_box"},
    "03_train_lora": {"chat_box"},
    "05_rank_and_alpha": {"six_runs"},
    "06_quantization": {"sixteen_marks"},
    "09_adapters": {"mixer"},
}
LARGEST = 60_000  # bytes of a scene


@pytest.fixture(scope="module", autouse=True)
def rooms():
    lessons.rooms()


def shown(*scenes):
    """A notebook with one cell, which shows a still for each scene; None: a still without one."""
    new = nbformat.v4
    outputs = [
        new.new_output("display_data", {"text/html": f"<p>still {n}</p>"} | ({SCENE: scene} if scene else {}))
        for n, scene in enumerate(scenes)
    ]
    stream = new.new_output("stream", text="ready.\n")
    return new.new_notebook(
        cells=[new.new_markdown_cell("# 00"), new.new_code_cell("show()", outputs=[stream, *outputs])]
    )


def scene(name, **more):
    return played(name, "chat_box", {"turns": []}, [{"question": "Why?", "adapter": True, "answer": "Tide."}]) | more


def test_scenes_are_found_by_name_as_the_host_wants_them():
    found = widgets.found(shown(scene("chat"), None, scene("other")), "00_lesson")
    assert list(found) == ["chat", "other"]
    assert found["chat"].keys() == {"kind", "note", "state", "answers"}
    assert found["chat"]["answers"]["rows"][0]["answer"] == "Tide."
    assert widgets.found(shown(None), "00_lesson") == {} == widgets.found(shown("no scene"), "00_lesson")


@pytest.mark.parametrize(
    "scenes, said",
    [
        (lambda: [scene("chat"), scene("chat")], "two scenes named 'chat'"),
        (lambda: [scene("chat", kind="organ")], "of the kind 'organ'"),
        *(
            (
                lambda part=part: [{name: of for name, of in scene("chat").items() if name != part}],
                f"the scene 'chat' that 00_lesson keeps has no {part}: run `lora-lessons run 00",
            )
            for part in ("kind", "note", "state", "answers")
        ),
    ],
)
def test_a_scene_that_cannot_be_played_is_refused(scenes, said):
    with pytest.raises(ValueError, match=said):
        widgets.found(shown(*scenes()), "00_lesson")


def test_a_scene_can_be_put_on_any_page_with_its_still():
    page = widgets.mount_scene(shown(None, scene("chat"), scene("other")), "00_lesson", "chat")
    assert "still 1" in page and "still 2" not in page and "Tide." in page and "live-widget" in page
    with pytest.raises(ValueError, match="00_lesson keeps no scene named 'door': run `lora-lessons run 00_lesson"):
        widgets.mount_scene(shown(None), "00_lesson", "door")


def test_the_lessons_keep_what_the_site_plays_and_it_is_small():
    for path in notebooks():
        notebook = nbformat.read(path, as_version=4)
        found = widgets.found(notebook, path.stem)
        assert found.keys() == KEPT.get(path.stem, set()), path.stem
        for name, file in found.items():
            assert len(json.dumps(file)) < LARGEST, name
            assert file["note"].startswith(("Recorded on 20", "Your browser works")), name


def test_the_doors_film_tells_what_its_still_tells():
    """The scene and the still of one output come from one run: every answer of the still is a stop's answer."""
    notebook = nbformat.read(notebooks()[0], as_version=4)
    found = widgets.found(notebook, "00_start_here")
    for name, axis in (("door", "step"), ("door_scales", "scale")):
        words = found[name]["state"]["scene"]["words"]
        stops = found[name]["state"]["scene"]["stops"]
        assert len(words) == len(stops) and found[name]["state"]["values"][axis] == stops[-1]
        still = next(
            output for cell in notebook.cells for output in cell.get("outputs", []) if widgets.name_of(output) == name
        )
        told = still.metadata["image/png"]["alt"]
        answers = {one.rpartition("\nModel")[2].partition(": ")[2] for one in words}
        assert answers and all(answer in told for answer in answers), name


def test_the_mixer_plays_every_answer_that_was_recorded():
    (path,) = (one for one in notebooks() if one.stem == "09_adapters")
    played_there = widgets.found(nbformat.read(path, as_version=4), path.stem)["mixer"]["answers"]["rows"]
    kept = mixer_answers.recorded()["rows"]
    assert [(one["question"], one["answer"]) for one in played_there] == [
        (one["question"], one["answer"]) for one in kept
    ]
