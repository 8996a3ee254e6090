"""Where a site goes: a folder that we made ourselves, put in place whole or not at all, and never over anybody else's files.

A marker in the folder lists the files that we wrote. Whatever else is there is not ours to delete.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import disk_is_full
from ...files import check_folder, files_in, foreign, whole_folder

MARKER = ".made-by-lora-lessons"
# What the extra `site` brings, as it is imported.
LIBRARIES = ("sphinx", "myst_nb", "furo", "latex2mathml")


def missing() -> list[str]:
    """The libraries of the extra `site` that are not installed."""
    return [name for name in LIBRARIES if importlib.util.find_spec(name) is None]


def check_extra() -> None:
    """Raise ValueError, which says how to get them, where a library that builds pages is not installed."""
    if lacking := missing():
        raise ValueError(
            f"web pages need {' and '.join(lacking)}, not installed here: pip install 'lora-lessons[site]'."
        )


def check_place(out: Path) -> None:
    """Raise OSError where no site may go to `out`, before any work.

    It is a file, may not be written to, or is a folder with files in it that no site brought.
    """
    out = out.resolve()
    check_folder(out)
    check_folder(out.parent)
    if others := foreign(out, _ours(out)):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise FileExistsError(
            f"{out} holds {others[0]}{more}, which no site of ours brought, and a new site replaces the whole folder: "
            "choose another folder, or move what is there."
        )


def _ours(folder: Path) -> set[str]:
    """The files that the folder's marker lists, and the marker; that alone where there is none."""
    ours = {MARKER}
    with suppress(FileNotFoundError, UnicodeDecodeError):
        ours.update((folder / MARKER).read_text(encoding="utf-8").splitlines())
    return ours


@contextmanager
def site_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to write a site into; when the block ends without an error, it takes the place of `out`.

    Raises what `check_place` raises, before the block and again after it, and OSError naming `out` when the disk is full,
    also where a library has wrapped that error in one of its own.
    """
    out = out.resolve()
    check_place(out)
    try:
        with whole_folder(out) as temporary:
            yield temporary
            (temporary / MARKER).write_text(
                "".join(f"{name}\n" for name in sorted(files_in(temporary))), encoding="utf-8"
            )
            # building took a while, in which somebody may have put something there
            check_place(out)
    except Exception as error:
        if full := next((one for one in _causes(error) if isinstance(one, OSError) and disk_is_full(one)), None):
            raise OSError(full.errno, full.strerror, str(out)) from error
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
