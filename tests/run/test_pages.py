"""The report of a run as pages: what failed first, every lesson as it ran, and nothing lost where they cannot be made."""

from __future__ import annotations

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest

from lora_lessons import cli
from lora_lessons.course.lesson import notebook_of
from lora_lessons.course.records import Record, records_of
from lora_lessons.run import runner
from lora_lessons.run.report import pages
from lora_lessons.run.result import FAILED, INTERRUPTED, CellError, LessonResult
from lora_lessons.run.site import build
from lora_lessons.run.site.build import MARKER

OWN = """## A heading of level two comes first

A formula that nobody can read, $\\frac{1}{$, a [file that is not here](none.md#x), 5.2<!--record loss-->, and ```` ticks."""
ERROR = CellError(9, "model = <peft>", "ValueError", "`r` must be > 0 & **whole**", "Traceback:\n\n  ```\n\nValueError")


def as_stored(lesson, parameters, out, environment=None, title="", **_):
    """What the runner gives for a lesson, without a kernel: its stored outputs, as if this run had made them."""
    notebook = nbformat.read(lesson, as_version=4)
    nbformat.write(notebook, out / lesson.name)
    result = LessonResult(lesson.stem, "ok", 12.0, 10**9, 5, records_of(notebook), notebook=notebook)
    if lesson.stem == "04_peft":
        result.status, result.error = FAILED, ERROR
    if share := result.records.get("qwen.share"):
        result.records["qwen.share"] = Record(share.name, 0.123, share.unit)
    return result


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a run of two lessons, a side trip and a notebook of the learner's own, written once."""
    folder = tmp_path_factory.mktemp("run")
    own = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(OWN), nbformat.v4.new_code_cell("1")])
    nbformat.write(own, folder / "own.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "run_one", as_stored)
        words = ["02", "04", "deeper/01_the_bases_own_grid", str(folder / "own.ipynb")]
        assert cli.main(["run", *words, "--out", str(folder / "out")]) == cli.EXIT_FAILED
    return folder / "out"


def read(path):
    return path.read_text(encoding="utf-8")


def words(page):
    """What a reader sees of a page's article."""
    article = read(page).partition("<article")[2].partition("</article>")[0]
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", article, flags=re.S).split())


class _Addresses(HTMLParser):
    """Where the links of a page lead, and what it loads."""

    def __init__(self, page):
        super().__init__()
        self.leads, self.loads = [], []
        self.feed(read(page))

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        if tag == "a" and about.get("href"):
            self.leads.append(about["href"])
        self.loads += [about[name] for name in ("src", "href") if tag in ("img", "script", "link") and about.get(name)]


def test_the_cover_begins_with_what_failed_the_cell_and_what_to_do(report):
    said = words(report / "pages" / "index.html")
    assert said.index("did not go as it should") < said.index("The claims") < said.index("The lessons")
    assert "04_peft failed in cell 9. It begins model = &lt;peft&gt; ." in said
    assert "`r` must be &gt; 0 &amp; **whole**" in said and "lora-lessons run 04_peft runs it alone" in said
    assert "G04 “ LoRA cuts" in said.replace("<q>", "") or "LoRA cuts the trainable parameter count" in said
    assert "02 · What is the smallest update that could work?" in said and "12 s 1.0 GB" in said


def test_a_lesson_is_a_page_with_its_pictures_and_its_records_beside_their_bands(report):
    page = report / "pages" / "lessons" / "02_lora_layer.html"
    assert len(re.findall(r"<img[^>]* src=\"\.\./_images/", read(page))) >= 3
    assert "12 s: ok." in words(page), "how it went"
    told = read(page).partition("What this run measured")[2]
    assert re.search(r"<code>lora.layers</code></td><td class=\"n\">210</td><td>layers</td><td>exactly 210</td>", told)
    failed = words(report / "pages" / "lessons" / "04_peft.html")
    assert failed.index("in 12 s: failed. 04_peft failed in cell 9") < 800 and "&lt;p class" not in failed


def test_a_number_in_prose_leads_to_what_was_recorded_and_what_this_run_found(report):
    page = read(report / "pages" / "lessons" / "02_lora_layer.html")
    (href, hint) = re.search(r'href="(\S+)" data-hint="(lora\.layers: 210 layers[^"]+)"', page).groups()
    assert href == "../numbers/02_lora_layer.html#lora.layers" and hint.endswith("This run: 210 layers.")
    table = read(report / "pages" / "numbers" / "02_lora_layer.html")
    row = next(row for row in re.findall(r"<tr.*?</tr>", table, re.S) if 'id="lora.layers"' in row)
    assert re.sub(r"<[^>]+>", "", row).endswith("210 layers")


def test_a_notebook_that_is_no_lesson_and_odd_markdown_become_a_page_too(report):
    said = words(report / "pages" / "lessons" / "own.html")
    assert "A heading of level two comes first" in said and "5.2, and" in said and "<!--record" not in said


def test_every_link_leads_to_something_and_nothing_is_loaded_from_elsewhere(report):
    seen = [report / "report.html", *(report / "pages").rglob("*.html")]
    assert len(seen) >= 9
    for page in seen:
        found = _Addresses(page)
        assert [one for one in found.loads if re.match(r"\w+:(?!image/)|//", one)] == [], page
        inside = [one.partition("#")[0] for one in found.leads if not re.match(r"\w+:|#", one)]
        missing = [one for one in inside if one and not (page.parent / one).exists() and "none.md" not in one]
        assert missing == [], page


def test_report_html_stays_one_file_and_leads_to_the_pages(report):
    page = read(report / "report.html")
    assert 'href="pages/index.html"' in page and 'href="pages/lessons/deeper/01_the_bases_own_grid.html"' in page
    assert len(page) < 40_000 and _Addresses(report / "report.html").loads == []
    assert sorted(path.name for path in report.iterdir() if path.is_dir()) == ["pages"], "nothing of Sphinx is left"


# ---- what keeps them from being written ----


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs lesson 02 into out/, without a kernel."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run_one", as_stored)
    return lambda *more: cli.main(["run", "02", *more])


def whole(out=Path("course-report")):
    return "1 notebook measured what was recorded." in read(out / "report.html") and "pages/" not in read(
        out / "report.html"
    )


def test_without_the_extra_the_report_is_whole_and_one_sentence_says_what_is_missing(run, monkeypatch, capsys):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "sphinx" else there(name, *_))
    assert run() == cli.EXIT_OK and whole()
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the report has no pages" in last and last.endswith("pip install 'lora-lessons[site]'.")


@pytest.mark.parametrize("error", [RuntimeError("Handler <x> threw"), OSError(28, "No space left on device", "out")])
def test_whatever_goes_wrong_in_sphinx_the_run_and_the_old_pages_stay(run, monkeypatch, capsys, error):
    def stops(*_, **__):
        raise error

    Path("course-report/pages").mkdir(parents=True)
    Path("course-report/pages/index.html").write_text("old")
    Path("course-report/pages", MARKER).write_text("index.html\n")
    monkeypatch.setattr(build, "render", stops)
    assert run() == cli.EXIT_OK and whole() and read(Path("course-report/pages/index.html")) == "old"
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("lora-lessons: the report has no pages") and "Traceback" not in said


def test_a_run_that_is_interrupted_still_gets_pages_of_what_ran(run, monkeypatch, capsys):
    written = []
    monkeypatch.setattr(pages, "write_pages", lambda out: written.append(out) or out / "pages" / "index.html")
    monkeypatch.setattr(runner, "run_one", lambda *words, **more: _interrupted(as_stored(*words, **more)))
    assert run() == cli.EXIT_INTERRUPTED
    assert written == [Path.cwd() / "course-report"] and "Ctrl-C again leaves them out" in capsys.readouterr().err
    assert "02_lora_layer was interrupted" in read(Path("course-report/report.html"))


def _interrupted(result):
    result.status = INTERRUPTED
    return result


def test_they_can_be_left_out(run, monkeypatch):
    monkeypatch.setattr(pages, "write_pages", lambda out: pytest.fail("pages were written"))
    assert run("--no-pages") == cli.EXIT_OK and not Path("course-report/pages").exists()


def test_pages_need_a_report(tmp_path):
    with pytest.raises(ValueError, match="cannot be read as a report: run the lessons again"):
        pages.write_pages(tmp_path)


def test_html_is_left_alone_whatever_it_holds():
    assert pages.raw("<pre>```\n\n````</pre>") == "`````{raw} html\n<pre>```\n\n````</pre>\n`````"


def test_the_stand_in_is_a_lesson_of_the_course():
    assert notebook_of("02_lora_layer").is_file() and notebook_of("04_peft").is_file()
