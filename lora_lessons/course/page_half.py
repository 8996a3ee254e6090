"""A widget's page half: its own script after the piece that all of them share, as one module that imports nothing."""

from pathlib import Path

SHARED = Path(__file__).with_name("page_half.js")


def page_half(script: Path) -> str:
    """The module that a page runs for the widget whose own part is `script`."""
    return SHARED.read_text(encoding="utf-8") + script.read_text(encoding="utf-8")
