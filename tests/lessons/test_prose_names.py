"""What a lesson names of the package is there: files and functions in its prose, every attribute in its code."""

import ast
import importlib
import re
from pkgutil import resolve_name

import nbformat
import pytest

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.paths import course_root

PACKAGES = (
    "adapter",
    "course",
    "evaluation",
    "experiments",
    "export",
    "fast",
    "lora",
    "lowrank",
    "many_adapters",
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


@pytest.mark.parametrize(
    "path",
    [*lessons(), *side_trips(), course_root() / "README.md", *(course_root() / "docs").glob("*.md")],
    ids=lambda path: path.stem,
)
def test_what_the_prose_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(c.source for c in nbformat.reads(text, 4).cells if c.cell_type == "markdown")
    assert list(gone(text)) == []


def test_a_name_that_is_gone_is_noticed():
    wrong = (
        "`lora_lessons/training.py` `lora_lessons/lora.py` `plan/x.py` `memory.predict` "
        "`memory.forget` `quant.quantize()`"
    )
    assert list(gone(wrong)) == ["lora_lessons/training.py", "plan/x.py", "memory.forget"]


def missing(code):
    """What `code` asks of the package's modules and is not there, as module.name."""
    tree = ast.parse(code)
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in froms
        if node.module.startswith(("lora_lessons", "lora_tools"))
        for alias in node.names
    }
    of_those = [node for node in ast.walk(tree) if isinstance(getattr(node, "value", None), ast.Name)]
    asked = [
        f"{names[node.value.id]}.{node.attr}" for node in of_those if node.value.id in names and hasattr(node, "attr")
    ]
    for name in dict.fromkeys([*names.values(), *asked]):
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            yield name


BOOKS = [*lessons(), *side_trips(), *sorted((course_root() / "notebooks" / "experiments").glob("*.ipynb"))]


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_what_the_code_asks_of_the_package_is_there(path):
    cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    code = "\n".join(re.sub(r"^(\s*)[!%].*$", r"\1pass", source, flags=re.M) for source in cells)
    assert list(missing(code)) == []


def test_an_attribute_that_is_gone_is_noticed():
    code = (
        "from lora_lessons import lora, nothing\nfrom lora_lessons.experiments import sweep\nlora.attach, "
        "sweep.FORGOTTEN"
    )
    assert list(missing(code)) == ["lora_lessons.nothing", "lora_lessons.experiments.sweep.FORGOTTEN"]
