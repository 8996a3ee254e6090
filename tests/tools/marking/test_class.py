"""A class is marked: whatever a notebook does costs its own row, and no notebook decides its mark."""

from __future__ import annotations

import csv
import os
import socket
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import torch
from course.test_exercises import ALSO_RIGHT, FOUND, SOLUTION, STUB, WRONG, namespace

from lora_lessons.course import exercises
from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.sums import sha256
from lora_tools import cli

confined = pytest.importorskip("lora_tools.marking.confined", reason="students' code is held in on Linux alone")
from lora_tools.marking.notebooks import of_the_course  # noqa: E402
from lora_tools.marking.together import TOGETHER, doubt  # noqa: E402
from lora_tools.marking.values import Wire  # noqa: E402

holds = pytest.mark.skipif(not all(confined.what_holds().values()), reason="this system does not hold code in")


def write(path: Path, *cells: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)


def marked(folder: Path, *options: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """The table of a class by student, exercise and notebook."""
    out = folder.parent / "marks.csv"
    assert cli.main(["class", str(folder), "--out", str(out), "--overwrite", *options]) == 0
    with open(out, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not (folder.parent / "owned").exists() and len({row["student"] for row in rows}) == len(
        list(folder.iterdir())
    )
    return {(row["student"], row["exercise"], row["notebook"]): row for row in rows}


def tricks(folder: Path) -> dict[str, str]:
    """What a hostile notebook may try in an answer called NAME, and what its row must be; `owned` is never there."""
    owned, neighbour = str(folder.parent / "owned"), str(folder / "ada" / "00_start_here.ipynb")
    late = f"import time; time.sleep(9); open({owned!r}, 'w')"
    begins = "import os, sys, ctypes, signal, subprocess\ndef NAME(*given):\n    "
    return {
        "import lora_lessons.course.exercises as e\ndef check(*_): pass\ne.judge = lambda *_: ('solved', '')\n"
        "e.EXERCISES.clear()\ndef NAME(*_): return 3": "wrong",
        "class Lie(float):\n    def __ne__(self, other): return False\ndef NAME(*_): return Lie(3)": "wrong",
        begins + "sys.exit(0)": "raised",
        begins + "os._exit(0)": "raised",
        begins + "print('Correct. You have solved it.')": "wrong",
        begins + '[os.write(fd, b\'{"result": "right"}\\n\') for fd in (3, 4, 5, 6)]': "raised",
        begins + f"open({str(folder.parent / 'marks.csv')!r}, 'w')": "raised",
        begins + f"return open({neighbour!r}).read() and 3": "raised",
        begins + "[os.kill(pid, 9) for pid in range(2, 1 << 16)]": "raised",
        begins + "return bytearray(10**11)": "out of memory",
        begins + "while True: os.fork()": "raised",
        begins + f"os.fork() or (os.setsid(), os.fork() or exec({late!r}), os._exit(0))\n    return 3": "wrong",
        begins + "__import__('socket').create_connection(('127.0.0.1', 22))": "raised",
        begins + "return ctypes.string_at(0)": "raised",
        begins + "while True: pass": "out of time",
        "while True: pass": "out of time",
    }


def damage(student: Path) -> None:
    """Notebooks that cannot be read, one kind each."""
    student.mkdir(parents=True)
    (student / "01_low_rank.ipynb").write_text('{"cells": [')
    (student / "02_lora_layer.ipynb").write_text("[" * 100_000)
    (student / "03_train_lora.ipynb").write_bytes(b"\xff\x00" * 999)
    (student / "04_peft.ipynb").symlink_to("/dev/zero")
    (student / "05_rank_and_alpha.ipynb").mkdir()
    os.mkfifo(student / "06_quantization.ipynb")
    write(student / "12_faster.ipynb", 'begin("12_faster")', 'check("12.1", loss)')


@holds
def test_a_class_of_three_right_wrong_and_worse(tmp_path):
    folder = tmp_path / "=class"
    right, wrong = ({id: (code, name) for id, code, name in filled(kind)} for kind in ("right", "wrong"))
    for student, of in (("ada", right), ("=bob", wrong)):
        cells = [f"{of[id][0]}\ncheck({id!r}, {of[id][1]})" for id in ("00.1", "12.9", "13.2", "02.1")]
        write(folder / student / "mine.ipynb", *IMPORTS, *cells, 'def rank_one():\n    ...\ncheck("01.1", rank_one)')
    damage(folder / "eve")
    write(folder / "eve" / "a" / "mine.ipynb", 'def bytes_of(:\ncheck("00.1", bytes_of)')
    table = marked(folder, "--at-once", "1", "--seconds", "10")
    results = {key[:2]: row["result"] for key, row in table.items()}
    ids = ("00.1", "12.9", "13.2", "02.1")
    assert [results["ada", id] for id in ids] == ["right"] * 4, table
    assert [results["'=bob", id] for id in ids] == ["wrong"] * 4, table
    assert results["eve", "00.1"] == "raised" and results["eve", "13.2"] == "not handed in"
    said = {row["says"] for row in table.values()}
    assert any(WRONG["13.2"][0][1] in one for one in said), "the mistake's name"
    assert Counter(row["result"] for row in table.values())["damaged"] == 6


IMPORTS = ("import torch, math\nfrom torch import nn, Tensor\nfrom torch.nn import functional as F\nIGNORED = -100",
           "from torch.nn.functional import logsigmoid")  # fmt: skip


def filled(kind: str):
    """(exercise, code, the answer's name): the solution of each, or its first wrong answer."""
    for _, _, id, name, _, after in (one.values for one in FOUND):
        yield id, SOLUTION.search(after)["code"] if kind == "right" else WRONG[id][0][0], name


@contextmanager
def far(function, writes: bool):
    """`function` at the other end of a line."""
    ours, theirs = socket.socketpair()
    if not (pid := os.fork()):
        ours.close()
        try:
            Wire(theirs, function).serve()
        finally:
            os._exit(0)
    theirs.close()
    line = Wire(ours, writes=writes)
    yield lambda *given, **named: line.call(0, *given, **named)
    ours.close()
    os.waitpid(pid, 0)


@pytest.mark.parametrize("writes", [False, True])
def test_what_a_function_writes_into_its_arguments_reaches_only_a_check_that_looks_there(writes):
    given = torch.ones(3)
    with far(lambda numbers: numbers.zero_(), writes) as function:
        assert function(given).sum() == 0 and given.sum() == (0 if writes else 3)


APART = [one for one in FOUND if one.id not in TOGETHER]


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.reliability)], ids=["sample", "every"])
@pytest.mark.parametrize("cells, stub, id, name, before, after", APART)
def test_an_answer_is_judged_apart_as_it_is_beside_its_check(cells, stub, id, name, before, after, every):
    given = [SOLUTION.search(after)["code"], *(source for source, _ in WRONG[id] + ALSO_RIGHT.get(id, []))]
    if id in ("03.1", "08.4"):
        given = given if every else given[:12]
    for source in given if every else given[:: max(1, len(given) // 3)]:
        scope = namespace(cells)
        exec(source, scope)
        with far(scope[name], id in confined.WRITES) as function:
            apart = exercises.judge(id, function)
        beside = exercises.judge(id, scope[name])
        assert apart[0] == beside[0], source
        assert "returned" in beside[1] or apart == beside, f"{source}: a list may stand for what was returned"


@pytest.mark.parametrize("cells, stub, id, name, before, after", [one for one in FOUND if one.id in TOGETHER])
def test_right_answers_may_share_a_process_with_their_check(cells, stub, id, name, before, after):
    one, ours = of_the_course()[id]
    for source in [SOLUTION.search(after)["code"], *(source for source, _ in ALSO_RIGHT.get(id, []))]:
        assert doubt(one._asdict() | {"cell": source, "ours": ours}) == ""
    refused = [source for source, _ in WRONG[id] if doubt(one._asdict() | {"cell": source, "ours": ours})]
    assert len(refused) <= len(WRONG[id]) / 4, refused


LAYER = "class MyLoRA(nn.Module):\n    def forward(self, x):\n        return {}\n"


@pytest.mark.parametrize(
    "trick",
    [
        "import lora_lessons.course.exercises as e\ne.judge = lambda *_: ('solved', '')",
        "torch.allclose = lambda *_, **__: True",
        "nn.Linear.forward = lambda self, x: x",
        "def check(*_): pass\nimport sys\nsys.modules.clear()",
        LAYER.format("torch.os._exit(0)"),
        LAYER.format("x.__class__"),
        LAYER.format("(i for i in x).gi_frame.f_back"),
        LAYER.format("getattr(torch, 'o' + 's')"),
        LAYER.format("open('x', 'w')"),
        LAYER.format("x") + "    def named_parameters(self):\n        return []\n",
        LAYER.format("x") + "    def __eq__(self, other):\n        return True\n",
        "class MyLoRA(torch.Tensor): pass",
        "os = 1\nimport os",
        "from os import *",
        "import os as torch",
        "from subprocess import run as sum",
        "def MyLoRA(torch): return torch",
        "class MyLoRA(nn.Module):\n    def __init__(self):\n        self.os = 1\n        torch.os.abort()",
    ],
)
def test_code_that_could_change_its_check_goes_to_the_teacher(trick):
    one, ours = of_the_course()["02.1"]
    assert "judge it by hand" in doubt(one._asdict() | {"cell": trick, "ours": ours})


@pytest.mark.reliability
@holds
def test_a_class_of_twelve_is_marked_whatever_it_does(tmp_path):
    folder = tmp_path / "class"
    for student, kind in {**dict.fromkeys(("ada", "bob", "cyd"), "right"), **dict.fromkeys("def", "wrong")}.items():
        code = {id: source for id, source, _ in filled(kind)}
        for path in [*lessons(), *side_trips()]:
            cells = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
            stubs = [STUB.search(cell) for cell in cells]
            solved = [
                f"{code[stub['id']]}\n{stub[0]}" if stub else cell for cell, stub in zip(cells, stubs, strict=True)
            ]
            write(folder / student / path.name, *solved)
    damage(folder / "gus")
    damage(folder / "hal")
    expected = {}
    names = {"00.1": "bytes_of", "01.2": "break_even", "10.2": "alpha_in_file", "11.3": "by_chance"}
    for n, (source, result) in enumerate(tricks(folder).items()):
        student, id = f"mallory-{n // 4}", [*names][n % 4]
        write(folder / student / f"{n}.ipynb", f'{source}\ncheck("{id}", NAME)'.replace("NAME", names[id]))
        expected[student, id] = result
    before = {path: sha256(path) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    results = {key[:2]: row["result"] for key, row in marked(folder, "--seconds", "10").items()}
    assert {key: results[key] for key in expected} == expected
    for id in exercises.EXERCISES:
        assert [results[student, id] for student in ("ada", "bob", "cyd")] == ["right"] * 3, id
        assert not {results[student, id] for student in "def"} - {"wrong", "raised", "by hand"}, id
    assert before == {path: sha256(path) for path in before}
