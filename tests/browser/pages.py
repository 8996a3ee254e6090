"""What a page of the site costs its reader: bytes, and milliseconds until it is there and until its first widget moves
(`make bench`).

Every page is opened in Chromium on a desktop and on a phone, each time with nothing cached and with no network but this
machine's own server. Files count as GitHub Pages sends them, compressed. What is over a budget is marked.
"""

import gzip
import sys
from pathlib import Path
from typing import Any

from conftest import a_browser, served

from lora_lessons.machine import machine

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
MOST_BYTES, MOST_MS = 600_000, 1_000
# Nobody listens there: whatever a page asks of another machine fails at once.
NO_NETWORK = {"server": "http://127.0.0.1:9", "bypass": "127.0.0.1"}
WIDGET = ".live-widget"
DRAWN = f"() => document.querySelector('{WIDGET}').dataset.life === 'live'"
LOADED = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"


def opened(browser: Any, address: str, page: str, size: str) -> tuple[int, float, float, list[str]]:
    """Open one page with nothing cached: bytes, ms until it is loaded, ms until its first widget is live,
    and what it asked for elsewhere."""
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, proxy=NO_NETWORK)
    tab, came, elsewhere = context.new_page(), list[Any](), list[str]()
    tab.on("response", lambda one: came.append(one))  # Playwright marks its handlers
    tab.on("requestfailed", lambda asked: elsewhere.append(asked.url))
    tab.goto(f"{address}/{page}", wait_until="load")
    tab.wait_for_load_state("networkidle")
    weight, begun = sum(len(gzip.compress(one.body(), 6)) for one in came), tab.evaluate("() => performance.now()")
    ms, widget = tab.evaluate(LOADED), 0.0
    if tab.locator(WIDGET).count():
        tab.locator(WIDGET).first.scroll_into_view_if_needed()
        tab.wait_for_function(DRAWN, timeout=30_000)
        widget = tab.evaluate("() => performance.now()") - begun
    context.close()
    return weight, ms, widget, elsewhere


def main(site: Path) -> int:
    """Print the table, the heaviest first; 1 where there is no site or no browser to measure in."""
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    with a_browser() as browser, served(site) as address:
        if browser is None or not pages:
            print("Nothing was measured: it needs a Chromium and a site, which `make site` writes.", file=sys.stderr)
            return 1
        opened(browser, address, pages[0], "desktop")  # the browser's own first steps count for nobody
        rows = [(*opened(browser, address, page, size), page, size) for page in pages for size in SIZES]
    print(f"{machine()}; {len(pages)} pages of {site}")
    print(f"{'page':<44}{'size':<9}{'kB':>7}{'ms':>7}{'widget ms':>11}")
    for weight, ms, widget, elsewhere, page, size in sorted(rows, reverse=True):
        over = weight > MOST_BYTES or max(ms, widget) > MOST_MS or elsewhere
        mark = f"  OVER {' '.join(elsewhere)}".rstrip() if over else ""
        print(f"{page:<44}{size:<9}{weight / 1e3:>7.0f}{ms:>7.0f}{widget:>11.0f}{mark}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(*sys.argv[1:] or ["course-report/site"])))
