"""The six-run game: recorded settings lie face down, a click spends a run; also on the web, where no kernel runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...course.on_the_web import SCENE, kind, recorded_on
from ...course.page_half import page_half

if TYPE_CHECKING:
    from pandas import DataFrame

HERE = Path(__file__).parent
KNOBS = ["learning_rate", "r", "lora_alpha"]
RECIPE = {"learning_rate": 0.004, "r": 8, "lora_alpha": 16.0}  # where the recipe's first three runs lead
STILL = (
    "<p><i>The six-run game: {cards} settings of LoRA lie face down, one card for each rank, α and learning rate. Each "
    "run turns one over and shows its held-out loss, and after six the best card is held against the best of all. "
    "Run the cell to use it.</i></p>"
)


class SixRuns(anywidget.AnyWidget):
    """Cards, each with the losses of its seeds; the page turns them over, and keeps in `runs` what was spent."""

    _esm = page_half(HERE / "six_runs.js")
    _css = HERE / "six_runs.css"
    cards: Any = traitlets.List().tag(sync=True)  # [{"learning_rate", "r", "lora_alpha", "losses": one a seed}, …]
    recipe = traitlets.Int().tag(sync=True)  # the number of the recipe's card
    budget = traitlets.Int(6).tag(sync=True)
    runs: Any = traitlets.List().tag(sync=True)  # the number of the card that each run was spent on

    def __init__(self, cards: list[dict[str, Any]], recipe: int, note: str) -> None:
        super().__init__(cards=cards, recipe=recipe)
        self.note = note

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            state = {name: getattr(self, name) for name in ("cards", "recipe", "budget")} | {"runs": []}
            bundle[0]["text/html"] = STILL.format(cards=len(self.cards))
            bundle[0][SCENE] = {
                "name": "six_runs",
                "kind": "six_runs",
                "note": self.note,
                "state": state,
                "answers": {},
            }
        return bundle


def six_runs(runs: DataFrame) -> SixRuns:
    """The game over `runs`, a row a training run.

    Raises ValueError where the recipe's own setting is not among them.
    """
    cards = []
    for knobs, of_seeds in runs.sort_values("seed").groupby(KNOBS):
        setting = dict(zip(KNOBS, map(float, knobs), strict=True))
        cards.append({**setting, "losses": of_seeds.loss_held_out.tolist()})
    found = [n for n, card in enumerate(cards) if RECIPE.items() <= card.items()]
    if not found:
        raise ValueError(f"the game needs the recipe's own setting, {RECIPE}, among the runs.")
    made = {key: ", ".join(runs.attrs[key]) for key in ("machine", "date")}
    return SixRuns(cards, found[0], f"{recorded_on(made)} The game is played in this page.")


kind("six_runs", HERE / "six_runs.js", HERE / "six_runs.css")
