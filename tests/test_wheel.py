"""The wheel, installed beside the libraries, outside the checkout: the tools answer, and the lessons are in it."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

import lora_lessons
import lora_tools
from lora_lessons.course import published
from lora_lessons.machine import version
from lora_lessons.paths import course_root

ADAPTER = "shipped/data/adapters/persona"
WITHOUT = """
import sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Lacking())
from lora_tools import cli
sys.exit(max(cli.main(words) for words in {commands}))
"""
COURSE = {
    "anywidget",
    "ipykernel",
    "IPython",
    "ipywidgets",
    "jupyterlab",
    "matplotlib",
    "nbclient",
    "nbformat",
    "papermill",
}
EXPORT = {"xllamacpp", "llama_cpp_py_sync"}


def done(*command, **how):
    return subprocess.run(command, capture_output=True, text=True, **how)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an installation without its libraries, which are this environment's."""
    wheels, place = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    # an older one does not read pyproject.toml's licence; pip then fetches what pyproject.toml asks for
    alone = ["--no-build-isolation"] if int(version("setuptools").partition(".")[0] or 0) >= 77 else []
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    # built from a copy: setuptools keeps what it built before, and a module that is gone would stay in the wheel
    source = tmp_path_factory.mktemp("source")
    files = done("git", "ls-files", "-z", cwd=course_root()).stdout.split("\0")[:-1] or pytest.skip("no git checkout")
    for name in files:
        if (course_root() / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(course_root() / name, source / name)
    built = done(*pip, "wheel", "--no-deps", *alone, "-w", str(wheels), str(source))
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    assert wheel.stat().st_size / 1e6 == pytest.approx(published.figure("rough.wheel_mb"), abs=2)
    put = done(*pip, "install", "--no-deps", "--no-compile", "--target", str(place), str(wheel))
    assert put.returncode == 0, put.stderr
    return place


@pytest.fixture
def outside(installed, tmp_path):
    """A function that runs commands of the installation in an empty folder, one after the other, without some
    libraries."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    for name in ("LORA_LESSONS_ROOT", "PYTHONSAFEPATH"):
        environment.pop(name, None)

    def run(*commands, without=COURSE | EXPORT):
        here = [[word.format(package=installed / "lora_lessons") for word in words] for words in commands]
        script = WITHOUT.format(names=sorted(without), commands=here)
        return done(sys.executable, "-c", script, cwd=tmp_path, env=environment)

    return run


CORE = {
    "Yes, it fits: ": ["plan", "Qwen2.5-7B", "--gpu", "RTX 4090"],
    "264 of 264 lines can be used": ["check", "{package}/shipped/data/persona/train.jsonl"],
    "llama.cpp       yes": ["inspect", "{package}/" + ADAPTER],
    "Suspect: ": ["symptom", "loss falls, answers unchanged"],
    " … [cut: --tokens takes more]": ["ask", "{package}/" + ADAPTER, "Why do leaves fall?", "--tokens", "3"],
    "qwen2.5-coder-0.5b": ["base"],
    "change_first": ["schema", "plan"],
    " claims of papers: ": ["claims", "--check"],
}


def test_the_core_is_enough_for_the_tools(outside):
    found = outside(*CORE.values())
    assert found.returncode == 0 and [said for said in CORE if said not in found.stdout] == [], found.stderr
    # llama.cpp proves what is exported
    export = ["export", "gguf", "{package}/" + ADAPTER, "--types", "f16", "--out", "out"]
    found = outside(export, without=COURSE)
    assert found.returncode == 0 and "persona-lora.gguf" in found.stdout, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("words", "without", "library"),
    [
        (["lab"], COURSE, "jupyterlab, which is not installed: pip install 'lora-lessons[course]'"),
        (["run", "01"], COURSE, "pip install 'lora-lessons[course]'"),
        (["inspect", "{package}/" + ADAPTER, "--html", "x.html"], COURSE, "matplotlib, which is not installed"),
        (
            ["export", "gguf", "{package}/" + ADAPTER, "--types", "Q4_K_M", "--out", "out"],
            EXPORT,
            "pip install 'lora-lessons[export]'",
        ),
    ],
    ids=["lab", "run", "inspect --html", "export Q4_K_M"],
)
def test_what_needs_an_extra_names_it_in_one_sentence(outside, words, without, library):
    found = outside(words, without=without)
    assert found.returncode == 3 and library in found.stderr and found.stderr.count("\n") == 1, found.stderr


def test_the_lessons_are_in_it(outside, tmp_path):
    found = outside(["lab", "--", "--version"], without=set())
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "my_lessons" / "00_start_here.ipynb").is_file() and "copied to my_lessons" in found.stderr


def test_nothing_of_the_workshop_and_no_test_is_in_it(installed):
    assert not (installed / "workshop").exists() and not (installed / "tests").exists()
    assert {path.name for path in (installed / "lora_lessons" / "shipped").iterdir()} == {"data", "notebooks"}
    packaged, here = (
        {path.relative_to(root) for name in ("lora_lessons", "lora_tools") for path in (root / name).rglob("*.py")}
        for root in (installed, course_root())
    )
    assert {path for path in packaged if "shipped" not in path.parts} == here


def test_the_hooks_and_the_step_judge_each_file_as_a_users_workflow_would(outside, installed, tmp_path):
    """Their own words, run by the shells that pre-commit and GitHub run them in,
    with the installed command on the path."""
    program = tmp_path / "bin" / "lora-lessons"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom lora_tools import cli\nsys.exit(cli.main())\n")
    program.chmod(0o755)
    environment = os.environ | {
        "PYTHONPATH": str(installed),
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
    }
    good, bad = tmp_path / "good one.jsonl", tmp_path / "bad.jsonl"
    good.write_text('{"prompt": "Is it open?", "completion": "Yes, until six."}\n')
    bad.write_text('{"prompt": "Is it far?", "completion": ""}\n')
    adapter = tmp_path / "persona"
    shutil.copytree(installed / "lora_lessons" / ADAPTER, adapter)
    check, inspect = yaml.safe_load((course_root() / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))

    def hook(one, *files):
        assert all(re.search(one["files"], str(file)) for file in files)
        return done(*shlex.split(one["entry"]), *map(str, files), env=environment, cwd=tmp_path)

    for files, status in (((good,), 0), ((bad, good), 1)):
        found = hook(check, *files)
        assert found.returncode == status and "1 of 1 line" in found.stdout, found.stdout + found.stderr
    assert hook(inspect, adapter / "adapter_config.json").returncode == 0
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    assert hook(inspect, adapter / "adapter_config.json").returncode == 2
    step = yaml.safe_load((course_root() / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"][-1]
    assert set(step["env"]) == {"CHECK", "INSPECT", "BASE"}
    for files, status in (((good, ""), 0), ((bad, good), 1)):
        given = {"CHECK": "\n".join(map(str, files)), "INSPECT": "", "BASE": ""}
        found = done("bash", "-eo", "pipefail", "-c", step["run"], env=environment | given, cwd=tmp_path)
        assert found.returncode == status and "can be used" in found.stdout, found.stdout + found.stderr


# What the page of the API has made when all its blocks have run.
MADE = """
assert plan.fits and report.all_usable and likeliest.good
assert len(adapter.A) == 210 and xray.base is not None and files[0].name == "my_adapter-lora.gguf"
assert all(file.is_file() for file in files)
"""


def test_the_page_of_the_api_runs_as_it_stands_in_an_empty_folder_and_shows_every_name(installed, tmp_path):
    shutil.copy(course_root() / "data" / "persona" / "train.jsonl", tmp_path)
    text = (course_root() / "docs" / "api.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"```python\n(.*?)```", text, re.S)) + MADE
    found = done(sys.executable, "-c", code, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)})
    assert found.returncode == 0 and "True 7." in found.stdout, found.stdout + found.stderr
    shown = text.replace("`LoRALinear`", "ll.LoRALinear")
    assert [f"ll.{name}" for name in lora_lessons._HERE if f"ll.{name}" not in shown] == []
    assert [f"lora_tools.{name}" for name in lora_tools._HERE if f"lora_tools.{name}" not in shown] == []
