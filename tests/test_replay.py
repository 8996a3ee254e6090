"""nbval on the outputs of a run that is over: what differs is noticed, and what did not run is no pass."""

import os
import subprocess
import sys

import nbformat
import pytest
import replay


def notebook(*shown):
    """A notebook whose cells print what is given; each is compared."""
    new = nbformat.v4
    cells = [
        new.new_code_cell(
            f"say({n})",
            execution_count=n + 1,
            outputs=[new.new_output("stream", name="stdout", text=text)],
            metadata={"tags": ["nbval-check-output"]},
        )
        for n, text in enumerate(shown)
    ]
    return new.new_notebook(cells=[new.new_markdown_cell("# 01"), *cells])


@pytest.mark.parametrize(
    ("ran", "status"),
    [(["one\n", "two\n"], 0), (["one\n", "three\n"], 1), (["one\n"], 1), (None, 1)],
    ids=["the same", "another output", "a cell that did not run", "no run at all"],
)
def test_nbval_compares_with_what_the_run_showed(tmp_path, ran, status):
    folder = tmp_path / "ran" / "01_lesson"
    folder.mkdir(parents=True)
    if ran is not None:
        executed = notebook(*ran)
        injected = nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]})
        executed.cells.insert(1, injected)
        nbformat.write(executed, folder / "01_lesson.ipynb")
    nbformat.write(notebook("one\n", "two\n"), tmp_path / "01_lesson.ipynb")
    environment = os.environ | {replay.RAN: str(tmp_path / "ran")} | replay.install(tmp_path / "jupyter")
    nbval = [
        "--nbval-lax",
        "--nbval-kernel-name=replay",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-q",
        "01_lesson.ipynb",
    ]
    command = [sys.executable, "-m", "pytest", *nbval]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
