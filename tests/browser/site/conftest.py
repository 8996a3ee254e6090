"""A visitor of the site who can reach nothing but it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import served

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def home(site: Path) -> Iterator[str]:
    """The address of the whole site."""
    with served(site) as address:
        yield address


class Visitor:
    """A page of the site in a window of its own; whatever it asks for elsewhere is refused and counts as a fault."""

    def __init__(self, browser: Any, home: str, size: dict[str, int], dark: bool) -> None:
        self.home, self.faults = home, []  # type: str, list[str]
        scheme, phone = "dark" if dark else "light", size == PHONE
        self.context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=phone)
        self.context.route("**/*", self._gate)
        self.page = self.context.new_page()
        self.page.set_default_timeout(180_000)
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _gate(self, route: Any) -> None:
        if route.request.url.startswith((f"{self.home}/", "data:", "blob:")):
            route.continue_()
        else:
            self.faults.append(f"asked for {route.request.url}")
            route.abort()

    def go(self, name: str) -> Any:
        """Open a page of the site, such as lessons/01_low_rank.html, until it is loaded."""
        self.page.goto(f"{self.home}/{name}")
        return self.page


@pytest.fixture
def visit(browser: Any, home: str) -> Iterator[Any]:
    """A function that opens a page of the site in a window of its own; no window may have had a fault."""
    visitors: list[Visitor] = []

    def visitor(name: str, size: dict[str, int] = DESKTOP, dark: bool = False, at: str = home) -> Visitor:
        visitors.append(Visitor(browser, at, size, dark))
        visitors[-1].go(name)
        return visitors[-1]

    yield visitor
    for one in visitors:
        one.context.close()
    assert [fault for one in visitors for fault in one.faults] == []
