"""What others wrote, shown in a real browser: no script runs, no element is added, no request leaves.

Every field is shown twice, with a hostile text and with a harmless one, and the elements of the two are compared.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from chat_templates import CHATML, tokenizer_of
from hostile import HARMLESS, HOSTILE, NAME, NOWHERE
from safetensors.torch import load_file, save_file
from tiny import make_tiny_model

from lora_lessons import lora
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from lora_lessons.course.records import Record
from lora_lessons.run.baselines import Deviation
from lora_lessons.run.report import as_html
from lora_lessons.run.result import FAILED, CellError, LessonResult
from lora_tools import cli
from workshop.site.build import write_site

# How many elements of each kind an element holds. A <span> is what parts a text that might be a formula.
ELEMENTS = """root => {
    const count = {};
    for (const one of root.querySelectorAll("*")) if (one.localName !== "span")
      count[one.localName] = (count[one.localName] ?? 0) + 1;
    return count;
}"""
SETUP = f"""import warnings
from types import SimpleNamespace as Some
import torch
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure
from lora_tools import inspection
from lora_tools.inspection import picture
from lora_lessons.course import blind_judge, chat_box, claims, exercises, lesson, show
from lora_lessons.course.lesson import Handover
from lora_lessons.course.records import Record, Table
from lora_lessons.course.stage import Backdrop, Scene, Stage, slider
from lora_lessons.lessons.l09 import widget as mixer
from lora_lessons.lessons.l12_bug_museum.shown import vital_signs
from lora_tools.own import pictures

HOSTILE, HARMLESS = {HOSTILE!r}, {HARMLESS!r}
warnings.simplefilter("ignore")  # matplotlib's, of names that are wider than their picture

def topics(text):
    one = {{"topic": text}}
    tokens = [Some(input_ids=[0] * 9)]
    return Some(split=Some(train=[one], held_out=[one], topics=(text,)), train=tokens, held_out=tokens)

def stage(text):
    figure = Figure()
    figure.subplots()
    return Stage(lambda at: Scene(Backdrop(figure), [at], [text]), "at", [slider("at", text)], at=1)

def judged(text):
    exercises.EXERCISES["0.0"] = exercises.Exercise("0.0", text, 1, 1, lambda _: text)
    exercises.check("0.0", 1)"""
# What a lesson shows of others' text: name → how.
FIELDS = {
    "a summary": "show(Figure(), TEXT)",
    "the topics of a training file": "show(*pictures.lines_of(topics(TEXT)))",
    "an adapter's layers": "xray = inspection.inspect(FOLDER)\nshow(picture.heat_map(xray), picture.summary(xray))",
    "a widget's words": "display(stage(TEXT))",
    "a widget's still": "display(HTML(stage(TEXT)._repr_mimebundle_()[0]['text/html']))",
    "records": "display(Table([Record(TEXT, TEXT, TEXT)]))",
    "a table": "display(HTML(lesson._table([TEXT] * 3, [[TEXT] * 3], code=True)))",
    "an exercise": "judged(TEXT)",
    "a verdict": "display(HTML(claims.Card('G01', TEXT, 'holds', TEXT).html()))",
    "vital signs": "vital_signs({TEXT: (TEXT, TEXT)})",
    "a handover": "display(Handover([TEXT]))",
    "a chat": "display(HTML(chat_box.still([{'adapter': True, 'question': TEXT, 'answer': TEXT}])))",
    "answers to judge": "display(blind_judge.BlindJudge([blind_judge.Pair(TEXT, TEXT, TEXT + '.')]))",
    "answers on paper": "display(HTML(blind_judge.still([{'question': TEXT, 'left': TEXT, 'right': TEXT}])))",
    "a mixture": "display(HTML(mixer.still([TEXT], {TEXT: (TEXT, TEXT, TEXT)})))",
}
FORMULA = 'display(Markdown("$a$"))'


def adapter(folder: Path, text: str) -> Path:
    """An adapter whose folder, configuration and tensors have `text` in their names."""
    model = make_tiny_model()
    lora.attach(model, r=2)
    save_adapter(model, folder, base_name=text)
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config |= {"task_type": text, "target_modules": [text, "q_proj"], "revision": text, "peft_version": text}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    save_file({key.replace("q_proj", text): one for key, one in tensors.items()}, folder / ADAPTER_WEIGHTS)
    return folder


def opened(browser: Any, page: Path, root: str = "html") -> tuple[dict[str, int], list[str]]:
    """The elements of a page on the disk, and what it asked for elsewhere. No script of the text has run."""
    tab, asked = browser.new_page(), list[str]()
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(page.as_uri())
    tab.wait_for_load_state("networkidle")
    assert tab.evaluate("() => window.hacked") is None
    assert tab.evaluate("() => [...document.links].filter((link) => link.protocol === 'javascript:').length") == 0
    found = tab.locator(root).first.evaluate(ELEMENTS)
    tab.close()
    return found, [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.fixture(scope="module")
def notebook(browser: Any, lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A notebook that has shown every field, first hostile and then harmless;
    its page is looked at before it closes."""
    from browser.conftest import Lesson

    folders = [adapter(tmp_path_factory.mktemp("a") / "adapter", text) for text in (HOSTILE, HARMLESS)]
    cells = [
        how.replace("TEXT", text).replace("FOLDER", repr(str(folder)))
        for how in FIELDS.values()
        for text, folder in zip(("HOSTILE", "HARMLESS"), folders, strict=True)
    ]
    lab.write("outside", SETUP, *cells, FORMULA)
    with Lesson(browser, lab, "outside") as lesson:
        asked: list[str] = []
        lesson.page.on("request", lambda request: asked.append(request.url))
        whole = (
            "() => { const n = jupyterapp.shell.currentWidget.content; n.notebookConfig = {...n.notebookConfig, "
            "windowingMode: 'none'}; }"
        )
        lesson.page.evaluate(whole)
        lesson.run_all()
        lesson.page.wait_for_selector("mjx-container")
        outputs = lesson.page.locator(".jp-Notebook .jp-CodeCell")
        found = [outputs.nth(n).locator(".jp-Cell-outputWrapper").evaluate(ELEMENTS) for n in range(len(cells) + 2)]
        hacked = lesson.page.evaluate("() => window.hacked")
        assert [one for one in lesson.errors() if one.startswith("cell ")] == []
        yield nbformat.reads(json.dumps(lesson.saved()), as_version=4), found[1:-1], hacked, asked


def test_a_notebook_shows_text_as_text(notebook):
    _, found, hacked, asked = notebook
    pairs = zip(FIELDS, found[::2], found[1::2], strict=True)
    assert [name for name, hostile, harmless in pairs if hostile != harmless] == []
    assert all(found), "every field shows something"
    assert hacked is None and [url for url in asked if url.startswith(NOWHERE)] == []


def lessons(notebook: Any) -> Iterator[tuple[str, Any]]:
    """A hostile text and a lesson that shows every field of it, then the harmless ones."""
    for number, text in enumerate((HOSTILE, HARMLESS)):
        title = nbformat.v4.new_markdown_cell("# A lesson")
        cells = [title, *notebook.cells[1:-1][number::2]]
        yield text, nbformat.v4.new_notebook(metadata=notebook.metadata, cells=cells)


def test_a_report_shows_text_as_text(notebook, browser, tmp_path):
    """Of a lesson that failed: every word of its error, its records and its deviations is a field, too."""
    found = []
    for (text, shown), name in zip(lessons(notebook[0]), ("javascript:window.hacked=11", "a lesson"), strict=True):
        error, records = CellError(1, text, text, text, text), {text: Record(text, text, text)}
        result = LessonResult(name, FAILED, 1.0, 1, 1, records, [Deviation(text, text)], error=error, notebook=shown)
        about = {"date": text, "machine": text, "profile": text, "seconds": 1.0, "not_run": [text]}
        about |= {"parameters": {text: text}, "versions": {text: text}}
        page = tmp_path / f"{len(found)}.html"
        page.write_text(as_html([result], about), encoding="utf-8")
        found.append(opened(browser, page))
    assert found[0] == found[1] == (found[1][0], [])


def test_a_page_of_the_site_shows_text_as_text(notebook, browser, tmp_path):
    """The pages are those of two lessons, stored with what JupyterLab has just shown in place of their own cells."""
    places = ("01_low_rank", "02_lora_layer")
    stored = {place: shown for place, (_, shown) in zip(places, lessons(notebook[0]), strict=True)}
    write_site(stored, tmp_path / "site", widgets=False, progress=lambda _: None)
    hostile, harmless = (
        opened(browser, tmp_path / "site" / "lessons" / f"{place}.html", "article") for place in places
    )
    assert hostile == harmless == (harmless[0], [])


def test_the_page_of_check_shows_text_as_text(browser, tmp_path, capsys):
    base, found = tmp_path / "base", []
    tokenizer_of(CHATML, begin=False).save_pretrained(base)
    (base / "config.json").write_text('{"model_type": "llama", "max_position_embeddings": 9000}')
    # both longer than TRL cuts and with an unseen sign, which are findings of their own
    for text, name in ((HOSTILE, NAME), (HARMLESS + " as long\u200b" * 150, "harmless")):
        chat = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
        lines = [{"messages": chat, "topic": text}, {"messages": [{"role": text, "content": text}]}, {text: text}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        page = tmp_path / f"{len(found)}.html"
        words = ["check", str(tmp_path / f"{name}.jsonl"), "--base", str(base), "--html", str(page)]
        assert cli.main(words) == cli.EXIT_NO, capsys.readouterr().err
        found.append(opened(browser, page))
    assert found[0] == found[1] == (found[1][0], []) and found[0][0]["pre"] == 1


def test_the_page_of_inspect_shows_text_as_text(browser, tmp_path):
    found = []
    for text, name in ((HOSTILE, NAME), (HARMLESS, "harmless")):
        page = tmp_path / f"{len(found)}.html"
        assert cli.main(["inspect", str(adapter(tmp_path / name, text)), "--html", str(page)]) == cli.EXIT_NO
        found.append(opened(browser, page))
    assert found[0] == found[1] == (found[1][0], []) and found[0][0]["img"] == 1
