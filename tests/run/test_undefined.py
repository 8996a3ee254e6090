"""A cell that is run alone says which cell comes first; a learner's own slip keeps its traceback."""

import os
from pathlib import Path

import nbformat
import pytest
from in_kernel import a_kernel

from lora_lessons.run.lab import jupyter_environment
from lora_lessons.run.undefined import what_to_run_first

FIRST = "# Set-up\nimport torch.nn as nn\nfrom lora_lessons.course import begin, show"
SECOND = "W, b = 1, 2\nfor name in 'ab':\n    [hidden for hidden in 'xy']\ndef cut(r):\n    inside = r"
ABOVE = [FIRST, SECOND]


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("nn", "import torch.nn as nn"),
        ("show", "import torch.nn as nn"),
        ("b", "W, b = 1, 2"),
        ("name", "W, b = 1, 2"),
        ("cut", "W, b"),
    ],
)
def test_the_cell_that_makes_a_name_is_named(name, begins):
    said = what_to_run_first(name, [*ABOVE, f"print({name})"], f"print({name})")
    assert said.startswith(f"`{name}` is not here yet: it comes from the cell that begins with `{begins}")
    assert "Run All Above Selected Cell" in said


@pytest.mark.parametrize("name", ["hidden", "inside", "r", "mistyped", None])
def test_a_name_that_no_cell_above_makes_is_left_to_python(name):
    assert what_to_run_first(name, [*ABOVE, "1 + 1", "mistyped = 1"], "1 + 1") is None


def test_cells_with_magics_or_mistakes_are_read_over():
    assert what_to_run_first("x", ["!pip install x\nx = 1"], "x") and what_to_run_first(
        "x", ["x = ", "%time\nx = 2"], "x"
    )


def test_in_a_kernel_of_the_lab(course, tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    theirs = tmp_path / "theirs.py"
    theirs.write_text("mine = 'from my own start-up file'\n")
    monkeypatch.setenv("PYTHONSTARTUP", str(theirs))
    made = jupyter_environment()
    monkeypatch.setenv("PYTHONSTARTUP", made["PYTHONSTARTUP"])
    assert "exec" not in Path(jupyter_environment()["PYTHONSTARTUP"]).read_text(), "never itself"
    monkeypatch.setenv("PYTHONSTARTUP", str(theirs))
    made = jupyter_environment()
    cells = [nbformat.v4.new_code_cell(source) for source in (*ABOVE, "print(cut(W))")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "lesson.ipynb")
    environment = {"PYTHONSTARTUP": made["PYTHONSTARTUP"], "JPY_SESSION_NAME": os.fspath(tmp_path / "lesson.ipynb")}
    with a_kernel(tmp_path, **environment) as kernel:
        gone = (
            "from lora_lessons.tools import checking",
            "from lora_lessons import inspection",
            "import lora_tools.export",
        )
        for old in (*gone, "from lora_lessons import lora\nlora.attached"):
            (error,) = kernel.run(old)
            assert len(error["traceback"]) == 1 and "`lora-lessons lab` copies this version's" in error["traceback"][0]
        (error,) = kernel.run("import no_such_library")
        assert len(error["traceback"]) > 1, "another's is left to Python"
        (error,) = kernel.run("print(cut(W))")
        assert error["ename"] == "NameError" and len(error["traceback"]) == 1
        assert error["traceback"][0].startswith("`cut` is not here yet: it comes from the cell that begins with `W, b")
        (slip,) = kernel.run("def f():\n    return mistyped\nf()")
        assert "Traceback" in "".join(slip["traceback"]) and "mistyped" in slip["evalue"]
        kernel.run(SECOND)
        assert [o.get("text") for o in kernel.run("print(cut(W), mine)")] == ["None from my own start-up file\n"]
        (other,) = kernel.run("1 / 0")
        assert other["ename"] == "ZeroDivisionError" and len(other["traceback"]) > 1
