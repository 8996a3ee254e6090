"""Where things lie: the course's own folder, the cache, what was measured once."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import platformdirs


def expanded(path: str | Path) -> Path:
    """`path` with the home folder that ~ means; of a user that this machine does not have, as it stands."""
    return Path(os.path.expanduser(path))


def package() -> Path:
    """The folder of this very package; its parent goes on PYTHONPATH for a Python that is to find it."""
    return Path(__file__).resolve().parent


def is_ours(file: str) -> bool:
    """Whether `file` is code of the course: of this package, or of the tools that stand on it."""
    return any(Path(file).is_relative_to(place) for place in (package(), package().with_name("lora_tools")))


def sources(patterns: Sequence[str]) -> list[Path]:
    """The course's own files that `patterns` name, in a fixed order, for a digest of the code that something rests on.

    A pattern begins at this package, one of the tools' with lora_tools/.

    Raises FileNotFoundError where a pattern names none: a digest of nothing would call old work new.
    """
    files_of = {
        pattern: sorted((package().parent if pattern.startswith("lora_tools/") else package()).glob(pattern))
        for pattern in patterns
    }
    if lacking := [pattern for pattern, files in files_of.items() if not files]:
        raise FileNotFoundError(
            f"{package()} has no file {lacking[0]}, so that what was worked out before cannot be told from what is "
            "out of date: install lora-lessons again, with its sources."
        )
    return [file for files in files_of.values() for file in files]


def course_root() -> Path:
    """The course's folder, which holds notebooks/ and data/.

    $LORA_LESSONS_ROOT; this checkout; the working folder's, or one above it; or what the installed package brought.
    Raises FileNotFoundError where there is none.
    """
    places = [package().parent, Path.cwd(), *Path.cwd().parents, package() / "shipped"]
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
    if given := os.environ.get("LORA_LESSONS_CACHE"):
        return Path(given)
    ensure_home()
    return Path(platformdirs.user_cache_dir("lora-lessons", appauthor=False))


def data_dir() -> Path:
    """Where the learner's own files are kept: the user's data folder."""
    ensure_home()
    return Path(platformdirs.user_data_dir("lora-lessons", appauthor=False))


def ensure_home() -> None:
    """Where the system knows no home folder for this user, $HOME becomes one in the temporary folder, and that is said.

    A container often runs as a number that has no name and no home. The libraries, Jupyter and the processes that are
    started from here on look for $HOME, too.
    """
    if os.environ.get("HOME") == "":
        del os.environ["HOME"]
    home = os.path.expanduser("~")
    if home != "~":
        if not os.path.isabs(home):
            os.environ["HOME"] = os.path.abspath(home)
        return
    place = _temporary_home()
    os.environ["HOME"] = str(place)
    # Else PyTorch asks the system for the user's name, which it does not know.
    os.environ.setdefault("USER", str(os.getuid()))
    print(
        f"This user has no home folder, so the cache and your progress go to {place}, which may not last. "
        "Set HOME to a folder of yours to keep them.",
        file=sys.stderr,
    )


def _temporary_home() -> Path:
    """A folder in the temporary one that nobody else can write to: the same one every time, unless it is another's."""
    place = Path(tempfile.gettempdir()) / f"lora-lessons-{os.getuid()}"
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    about = place.lstat()
    if stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077:
        return place
    return Path(tempfile.mkdtemp(prefix="lora-lessons-"))


def measurements() -> Path:
    """data/measurements/: what was measured once and is quoted as *recorded*."""
    return course_root() / "data" / "measurements"


def ledgers_measured() -> list[str]:
    """The recordings of `lora-lessons bench memory`, by file name;
    none where the package is installed without the course."""
    with suppress(FileNotFoundError):
        return sorted(file.stem for file in measurements().glob("ledger_*.json"))
    return []
