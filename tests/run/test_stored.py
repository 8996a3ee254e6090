"""Notebooks are stored without a run's traces, and never with a path of this machine."""

import json
from pathlib import Path

import nbformat
import pytest

from lora_lessons.course.records import MIME
from lora_lessons.run import stored


@pytest.fixture
def executed(course):
    """A notebook with every kind of debris that a run leaves."""
    new, code = nbformat.v4.new_output, nbformat.v4.new_code_cell
    bar = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "1"},
        "text/plain": " 40%|████      | 4/10 [00:01<00:02]",
    }
    slider = {"application/vnd.jupyter.widget-view+json": {"model_id": "2"}, "text/plain": "IntSlider(value=8)"}
    cells = [
        nbformat.v4.new_markdown_cell("# A", metadata={"papermill": {"status": "completed"}, "tags": []}),
        code("seed = 0", execution_count=3, metadata={"tags": ["parameters"], "execution": {"iopub": "t"}}),
        code("seed = 1", execution_count=4, metadata={"tags": ["injected-parameters"]}),
        code(
            "train()",
            execution_count=9,
            metadata={"papermill": {"duration": 2.0}, "tags": ["check"]},
            outputs=[
                new("stream", name="stdout", text="step 1\rstep 2\rstep 3\n"),
                new("stream", name="stderr", text="Warning: something\n"),
                new("stream", name="stdout", text="done\n 50%|█████     | 5/10\n"),
                new("display_data", bar),
                new("display_data", slider),
                new("execute_result", {"text/plain": "3"}, execution_count=9),
            ],
        ),
        code("pass", outputs=[]),
        code("'silent'", execution_count=12, outputs=[new("stream", name="stderr", text="x")]),
    ]
    metadata = {
        "kernelspec": {"name": "my-env", "display_name": "mine", "language": "python"},
        "papermill": {"duration": 4},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {"state": {}},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def test_normalise_removes_the_traces_of_a_run(executed):
    before = json.dumps(executed)
    made = stored.normalise(executed)
    assert json.dumps(executed) == before, "normalise must not change what it is given"
    nbformat.validate(made)
    assert [cell.get("execution_count") for cell in made.cells] == [None, 1, 2, None, 3]
    assert made.metadata == {
        "kernelspec": {"display_name": "Python 3", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [dict(cell.metadata) for cell in made.cells] == [{}, {"tags": ["parameters"]}, {"tags": ["check"]}, {}, {}]
    assert [cell.id for cell in made.cells] == [executed.cells[i].id for i in (0, 1, 3, 4, 5)]
    stream, slider, result = made.cells[2].outputs
    assert (stream.name, stream.text) == ("stdout", "step 3\ndone\n")
    assert slider.data["text/plain"] == "IntSlider(value=8)" and result.execution_count == 2
    assert made.cells[4].outputs == []
    assert stored.normalise(made) == made


@pytest.mark.parametrize("place", [Path.home(), Path("~/models").expanduser()])
@pytest.mark.parametrize("shape", ["{}", "saved to\n{}.", "PosixPath('{}/x')", "C={}"])
def test_normalise_refuses_local_paths(executed, place, shape):
    executed.cells[3].outputs[0].text = shape.format(place) + "\n"
    with pytest.raises(ValueError, match=r"cell 3 \(train\(\)\) .*path of this machine"):
        stored.normalise(executed)


def test_normalise_reads_paths_in_results_but_not_in_pictures(executed):
    home = str(Path.home())
    executed.cells[3].outputs[-1].data = {"image/png": home, "text/plain": f"x{home}yz"}
    stored.normalise(executed)
    executed.cells[3].outputs[-1].data = {MIME: {"name": "file", "value": home}}
    with pytest.raises(ValueError, match="path of this machine"):
        stored.normalise(executed)


def test_outputs_are_stored_only_in_the_same_lesson(make_lesson):
    lesson = make_lesson("00_a", "print('hello')")
    ran = nbformat.read(lesson, as_version=4)
    ran.cells[1].execution_count, ran.cells[2].execution_count = 2, 3
    ran.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="hello\n")]
    assert stored.store_outputs(lesson, ran) is True
    kept = nbformat.read(lesson, as_version=4)
    assert kept.cells[2].outputs[0].text == "hello\n" and kept.cells[2].execution_count == 2
    assert stored.store_outputs(lesson, ran) is False
    ran.cells[2].source = "print('bye')"
    with pytest.raises(ValueError, match="00_a.ipynb has changed since it was executed"):
        stored.store_outputs(lesson, ran)
