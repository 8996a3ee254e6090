"""The host's two files for the site: the course's widget modules wrapped, unchanged, as classic scripts, and their styles.

A page that is opened from a disk may not import a module; a classic script it may load.
"""

from __future__ import annotations

from pathlib import Path

from ...course.on_the_web import KINDS

THEME = Path(__file__).with_name("theme")
EXPORT = "export default { render };"


def script() -> str:
    """theme/widgets.js, every kind of widget that the rooms have named, and what answers it in place of Python."""
    parts = [_read(THEME / "widgets.js")]
    for name, kind in KINDS.items():
        parts.append(wrapped(name, _read(kind.esm)))
        parts += [_read(kind.answers)] if kind.answers else []
    return "\n".join(parts)


def style() -> str:
    """The kinds' styles as JupyterLab has them, then theme/widgets.css."""
    return "\n".join([*(_read(kind.css) for kind in KINDS.values() if kind.css), _read(THEME / "widgets.css")])


def wrapped(name: str, module: str) -> str:
    """A widget's module as a classic script that hands its `render` to the host. Raises ValueError where it has none."""
    before, export, after = module.rpartition(EXPORT)
    if not export or after.strip() or "import " in before:
        raise ValueError(f"the module of {name} must end in {EXPORT!r} and import nothing, so that a page can run it from a disk.")
    return f'(() => {{\n{before}\n(globalThis.lora_lessons_widgets ??= {{}})["{name}"] = {{ render }};\n}})();'


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
