"""A learner runs cells again: each cell twice in a row, and then the whole lesson once more,
give the recorded results."""

import nbformat
import pytest

from lora_lessons.course.lesson import lessons, side_trips
from lora_lessons.course.records import records_of
from lora_lessons.run import runner
from lora_lessons.run.baselines import compare, read_baseline
from lora_lessons.run.notebooks import read_notebook

SAMPLE = "02_lora_layer"  # in `make test`; the others take three times as long as the lesson itself


def twice_and_once_more(lesson):
    """The lesson's cells, each of them twice, and then all of them again; the parameters only at the beginning."""
    cells = read_notebook(lesson).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    known = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    again = [cell for cell in code if cell not in known]
    tries = [*known, *(cell for cell in again for _ in range(2)), *again]
    fresh = [nbformat.v4.new_code_cell(cell.source, metadata=cell.metadata) for cell in tries]
    return nbformat.v4.new_notebook(cells=fresh), len(fresh) - len(again)


@pytest.mark.parametrize(
    "lesson",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem == SAMPLE else pytest.mark.again)
        for path in [*lessons(), *side_trips()]
    ],
)
def test_every_cell_may_run_again(lesson, tmp_path):
    notebook, middle = twice_and_once_more(lesson)
    place = tmp_path / lesson.name
    nbformat.write(notebook, place)
    result = runner.run_one(place, {"profile": "quick", "seed": 0}, tmp_path / "out", progress=False)
    assert result.error is None, result.error
    cells = nbformat.read(tmp_path / "out" / lesson.name, 4).cells
    baseline = read_baseline(lesson.stem)
    for part in (cells[:middle], cells[middle:]):
        shown = records_of(nbformat.v4.new_notebook(cells=part))
        wrong = [deviation.sentence for deviation in compare(shown, baseline) if not deviation.warning]
        assert not wrong, wrong
