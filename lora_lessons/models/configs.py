"""A model's config.json, looked at before a library builds anything of it: sizes that no model has would fill the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelError, first_line
from ..files import check_readable

# No model that transformers knows has more of any: the largest have 126 blocks, 512 experts and 262,144 tokens.
MOST_BLOCKS, MOST_EXPERTS, LARGEST = 1_000, 10_000, 2**31
# How configs of different families call the number of their blocks.
BLOCKS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers")


def read_config(folder: Path) -> dict[str, Any]:
    """What `folder`/config.json says. Raises ModelError where it is damaged, or has sizes that no model has.

    And PermissionError where this user may not read it, or what lies beside it.
    """
    file = folder / "config.json"
    check_readable(folder)
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(said, dict) or not isinstance(said.get("model_type"), str):
        raise ModelError(f"{file} could not be read (it names no model_type): fetch it again.")
    stop_tokens(folder)
    check_sizes(said, str(file))
    return said


def stop_tokens(folder: Path) -> list[int]:
    """The ids of the tokens that end an answer, by `folder`/generation_config.json; [] where it names none.

    Raises ModelError where that file is damaged, or names what is no token's id.
    """
    file = folder / "generation_config.json"
    if not file.is_file():
        return []
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(said, dict):
        raise ModelError(f"{file} could not be read (it holds no settings by name): fetch it again.")
    given = said.get("eos_token_id")
    stops = given if isinstance(given, list) else [] if given is None else [given]
    for stop in stops:
        if type(stop) is not int or not 0 <= stop < LARGEST:
            raise ModelError(
                f"{file} says eos_token_id = {repr(stop)[:40]}, which is no token's id: give the id of the token that "
                "ends an answer, or take the line out."
            )
    return stops


def check_sizes(said: Mapping[str, Any], source: str) -> None:
    """Raise ModelError, naming the first size in the config `said` that no model has."""
    for name, size in _sizes(said):
        most = MOST_BLOCKS if name in BLOCKS else MOST_EXPERTS if "experts" in name else LARGEST
        if abs(size) > most:
            shown = f"{size:,}" if abs(size) < 10**18 else "a number of more than 18 digits"
            raise ModelError(f"{source} says {name} = {shown}, and no model has more than {most:,}: fetch it again.")


def _sizes(said: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number in a config with the name it stands under."""
    if isinstance(said, Mapping):
        for key, value in said.items():
            yield from _sizes(value, str(key))
    elif isinstance(said, list):
        for value in said:
            yield from _sizes(value, name)
    elif isinstance(said, int) and not isinstance(said, bool):
        yield name, said
