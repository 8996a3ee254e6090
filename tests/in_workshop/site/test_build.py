"""A site of a small notebook: what stops it, what it says then, and that the same input gives the same bytes."""

from __future__ import annotations

import shutil

import pytest
from hostile import TERMINAL, UNSEEN
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from lora_lessons.course.records import MIME
from workshop.site import build, finishing, lessons
from workshop.site.mathml import mathml


def notebook(*cells):
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    badge += "(https://colab.research.google.com/github/a/b/c.ipynb)"
    return new_notebook(cells=[new_markdown_cell(f"# 01 · A lesson?\n\n{badge}"), *cells])


def site(tmp_path, *cells, place="01_low_rank"):
    return build.write_site({place: notebook(*cells)}, tmp_path / "site", widgets=False, progress=lambda line: None)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """The site of a notebook in which nothing is wrong."""
    return site(tmp_path_factory.mktemp("fine"), new_markdown_cell("$A$")).parent


def test_the_same_notebook_gives_the_same_bytes(fine, tmp_path):
    first, second = everything(fine), everything(site(tmp_path, new_markdown_cell("$A$")).parent)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_a_warning_stops_it_and_what_was_there_stays(fine, tmp_path):
    shutil.copytree(fine, tmp_path / "site")
    with pytest.raises(ValueError, match=r"was not written.*lessons/01_low_rank.*nowhere"):
        site(tmp_path, new_markdown_cell("[a link](#nowhere)"))
    assert everything(tmp_path / "site") == everything(fine)
    assert [path.name for path in tmp_path.iterdir()] == ["site"], "nothing is left beside it"


def test_a_formula_that_cannot_be_set_stops_it_and_names_the_lesson(tmp_path):
    with pytest.raises(ValueError, match=r"01_low_rank.*\\\\nonsense"):
        site(tmp_path, new_markdown_cell(r"$\nonsense x$"))
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("tex", [r"\frac{1}{2", r"\nonsense x", "x^", r"\begin{pmatrix}1"])
def test_a_formula_with_a_mistake_is_refused(tex):
    with pytest.raises(ValueError, match="the formula"):
        mathml(tex)


def test_signs_written_as_they_are_become_operators_and_matrices_draw_their_own_fence():
    assert mathml("a − b·c ≠ 0") == mathml(r"a - b \cdot c \neq 0")
    assert '<mtable class="matrix">' in mathml(r"\begin{pmatrix}1\\2\end{pmatrix}")
    assert 'lspace="0"' in mathml("|x|") and "xmlns" not in mathml("x")


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("[a](02_lora_layer.ipynb)", "[a](02_lora_layer.ipynb)"),
        ("[a](02_lora_layer.ipynb#part)", "[a](02_lora_layer.ipynb#part)"),
        ("[a](symptoms.md)", "[a](symptoms.md)"),
        ("[a](https://b.c/d)", "[a](https://b.c/d)"),
        ("[a](#here)", "[a](#here)"),
        ("`f[0](x)` and $g[1](y)$", "`f[0](x)` and $g[1](y)$"),
        ("```python\nf[0](x)\n```", "```python\nf[0](x)\n```"),
        (
            "[a](03_train_lora.ipynb)",
            "[a](https://github.com/lora-lessons/lora-lessons/blob/main/notebooks/03_train_lora.ipynb)",
        ),
        ("[a](../data/x.json#b)", "[a](https://github.com/lora-lessons/lora-lessons/blob/main/data/x.json#b)"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_to_the_repository(link, leads):
    assert lessons.linked(link, "01_low_rank", ["02_lora_layer", "symptoms"]) == leads


def test_a_picture_cut_short_stops_it_and_names_its_page(tmp_path):
    (tmp_path / "01_a.html").write_text('<img src="data:image/png;base64,iVBOR">', encoding="utf-8")
    with pytest.raises(ValueError, match=r"picture of 01_a is damaged"):
        finishing.finish(tmp_path)


def test_the_room_that_is_kept_free_for_a_picture_has_its_shape(tmp_path):
    (tmp_path / "_images").mkdir()
    Image.new("L", (4, 2)).save(tmp_path / "_images" / "a.png")
    page = tmp_path / "01_a.html"
    page.write_text('<img src="_images/a.png"><img src="_images/a.png" width="200">', encoding="utf-8")
    finishing.finish(tmp_path)
    assert 'width="4" height="2"' in (text := page.read_text("utf-8")) and 'width="200" height="100"' in text


def test_a_heading_is_raised_where_a_level_was_left_out():
    outline = lessons.Outline()
    assert (
        outline.stepped("# One\n\n### Three\n\n~~~python\n# no heading\n~~~")
        == "# One\n\n## Three\n\n~~~python\n# no heading\n~~~"
    )
    assert outline.stepped("### Three") == "### Three", "it is below the one before it"


def test_a_lesson_says_that_it_is_a_recorded_run_and_its_map_is_the_sites():
    cell = new_markdown_cell("⏱ Minutes: reading 15 · [Map of the course](00_start_here.ipynb)")
    first, second = lessons.page(notebook(cell), "deeper/03_x", ["deeper/03_x"]).cells
    assert "a recorded run" in first.source
    assert "[in Colab](https://colab.research.google.com/github/a/b/c.ipynb)" in first.source
    assert 'href="../../index.html#where-to-start"' in first.source
    assert second.source == "Minutes: reading 15 · [Map of the course](../../map.md)"


def shown(*outputs):
    cell = new_code_cell("show()", outputs=list(outputs))
    return [c for c in lessons.page(notebook(cell), "01_low_rank", ["01_low_rank"]).cells if c.cell_type == "code"]


def test_a_cell_with_two_pictures_becomes_two_so_that_each_has_its_words():
    pictures = [
        new_output("display_data", {"image/png": "AA=="}, metadata={"image/png": {"alt": alt, "width": 8} | kept})
        for alt, kept in (("one", {}), ("two", {"needs_background": "light"}))
    ]
    first, second = shown(*pictures)
    assert [c.metadata["mystnb"]["image"] for c in (first, second)] == [
        {"alt": "one", "classes": "drawing"},
        {"alt": "two", "classes": "photo"},
    ]
    assert first.source == "show()" and second.metadata["tags"] == ["remove-input"]


def test_a_guess_that_nobody_made_asks_the_reader_for_one():
    (cell,) = shown(new_output("stream", name="stdout", text="No prediction yet. Put your guess in.\n"))
    assert "Make your guess" in cell.outputs[0].data["text/html"]
    (cell,) = shown(
        new_output("stream", name="stdout", text="1 step\nMeasured: 5 <GB>. You made no prediction this time.\n")
    )
    assert (
        cell.outputs[0].data["text/html"]
        == '<p class="guess">1 step<br><b>Measured: 5 &lt;GB&gt;.</b> How far off was your guess?</p>'
    )
    (cell,) = shown(new_output("stream", name="stdout", text="Measured: 5 GB. You said 4 GB.\n"))
    assert cell.outputs[0].text == "Measured: 5 GB. You said 4 GB.\n", "a guess that was made stays"


def test_what_was_printed_is_shown_as_text():
    printed = (new_output("stream", name="stdout", text=text) for text in ("01_low_rank: ready.\n", TERMINAL))
    (cell,) = shown(*printed, new_output("execute_result", {"text/plain": TERMINAL}))  # a page is never ready
    assert not UNSEEN & {*cell.outputs[0].text, *cell.outputs[1].data["text/plain"]}


def test_an_open_exercise_leads_to_a_kernel():
    said = "<div><b>○ Exercise 01.1 · ★☆☆ · 3 min</b><br>Not solved yet.</div>"
    (cell,) = shown(new_output("display_data", {"text/html": said}))
    made = cell.outputs[0].data["text/html"]
    assert "Not solved yet" not in made and 'href="https://colab.research.google.com/github/a/b/c.ipynb"' in made
    assert "make lab" in made and "01_low_rank.ipynb" in made


def test_records_are_unseen_and_found_by_their_cells_name():
    record = [{"name": "a.b", "value": 1, "unit": "", "volatile": False}]
    (cell,) = shown(new_output("display_data", {"text/html": "", MIME: record}))
    assert cell.outputs[0].data == {"text/html": f'<span id="cell-{cell.id}"></span>'}


def test_a_solved_exercise_keeps_what_its_check_said():
    said = "<div><b>✔ Exercise 01.1 · ★☆☆ · 3 min</b><br>Correct.</div>"
    (cell,) = shown(new_output("display_data", {"text/html": said}))
    assert cell.outputs[0].data["text/html"] == said
