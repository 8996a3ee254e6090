"""What lesson 11 says of a guide's title: what was shown, and what was not tested.

For each claim of the page: a sentence, and what the records make of the claim. None is “not what we saw”.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...course.claims import NOT_TESTED, claim
from ...experiments import sizes


@claim(
    "G18",
    "11_formats",
    says="(a guide's title) GGUF, GPTQ, AWQ, EXL2: which to use, and exporting a fine-tuned adapter to each",
    written_for=NOT_TESTED,
    at_sizes=sizes.at_sizes("8 bits cost nothing"),
    sentence="A title claims nothing, so there is nothing to judge. Three of the four formats were tried; EXL2 needs "
    "a GPU, and none was here. The three, and HQQ, were written from one merged adapter, loaded back by a real program "
    "and measured: {formats.files} files in {formats.loaded} formats. Use the one that your program loads.",
)
def g18(measured: Mapping[str, Any]) -> str | None:
    return NOT_TESTED if measured["formats.loaded"] >= 4 and measured["formats.exl2"] == "published" else None
