"""The learner's own copies of the lessons, and a JupyterLab that opens without a pop-up."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..course.lesson import lessons, side_trips
from ..files import whole_file, write_text
from ..paths import cache_dir, course_root

MANIFEST = ".origin.json"


def copy_lessons(folder: Path) -> Iterator[str]:
    """Bring the lessons, side trips and experiments into `folder`; a learner's work is never replaced.

    New ones are copied, untouched ones updated. Yields a sentence for each lesson copied, updated, or newer in the course than in the learner's work.
    The manifest keeps, for each copy, the SHA-256 of the course's notebook it began from.
    """
    manifest = folder / MANIFEST
    try:
        origin: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        origin = {}
    notebooks = course_root() / "notebooks"
    for course in [*lessons(), *side_trips(), *sorted(notebooks.glob("experiments/*.ipynb"))]:
        name = place(course)
        mine, now = folder / name, _digest(course)
        if not mine.exists():
            yield f"{name}: copied to {folder}."
        elif _digest(mine) == now:
            origin[name] = now
            continue
        elif _digest(mine) == origin.get(name):
            yield f"{name}: the course has a newer version; your copy was untouched and is updated."
        else:
            if origin.get(name) != now:
                yield f"{name}: the course has a newer version; yours has your work in it and stays. Rename it to get the new one."
            continue
        with whole_file(mine) as temporary:
            shutil.copyfile(course, temporary)
        origin[name] = now
    write_text(manifest, json.dumps(origin, indent=1, sort_keys=True) + "\n")


def place(notebook: Path) -> str:
    """Where a notebook of the course lies in a learner's folder, such as deeper/03_directions.ipynb."""
    notebooks = course_root() / "notebooks"
    return notebook.relative_to(notebooks).as_posix() if notebook.is_relative_to(notebooks) else notebook.name


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def jupyter_environment() -> dict[str, str]:
    """Environment for JupyterLab: the news question off by default, and the lessons find the course.

    The default lies in a folder of the course's, read before the user's settings, which stay as they are and win.
    """
    config = cache_dir() / "jupyter"
    settings = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    write_text(config / "labconfig" / "default_setting_overrides.json", json.dumps(settings))
    known = [str(config), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join(known), "LORA_LESSONS_ROOT": str(course_root())}
