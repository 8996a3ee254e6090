"""Which base is meant: the embedded one, a folder, a .gguf file, or a model of the hub. The one place that decides."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from typing import Literal, NamedTuple

from ..errors import ModelError
from ..paths import expanded
from .embedded import EMBEDDED, EMBEDDED_NAME


class Meant(NamedTuple):
    """A base that was named, and what kind of name it was; nothing is fetched or made yet."""

    kind: Literal["embedded", "folder", "gguf", "hub"]
    # The folder or the .gguf file; None for the embedded base and for the hub.
    place: Path | None
    # What to call it: SmolLM2-135M-Instruct, the folder's or file's name, or the hub id.
    name: str


def which(model: str | Path = EMBEDDED, weights: bool = True) -> Meant:
    """The base that `model` names: "embedded", SmolLM2-135M-Instruct, a folder, a .gguf file, or a hub id "owner/name".

    The embedded base is also meant by the folder in which it lay on another machine: adapters keep such paths. A folder
    must hold config.json and, unless `weights` is False, safetensors. Touches neither the network nor any weights.
    Raises ModelError, which says what is missing and what to give.
    """
    name = str(model)
    place = expanded(model)
    if name in (EMBEDDED, EMBEDDED_NAME) or (_is_path(name) and not place.exists() and _last_part(name) == _FOLDER):
        return Meant("embedded", None, EMBEDDED_NAME)
    if place.is_dir():
        _check_folder(place, weights)
        return Meant("folder", place, place.absolute().name)
    if place.is_file():
        if place.suffix != ".gguf":
            raise ModelError(
                f"{model} is a file: give the folder with config.json and safetensors that it belongs to, or a .gguf file."
            )
        return Meant("gguf", place, place.name)
    if is_hub_id(name):
        return Meant("hub", None, name)
    gives = "give a folder with safetensors, a .gguf file, or a hub id such as 'owner/name'"
    if _is_path(name):
        raise ModelError(f"{model} does not exist: {gives}.")
    raise ModelError(f"there is no base called {name!r} here: {gives}; {EMBEDDED!r} is the course's own base.")


def is_hub_id(name: str) -> bool:
    """Whether `name` is written as a hub id is, "owner/name", and no file or folder is called so."""
    written = re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name) and not name.endswith(".gguf")
    return bool(written) and not expanded(name).exists()


_FOLDER = EMBEDDED_NAME.lower()


def _is_path(name: str) -> bool:
    """More than a hub id's one slash, or how only a path or a file name looks."""
    return name.count("/") > 1 or "\\" in name or name.startswith((".", "~", "/")) or name.endswith(".gguf")


def _last_part(name: str) -> str:
    """The last part of a path of any system: Windows' rules know both kinds of slash."""
    return PureWindowsPath(name).name


def _check_folder(folder: Path, weights: bool) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: give the folder that holds config.json and *.safetensors.")
    if weights and not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors: pickled weights are not loaded; save the model again as safetensors."
        )
