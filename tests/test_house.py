"""The house: one list of requirements told twice, constraints that cover it, and library functions that still exist."""

import importlib
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import is_quick, worker_group
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lora_lessons import colab
from lora_lessons.paths import course_root

PROJECT = tomllib.loads((course_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_environment_yml_equals_pyproject():
    lines = (course_root() / "environment.yml").read_text(encoding="utf-8").splitlines()
    listed = {line.strip(" -").strip('"') for line in lines if re.match(r"\s+- \"?[\w-]+[<>=]", line)}
    python = next(line for line in listed if line.startswith("python>="))
    assert listed - {python} == {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["course"]}
    assert python.removeprefix("python") == PROJECT["requires-python"]


def test_every_file_that_is_no_module_is_packaged():
    tools = tomllib.loads((course_root() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for name in ("lora_lessons", "lora_tools"):
        package = course_root() / name
        packaged = {path for pattern in tools["package-data"][name] for path in package.glob(pattern)}
        others = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        assert {path for path in others if path.suffix != ".py"} == {path for path in packaged if path.suffix != ".py"}


def test_constraints_pin_every_requirement_but_torch_inside_its_range():
    proven = colab.pins((course_root() / "constraints.txt").read_text(encoding="utf-8"))
    assert "torch" not in proven
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        requirement = Requirement(line)
        if requirement.name != "torch":
            assert requirement.specifier.contains(proven[canonicalize_name(requirement.name)]), line


def test_the_tests_have_what_every_extra_brings():
    extras = PROJECT["optional-dependencies"]
    assert {line for lines in extras.values() for line in lines} == set(extras["test"])


def test_continuous_integration_installs_what_constraints_pin():
    (install,) = re.findall(r"(?:pip|fetching) install .*", (course_root() / "Makefile").read_text(encoding="utf-8"))
    assert "--constraint constraints.txt" in install
    assert "make test" in (course_root() / ".ci" / "run").read_text(encoding="utf-8")


def needed(names):
    """The installed libraries that these need, and those that they need in turn, by name."""
    found, seen, left = {}, set(), [Requirement(line) for line in names]
    while left:
        wanted = left.pop()
        name, extras = canonicalize_name(wanted.name), wanted.extras or {""}
        try:
            about = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if (name, *extras) not in seen:
            found[name] = about.version
            seen.add((name, *extras))
            needs = (Requirement(line) for line in about.requires or ())
            left += [
                one for one in needs if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    return found


def test_the_libraries_are_those_of_constraints():
    """The ones that nobody names, too: a release of theirs inside every range would come in unseen."""
    if not Path(sys.prefix, ".ready").is_file():
        pytest.skip("NOT TESTED HERE: this environment was not made by make, which installs what constraints.txt pins")
    proven = colab.pins((course_root() / "constraints.txt").read_text(encoding="utf-8"))
    here = needed(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"])
    free = re.compile(r"torch|triton|nvidia-|cuda-")  # their builds depend on the machine
    others = {name: have for name, have in here.items() if not free.match(name) and proven.get(name) != have}
    assert len(here) > 100 and others == {}, "not as pinned: make anew, or `make constraints`"


def test_colab_replaces_nothing_it_brings():
    wanted = colab.lacking(["torch>=99", "numpy>=99", "matplotlib>=99", "peft>=99", "no-such-package>=1", "tqdm>=4"])
    assert [r.name for r in wanted] == ["peft", "no-such-package"]


def test_what_the_front_pages_link_or_show_is_there():
    front = [course_root() / name for name in ("README.md", "CONTRIBUTING.md")]
    for page in [*front, *(course_root() / "docs").glob("*.md")]:
        linked = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
        assert [target for target in linked if "://" not in target and not (page.parent / target).exists()] == []


def test_the_data_card_tells_how_every_recorded_run_was_made(monkeypatch):
    """The commands of the card, put together, are the settings of the tables: none more, none less."""
    from lora_lessons.experiments import sweep as swept
    from lora_tools import cli, sweep

    monkeypatch.setattr(sweep, "run", lambda settings, *_, **__: wanted.update(settings) or [])
    card = (course_root() / "data" / "README.md").read_text(encoding="utf-8")
    wanted = set()
    for line in re.findall(r"^lora-lessons (sweep .*)$", card, re.M):
        assert cli.main(line.split()) == 0
    tables = ("lesson_05_sweep", "lesson_07_bases")
    assert wanted == {swept.trial_of(row) for name in tables for row in swept.read_table(swept.recorded(name))}


def test_a_files_tests_go_to_one_worker_and_whole_lessons_where_there_is_room():
    lesson = "tests/lessons/test_lessons.py::test_the_lesson_runs_and_measures_what_was_recorded[{}]"
    chain = {worker_group(lesson.format(name)) for name in ("03_train_lora", "04_peft", "10_ship_it")}
    assert len(chain) == 1
    handed_on = (
        "tests/lessons/test_lessons.py::test_what_was_trained_in_lesson_03_answers_through_llama_cpp_in_lesson_10"
    )
    assert {worker_group(handed_on)} == chain
    assert worker_group(lesson.format("09_adapters")) == lesson.format("09_adapters")
    assert worker_group("tests/test_lora.py::test_x[03_train_lora]") == "tests/test_lora.py"


def test_the_quick_loop_has_many_files_and_none_that_takes_minutes():
    files = list((course_root() / "tests").rglob("test_*.py"))
    slow = {path.name for path in files if not is_quick(path, set(), set())}
    assert sum(path.name not in slow for path in files) > len(files) / 3
    assert slow > {"test_lessons.py", "test_again.py", "test_in_browser.py", "test_sabotages.py", "test_readers.py"}
    assert not is_quick(Path("tests/test_lora.py"), {"again"}, set())
    assert not is_quick(Path("tests/test_lora.py"), set(), {"base_fp32"})
