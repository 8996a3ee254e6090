"""How soon a slider answers: from the key to the redrawn picture, measured in the page (`make bench`).

From the keydown's own time stamp to the second animation frame after the picture changed. Beside the course's widgets
stands the plain way: the rank explorer's figure kept, saved as PNG into an ipywidgets.Image, moved by an IntSlider.
"""

from __future__ import annotations

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
PLAIN = """import io
import ipywidgets
from lora_lessons import lowrank

B, A = (factor.numpy() for factor in lowrank.factors(lowrank.svd(photo), 300))
kept = lowrank.energy(lowrank.svd(photo).S).tolist()
figure, _ = explorer.rank_explorer_scene(photo, 20, "photograph").still(20)
figure.set_dpi(100)
figure.canvas.draw()
figure.set_layout_engine("none")  # kept, and laid out once: the plain way at its best
left, right = figure.axes
picture, slider = ipywidgets.Image(format="png"), ipywidgets.IntSlider(20, 1, 300)

def move(_=None):
    r = slider.value
    left.images[0].set_data(B[:, :r] @ A[:r])
    left.texts[-1].set_text(f"photograph, rank {r} of 300")
    right.lines[-1].set_data([r], [kept[r - 1]])
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    picture.value = png.getvalue()

move()
slider.observe(move, "value")
ipywidgets.VBox([slider, picture])"""

# A change of the words is one of the picture: both are made in one go. A picture of the plain way counts when decoded.
WATCH = """([control, picture, isImage]) => {
    const seen = () => isImage ? picture.src : picture.textContent;
    let pressed = null, before = null;
    window.times = [];
    control.addEventListener("keydown", (event) => { pressed = event.timeStamp; before = seen(); }, true);
    new MutationObserver(async () => {
        if (pressed === null || seen() === before) return;
        const from = pressed;
        pressed = null;
        if (isImage) await picture.decode();
        requestAnimationFrame(() => requestAnimationFrame(() => window.times.push(performance.now() - from)));
    }).observe(picture, { attributes: true, childList: true, characterData: true, subtree: true });
}"""


def measure(page: Any, control: Any, picture: Any, *, image: bool, stops: int) -> list[float]:
    """Milliseconds of MOVES moves, back and forth over `stops` stops, each begun when the last one is over."""
    page.evaluate(WATCH, [control.element_handle(), picture.element_handle(), image])
    control.focus()
    way = ["ArrowRight"] * (stops - 1) + ["ArrowLeft"] * (stops - 1)
    for n in range(MOVES):
        page.keyboard.press(way[n % len(way)])
        page.wait_for_function("n => window.times.length > n", arg=n, timeout=30_000)
        page.wait_for_timeout(40)
    return page.evaluate("() => window.times")


def main() -> int:
    """Print the table; 1 when there is no browser to measure in."""
    rows = [
        "explorer.rank_explorer({'photograph': photo})",
        "anatomy.layer_anatomy()",
        "fitting.fit()",
    ]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, a_browser() as browser:
        if browser is None:
            print(
                "No Chromium: nothing was measured. Install one, or name it in LORA_LESSONS_CHROMIUM.", file=sys.stderr
            )
            return 1
        with Lab(Path(folder)) as lab:
            lab.write("latency", SETUP, *rows, PLAIN)
            with Lesson(browser, lab, "latency") as lesson:
                lesson.run_all()
                page = lesson.page
                for number, row in enumerate(rows):
                    stage, name = lesson.stage(number), row.partition(".")[2].partition("(")[0]
                    axis = "seq" if name == "fit" else "r"
                    asks = {"fit": "r"}.get(name)
                    for control, answers in ((axis, "page"), *([(asks, "kernel")] if asks else [])):
                        stops = 1 + int(stage.control(control).get_attribute("max"))
                        if control == axis:
                            stage.pressed(axis, "Home")
                        else:
                            stage.typed(control, "1")
                        found[f"{name}, {control} ({answers} answers)"] = measure(
                            page, stage.control(control), stage.root.locator(".words"), image=False, stops=stops
                        )
                handle, image = page.locator(".widget-slider .noUi-handle"), page.locator("img.widget-image")
                handle.scroll_into_view_if_needed()
                handle.evaluate("e => { e.dataset.lmSuppressShortcuts = 'true'; }")  # else JupyterLab takes the keys
                plain = measure(page, handle, image, image=True, stops=33)
                if found_errors := lesson.errors():
                    print(*found_errors, sep="\n", file=sys.stderr)
    found["plain way, r (kernel draws a PNG)"] = plain
    print(f"{machine()}; ms from key to redrawn picture, as the page sees it")
    print(f"{'slider':<42}{'median':>8}{'p95':>8}{'n':>5}{'plain/ours, median':>20}{'p95':>7}")
    base = statistics.median(plain), p95(plain)
    for name, times in found.items():
        now = statistics.median(times), p95(times)
        ratios = f"{base[0] / now[0]:>20.1f}{base[1] / now[1]:>7.1f}" if times is not plain else ""
        print(f"{name:<42}{now[0]:>8.0f}{now[1]:>8.0f}{len(times):>5}{ratios}")
    return 0


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    sys.exit(main())
