"""The page “symptom → suspects”: notebooks/symptoms.md, its tables ready for phones and for the filter above them."""

from __future__ import annotations

import html
import re
from collections.abc import Collection

from ...paths import course_root
from . import lessons

# the words that `lora-lessons symptom` takes for one: the page brings them, unseen
_ALIKE = re.compile(r"^<!-- alike: (.+) -->\n", re.M)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.M)


def page(places: Collection[str]) -> str:
    """The page as MyST, beside the notebooks at `places`."""
    text = (course_root() / "notebooks" / f"{lessons.SYMPTOMS}.md").read_text(encoding="utf-8")
    text = re.sub(r'^<a id="([\w-]+)"></a>$', r"(\1)=", text, flags=re.M)  # an anchor as Sphinx knows it
    alike = html.escape(",".join(_ALIKE.findall(text)))
    text = _ALIKE.sub("", text)
    text = _TABLE.sub(lambda table: f'<div class="symptoms" data-alike="{alike}">\n\n{table[0]}\n</div>\n', text)
    return lessons.linked(text, lessons.SYMPTOMS, places)
