"""Every record of a baseline is recorded by the code of its notebook, and shown by it; and the other way round."""

import ast
import re
from typing import NamedTuple

import nbformat
import pytest

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.records import records_of
from lora_lessons.run.baselines import compare, read_baseline

NOTEBOOKS = [pytest.param(nbformat.read(p, 4), p.stem, id=p.stem) for p in [*lessons(), *side_trips()]]

# Records whose names would also fit a wider f"…" of their cell, so that their own line must be looked for by name.
BY_NAME = {"cost.before", "control.right", "overlap.A_with_its_start"}


class Call(NamedTuple):
    """One record(...) in code: which names and units it can give. A unit of None is worked out, and then not empty."""

    line: int
    name: str
    unit: str | None
    volatile: bool

    def gives(self, record):
        unit = record.unit != "" if self.unit is None else record.unit == self.unit
        named = self.name == re.escape(record.name) if record.name in BY_NAME else re.fullmatch(self.name, record.name)
        return bool(unit and named and record.volatile == self.volatile)


def pattern(node):
    """A regular expression for the strings that an expression can be."""
    if isinstance(node, ast.Constant):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in node.values)
    return ".+"


def is_record(node):
    """Whether it is record(name, value, …): a module's own record(), which has neither, is another function."""
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "record" and bool(node.args)
    )


def calls(tree):
    """Every record(...) in a syntax tree."""
    for node in filter(is_record, ast.walk(tree)):
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        unit = node.args[2] if len(node.args) > 2 else given.get("unit", ast.Constant(""))
        said = unit.value if isinstance(unit, ast.Constant) else None
        volatile = "volatile" in given and given["volatile"].value
        yield Call(node.lineno, pattern(node.args[0]), said, volatile)


def cells(notebook):
    """(syntax tree, records shown) of each code cell."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            source = re.sub(r"^(\s*)[!%].*$", r"\1pass", cell.source, flags=re.M)
            yield ast.parse(source), list(records_of(nbformat.v4.new_notebook(cells=[cell])).values())


def faults(said, shown):
    """What a cell shows and does not record, and what it records and does not show."""
    yield from (f"{r.name} is shown, and no line records it" for r in shown if not any(c.gives(r) for c in said))
    yield from (f"nothing shown is from {c}" for c in said if not any(c.gives(r) for r in shown))


@pytest.mark.parametrize("notebook, stem", NOTEBOOKS)
def test_what_a_cell_shows_is_what_its_code_records(notebook, stem):
    assert [fault for tree, shown in cells(notebook) for fault in faults(list(calls(tree)), shown)] == []


@pytest.mark.parametrize("notebook, stem", NOTEBOOKS)
def test_what_a_notebook_shows_is_what_its_baseline_holds(notebook, stem):
    """The same names and units, and every value in its band."""
    assert [deviation.sentence for deviation in compare(records_of(notebook), read_baseline(stem))] == []
