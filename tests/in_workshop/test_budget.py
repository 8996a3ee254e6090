"""`python -m workshop budget`: what grows past its limit is named, by its own row and with the files that hold it."""

from __future__ import annotations

import json

import pytest

from workshop import budget
from workshop.__main__ import main as workshop

PLANTED = {
    "lora_lessons/more.py": ("lora_lessons", '"""One."""\n' + "x = 1\n" * 99),
    "lora_tools/more.py": ("lora_tools", "def f():\n    '''One\n    docstring.'''\n    x = 1\n\n    return x\n" * 25),
    "data/make_more.py": ("elsewhere", "x = 1\n" * 100),
    "lora_lessons/sweep/more.js": ("javascript", "//\n" * 100),
    "lora_lessons/more.toml": ("toml", "\n" * 100),
}


def a_cell(tag, lines=100):
    cell = {"cell_type": "code", "metadata": {"tags": [tag]}, "source": ["x = 1\n"] * lines}
    return json.dumps({"cells": [cell]})


@pytest.fixture
def house(course):
    """A house of a few statements, and limits that leave it no room."""
    rows = {"lora_lessons": 2, "sum": 2, "toml": 8}
    lines = "\n".join(f"{row} = {limit}" for row, limit in rows.items())
    (course / "pyproject.toml").write_text(f"[tool.budget]\n{lines}\n\n[tool]\n\n\n", encoding="utf-8")
    (course / ".gitignore").write_text("__pycache__/\n/sweep/\n", encoding="utf-8")
    for name in ("lora_lessons/a.py", "sweep/made.py", "lora_lessons/__pycache__/b.py", "env/c.py", ".git/d.py"):
        (course / name).parent.mkdir(exist_ok=True)
        (course / name).write_text("if True:\n    x = 1\n", encoding="utf-8")
    (course / "env" / "pyvenv.cfg").touch()
    assert workshop(["budget"]) == 0
    return course


def rows_over(said):
    return {line.partition(":")[0] for line in said.splitlines() if " over its " in line}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_turns_the_check_red_by_its_own_row_and_is_named(house, capsys, name):
    row, text = PLANTED[name]
    (house / name).parent.mkdir(exist_ok=True)
    (house / name).write_text(text, encoding="utf-8")
    assert workshop(["budget"]) == 1
    said = capsys.readouterr().out
    assert rows_over(said) == ({row, "sum"} if name.endswith(".py") else {row})
    assert f"{row}: " in said and "100 over its" in said and f"100 {name}" in said


@pytest.mark.parametrize("tag", sorted(budget.HIDDEN))
def test_a_hidden_cell_has_a_row_of_its_own_and_an_open_one_none(house, capsys, tag):
    (house / "notebooks" / "01_low_rank.ipynb").write_text(a_cell("raises-exception"), encoding="utf-8")
    assert workshop(["budget"]) == 0
    (house / "notebooks" / "01_low_rank.ipynb").write_text(a_cell(tag), encoding="utf-8")
    assert workshop(["budget"]) == 1
    assert rows_over(capsys.readouterr().out) == {"hidden_cells"}


def test_a_limit_far_above_what_it_limits_is_to_be_lowered(house, capsys):
    pyproject = house / "pyproject.toml"
    pyproject.write_text(pyproject.read_text(encoding="utf-8").replace("sum = 2", "sum = 203"), encoding="utf-8")
    assert workshop(["budget"]) == 0
    assert "sum: 2, 201 under its 203: lower the limit" in capsys.readouterr().out
