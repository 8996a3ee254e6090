"""What a lesson's prose names is there: a module's file, a function of the package."""

import importlib
import re

import nbformat
import pytest

from lora_lessons.course.lesson import lessons
from lora_lessons.paths import course_root

PACKAGES = (
    "adapter",
    "course",
    "evaluation",
    "experiments",
    "export",
    "lora",
    "lowrank",
    "memory",
    "mixing",
    "models",
    "quant",
    "run",
    "tasks",
    "training",
)
FILE = re.compile(r"`(lora_lessons/[\w./]+|(?:lora|lowrank|adapter|mixing|\w+/\w+)\.py)`")
NAME = re.compile(r"`([a-z_]+)\.([a-z_]\w*)(?:\(\))?`")


def gone(markdown):
    """What `markdown` names of the package and is not there."""
    package = course_root() / "lora_lessons"
    for file in FILE.findall(markdown):
        if not (package / file.removeprefix("lora_lessons/")).exists():
            yield file
    for module, name in NAME.findall(markdown):
        ours = module in PACKAGES and name not in ("py", "md", "json")
        if ours and not hasattr(importlib.import_module(f"lora_lessons.{module}"), name):
            yield f"{module}.{name}"


@pytest.mark.parametrize("path", [*lessons(), course_root() / "README.md"], ids=lambda path: path.stem)
def test_what_the_prose_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(c.source for c in nbformat.reads(text, 4).cells if c.cell_type == "markdown")
    assert list(gone(text)) == []


def test_a_name_that_is_gone_is_noticed():
    wrong = "`lora_lessons/training.py` `lora_lessons/lora.py` `plan/x.py` `memory.predict` `memory.forget` `quant.quantize()`"
    assert list(gone(wrong)) == ["lora_lessons/training.py", "plan/x.py", "memory.forget"]
