"""Notebooks as files of anybody's: read whole, or refused in one sentence."""

import json
import os

import pytest

from lora_lessons.paths import course_root
from lora_lessons.run.baselines import read_baseline
from lora_lessons.run.lab import copy_lessons, without_outputs
from lora_lessons.run.notebooks import parameters_of, read_notebook
from lora_lessons.run.result import earlier_results

CELL = {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]}, "source": "seed = 0", "outputs": []}
GOOD = {"cells": [CELL | {"execution_count": None}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
WRONG = [
    ("cells", 5),
    ("cells", None),
    ("cells", [7]),
    ("cells", ["x"]),
    ("metadata", 7),
    ("nbformat", "four"),
    ("nbformat_minor", 1.5),
    ("cells", [{k: v for k, v in CELL.items() if k != "source"}]),
    ("cells", [CELL | {"source": 5}]),
    ("cells", [CELL | {"metadata": None}]),
    ("cells", [CELL | {"metadata": {"tags": 5}}]),
    ("cells", [CELL | {"metadata": {"tags": [5]}}]),
    ("cells", [CELL | {"outputs": 3}]),
    ("cells", [CELL | {"outputs": [3]}]),
    ("cells", [CELL | {"outputs": [{}]}]),
    ("cells", [CELL | {"cell_type": None}]),
]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "00_a.ipynb"


NO_NOTEBOOKS = [b"", b"{", b"[" * 100_000, b"\xff\xfe{", b"null", b"5", b"[]", b"{}"]
NO_NOTEBOOKS += [json.dumps(GOOD | {name: value}).encode() for name, value in WRONG]


@pytest.mark.parametrize("data", NO_NOTEBOOKS, ids=range(len(NO_NOTEBOOKS)))
def test_what_is_no_notebook_is_a_sentence(file, data):
    file.write_bytes(data)
    with pytest.raises(ValueError, match="00_a.ipynb is not a readable"):
        read_notebook(file)


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"null", b"[]", b'{"cells": [5]}'])
def test_a_learners_copy_of_what_is_no_notebook_is_the_same_text(file, data):
    file.write_bytes(data)
    assert without_outputs(file).encode() == data


def test_a_copy_of_what_is_no_text_is_a_sentence(file):
    file.write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match="00_a.ipynb: byte 1 is not UTF-8"):
        without_outputs(file)


@pytest.mark.parametrize("path", sorted(course_root().glob("notebooks/**/*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_of_the_course_is_read_with_its_parameters(path):
    assert parameters_of(read_notebook(path)).keys() & {"seed"}


PIPES = {
    "course/data/baselines/00_a.quick.json": lambda _: read_baseline("00_a"),
    "out/report.json": lambda here: earlier_results(here / "out", "quick", {}),
    "my_lessons/00_a.ipynb": lambda here: list(copy_lessons(here / "my_lessons")),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
@pytest.mark.parametrize("place", PIPES)
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(make_lesson, tmp_path, place):
    make_lesson("00_a", "1")
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / place)
    with pytest.raises(OSError, match="is a pipe"):
        PIPES[place](tmp_path)
