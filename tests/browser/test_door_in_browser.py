"""The five-minute door in a real JupyterLab: it moves while it trains, and the sliders change the answer afterwards.

The cells are lesson 00's own. A tiny model stands in for the base, and each step is held back until it was seen.
"""

import json
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tiny import make_tiny_base

from lora_lessons import models
from lora_lessons.course.lesson import lessons
from lora_lessons.lessons.l00 import door

TESTS = Path(__file__).resolve().parents[1]
SETUP = f"""import os, sys, tempfile, time
sys.path.insert(0, {str(TESTS)!r})
os.environ["LORA_LESSONS_CACHE"] = tempfile.mkdtemp()  # nothing is there to be shown at once
from tiny import make_tiny_base
from lora_lessons import models
from lora_lessons.course import begin
from lora_lessons.lessons.l00 import door
begin("door")
models.load = lambda *_, **__: make_tiny_base()
door.STEPS, door.EVERY, door.WORDS, seed = 6, 2, 8, 0
hear = door.Film.hear
def slowly(film, story):
    hear(film, story)
    until = time.monotonic() + 60
    while not os.path.exists(f"seen-{{len(story.losses)}}") and time.monotonic() < until:
        time.sleep(0.05)
door.Film.hear = slowly
measure = door.evaluation.held_out_loss
def slowly_measured(*given, **more):
    time.sleep(0.5)
    return measure(*given, **more)
door.evaluation.held_out_loss = slowly_measured"""
IN_VIEW = """() => {
    const words = document.querySelector(".stage .words"), { x, top, bottom } = words.getBoundingClientRect();
    return [top + 3, bottom - 3].every((y) => words.contains(document.elementFromPoint(x + 5, y)));
}"""
ASKING = "() => document.body.innerText.match(/Asking at scale [\\d.]+: \\d of 5/)?.[0] ?? ''"
NOW = "() => document.querySelector('.stage .words')?.textContent ?? ''"


def door_cells() -> list[str]:
    """The cells of lesson 00 that make the door."""
    cells = nbformat.read(lessons()[0], 4).cells
    return [
        c.source
        for c in cells
        if any(verb in c.source for verb in ("door.teach(", "wick.scales()", "wick.chat(", "wick.keep()"))
    ]


def answer_of(words: str) -> str:
    return words.rpartition("\n")[2].partition(": ")[2]


@pytest.fixture
def plain() -> Any:
    """What the untaught tiny model says to the lesson's question."""
    return f"{' '.join(models.chat(make_tiny_base(), door.QUESTION, 8).split())} …"


def test_the_door_moves_while_it_trains_and_its_sliders_change_the_answer(lab, open_lesson, plain, screenshots):
    cells = door_cells()
    assert len(cells) == 4
    lab.write("door", SETUP, *cells)
    lesson = open_lesson("door")
    lesson.page.set_viewport_size({"width": 1440, "height": 900})
    lesson.start("notebook:run-all-cells")
    seen, asking, out_of_view, until = [], set(), [], time.monotonic() + 600
    while not lesson.page.evaluate("() => window.ended") and time.monotonic() < until:
        words = lesson.page.evaluate(NOW).split("\n")[0]
        if words and words not in seen:
            seen.append(words)
            out_of_view += [] if lesson.page.evaluate(IN_VIEW) else [words]
            lesson.page.screenshot(path=screenshots / "door_while_it_trains.png")
            (lab.notebooks / f"seen-{words.split()[1]}").touch()
        asking.add(lesson.page.evaluate(ASKING))
        lesson.page.wait_for_timeout(60)
    lesson.ended("notebook:run-all-cells", 600)
    steps = [int(words.split()[1]) for words in seen]
    assert steps == sorted(steps) and len(steps) >= 6 and steps[-1] == 6, seen
    assert out_of_view == [], "whoever watches it train sees the answer"
    assert len(asking - {""}) >= 3, "while the scales are asked, a line says how far it is"

    film = lesson.stage(0)
    assert film.words.startswith("After 6 of 6 steps, loss ") and film.said == ""
    taught, picture = answer_of(film.words), film.picture()
    film.root.screenshot(path=screenshots / "door_trained.png")
    film.pressed("step", "ArrowLeft")
    assert film.words.startswith("After 5 of 6 steps, loss ") and "(asked after step 4)" in film.words
    film.pressed("step", "Home")
    assert film.words.startswith("After 0 of 6 steps.\n") and answer_of(film.words) == plain != taught
    assert (film.picture() != picture).any()

    scales = lesson.stage(1)
    assert scales.words.startswith("Scale 1 (as trained): loss ") and answer_of(scales.words) == taught
    scales.root.screenshot(path=screenshots / "door_scales.png")
    picture = scales.picture()
    scales.pressed("scale", "Home")
    assert scales.words.startswith("Scale 0 (the base alone): loss ") and answer_of(scales.words) == plain
    assert (scales.picture() != picture).any()
    scales.typed("scale", "0.5")
    assert scales.words.startswith("Scale 0.5: loss ")

    stored = json.dumps(lesson.saved())
    assert (
        "Asking at scale" not in stored and "You, adapter on:" in stored and "lora-lessons ask adapters/wick" in stored
    )
    assert "Yours: adapters/wick" in stored and "Before training: " in stored and "After step 6, loss " in stored
    assert lesson.errors() == []
