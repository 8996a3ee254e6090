"""A widget's page half: its own script, or style, after the piece that all of them share; it imports nothing."""

from pathlib import Path

SHARED = Path(__file__).with_name("page_half.js")


def page_half(script: Path) -> str:
    """The module, or the style, of the widget whose own part is `script`."""
    return SHARED.with_suffix(script.suffix).read_text(encoding="utf-8") + script.read_text(encoding="utf-8")
