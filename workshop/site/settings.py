"""What Sphinx is told about the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lora_lessons.course.page_half import SHARED

THEME = Path(__file__).parent / "theme"
COLOURS = SHARED.with_suffix(".css")  # of widgets and pictures
TITLE = "LoRA Lessons"
# Sphinx reads its settings from a file: only then does it know those that the theme adds.
CONF = {"conf.py": f"from {__name__} import settings\n\nglobals().update(settings())\n"}
# Furo's variables that are the same in light and dark; what differs is in site.css.
_COLOURS = {
    "font-stack": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "font-stack--monospace": "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    "font-size--normal": "100%",
}


def settings() -> dict[str, Any]:
    """Sphinx's configuration. Nothing in it names an address that a page would load."""
    return {
        "project": TITLE,
        "html_title": TITLE,
        "language": "en",
        "extensions": ["myst_nb", f"{__package__}.mathml", f"{__package__}.glossary"],
        "source_suffix": {".md": "myst-nb", ".ipynb": "myst-nb"},
        "myst_enable_extensions": ["dollarmath", "html_image"],
        "myst_heading_anchors": 3,
        "myst_dmath_double_inline": True,
        "nb_execution_mode": "off",
        "nb_ipywidgets_js": {},  # else a notebook that keeps its widgets' state loads theirs from other addresses
        "nb_merge_streams": True,
        "nb_output_stderr": "remove",
        "smartquotes": False,  # the prose has the quotes that it wants
        "html_theme": "furo",
        "html_theme_options": {
            "top_of_page_buttons": [],
            "light_css_variables": _COLOURS | {"color-brand-primary": "#0b5394", "color-brand-content": "#0b5394"},
            "dark_css_variables": _COLOURS | {"color-brand-primary": "#7db8f0", "color-brand-content": "#7db8f0"},
        },
        "pygments_style": "a11y-high-contrast-light",
        "pygments_dark_style": "a11y-high-contrast-dark",
        "html_favicon": str(THEME / "favicon.svg"),
        "html_static_path": [str(THEME), str(COLOURS)],
        "html_css_files": [COLOURS.name, *_sheets("css")],
        "html_js_files": _sheets("js"),
        "html_math_renderer": "mathml",
        "html_copy_source": False,
        "html_show_sourcelink": False,
        "html_show_copyright": False,
        "html_show_sphinx": False,
        "html_use_index": False,
        "html_domain_indices": False,
        "html_search_scorer": str(THEME.parent / "scorer.js"),
        "html_permalinks_icon": "#",
    }


def _sheets(kind: str) -> list[str]:
    return sorted(path.name for path in THEME.glob(f"*.{kind}"))
