"""What commands are given and give back: files and folders, lists of values, and the exit status."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from lora_lessons.paths import expanded

# Variables that hold a path and are read by the processes that a command starts, too.
VARIABLES = (
    "LORA_LESSONS_ROOT",
    "LORA_LESSONS_CACHE",
    "LORA_LESSONS_PROGRESS",
    "LORA_LESSONS_BASE_GGUF",
    "HF_HOME",
    "HF_HUB_CACHE",
)


def absolute_path(text: str | Path) -> Path:
    """A file or a folder that may be there or not, as an absolute path that goes up nowhere: new/../mine is mine.

    Raises typer.BadParameter for an empty text, as a shell makes it of a variable that is not set.
    """
    if not str(text):
        raise typer.BadParameter("it is empty: give a path, or . for this folder.")
    path = expanded(text).absolute()
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:  # links that lead round and round: resolve() would raise an error of its own
            raise
    return path.resolve() if ".." in path.parts else path


def path_or_name(text: str) -> str:
    """A file or a folder that is here, as an absolute path; any other text as it stands: embedded, a hub id,
    a shape's name."""
    return str(absolute_path(text)) if absolute_path(text).exists() and not _means_a_model(text) else text


def notebook_or_name(text: str) -> str:
    """The path of a notebook, made absolute; a lesson's name or number as it stands."""
    return str(absolute_path(text)) if text.endswith(".ipynb") else text


def check_page(file: Path) -> None:
    """Raise FileExistsError where a page would take the place of a file that is none, such as the one that is read."""
    page = not file.exists()
    if file.is_file():
        with file.open("rb") as there:
            page = _PAGE.startswith(there.read(len(_PAGE)).lower())
    if not page:
        raise FileExistsError(f"{shown(file)} exists and is no page: choose another name for --html.")


@contextmanager
def in_switches() -> Iterator[None]:
    """What the library asks for in Python's words is asked for by the command's switch."""
    try:
        yield
    except FileExistsError as error:
        if error.errno is not None:
            raise
        raise FileExistsError(str(error).replace("pass overwrite=True", "add --overwrite")) from error


# How every page of ours begins.
_PAGE = b"<!doctype html>"


def shown(path: Path) -> Path:
    """A path as it is said: from the working folder on where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def make_variables_absolute() -> None:
    """A relative path in one of VARIABLES means the folder that the command was started in,
    for its processes as well."""
    for name in VARIABLES:
        if given := os.environ.get(name):
            os.environ[name] = str(absolute_path(given))


def _means_a_model(text: str) -> bool:
    """Whether `text` names a model even where a file has the same name."""
    from lora_lessons import models

    return text in (models.EMBEDDED, models.EMBEDDED_NAME, *models.SHAPES) or models.named(text) is not None


def names(text: str) -> list[str]:
    """The parts of "q_proj, v_proj"; an empty text has none."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(option: str, text: str, kind: type[int] | type[float] = float) -> list[Any]:
    """The numbers of "4e-3,1e-3", or the whole ones of "1,2,4".
    Raises ValueError naming the option when a part is none."""
    try:
        return [kind(part) for part in names(text)]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{option} {text!r}: give {what}, separated by commas.") from None


# Every verb ends with one of these, and in all of them a number says the same.
EXIT_OK = 0
# It was done, and the answer is no.
EXIT_NO = 1
# What was given cannot be; the sentence says what to give.
EXIT_USER = 2
# What was given can be, and could not be done: here, or now, or all of it.
EXIT_FAILED = 3
EXIT_INTERRUPTED = 130
# What 0 and 1 say of the verbs that answer yes or no; every other verb was done, or was not.
ANSWERS = {
    "plan": ("it fits, or there is no card to compare with", "it does not fit"),
    "check": ("every line can be used", "some lines cannot be used, or ask what is held out"),
    "inspect": ("nothing is wrong with the adapter", "something is wrong with it (✗)"),
    "symptom": ("a suspect fits well", "none fits well"),
    "claims": ("the recorded runs bear out every verdict", "they do not"),
    "run": ("the lessons measured what was recorded", "a lesson measured something else"),
}


def exit_status(verb: str) -> str:
    """What the exit status of `verb` says, as its --help ends."""
    yes, no = ANSWERS.get(verb, ("done", ""))
    answers = f"0 {yes}; 1 {no}" if no else f"0 {yes}"
    return (
        f"Exit status: {answers}; {EXIT_USER} what was given cannot be; {EXIT_FAILED} it could not be done here, or "
        f"not all of it; {EXIT_INTERRUPTED} it was stopped."
    )
