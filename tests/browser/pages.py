"""What a page of the site costs its reader: bytes, seconds until it is there,
and until its first widget moves (`make bench`).

Every page is opened in Chromium on a desktop and on a phone, each time with nothing cached and with no network but this
machine's own server, which compresses as GitHub Pages does. A budget that is exceeded is marked; it fails nothing.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from conftest import a_browser

from lora_lessons.machine import machine

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
MOST_BYTES, MOST_MS = 600_000, 1_000
# Nobody listens there: whatever a page asks of another machine fails at once.
NO_NETWORK = {"server": "http://127.0.0.1:9", "bypass": "127.0.0.1"}
WIDGET = ".live-widget"
DRAWN = f"() => document.querySelector('{WIDGET}').dataset.life === 'live'"
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
THROUGH = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += innerHeight / 2) {
        scrollTo(0, y);
        await new Promise((next) => setTimeout(next, 60));
    }
}"""


class Opened(NamedTuple):
    """One page at one size."""

    page: str
    size: str
    bytes: int  # until it stood still
    ms: float  # from the click to its load event
    widget_ms: float | None  # from the first widget's coming into sight to its being live; None where there is none
    whole_bytes: int  # with everything that scrolling through it brings
    elsewhere: list[str]  # addresses outside the site that it asked for

    @property
    def over(self) -> bool:
        """Whether it costs more than a page may."""
        slow = self.ms > MOST_MS or (self.widget_ms or 0) > MOST_MS
        return slow or self.bytes > MOST_BYTES or bool(self.elsewhere)


class _Compressing(SimpleHTTPRequestHandler):
    """Serves files, what is text compressed."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if path.suffix not in (".html", ".js", ".css", ".svg", ".json", ".txt") or not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        for name, value in (("Type", self.guess_type(str(path))), ("Encoding", "gzip"), ("Length", str(len(body)))):
            self.send_header(f"Content-{name}", value)
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, *_: Any) -> None:
        """A benchmark prints its table alone."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which a folder is served while the block runs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Compressing, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def opened(browser: Any, address: str, page: str, size: str) -> Opened:
    """Open one page with nothing cached, wait for its first widget, and scroll through it."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, proxy=NO_NETWORK)
    tab = context.new_page()
    network, fetched, elsewhere = context.new_cdp_session(tab), list[int](), list[str]()
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda about: fetched.append(about["encodedDataLength"]))
    ours = (address, "data:", "blob:")
    tab.on("request", lambda asked: None if asked.url.startswith(ours) else elsewhere.append(asked.url))
    tab.goto(f"{address}/{page}", wait_until="load")
    tab.wait_for_load_state("networkidle")
    ms, first, widget_ms = tab.evaluate(LOADED), sum(fetched), None
    if tab.locator(WIDGET).count():
        begun = tab.evaluate("() => performance.now()")
        tab.locator(WIDGET).first.scroll_into_view_if_needed()
        tab.wait_for_function(DRAWN, timeout=30_000)
        # one in the first screen was live before anybody scrolled
        widget_ms = max(0.0, tab.evaluate("() => performance.now()") - begun)
    tab.evaluate(THROUGH)
    tab.wait_for_load_state("networkidle")
    context.close()
    return Opened(page, size, first, ms, widget_ms, sum(fetched), elsewhere)


def table(rows: list[Opened]) -> str:
    """The worst first; what is over its budget is marked."""
    lines = [f"{'page':<44}{'size':<9}{'kB':>7}{'ms':>7}{'widget ms':>11}{'kB, scrolled through':>22}"]
    for row in sorted(rows, key=lambda one: (one.over, one.bytes / MOST_BYTES + one.ms / MOST_MS), reverse=True):
        widget = "" if row.widget_ms is None else f"{row.widget_ms:.0f}"
        mark = f"  OVER {' '.join(row.elsewhere)}".rstrip() if row.over else ""
        kilobytes = f"{row.bytes / 1e3:>7.0f}{row.ms:>7.0f}{widget:>11}{row.whole_bytes / 1e3:>22.0f}"
        lines.append(f"{row.page:<44}{row.size:<9}{kilobytes}{mark}")
    over = sum(row.over for row in rows)
    lines.append(
        f"{over} of {len(rows)} over {MOST_BYTES / 1e6} MB or {MOST_MS / 1e3:.0f} s; medians: "
        f"{statistics.median(row.bytes for row in rows) / 1e3:.0f} kB, "
        f"{statistics.median(row.ms for row in rows):.0f} ms."
    )
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Print the table; 1 where there is no site or no browser to measure in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, nargs="?", default=Path("course-report/site"), help="its folder")
    parser.add_argument("--only", default="", metavar="WORD", help="pages whose path holds it")
    said = parser.parse_args(words)
    pages = sorted(path.relative_to(said.site).as_posix() for path in said.site.rglob("*.html"))
    pages = [page for page in pages if said.only in page]
    if not pages:
        print(f"No page to open in {said.site}: `make site` writes the site.", file=sys.stderr)
        return 1
    with a_browser() as browser, served(said.site) as address:
        if browser is None:
            print(
                "No Chromium: nothing was measured. Install one, or name it in LORA_LESSONS_CHROMIUM.", file=sys.stderr
            )
            return 1
        opened(browser, address, pages[0], "desktop")  # the browser's own first steps count for nobody
        rows = [opened(browser, address, page, size) for page in pages for size in SIZES]
    print(f"{machine()}; {len(pages)} pages of {said.site}")
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
