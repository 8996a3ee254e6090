"""The workflows for GitHub: valid by GitHub's own schema, calling what exists, with no more rights than they need."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from lora_lessons.paths import course_root
from lora_tools import cli

WORKFLOWS = sorted((course_root() / ".github" / "workflows").glob("*.yml"))
NAMES = [path.stem for path in WORKFLOWS]
OUTSIDE = {
    "uv": ("build", "pip", "publish", "venv"),
    "gh": ("issue",),
    "ls": ('"dist/lora_lessons-${GITHUB_REF_NAME#v}.tar.gz"',),
}
# What a job may do beyond reading, and the only steps that it then has: none of them runs code of ours.
MAY_MORE = {
    ("pages", "deploy"): ({"pages": "write", "id-token": "write"}, ["actions/deploy-pages"]),
    ("weekly", "say"): ({"issues": "write"}, ["gh issue"]),
    ("release", "publish"): (
        {"id-token": "write"},
        ["actions/setup-python", "actions/download-artifact", "python -m pip install uv", "uv publish"],
    ),
}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow):
    """Every command that a workflow runs, as its words."""
    return [line.split() for step in steps(workflow) for line in step.get("run", "").splitlines()]


def unknown(words):
    """What in a command does not exist here; "" where all does."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([a-z][a-z-]*):", (course_root() / "Makefile").read_text(encoding="utf-8"), re.M)
        return next((word for word in rest if "=" not in word and word not in targets), "")
    if Path(program).name == "lora-lessons":
        return "" if rest and rest[0] in [verb.__name__ for verb in [*cli.VERBS, cli.run]] else " ".join(words)
    if Path(program).name == "python":
        there = rest[:2] in (["-m", "venv"], ["-m", "pip"], ["-m", "pytest"]) or (course_root() / rest[0]).is_file()
        return "" if there else " ".join(words)
    if program in OUTSIDE:
        return "" if rest[0] in OUTSIDE[program] else " ".join(words)
    return "" if (course_root() / program).is_file() else program


def schema_says(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_they_are_valid_by_githubs_schema_and_a_mistake_is_noticed(tmp_path):
    done = [schema_says(path) for path in WORKFLOWS]
    assert not any(one.returncode for one in done), "".join(one.stdout + one.stderr for one in done)
    wrong = WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "run-on:", 1)
    (tmp_path / "wrong.yml").write_text(wrong, encoding="utf-8")
    said = schema_says(tmp_path / "wrong.yml")
    assert said.returncode == 1 and "run-on" in said.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_every_command_that_they_run_is_there(path):
    found = commands(read(path))
    assert found and [unknown(words) for words in found if unknown(words)] == []


@pytest.mark.parametrize("line", ["make sit", "lora-lessons sites", ".ci/runs", "python tests/none.py", "uv publsh"])
def test_a_command_that_is_not_there_is_noticed(line):
    assert unknown(line.split())


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_they_use_githubs_own_actions_each_at_a_major_version(path):
    used = [step["uses"] for step in steps(read(path)) if "uses" in step]
    assert used and [one for one in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", one)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_they_may_only_read_and_what_publishes_runs_no_code_of_ours(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values()) and "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        rights, does = MAY_MORE.get((path.stem, name), (None, []))
        assert job.get("permissions") == rights
        if rights:
            assert all((s.get("uses") or s["run"]).startswith(one) for s, one in zip(job["steps"], does, strict=True))
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_suite_runs_on_the_oldest_python_and_with_the_libraries_that_pip_brings():
    rows = read(WORKFLOWS[NAMES.index("test")])["jobs"]["test"]["strategy"]["matrix"]["include"]
    project = tomllib.loads((course_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"].removeprefix(">=") in {row["python"] for row in rows}
    assert {row["torch"] for row in rows} == {"CPU build", "as on PyPI"}


def test_what_is_published_is_what_make_site_writes():
    workflow = read(course_root() / ".github" / "workflows" / "pages.yml")
    assert workflow[True]["push"]["branches"] == ["main"], "YAML 1.1 reads `on` as true"
    assert ["make", "site", "ALIVE=1"] in commands(workflow)
    (upload,) = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/upload-pages-artifact@")]
    assert upload["with"]["path"] == "course-report/site"
    unless = "github.event_name != 'pull_request'"
    assert workflow["jobs"]["deploy"]["if"] == upload["if"] == unless, "a pull request is shown, not published"


def test_ruff_before_a_commit_is_the_one_of_the_checks():
    (rev,) = re.findall(r"rev: v(\S+)", (course_root() / ".pre-commit-config.yaml").read_text("utf-8"))
    assert f"ruff=={rev}\n" in (course_root() / "constraints.txt").read_text("utf-8")
