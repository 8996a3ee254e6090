"""Where things lie: the course's own folder, the cache, what was measured once."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def package() -> Path:
    """The folder of this very package; its parent goes on PYTHONPATH for a Python that is to find it."""
    return Path(__file__).resolve().parent


def course_root() -> Path:
    """The course's folder, which holds notebooks/ and data/: $LORA_LESSONS_ROOT, this checkout, or above the working folder.

    Raises FileNotFoundError where there is none.
    """
    places = [package().parent, Path.cwd(), *Path.cwd().parents]
    if given := os.environ.get("LORA_LESSONS_ROOT"):
        places = [Path(given)]
    for place in places:
        if (place / "notebooks").is_dir() and (place / "data").is_dir():
            return place
    raise FileNotFoundError(
        f"the course's notebooks/ and data/ are not in {places[0]}: "
        "run inside the cloned course, or set LORA_LESSONS_ROOT to it."
    )


def cache_dir() -> Path:
    """Where the base model and finished training runs are kept: $LORA_LESSONS_CACHE or the user's cache folder."""
    return Path(os.environ.get("LORA_LESSONS_CACHE") or platformdirs.user_cache_dir("lora-lessons", appauthor=False))


def measurements() -> Path:
    """data/measurements/: what was measured once and is quoted as *recorded*."""
    return course_root() / "data" / "measurements"
