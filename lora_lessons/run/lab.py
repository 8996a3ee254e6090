"""The learner's own copies of the lessons, and a JupyterLab that opens without a pop-up."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..course.lesson import lessons, side_trips
from ..course.page_half import SHARED
from ..files import check_readable, lasting_scratch, read_text, write_text
from ..paths import cache_dir, course_root
from ..sums import sha256

MANIFEST = ".origin.json"
# In the manifest of copies without solutions, in place of a notebook: `lab` does not bring them back.
BLANK = "solutions"
# The badge is a broken picture offline, and plain fonts have no stopwatch.
_LEFT_OUT = re.compile(r"\n*\[!\[Open in Colab\]\([^)]*\)\]\([^)]*\)|⏱ ")
_SOLUTION = re.compile(r"\n*<details>\s*<summary>Solution</summary>.*?</details>", re.S)
# No question about news. And widgets are saved with the notebook, so that they are there again the next day.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
}


def copy_lessons(folder: Path, solutions: bool = True) -> Iterator[str]:
    """Bring the lessons, side trips, experiments and pages into `folder`; a learner's work is never replaced.

    New ones are copied, untouched ones updated. A copy carries no outputs: an answer would stand under its question.
    A folder that was filled without `solutions` once stays so.
    Yields a sentence for each lesson copied, updated, or newer in the course than in the learner's work.
    The manifest keeps the SHA-256 of what each copy was when it was made; a damaged one is made anew, and then every
    copy that differs from the course counts as the learner's work.
    """
    manifest = folder / MANIFEST
    try:
        kept = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        kept = None
    origin: dict[str, str] = kept if isinstance(kept, dict) else {}
    solutions = solutions and BLANK not in origin
    if not solutions:
        origin[BLANK] = "left out"
    notebooks = course_root() / "notebooks"
    pages = [*notebooks.glob("experiments/*.ipynb"), *notebooks.glob("*.md")]
    for course in [*lessons(), *side_trips(), *sorted(pages)]:
        name = place(course)
        mine, blank = folder / name, without_outputs(course, solutions)
        now = _digest(blank.encode())
        if not mine.exists():
            yield f"{name}: copied to {folder}."
        elif (content := _found(mine)) == now:
            origin[name] = now
            continue
        elif content == origin.get(name):
            yield f"{name}: the course has a newer version; your copy was untouched and is updated."
        else:
            if origin.get(name) != now:
                yield (
                    f"{name}: the course has a newer version; yours has your work in it and stays. "
                    "Rename it to get the new one."
                )
            continue
        write_text(mine, blank)
        origin[name] = now
    write_text(manifest, json.dumps(origin, indent=1, sort_keys=True) + "\n")


def place(notebook: Path) -> str:
    """Where a notebook of the course lies in a learner's folder, such as deeper/03_directions.ipynb."""
    notebooks = course_root() / "notebooks"
    return notebook.relative_to(notebooks).as_posix() if notebook.is_relative_to(notebooks) else notebook.name


def without_outputs(notebook: Path, solutions: bool = True) -> str:
    """The text of a notebook as a learner gets it: nothing has been run yet,
    and no badge leads away from this machine. Without `solutions`, the folded ones of its exercises are left out."""
    text = read_text(notebook)
    try:
        whole = json.loads(text)
        for cell in whole["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
            else:
                text_of = _LEFT_OUT.sub("", "".join(cell["source"]))
                cell["source"] = (text_of if solutions else _SOLUTION.sub("", text_of)).splitlines(keepends=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        return text  # no notebook: whoever opens it sees that
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _found(mine: Path) -> str:
    """What `mine` holds, by its SHA-256. Raises OSError for a pipe or a device, which may never end."""
    check_readable(mine)
    return sha256(mine)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def jupyter_environment() -> dict[str, str]:
    """Environment for JupyterLab: the course's defaults, its start-up file, and the place where lessons find it.

    The defaults lie in a folder of the course's, read before the user's settings, which stay as they are and win.
    """
    config = _settings_folder()
    known = [str(config), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(known),
        "LORA_LESSONS_ROOT": str(course_root()),
        "PYTHONSTARTUP": str(config / "startup.py"),
    } | _home()


def _home() -> dict[str, str]:
    """A temporary HOME, which is said, where the user's own cannot be written: JupyterLab keeps its state there."""
    try:
        Path.home().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=Path.home()):
            return {}
    except (OSError, RuntimeError) as error:  # RuntimeError: the system knows no home at all
        print(
            f"Your home folder cannot be written ({getattr(error, 'strerror', None) or error}), so JupyterLab's state "
            "lies in a temporary folder until it ends: set HOME to a folder that you may write to, and it is kept.",
            file=sys.stderr,
        )
        return {"HOME": str(lasting_scratch("lab"))}


def _settings_folder() -> Path:
    """A folder with SETTINGS, in the cache; in a temporary one, which is said, where the cache cannot be written."""
    folder = cache_dir() / "jupyter"
    try:
        _write_settings(folder)
    except OSError as error:
        print(
            f"{folder} cannot be written ({error.strerror}), so JupyterLab's settings lie in a temporary folder. What "
            "a lesson trains cannot be kept there either: set LORA_LESSONS_CACHE to a folder that you may write to.",
            file=sys.stderr,
        )
        folder = lasting_scratch("lab")
        _write_settings(folder)
    return folder


def _write_settings(folder: Path) -> None:
    from jupyter_core.paths import jupyter_config_dir

    write_text(folder / "labconfig" / "default_setting_overrides.json", json.dumps(SETTINGS))
    # The widgets' sheet from the first page on, because it turns pictures dark, too; the user's own custom.css wins.
    write_text(folder / "custom" / "custom.css", SHARED.with_suffix(".css").read_text(encoding="utf-8"))
    places = [str(place / "custom") for place in (Path(jupyter_config_dir()), folder)]
    looks = {"LabApp": {"custom_css": True}, "ServerApp": {"tornado_settings": {"static_custom_path": places}}}
    write_text(folder / "jupyter_server_config.json", json.dumps(looks))
    startup = folder / "startup.py"
    write_text(startup, _startup(os.environ.get("PYTHONSTARTUP"), startup))


def _startup(theirs: str | None, ours: Path) -> str:
    """What a kernel of the lab runs first: the user's own start-up file, and the answer to a name that is not there."""
    lines = ["from lora_lessons.run.undefined import answer_undefined_names as _answer", "_answer()", "del _answer"]
    if theirs and Path(theirs) != ours:
        lines.insert(0, f"exec(compile(open({theirs!r}, encoding='utf-8').read(), {theirs!r}, 'exec'))")
    return "\n".join(lines) + "\n"
