"""What pyproject.toml cannot say: the wheel carries the notebooks and what they read, in lora_lessons/shipped/."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithTheCourse(build_py):
    """Builds the package, and copies the course's own folders into it; an editable install has them beside it."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in ("notebooks", "data"):
            shipped = Path(self.build_lib) / "lora_lessons" / "shipped" / name
            shutil.copytree(name, shipped, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithTheCourse})
