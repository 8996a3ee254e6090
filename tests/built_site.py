"""The whole site of the course, built once for all workers of a test session: its pages are only read.

$LORA_LESSONS_SITE may name its folder, for several sessions: `make test` does,
and you may while you work on the tests alone.
"""

import os
import shutil
from pathlib import Path

from filelock import FileLock


def build_once(shared: Path) -> Path:
    """The folder of the site below `shared`; whoever comes first builds it, the others wait for it."""
    site = Path(os.environ.get("LORA_LESSONS_SITE", shared / "site")).resolve()
    shared = site.parent
    with FileLock(shared / "site.lock"):
        if not site.exists():
            from lora_lessons.lessons import rooms
            from workshop.site.build import stored, write_site

            rooms()
            write_site(stored(), shared / "building", progress=lambda line: None)
            shutil.move(shared / "building", site)
    return site
