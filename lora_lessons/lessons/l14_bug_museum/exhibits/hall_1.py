"""Hall 1, the adapter itself: its scale, its start, its targets, its rate."""

from __future__ import annotations

from ..exhibit import Exhibit

EXHIBITS: tuple[Exhibit, ...] = (
    Exhibit(
        id="14.1",
        title="Fine with PEFT, wild in my own code",
        symptoms=(
            "my own loader gives gibberish, PEFT answers well",
            "same adapter file, other answers in my own code",
            "the adapter is far too strong after I load it",
            "the model overreacts after merging by hand",
        ),
        suspect="α/r is missing: the update is B·A without its scale.",
        noticed="Compare logits with PEFT's on one prompt, or print the size of the update: it must be α/r times B·A.",
        behind="Blaizzy/mlx-vlm#986 (α without /r)",
    ),
)
