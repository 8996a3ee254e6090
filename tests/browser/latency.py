"""How soon a slider answers: from the key to the redrawn picture, measured in the page (`make bench`).

From the keydown's own time stamp to the second animation frame after the picture changed.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from conftest import Lab, Lesson, a_browser

from lora_lessons.machine import machine

MOVES = 64
SETUP = """from lora_lessons.course import begin
from lora_lessons.lessons import l01 as explorer
from lora_lessons.lessons import l08 as fitting
from lora_lessons.lessons.l02 import widget as anatomy
begin("latency")
photo = explorer.photograph()"""
ROWS = ("explorer.rank_explorer({'photograph': photo})", "anatomy.layer_anatomy()", "fitting.fit()")
# What is moved: the number of its row, the control, and who answers.
MOVED = ((0, "r", "page"), (1, "r", "page"), (2, "seq", "page"), (2, "r", "kernel"))

# A change of the words is one of the picture: both are made in one go.
WATCH = """([control, picture]) => {
    const seen = () => picture.textContent;
    let pressed = null, before = null;
    window.times = [];
    control.addEventListener("keydown", (event) => { pressed = event.timeStamp; before = seen(); }, true);
    new MutationObserver(() => {
        if (pressed === null || seen() === before) return;
        const from = pressed;
        pressed = null;
        requestAnimationFrame(() => requestAnimationFrame(() => window.times.push(performance.now() - from)));
    }).observe(picture, { childList: true, characterData: true, subtree: true });
}"""


def measure(stage: Any, name: str) -> list[float]:
    """Milliseconds of MOVES moves, back and forth over the stops, each begun when the last one is over."""
    page, control = stage.page, stage.control(name)
    stage.pressed(name, "Home")
    page.evaluate(WATCH, [control.element_handle(), stage.root.locator(".words").element_handle()])
    stops = int(control.get_attribute("max"))
    way = ["ArrowRight"] * stops + ["ArrowLeft"] * stops
    for n in range(MOVES):
        page.keyboard.press(way[n % len(way)])
        page.wait_for_function("n => window.times.length > n", arg=n, timeout=30_000)
        page.wait_for_timeout(40)
    return page.evaluate("() => window.times")


def main() -> int:
    """Print the table; 1 when there is no browser to measure in."""
    with tempfile.TemporaryDirectory() as folder, a_browser() as browser:
        if browser is None:
            print("No Chromium: nothing was measured. Name one in LORA_LESSONS_CHROMIUM.", file=sys.stderr)
            return 1
        with Lab(Path(folder)) as lab:
            lab.write("latency", SETUP, *ROWS)
            with Lesson(browser, lab, "latency") as lesson:
                lesson.run_all()
                found = {(ROWS[n], name, who): measure(lesson.stage(n), name) for n, name, who in MOVED}
                print(*lesson.errors(), sep="\n", file=sys.stderr)
    print(f"{machine()}; ms from key to redrawn picture, as the page sees it")
    for (row, name, who), times in found.items():
        p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
        print(f"{row}, {name} ({who} answers): median {statistics.median(times):.0f}, 95% within {p95:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
