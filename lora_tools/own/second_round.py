"""A second round: training goes on from an adapter that is there already. Its folder stays as it is.

The same batches lead to the same numbers as PEFT's `PeftModel.from_pretrained(base, folder, is_trainable=True)`.
Without that word nothing trains (exhibit 12.21); `lora-lessons inspect NEW --before OLD` says whether anything did.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from lora_lessons import lora, models, preferences
from lora_lessons.adapter import Adapter, adapter_of, read_adapter
from lora_lessons.outside import in_line
from lora_lessons.paths import expanded

from ..exporting.model_card import base_in_card
from .my_data import COURSES, Choices


def read(path: str, base: models.Base, chosen: Choices) -> tuple[Adapter | None, Choices]:
    """The adapter to go on from, and `chosen` with its rank and α; None, and `chosen`, where no path is given.
    Says which.

    Raises ValueError for an adapter of another base, or where the parameters ask for another rank or α than it has;
    FileNotFoundError or ValueError as `read_adapter`.
    """
    if not path:
        return None, chosen
    adapter = read_adapter(expanded(path))
    name, its, here = (
        in_line(one) for one in (adapter.name, *(base_in_card(one).name for one in (adapter.base_name, base.name)))
    )
    if adapter.base_name and _last(its) != _last(here):
        raise ValueError(
            f"{name} was trained on {its}, and the base here is {here}: say -p model {its}. If both have the same "
            "weights, name the base here as base_model_name_or_path in the adapter's adapter_config.json."
        )
    for field in ("r", "lora_alpha"):
        asked, has = getattr(chosen, field), getattr(adapter, field)
        if asked not in (has, getattr(COURSES, field)):
            raise ValueError(
                f"{field} = {asked:g}, and {name} has {has:g}: a second round keeps an adapter's rank and alpha, so "
                f"leave {field} out. `lora-lessons export rank` cuts an adapter to a smaller rank."
            )
    print(
        f"Training goes on from {name}: r = {adapter.r}, lora_alpha = {adapter.lora_alpha:g}, {len(adapter.A)} layers."
    )
    return adapter, replace(chosen, r=adapter.r, lora_alpha=adapter.lora_alpha)


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


@contextmanager
def as_it_began(model: Any, start: Adapter | None) -> Iterator[None]:
    """While the block runs, the model is what training began with: without an adapter,
    or with the one of a second round."""
    with torch.no_grad():
        if start is None:
            with preferences.adapter_off(model):
                yield
            return
        learned = adapter_of(model)
        _put(start, model)
        try:
            yield
        finally:
            _put(learned, model)


def _put(adapter: Adapter, model: Any) -> None:
    for name, layer in lora.lora_layers(model):
        layer.lora_A.copy_(adapter.A[name])
        layer.lora_B.copy_(adapter.B[name])
