"""Records: the records of a cell are one list, unseen, that programs can read."""

import nbformat
import pytest
from in_kernel import a_kernel

from lora_lessons.course import records
from lora_lessons.course.records import MIME, records_of

THREE = """
from lora_lessons.course.records import record
record("loss", 1.5, "nats")
print("in between")
record("steps", 1200, "steps")
record("right", True)
"""


def test_the_records_of_a_cell_are_one_list_that_no_reader_sees(tmp_path):
    with a_kernel(tmp_path) as kernel:
        shown = kernel.run(THREE)
        (table,) = [output for output in shown if output["msg_type"] == "display_data"]
        assert table["data"]["text/plain"] == "loss = 1.5 nats\nsteps = 1,200 steps\nright = yes"
        assert [one["name"] for one in table["data"][MIME]] == ["loss", "steps", "right"]
        assert table["data"]["text/html"] == "", "a reader sees nothing of it"
        (next_one,) = [o for o in kernel.run("record('r', 8)") if o["msg_type"] == "display_data"]
        assert next_one["data"]["text/plain"] == "r = 8", "what one output holds is not in the next"
        assert kernel.run("pass") == []


def test_what_was_recorded_before_an_error_is_kept(tmp_path):
    with a_kernel(tmp_path) as kernel:
        shown = kernel.run("from lora_lessons.course.records import record\nrecord('loss', 1.5)\n1 / 0")
    assert sorted(output["msg_type"] for output in shown) == ["display_data", "error"]


def test_records_stored_one_by_one_are_read_as_well():
    new = nbformat.v4.new_output
    old = {"name": "loss", "value": 1.5, "unit": "nats", "volatile": False}
    several = [{"name": "r", "value": 8, "unit": "", "volatile": False}, {**old, "name": "later"}]
    outputs = [new("display_data", {MIME: old, "text/plain": "loss = 1.5 nats"}), new("display_data", {MIME: several})]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=outputs)])
    assert list(records_of(book)) == ["loss", "r", "later"]


def test_a_record_taken_twice_in_a_cell_counts_once_with_its_last_value(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(records, "_keep_after_this_cell", lambda: None)
    monkeypatch.setattr("IPython.display.display", shown.append)
    records.record("loss", 2.0)
    records.record("loss", 1.0)
    records.keep_waiting()
    records.keep_waiting()
    assert [str(r) for table in shown for r in table.records] == ["loss = 1"]


def test_outside_a_notebook_a_record_is_shown_at_once(capsys):
    records.record("loss", 1.5, "nats")
    assert "loss = 1.5 nats" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [[1, 2], None, float("nan"), float("inf")])
def test_what_is_no_figure_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match="loss"):
        records.record("loss", wrong)


ONE = {"name": "a", "value": 1.0, "unit": "", "volatile": False}
MALFORMED = [
    [7],
    "x",
    {"name": "a"},
    [ONE | {"name": ["a"]}],
    [ONE | {"value": None}],
    [ONE | {"value": [1]}],
    [ONE | {"value": float("nan")}],
    [ONE | {"volatile": "no"}],
    [ONE | {"unit": 3}],
    [ONE | {"more": 1}],
    [ONE, None],
]


@pytest.mark.parametrize("bundle", MALFORMED)
def test_a_bundle_that_record_would_not_have_made_names_its_cell(bundle):
    output = nbformat.v4.new_output("display_data", {MIME: bundle})
    cells = [nbformat.v4.new_markdown_cell("# a"), nbformat.v4.new_code_cell("x", outputs=[output])]
    with pytest.raises(records.MalformedRecord, match="shows as a record is none") as said:
        records_of(nbformat.v4.new_notebook(cells=cells))
    assert said.value.index == 1 and isinstance(said.value, ValueError)
