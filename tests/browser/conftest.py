"""Real JupyterLab in a real browser: a Chromium found or fetched, the course's own `lab` command, a page to work in.

Screenshots are kept in $LORA_LESSONS_SCREENSHOTS, or in a temporary folder that is named at the end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOKEN = "a-token-for-the-tests-alone"
NOT_OURS = ("img.shields.io", "colab.research.google.com", "ERR_NAME_NOT_RESOLVED", "ERR_INTERNET_DISCONNECTED")
_skipped: list[str] = []


def chromium() -> str | None:
    """The path of a Chromium: named, Playwright's own, the system's; else fetched by Playwright or, as root, by apt."""
    from playwright.sync_api import sync_playwright

    def found() -> str | None:
        with sync_playwright() as playwright:
            own = playwright.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
        known = [os.environ.get("LORA_LESSONS_CHROMIUM", ""), own, *(shutil.which(name) or "" for name in names)]
        return next((path for path in known if path and Path(path).is_file()), None)

    getting = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        getting += [["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", "chromium"]]
    path = found()
    while path is None and getting:
        command = getting.pop(0)
        print(f"No Chromium yet: {' '.join(command[-3:])} …", file=sys.stderr, flush=True)
        try:
            subprocess.run(command, capture_output=True, timeout=600, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{command[0]}: {error}", file=sys.stderr)
        path = found()
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the browser tests are skipped, and the summary says so in capitals."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        _skipped.append("no Chromium was found or could be fetched")
        pytest.skip("THE BROWSER TESTS DID NOT RUN: install Chromium, or name one in LORA_LESSONS_CHROMIUM.")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        running = playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        running.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at the end, where nobody can miss it, that there was no browser."""
    for why in _skipped:
        terminalreporter.section("THE BROWSER TESTS DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(f"{why}: the widgets and JupyterLab are untested here.")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`lora-lessons lab` as a learner starts it, in a folder of its own."""
    with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


class Lab:
    """A JupyterLab on loopback with the learner's copies of the lessons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self) -> Lab:
        port = self.address.rpartition(":")[2]
        command = [sys.executable, "-m", "lora_lessons.cli", "lab", "--", "--no-browser", "--port", port, "--allow-root",
                   "--LabApp.expose_app_in_browser=True"]  # fmt: skip
        self.log = open(self.folder / "lab.log", "w")
        environment = os.environ | {"JUPYTER_TOKEN": TOKEN, "LORA_LESSONS_PROGRESS": str(self.folder / "progress.json")}
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self.log, stderr=self.log, env=environment)
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{self.address}/api?token={TOKEN}", timeout=5)
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.5)
        self.__exit__()
        pytest.fail("JupyterLab did not start:\n" + (self.folder / "lab.log").read_text(encoding="utf-8"))

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


class Lesson:
    """One notebook open in one page, driven as a learner drives it."""

    def __init__(self, browser: Any, lab: Lab, name: str) -> None:
        self.lab, self.name, self.console = lab, name, []  # type: Lab, str, list[str]
        self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
        self.page.set_default_timeout(30_000)
        self.page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.page.goto(f"{lab.address}/lab/workspaces/{re.sub(r'[^a-z0-9]', '', name)}/tree/{name}.ipynb?token={TOKEN}")
        self.page.wait_for_selector(".jp-Notebook-cell", timeout=120_000)
        ready = "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
        self.page.wait_for_function(ready, timeout=120_000, polling=250)

    def run_all(self, seconds: int = 600) -> None:
        """The command behind Run → Run All Cells; ends when the last cell has run."""
        start = "() => { window.ran = false; jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.ran = true); }"
        self.page.evaluate(start)
        self.page.wait_for_function("() => window.ran", timeout=1000 * seconds, polling=250)

    def saved(self) -> Any:
        """The notebook as saved now, as a dict."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        return json.loads((self.lab.folder / "my_lessons" / f"{self.name}.ipynb").read_text(encoding="utf-8"))

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
        """The notebook's widget of that number, scrolled into view."""
        found = self.page.locator(".stage").nth(number)
        found.scroll_into_view_if_needed()
        found.locator("svg").wait_for(state="attached")
        return Stage(self.page, found)


class Stage:
    """A widget on the page: its controls, its words, its picture."""

    def __init__(self, page: Any, root: Any) -> None:
        self.page, self.root = page, root

    def control(self, name: str) -> Any:
        return self.root.locator(f"[data-name={name}]")

    def typed(self, name: str, text: str) -> None:
        """Type a value into the box of a slider or number, and press Enter."""
        box = self.root.locator(f"[data-typed={name}]")
        box.fill(text)
        box.press("Enter")
        self.settle()

    def settle(self) -> None:
        """Wait until Python has answered and the picture stands."""
        self.page.wait_for_function("e => e.dataset.answered === 'true'", arg=self.root.element_handle())
        self.page.wait_for_timeout(100)

    @property
    def words(self) -> str:
        return self.root.locator(".words").text_content()

    @property
    def said(self) -> str:
        return self.root.locator(".said").text_content()

    def picture(self) -> bytes:
        return self.root.locator(".picture").screenshot()

    def canvas(self) -> list[int]:
        """Every pixel of the canvas: red, green, blue, alpha, row by row."""
        script = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
        return self.root.locator("canvas").evaluate(script)


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept as artefacts."""
    given = os.environ.get("LORA_LESSONS_SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
