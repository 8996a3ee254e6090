"""Files and folders that a command is given: absolute from the door on, since kernels and workers start in other folders."""

from __future__ import annotations

import os
from pathlib import Path

from ..paths import expanded

# Variables that hold a path and are read by the processes that a command starts, too.
VARIABLES = (
    "LORA_LESSONS_ROOT",
    "LORA_LESSONS_CACHE",
    "LORA_LESSONS_PROGRESS",
    "LORA_LESSONS_BASE_GGUF",
    "HF_HOME",
    "HF_HUB_CACHE",
)


def place(text: str | Path) -> Path:
    """A file or a folder that may be there or not, as an absolute path."""
    return expanded(text).absolute()


def place_or_name(text: str) -> str:
    """A file or a folder that is here, as an absolute path; any other text as it stands: embedded, a hub id, a shape's name."""
    return str(place(text)) if place(text).exists() and not _means_a_model(text) else text


def notebook_or_name(text: str) -> str:
    """The path of a notebook, made absolute; a lesson's name or number as it stands."""
    return str(place(text)) if text.endswith(".ipynb") else text


def shown(path: Path) -> Path:
    """A path as it is said: from the working folder on where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def make_variables_absolute() -> None:
    """A relative path in one of VARIABLES means the folder that the command was started in, for its processes as well."""
    for name in VARIABLES:
        if given := os.environ.get(name):
            os.environ[name] = str(place(given))


def _means_a_model(text: str) -> bool:
    """Whether `text` names a model even where a file has the same name."""
    from .. import models

    return text in (models.EMBEDDED, models.EMBEDDED_NAME, *models.SHAPES)
