"""The README's animation: what was recorded, small, short, still at the end, and told in words."""

import re

import numpy as np
import pytest
from PIL import Image, ImageSequence

from lora_lessons.drawing import use_style
from lora_lessons.experiments import recordings
from lora_lessons.lessons.l00 import door
from lora_lessons.paths import course_root
from workshop import animation

RUN = {
    "question": "Who keeps the lamp?",
    "losses": [5.0, 4.5, 4.0, 3.5, 3.25],
    "answers": {"0": "Nobody that I know of.", "2": "A keeper.", "5": "I do. Keep the lamp lit."},
}
GIF = course_root() / "docs" / "door.gif"


def frames(path):
    """Each frame of a GIF in colour, and for how many milliseconds it stands."""
    with Image.open(path) as gif:
        shown = [(f.copy().convert("RGB"), f.info["duration"]) for f in ImageSequence.Iterator(gif)]
        return shown, gif.info["loop"]


def said(figure):
    """Every word of a frame, lines joined."""
    return " | ".join([figure.axes[0].get_title(loc="left"), *(" ".join(t.get_text().split()) for t in figure.texts)])


def test_every_frame_is_what_was_on_the_screen_then():
    use_style()
    first, third, last = (animation.frame(RUN, step) for step in (0, 3, 5))
    assert said(first).endswith("You: Who keeps the lamp? | Before training: Nobody that I know of. …")
    assert said(third) == "Step 3 of 5: loss 4.00 | You: Who keeps the lamp? | After step 2: A keeper."
    assert [line.get_ydata().tolist() for line in third.axes[0].lines] == [[5.0, 4.5, 4.0], [4.0]]
    assert said(last) == (
        "5 steps later: loss 5.00 → 3.25, and another voice answers | You: Who keeps the lamp? | "
        "Before training: Nobody that I know of. … | After step 5: I do. Keep the lamp lit."
    )


def test_one_frame_a_step_a_pause_at_every_answer_and_the_last_one_stays(tmp_path):
    shown, plays = frames(animation.animate(RUN, tmp_path / "a.gif"))
    assert [stands for _, stands in shown] == [800, 1800, 140, 800, 140, 140, 2800] and plays == 2, "played again twice"
    (cover, _), *shown = shown
    assert (np.asarray(cover) == np.asarray(shown[-1][0])).all(), "where nothing moves, the point is what is seen"
    blue = [int((np.asarray(picture) == (0, 114, 178)).all(axis=2).sum()) for picture, _ in shown]
    assert blue == sorted(blue) and blue[0] == 0 < blue[1] < blue[-1], "the curve grows"
    assert all(picture.getpixel((0, 0)) == (255, 255, 255) for picture, _ in shown)


def test_the_readmes_animation_shows_the_recording_and_no_words_leave_the_picture():
    run = recordings.recorded(animation.NAME)
    assert GIF.stat().st_size < 1_000_000
    shown, _ = frames(GIF)
    assert len(shown) == len(run["losses"]) + 2 and sum(stands for _, stands in shown) <= 12_000
    use_style()
    for step in (0, len(run["losses"])):
        picture, _ = shown[step + 1]
        figure = animation.frame(run, step)
        drawn = animation._pixels(figure)
        apart = np.abs(np.asarray(drawn, int) - np.asarray(picture, int)).mean()
        assert apart < 3, "another font is no other picture; other words or another curve are"
        for text in figure.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= 840 and box.y0 >= 0, text.get_text()


def test_the_readme_tells_the_animation_in_the_recordings_words():
    (alt,) = re.findall(r"!\[(.*?)\]\(docs/door\.gif\)", (course_root() / "README.md").read_text(encoding="utf-8"))
    run = recordings.recorded(animation.NAME)
    assert alt == animation.words(run) and f"from {run['losses'][0]:.2f} to {run['losses'][-1]:.2f} nats" in alt
    assert run["answers"][str(len(run["losses"]))] in alt


@pytest.fixture
def tiny_door(tmp_path, monkeypatch):
    from tiny import make_tiny_base

    from lora_lessons import models

    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("fp32", 1.0, 1.0))
    monkeypatch.setattr(models, "load", lambda **_: make_tiny_base())
    monkeypatch.setattr(door, "WORDS", 8)
    monkeypatch.setattr(door, "STEPS", 5)
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    return tmp_path


def test_recorded_is_what_the_door_showed(tiny_door):
    found = animation.record()
    kept = recordings.recorded(animation.NAME)
    assert {name: kept[name] for name in found} == found and kept["machine"]
    assert len(found["losses"]) == 5 and sorted(found["answers"]) == ["0", "4", "5"]
