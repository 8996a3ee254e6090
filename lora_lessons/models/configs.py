"""Which base is meant, and what its config says before a library builds anything of it.

The one place that decides: the embedded one, a folder, a .gguf file, or a model of the hub.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Literal, NamedTuple

from ..errors import ModelError, first_line
from ..files import check_readable
from ..paths import expanded
from .embedded import EMBEDDED, EMBEDDED_NAME
from .named import NAMED, named

# No model that transformers knows has more of any: the largest have 126 blocks, 16,384 experts,
# heads of 512 and 262,144 tokens.
MOST_BLOCKS, MOST_EXPERTS, MOST_IN_A_HEAD, LARGEST = 1_000, 100_000, 65_536, 2**31
# How configs of different families call the number of their blocks.
BLOCKS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers")
# What every model has at least one of, where its config names it at all; other numbers may be 0, such as a count of
# experts. A window may be 0, as where Qwen's mixtures have none.
AT_LEAST = {
    **dict.fromkeys(BLOCKS, 1),
    "hidden_size": 1,
    "d_model": 1,
    "n_embd": 1,
    "intermediate_size": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "n_head": 1,
    "head_dim": 1,
    "vocab_size": 1,
    "max_position_embeddings": 1,
    "sliding_window": 0,
}


def read_config(folder: Path) -> dict[str, Any]:
    """What `folder`/config.json says. Raises ModelError where it is damaged, or has sizes that no model has.

    And PermissionError where this user may not read it, or what lies beside it.
    """
    file = folder / "config.json"
    check_readable(folder)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("model_type"), str):
        raise ModelError(f"{file} could not be read (it names no model_type): fetch it again.")
    stop_tokens(folder)
    check_sizes(settings, str(file))
    return settings


def stop_tokens(folder: Path) -> list[int]:
    """The ids of the tokens that end an answer, by `folder`/generation_config.json; [] where it names none.

    Without that file config.json says it, as in transformers. Raises ModelError where the first is damaged,
    or names what is no token's id.
    """
    file = folder / "generation_config.json"
    if not file.is_file():
        return _stops_in_config(folder / "config.json")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} could not be read ({first_line(error)}): fetch it again.") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{file} could not be read (it holds no settings by name): fetch it again.")
    given = settings.get("eos_token_id")
    stops = given if isinstance(given, list) else [] if given is None else [given]
    for stop in stops:
        if type(stop) is not int or not 0 <= stop < LARGEST:
            raise ModelError(
                f"{file} says eos_token_id = {repr(stop)[:40]}, which is no token's id: give the id of the token that "
                "ends an answer, or take the line out."
            )
    return stops


def _stops_in_config(file: Path) -> list[int]:
    try:
        given = json.loads(file.read_text(encoding="utf-8"))["eos_token_id"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return []
    stops = given if isinstance(given, list) else [given]
    return [stop for stop in stops if type(stop) is int and 0 <= stop < LARGEST]


def check_sizes(said: Mapping[str, Any], source: str) -> None:
    """Raise ModelError, naming the first size in the config `said` that no model has, or heads that cannot share."""
    for name, size in _sizes(said):
        in_a_head = MOST_IN_A_HEAD if name.endswith("head_dim") else LARGEST
        most = MOST_BLOCKS if name in BLOCKS else MOST_EXPERTS if "experts" in name else in_a_head
        if name in AT_LEAST and (isinstance(size, bool | float) or size < AT_LEAST[name]):
            raise ModelError(
                f"{source} says {name} = {_shown(size)}, and that is a whole number of at least {AT_LEAST[name]}: "
                "fetch it again."
            )
        if abs(size) > most:
            raise ModelError(
                f"{source} says {name} = {_shown(size)}, and no model has more than {most:,}: fetch it again."
            )
        if math.isnan(size):
            raise ModelError(f"{source} says {name} = NaN, which is no number: fetch it again.")
    for level in (said, *(part for part in said.values() if isinstance(part, Mapping))):
        heads, shared = (level.get(name) for name in ("num_attention_heads", "num_key_value_heads"))
        if type(heads) is type(shared) is int and heads % shared:
            raise ModelError(
                f"{source} says num_key_value_heads = {shared:,} of num_attention_heads = {heads:,}, and each of them "
                "serves as many heads as the others: fetch it again."
            )


def _shown(size: float) -> str:
    if isinstance(size, bool | float):
        return str(size)
    return f"{size:,}" if abs(size) < 10**18 else "a number of more than 18 digits"


def _sizes(setting: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every whole number in a config with the name it stands under, what should be one, and NaN."""
    if isinstance(setting, Mapping):
        for key, value in setting.items():
            yield from _sizes(value, str(key))
    elif isinstance(setting, list):
        for value in setting:
            yield from _sizes(value, name)
    elif (
        name in AT_LEAST
        and isinstance(setting, int | float)
        or isinstance(setting, int)
        and not isinstance(setting, bool)
        or isinstance(setting, float)
        and math.isnan(setting)
    ):
        yield name, setting


class Meant(NamedTuple):
    """A base that was named, and what kind of name it was; nothing is fetched or made yet."""

    kind: Literal["embedded", "folder", "gguf", "hub"]
    # The folder or the .gguf file, which of a named base need not be there yet;
    # None for the embedded base and for the hub.
    place: Path | None
    # What to call it: SmolLM2-135M-Instruct, the folder's or file's name, or the hub id.
    name: str


def which(model: str | Path = EMBEDDED, weights: bool = True) -> Meant:
    """The base that `model` names: "embedded", one of NAMED, a folder, a .gguf file, or a hub id "owner/name".

    The embedded base is also meant by the folder in which it lay on another machine: adapters keep such paths. A folder
    must hold config.json and, unless `weights` is False, safetensors. Touches neither the network nor any weights.
    Raises ModelError, which says what is missing and what to give, and OSError for a folder that cannot be read.
    """
    name = str(model)
    place = expanded(model)
    if name in (EMBEDDED, EMBEDDED_NAME) or (_is_path(name) and not place.exists() and _last_part(name) == _FOLDER):
        return Meant("embedded", None, EMBEDDED_NAME)
    if base := named(name):
        return Meant("gguf", base.place, base.title)
    if place.is_dir():
        _check_folder(place, weights)
        return Meant("folder", place, place.absolute().name)
    if place.is_file():
        if place.suffix != ".gguf":
            raise ModelError(
                f"{model} is a file: give the folder with config.json and safetensors that it belongs to, "
                "or a .gguf file."
            )
        return Meant("gguf", place, place.name)
    if is_hub_id(name):
        return Meant("hub", None, name)
    gives = "give a folder with safetensors, a .gguf file, or a hub id such as 'owner/name'"
    if _is_path(name):
        raise ModelError(f"{model} does not exist: {gives}.")
    fetched = f"{', '.join(NAMED)} are fetched by these names"
    raise ModelError(
        f"there is no base called {name!r} here: {gives}; {fetched}, {EMBEDDED!r} is the course's own base."
    )


def is_hub_id(name: str) -> bool:
    """Whether `name` is written as a hub id is, "owner/name", and no file or folder is called so."""
    written = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not name.endswith(".gguf")
    return bool(written) and not expanded(name).exists()


_FOLDER = EMBEDDED_NAME.lower()


def _is_path(name: str) -> bool:
    """Whether `name` looks like a path: a hub id has one slash and no backslash,
    begins with a word and does not end in .gguf."""
    return name.count("/") > 1 or "\\" in name or name.startswith((".", "~", "/")) or name.endswith(".gguf")


def _last_part(name: str) -> str:
    """The last part of a path of any system: Windows' rules know both kinds of slash."""
    return PureWindowsPath(name).name


def _check_folder(folder: Path, weights: bool) -> None:
    check_readable(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: give the folder that holds config.json and *.safetensors.")
    if weights and not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors: pickled weights are not loaded; save the model again as safetensors."
        )
