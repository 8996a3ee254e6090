"""The course's widget modules for the site: wrapped, unchanged, as classic scripts, each with its style beside it.

A page that is opened from a disk may not import a module; a classic script it may load.
"""

from __future__ import annotations

from pathlib import Path

from ...course.on_the_web import Kind
from ...files import write_text

EXPORT = "export default { render };"


def write_kind(into: Path, name: str, kind: Kind) -> None:
    """Write kind.NAME.js, the module and what answers it in place of Python, and kind.NAME.css to a folder."""
    answers = [_read(kind.answers)] if kind.answers else []
    write_text(into / f"kind.{name}.js", "\n".join([wrapped(name, _read(kind.esm)), *answers]))
    write_text(into / f"kind.{name}.css", _read(kind.css) if kind.css else "")


def wrapped(name: str, module: str) -> str:
    """A widget's module as a classic script that hands its `render` to the host. Raises ValueError where it has none."""
    before, export, after = module.rpartition(EXPORT)
    if not export or after.strip() or "import " in before:
        raise ValueError(
            f"the module of {name} must end in {EXPORT!r} and import nothing, so that a page can run it from a disk."
        )
    return f'(() => {{\n{before}\n(globalThis.lora_lessons_widgets ??= {{}})["{name}"] = {{ render }};\n}})();\n'


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
