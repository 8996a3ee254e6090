"""The page of the tools: how to install them, what each says, then README's own part about them."""

from __future__ import annotations

import re

from lora_lessons.files import read_text
from lora_lessons.paths import course_root

from ..badges import address
from .lessons import FOLDER

_TITLE = "## Tools for your own models\n"


def page() -> str:
    """The page as MyST. Raises ValueError where README has no such part."""
    _, title, rest = read_text(course_root() / "README.md").partition(_TITLE)
    if not title:
        raise ValueError(f"README.md has no part {_TITLE.strip()!r}, which the site shows: restore it from git.")
    part = re.sub(r"<!--.*?-->\n?", "", rest.partition("\n## ")[0])
    part = re.sub(r"\]\(notebooks/(\w+\.md)\)", rf"]({FOLDER}/\1)", part)
    part = re.sub(r"\]\((docs/[^)]+)\)", rf"]({address()}/blob/main/\1)", part)
    first = re.sub(r"<!--.*?-->", "", read_text(course_root() / "docs" / "first-look.md"))
    return f"# {_TITLE.removeprefix('## ')}\n{first}\n{part.strip()}"
