"""The repository's address: pyproject.toml has it, and every badge, set-up cell and link follows."""

from __future__ import annotations

import re
from pathlib import Path

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.files import whole_file
from lora_lessons.paths import course_root
from lora_lessons.run.lab import place

_ON_GITHUB = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
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
    """Write the address `new` into pyproject.toml, the README, CITATION.cff, every badge and every set-up cell.

    A notebook without a badge gets one, under its title. Returns the files that changed. Raises ValueError where it is
    no address on GitHub; nothing is written then.
    """
    old, root, changed = address(), course_root(), []
    in_colab = f"/github/{owner_and_name(old)}/"
    # where the old one stands goes last: whoever was stopped before that begins again from it
    for path in (root / "README.md", *root.glob("*.cff"), *lessons(), *side_trips(), root / "pyproject.toml"):
        before = path.read_text(encoding="utf-8")
        after = before.replace(old, _checked(new)).replace(in_colab, f"/github/{owner_and_name(new)}/")
        if path.suffix == ".ipynb" and "colab-badge" not in after:
            after = _with_badge(after, _BADGE.format(name=owner_and_name(new), notebook=place(path)))
        if after != before:
            changed.append(path)
            with whole_file(path) as temporary:
                temporary.write_text(after, encoding="utf-8", newline="\n")
    return changed


def owner_and_name(address: str) -> str:
    """OWNER/NAME of the repository at `address`."""
    return address.removeprefix("https://github.com/")


def _with_badge(text: str, badge: str) -> str:
    import nbformat

    notebook = nbformat.reads(text, as_version=4)
    notebook.cells[0].source += f"\n\n{badge}"
    return nbformat.writes(notebook) + "\n"
