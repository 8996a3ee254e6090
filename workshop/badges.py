"""The repository's address: pyproject.toml has it, and every badge, set-up cell and link follows."""

from __future__ import annotations

import re
from pathlib import Path

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.files import whole_file
from lora_lessons.paths import course_root
from lora_lessons.run.lab import place

_ON_GITHUB = re.compile(r"https://github\.com/(?P<name>[\w.-]+/[\w.-]+)")
_SET_UP = """# Set-up: does nothing where the course is installed. In Colab it takes about two minutes, once.
import glob, importlib.util, os, runpy, shutil, sys
if importlib.util.find_spec("lora_lessons") is None:
    if not os.path.isdir("lora-lessons"):
        if zips := glob.glob("lora-lessons*.zip"):  # uploaded by hand
            shutil.unpack_archive(zips[0])
            unpacked = [d for d in glob.glob("*lora-lessons*/") if os.path.isdir(d + "notebooks")]
            os.rename(unpacked[0], "lora-lessons")
        else:
            !git clone -q {address}
    runpy.run_path("lora-lessons/lora_lessons/colab.py", run_name="__main__")
    sys.path.insert(0, os.path.abspath("lora-lessons"))"""

_BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{name}/blob/main/notebooks/{notebook})"
)


def address() -> str:
    """The repository's address, from pyproject.toml. Raises ValueError where there is none, or it is not on GitHub."""
    import tomllib

    file = course_root() / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, LookupError) as error:
        raise ValueError(
            f"{file} is not that of a checkout: run it in one, where a fork's address can change."
        ) from error
    return _checked(project.get("urls", {}).get("Repository", ""))


def _checked(address: str) -> str:
    if not _ON_GITHUB.fullmatch(address):
        raise ValueError(f"{address!r} is no repository that Colab can open: give https://github.com/OWNER/NAME.")
    return address


def set_address(new: str) -> list[Path]:
    """Write the address `new` into pyproject.toml, the README, every badge and every set-up cell.

    A notebook without a badge gets one, under its title. Returns the files that changed. Raises ValueError where it is no address on GitHub; nothing is written then.
    """
    old, root, changed = address(), course_root(), []
    # where the old one stands goes last: whoever was stopped before that begins again from it
    for path in (root / "README.md", *lessons(), *side_trips(), root / "pyproject.toml"):
        before = path.read_text(encoding="utf-8")
        after = _addressed(path, before, old, _checked(new))
        if after != before:
            changed.append(path)
            with whole_file(path) as temporary:
                temporary.write_text(after, encoding="utf-8", newline="\n")
    return changed


def _addressed(path: Path, text: str, old: str, new: str) -> str:
    if path.suffix != ".ipynb":
        return text.replace(old, new)
    import nbformat

    notebook = nbformat.reads(text, as_version=4)
    short = {side: _ON_GITHUB.fullmatch(side)["name"] for side in (old, new)}  # type: ignore[index]
    for cell in notebook.cells:
        if "setup" in cell.metadata.get("tags", []):
            cell.source = _SET_UP.format(address=new)
        elif cell.cell_type == "markdown":
            cell.source = cell.source.replace(f"/github/{short[old]}/", f"/github/{short[new]}/")
    if not any("colab-badge" in cell.source for cell in notebook.cells):
        notebook.cells[0].source += "\n\n" + _BADGE.format(name=short[new], notebook=place(path))
    return nbformat.writes(notebook) + "\n"
