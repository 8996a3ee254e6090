"""The live loss curve in a real JupyterLab: it grows in its place, and the saved notebook keeps its last picture."""

import re
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SETUP = f"""import os, sys, tempfile, time
sys.path.insert(0, {str(TESTS)!r})
os.environ["LORA_LESSONS_CACHE"] = tempfile.mkdtemp()  # nothing is there to be shown at once
from short_run import SHORT, make_examples
from tiny import make_tiny_model
from lora_lessons import lora, training
from lora_lessons.course import begin, live
begin("curve")
live.EVERY, live.SHARE = 0.0, 1e6  # every step is drawn, and stays until it was seen
model = make_tiny_model()
lora.attach(model, r=4)
curve = live.LossCurve()
def slowly(story):
    curve(story)
    time.sleep(0.5)
    until = time.monotonic() + 60
    while not os.path.exists(f"drawn-{{len(story.losses)}}") and time.monotonic() < until:
        time.sleep(0.05)"""
CELL = "run = training.train(model, make_examples(), SHORT, on_step=slowly)"
NOW = "() => [...document.querySelectorAll('figure img')].map(e => e.alt)"


def test_the_curve_grows_in_its_place_and_is_kept(lab, open_lesson, screenshots):
    lab.write("curve", SETUP, CELL)
    lesson = open_lesson("curve")
    lesson.start("notebook:run-all-cells")
    seen, until = [], time.monotonic() + 600
    while not lesson.page.evaluate("() => window.ended") and time.monotonic() < until:
        pictures = lesson.page.evaluate(NOW)
        assert len(pictures) <= 1, "one picture, drawn anew"
        for words in pictures:
            if words not in seen:
                seen.append(words)
                step = re.search(r"at step (\d+)(?: of 6)?\.$", words)[1]
                (lab.notebooks / f"drawn-{step}").touch()
        lesson.page.wait_for_timeout(60)
    lesson.ended("notebook:run-all-cells", 600)
    assert len(seen) == 6 and seen[0].startswith("The loss is ") and seen[0].endswith(" at step 1 of 6."), seen
    (last,) = lesson.page.evaluate(NOW)
    assert last.endswith(" at step 6.")
    picture = lesson.page.locator("figure img")
    assert picture.evaluate("e => e.decode().then(() => e.naturalWidth)") > 600
    picture.screenshot(path=screenshots / "loss_curve.png")
    (stored,) = [o for o in lesson.saved()["cells"][1]["outputs"] if "text/html" in o.get("data", {})]
    assert last in "".join(stored["data"]["text/html"]), "who opens it without a kernel sees the whole curve"
    assert lesson.errors() == []
