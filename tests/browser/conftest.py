"""Real JupyterLab in a real browser: a Chromium found or fetched, the course's own `lab` command, a page to work in.

Screenshots are kept in $LORA_LESSONS_SCREENSHOTS, or in a temporary folder that is named at the end.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import zmq
from filelock import FileLock
from jupyter_core.paths import jupyter_runtime_dir
from PIL import Image

WITHOUT = "LORA_LESSONS_WITHOUT_CHROMIUM"  # set: as if there were none
TOKEN = "a-token-for-the-tests-alone"
NOT_OURS = (
    "img.shields.io",
    "colab.research.google.com",
    "ERR_NAME_NOT_RESOLVED",
    "ERR_INTERNET_DISCONNECTED",
    # JupyterLab's debugger asks a kernel how it stands, and the kernel is restarted before it answers.
    "Could not restore the debugger state: Canceled future",
)
UNDER_ITS_MARKS = """holder => {
    const img = holder.querySelector(".picture img"), style = getComputedStyle(img);
    const [inner, marks] = [img, holder.querySelector(".picture svg")].map((e) => e.getBoundingClientRect());
    return ["borderWidth", "padding"].every((one) => style[one] === "0px") && style.filter === "none"
        && ["left", "top", "width", "height"].every((side) => Math.abs(inner[side] - marks[side]) < 1);
}"""
_skipped: list[str] = []
_kept: list[Path] = []


def chromiums() -> Iterator[str]:
    """Paths of a Chromium to try: named, Playwright's own, the system's; then fetched by Playwright or, as root,
    by apt."""
    if os.environ.get(WITHOUT):
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    tried = set()

    def there() -> Iterator[str]:
        names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        for path in (os.environ.get("LORA_LESSONS_CHROMIUM"), own, *map(shutil.which, names)):
            if path and path not in tried and Path(path).is_file():
                tried.add(path)
                yield path

    yield from there()
    apt = shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0
    for command in (
        [sys.executable, "-m", "playwright", "install", "chromium"],
        *([["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "chromium"]] if apt else []),
    ):
        with FileLock(Path(tempfile.gettempdir()) / "lora-lessons-chromium.lock"):  # one worker fetches, others wait
            found = list(there())
            if not found:
                print(f"No Chromium yet: {' '.join(command[-3:])} …", file=sys.stderr, flush=True)
                quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                with suppress(OSError, subprocess.TimeoutExpired):
                    subprocess.run(
                        command, **quiet, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}, timeout=300
                    )
                found = list(there())
        yield from found


@contextmanager
def a_browser() -> Iterator[Any]:
    """A headless Chromium: the first that starts; None where there is none."""
    from playwright.sync_api import Error, sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    for path in chromiums():
        with sync_playwright() as playwright:
            try:
                running = playwright.chromium.launch(executable_path=path, args=flags, timeout=120_000)
            except Error as error:  # such as a library that it lacks
                print(f"{path} does not start: {error.message.splitlines()[0]}", file=sys.stderr)
                continue
            try:
                yield running
            finally:
                running.close()
            return
    yield None


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: what went wrong is in the visitor's console."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a server on loopback hands out a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# Not session-wide: while Playwright runs, no test in this process can start an event loop, as papermill's do.
@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the browser tests are skipped, and the summary says so in capitals."""
    with a_browser() as running:
        if running is None:
            _skipped.append("no Chromium was found or could be fetched")
            pytest.skip("THE BROWSER TESTS DID NOT RUN: install Chromium, or name one in LORA_LESSONS_CHROMIUM.")
        yield running


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end, where nobody can miss it, that there was no browser; else where its screenshots are."""
    for why in sorted(set(_skipped)):
        terminalreporter.section("THE BROWSER TESTS DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(f"{why}: the widgets and JupyterLab are untested here.")
    for folder in [] if _skipped else _kept:
        terminalreporter.line(f"Screenshots: {folder}")


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`lora-lessons lab` as a learner starts it, in a folder of its own."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


class Lab:
    """A JupyterLab on loopback with the learner's copies of the lessons."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notebooks, self.address = folder, folder / "my_lessons", ""

    def __enter__(self) -> Lab:
        command = [
            sys.executable,
            "-m",
            "lora_tools.cli",
            "lab",
            "--",
            "--no-browser",
            "--port",
            "0",  # any that is free: one that is chosen here is another's by the time that JupyterLab opens it
            "--allow-root",
            "--LabApp.expose_app_in_browser=True",
        ]
        if os.name == "posix" and len(f"{jupyter_runtime_dir()}/kernel-{uuid.uuid4()}-ipc-5") <= zmq.IPC_PATH_MAX_LEN:
            # On TCP the other worker, or the browser, now and then takes one of the five
            # ports that a kernel was promised.
            command.append("--KernelManager.transport=ipc")
        self.log = open(self.folder / "lab.log", "w")
        environment = os.environ | {"JUPYTER_TOKEN": TOKEN, "LORA_LESSONS_PROGRESS": str(self.folder / "progress.json")}
        # JupyterLab keeps these at home, and cannot read what the other worker's is just writing.
        environment |= {f"JUPYTERLAB_{what}_DIR": str(self.folder / what) for what in ("WORKSPACES", "SETTINGS")}
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self.log, stderr=self.log, env=environment)
        for _ in range(1200):
            said = re.search(r"http://127\.0\.0\.1:\d+(?=/lab)", (self.folder / "lab.log").read_text(encoding="utf-8"))
            self.address = said[0] if said else ""
            try:
                if said:  # it says its address a moment before it listens
                    self.ask("/api").close()
                    return self
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.5)
        self.__exit__()
        pytest.fail("JupyterLab did not start:\n" + (self.folder / "lab.log").read_text(encoding="utf-8"))

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.log.close()

    def ask(self, path: str, method: str = "GET") -> Any:
        """The server's answer to a request of its REST interface."""
        request = urllib.request.Request(
            self.address + path, method=method, headers={"Authorization": f"token {TOKEN}"}
        )
        return urllib.request.urlopen(request, timeout=120)

    def shut_down(self, name: str) -> None:
        """End the kernel of the notebook `name`, if it has one."""
        with self.ask("/api/sessions") as answer:
            ids = [session["id"] for session in json.load(answer) if session["path"] == f"{name}.ipynb"]
        for one in ids:
            self.ask(f"/api/sessions/{one}", "DELETE").close()

    def write(self, name: str, *sources: str) -> Path:
        """A notebook with these code cells among the learner's copies."""
        path = self.notebooks / f"{name}.ipynb"
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kind = {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "language_info": {"name": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kind), path)
        return path


class Lesson:
    """One notebook open in one page, driven as a learner drives it."""

    def __init__(self, browser: Any, lab: Lab, name: str, kernel: bool = True) -> None:
        self.lab, self.name, self.console = lab, name, []  # type: Lab, str, list[str]
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(120_000)
        self.page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.goto(f"{lab.address}/lab/workspaces/{re.sub(r'[^a-z0-9]', '', name)}/tree/{name}.ipynb?token={TOKEN}")
        self.page.wait_for_selector(".jp-Notebook-cell", timeout=120_000)
        if not kernel:
            self.page.wait_for_function("() => jupyterapp.shell.currentWidget?.context?.isReady")
            return
        ready = (
            "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
        )
        self.page.wait_for_function(ready, timeout=120_000, polling=250)

    def __enter__(self) -> Lesson:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()
        self.lab.shut_down(self.name)

    def command(self, name: str, seconds: int = 300) -> None:
        """One of JupyterLab's commands, until it has ended."""
        self.start(name)
        self.ended(name, seconds)

    def start(self, name: str) -> None:
        """Begin one of JupyterLab's commands."""
        script = """name => {
            window.ended = "";
            jupyterapp.commands.execute(name).then(() => window.ended = "well", (e) => window.ended = String(e));
        }"""
        self.page.evaluate(script, name)

    def ended(self, name: str, seconds: int) -> None:
        """Wait for the command that was started last."""
        self.page.wait_for_function("() => window.ended", timeout=1000 * seconds, polling=100)
        how = self.page.evaluate("() => window.ended")
        assert how == "well", f"{name}: {how}"

    def run_all(self, seconds: int = 3000) -> None:
        """Run → Run All Cells; ends when the last cell has run."""
        self.command("notebook:run-all-cells", seconds)

    def restart(self, name: str = "kernelmenu:restart", seconds: int = 300) -> None:
        """Kernel → Restart Kernel …, or another command that restarts it, with a yes to its question."""
        self.start(name)
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.ended(name, seconds)

    def saved(self) -> Any:
        """The notebook as saved now, as a dict."""
        self.command("docmanager:save")
        return json.loads((self.lab.notebooks / f"{self.name}.ipynb").read_text(encoding="utf-8"))

    def errors(self) -> list[str]:
        """Every error output and everything on stderr in the saved notebook, and the console's errors that are ours."""
        found = [line for line in self.console if not any(word in line for word in NOT_OURS)]
        for number, cell in enumerate(self.saved()["cells"], 1):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    found.append(f"cell {number}: {output['ename']}: {output['evalue']}")
                if output.get("name") == "stderr":
                    found.append(f"cell {number}, stderr: {''.join(output['text'])}")
        return found

    def stage(self, number: int = 0) -> Stage:
        """The notebook's widget of that number, scrolled into view and drawn."""
        found = self.page.locator(".stage").nth(number)
        found.scroll_into_view_if_needed()
        stage = Stage(self.page, found)
        stage.settle()
        return stage


class Stage:
    """A widget on the page: its controls, its words, its picture."""

    def __init__(self, page: Any, root: Any) -> None:
        self.page, self.root = page, root

    def control(self, name: str) -> Any:
        return self.root.locator(f"[data-name={name}]")

    def box(self, name: str) -> Any:
        return self.root.locator(f"[data-typed={name}]")

    def typed(self, name: str, text: str) -> None:
        """Type a value into the box of a slider or number, and press Enter."""
        self.typed_only(name, text)
        self.settle()

    def typed_only(self, name: str, text: str) -> None:
        """The same, where nobody may answer."""
        self.box(name).fill(text)
        self.box(name).press("Enter")

    def chosen(self, name: str, option: str) -> None:
        """Choose from a list."""
        self.control(name).select_option(option)
        self.settle()

    def pressed(self, name: str, *keys: str) -> None:
        """Press keys on a control."""
        self.control(name).focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def dragged(self, name: str, share: float) -> None:
        """Drag a slider's thumb with the mouse to `share` (0 … 1) of its way, over several places on it."""
        box, at, top = (
            self.control(name).bounding_box(),
            *self.control(name).evaluate("e => [e.value, e.max].map(Number)"),
        )
        x = [box["x"] + 8 + (box["width"] - 16) * part for part in (at / top, (at / top + share) / 2, share)]
        y = box["y"] + box["height"] / 2
        self.page.mouse.move(x[0], y)
        self.page.mouse.down()
        for to in x[1:]:
            self.page.mouse.move(to, y, steps=4)
        self.page.mouse.up()
        self.settle()

    def settle(self) -> None:
        """Wait until Python has answered and the picture stands."""
        self.page.wait_for_function(
            "e => e.dataset.settled === 'true'", arg=self.root.element_handle(), timeout=120_000
        )

    @property
    def axis(self) -> str:
        """The control that moves along the scene's stops in the page."""
        return self.root.get_attribute("data-axis")

    @property
    def words(self) -> str:
        return self.root.locator(".words").text_content()

    @property
    def asleep(self) -> str:
        """What stands above the controls while no kernel answers."""
        return self.root.locator(".asleep").text_content()

    @property
    def said(self) -> str:
        return self.root.locator(".said").text_content()

    def picture(self) -> np.ndarray:
        """The picture as the learner sees it: height × width × 3 levels of 0 … 255."""
        png = io.BytesIO(self.root.locator(".picture").screenshot())
        return np.asarray(Image.open(png).convert("RGB"))

    def canvas(self) -> np.ndarray:
        """Every pixel of the canvas: height × width × (red, green, blue)."""
        png = base64.b64decode(self.root.locator("canvas").evaluate("c => c.toDataURL().split(',')[1]"))
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def marks(self, tag: str) -> list[dict[str, str]]:
        """The attributes and the text of every mark of that kind in the picture."""
        script = (
            "all => all.map(e => ({text: e.textContent, ...Object.fromEntries([...e.attributes].map(a => [a.name, "
            "a.value]))}))"
        )
        return self.root.locator(f"svg {tag}").evaluate_all(script)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept as artefacts."""
    given = os.environ.get("LORA_LESSONS_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    _kept.append(folder)
    return folder


@pytest.fixture
def open_lesson(browser: Any, lab: Lab) -> Iterator[Any]:
    """A function that opens a notebook of the learner's folder; its page and kernel end with the test."""
    with ExitStack() as opened:
        yield lambda name, kernel=True: opened.enter_context(Lesson(browser, lab, name, kernel))
