"""The arrows of the house: imports point down, none goes in a circle,
and each net catches what is planted in a copy."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import lora_lessons
from lora_lessons.paths import course_root

PACKAGE = Path(lora_lessons.__file__).parent


@pytest.fixture
def copy(tmp_path):
    """A copy of the package and of its contracts."""
    for name in ("lora_lessons", "lora_tools", "workshop"):
        shutil.copytree(course_root() / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(course_root() / "pyproject.toml", tmp_path)
    return tmp_path / "lora_lessons"


def plant(package, file, line):
    """Add an import to a module of the copy."""
    with open(package / file, "a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")


def contracts(package):
    """import-linter's exit status and what it said of the package."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(package.parent), "COLUMNS": "400"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=package.parent, env=environment)
    return done.returncode, done.stdout + done.stderr


def modules(package):
    """(dotted name, syntax tree) of every module of the package, and of the tools beside it."""
    for path in sorted([*package.rglob("*.py"), *package.with_name("lora_tools").rglob("*.py")]):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, ast.parse(path.read_text(encoding="utf-8")), path.name == "__init__.py"


def imports(package):
    """(importer, imported) of every import of the package's own modules, also of those inside functions."""
    trees = list(modules(package))
    known = {name for name, _, _ in trees}
    for name, tree, front_door in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names if alias.name in known)
            elif isinstance(node, ast.ImportFrom):
                above = name.split(".")[: None if front_door and node.level == 1 else front_door - node.level]
                base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
                wanted = {f"{base}.{alias.name}" for alias in node.names}
                yield from ((name, one) for one in wanted & known)
                if base in known and wanted - known:
                    yield name, base


def hidden_imports(package):
    """Calls that import by a string and do not say, by `__name__`, that it is a child of the module itself."""
    for name, tree, _ in modules(package):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if called not in ("import_module", "__import__", "resolve_name"):
                continue
            words = [node for argument in call.args for node in ast.walk(argument)]
            own = any(isinstance(word, ast.Name) and word.id == "__name__" for word in words)
            texts = [word.value for word in words if isinstance(word, ast.Constant)]
            library = texts and not str(texts[0]).startswith((".", "lora_"))
            if not own and not library:
                yield name, ast.unparse(call)


def named_in_strings(package):
    """(module, what it names) of every string that is a module's whole name, as `-m` and workers take it,
    and points up or nowhere."""
    doors = ["lora_lessons", "lora_tools", "workshop"]
    trees = list(modules(package))
    known = {name for name, _, _ in trees}
    for name, tree, _ in trees:
        for node in ast.walk(tree):
            text = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"(lora_lessons|lora_tools|workshop)(\.\w+)+", text):
                here, there = (doors.index(one.partition(".")[0]) for one in (name, text))
                if there > here or text not in known:
                    yield name, text


def through_the_front_door(package):
    """Imports by which a module takes something from the `__init__` of a package that it is itself a part of.

    The topmost one is free: it imports nothing. So is a `__main__`: nothing imports it.
    """
    pairs = [(importer, imported) for importer, imported in imports(package) if "." in imported]
    return [
        (importer, imported)
        for importer, imported in pairs
        if importer.startswith(imported + ".") and not importer.endswith(".__main__")
    ]


def test_the_contracts_hold():
    status, said = contracts(PACKAGE)
    assert status == 0, said


UP, CIRCLE = "Arrows point down BROKEN", "No circles, on any floor BROKEN"


@pytest.mark.parametrize(
    "file, line, said",
    [
        ("files.py", "from .models import load", UP),
        ("course/records.py", "from ..lessons.l01 import rank_explorer", UP),
        ("course/stage.py", "def late():\n    from ..run import runner", UP),
        ("memory/__init__.py", "from ..planning import cards", UP),
        ("newcomer.py", "", "newcomer"),  # a new module must be given its floor
        ("run/runner.py", "def late():\n    from workshop import badges", "Three doors.* BROKEN"),
        ("memory/bill.py", "def late():\n    from lora_tools import checking", "Three doors.* BROKEN"),
        ("../lora_tools/exporting/gguf/names.py", "def late():\n    from .. import formats", "Exports.* BROKEN"),
        ("course/records.py", "from .figures import BLUE\nfrom . import stage", "The frame.* BROKEN"),
        (
            "lessons/l06/checks.py",
            "from ..l09 import widget",
            "Rooms do not know each other.* BROKEN",
        ),
        ("course/records.py", "from .claims import Claim", CIRCLE),
        ("run/result.py", "from . import runner", CIRCLE),
        (
            "lessons/l06/checks.py",
            "from . import widget\nfrom ..l13 import checks",
            CIRCLE,
        ),
        ("training/settings.py", "def late():\n    from .loop import train", CIRCLE),
    ],
)
def test_what_is_planted_breaks_its_contract(copy, file, line, said):
    plant(copy, file, line)
    if "l13 import checks" in line:  # the other half of that circle
        plant(copy, "lessons/l13/checks.py", "from ..l06 import checks")
    status, words = contracts(copy)
    assert status == 1 and re.search(said, words), words


def test_nothing_is_imported_by_a_string():
    assert list(hidden_imports(PACKAGE)) == []


def test_a_module_that_a_string_names_is_there_and_no_higher(copy):
    assert list(named_in_strings(PACKAGE)) == []
    for file, word in (("run/kernel.py", "lora_tools.cluster.worker"), ("paths.py", "lora_lessons.tools.checking")):
        plant(copy, file, f"WORKER = {word!r}")
    named = ["lora_lessons.paths", "lora_lessons.run.kernel"]
    assert [name for name, _ in named_in_strings(copy)] == named


@pytest.mark.parametrize(
    "line",
    [
        'from importlib import import_module\nimport_module("lora_lessons.lessons.l01")',
        'import importlib\nimportlib.import_module(".runner", "lora_lessons.run")',
        '__import__("lora_lessons.experiments.sweep")',
        'import importlib\nwhere = "lora_lessons.run"\nimportlib.import_module(where)',
    ],
)
def test_an_import_hidden_in_a_string_is_noticed(copy, line):
    plant(copy, "course/claims.py", line)
    assert [name for name, _ in hidden_imports(copy)] == ["lora_lessons.course.claims"]


def test_no_module_goes_through_its_own_front_door(copy):
    """A package's `__init__` imports its modules; a module that imports from it closes a circle no contract sees."""
    assert through_the_front_door(PACKAGE) == []
    plant(copy, "course/learner.py", "from . import verdict")
    assert through_the_front_door(copy) == [("lora_lessons.course.learner", "lora_lessons.course")]


def test_two_classes_never_share_a_name():
    trees = list(modules(PACKAGE))
    found = [(node.name, name) for name, tree, _ in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    times = Counter(name for name, _ in found)
    assert [one for one in found if times[one[0]] > 1] == []
