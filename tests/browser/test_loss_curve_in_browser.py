"""The live loss curve in a real JupyterLab: it grows in its place, and the saved notebook keeps its last picture."""

from __future__ import annotations

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
live.EVERY, live.SHARE = 0.3, 1.0
model = make_tiny_model()
lora.attach(model, r=4)
model.register_forward_pre_hook(lambda *_: time.sleep(0.5))"""
CELL = "run = training.train(model, make_examples(), SHORT, on_step=live.LossCurve())"
NOW = "() => [...document.querySelectorAll('figure img')].map(e => e.alt)"


def test_the_curve_grows_in_its_place_and_is_kept(lab, open_lesson, screenshots):
    lab.write("curve", SETUP, CELL)
    lesson = open_lesson("curve")
    lesson.start("notebook:run-all-cells")
    seen, until = [], time.monotonic() + 90
    while not lesson.page.evaluate("() => window.ended") and time.monotonic() < until:
        pictures = lesson.page.evaluate(NOW)
        assert len(pictures) <= 1, "one picture, drawn anew"
        seen += [words for words in pictures if words not in seen]
        lesson.page.wait_for_timeout(60)
    lesson.ended("notebook:run-all-cells", 60)
    assert len(seen) >= 3 and seen[0].startswith("The loss is ") and seen[0].endswith(" at step 1 of 6."), seen
    (last,) = lesson.page.evaluate(NOW)
    assert last.endswith(" at step 6.")
    picture = lesson.page.locator("figure img")
    assert picture.evaluate("e => e.decode().then(() => e.naturalWidth)") > 600
    picture.screenshot(path=screenshots / "loss_curve.png")
    (stored,) = [o for o in lesson.saved()["cells"][1]["outputs"] if "text/html" in o.get("data", {})]
    assert last in "".join(stored["data"]["text/html"]), "who opens it without a kernel sees the whole curve"
    assert lesson.errors() == []
