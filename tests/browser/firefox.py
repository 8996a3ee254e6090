"""A headless Firefox, spoken to over WebDriver BiDi: no driver beside it, one WebSocket."""

import itertools
import json
import re
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websocket import WebSocket, create_connection

FIREFOXES = ("firefox-esr", "firefox")
STARTS_IN = 60  # seconds


class Firefox:
    """One page of a Firefox with a profile of its own."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.ask("session.new", capabilities={})
        self._page = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command. Raises AssertionError with what Firefox says against it."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            heard = json.loads(self._socket.recv())
            if heard.get("id") == number:
                assert heard["type"] == "success", heard
                return dict(heard["result"])

    def size(self, width: int, height: int) -> None:
        """Give the page a window of this size."""
        self.ask("browsingContext.setViewport", context=self._page, viewport={"width": width, "height": height})

    def go(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self.ask("browsingContext.navigate", context=self._page, url=url, wait="complete")

    def value(self, expression: str) -> Any:
        """What an expression gives: a string, a number, a truth or null; a promise is waited for."""
        target = {"context": self._page}
        said = self.ask("script.evaluate", expression=expression, target=target, awaitPromise=True, userActivation=True)
        assert said["type"] == "success", said["exceptionDetails"]["text"]
        return said["result"].get("value")

    def until(self, expression: str, seconds: float) -> None:
        """Wait until an expression is true. Raises AssertionError after so many seconds."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"not within {seconds} s: {expression}"
            time.sleep(0.25)

    def photograph(self, path: Path) -> None:
        """A screenshot of what is in view."""
        path.write_bytes(b64decode(self.ask("browsingContext.captureScreenshot", context=self._page)["data"]))


@contextmanager
def a_firefox(folder: Path) -> Iterator[Firefox | None]:
    """A Firefox whose profile lies in `folder`; None where there is none, or it does not start."""
    program = next(filter(None, map(shutil.which, FIREFOXES)), None)
    if program is None:
        yield None
        return
    (folder / "profile").mkdir()
    log = folder / "firefox.log"
    with open(log, "w") as said:
        command = [
            program,
            "--headless",
            "--no-remote",
            "--profile",
            folder / "profile",
            "--remote-debugging-port",
            "0",
        ]
        running = subprocess.Popen([*map(str, command), "about:blank"], stdout=said, stderr=said, env=None)
    try:
        address = _address(log, running)
        yield Firefox(create_connection(f"{address}/session", timeout=300, suppress_origin=True)) if address else None
    finally:
        running.terminate()
        running.wait(30)


def _address(log: Path, running: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + STARTS_IN
    while running.poll() is None and time.monotonic() < end:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.2)
    return ""
