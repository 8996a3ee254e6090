"""The whole site of the course, built once for all workers of a test session: its pages are only read.

While you work on the tests alone, $LORA_LESSONS_SITE may name one that is built already.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from filelock import FileLock


def build_once(shared: Path) -> Path:
    """The folder of the site below `shared`; whoever comes first builds it, the others wait for it."""
    if built := os.environ.get("LORA_LESSONS_SITE"):
        return Path(built).resolve()
    site = shared / "site"
    with FileLock(shared / "site.lock"):
        if not site.exists():
            from lora_lessons.lessons import rooms
            from workshop.site.build import stored, write_site

            rooms()
            write_site(stored(), shared / "building", progress=lambda line: None)
            shutil.move(shared / "building", site)
    return site
