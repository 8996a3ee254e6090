"""The page for teachers: each lesson's minutes, its sentence, its questions and the mistakes that its checks know;
three schedules; how a class is marked."""

from __future__ import annotations

import html
import importlib.util
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_lessons.course.lesson import notebook_of, place_of
from lora_lessons.course.prose import without_sources
from lora_lessons.course.syllabus import learning_minutes
from lora_lessons.lessons import all_exercises
from lora_lessons.paths import course_root
from lora_lessons.run.result import answer, title
from lora_tools.marking.notebooks import of_the_course
from lora_tools.marking.together import TOGETHER

from ..readme import took
from .finishing import as_table
from .lessons import FOLDER

if TYPE_CHECKING:
    from nbformat import NotebookNode

    Notebooks = Mapping[str, NotebookNode]

_ABOUT = """# For the teacher

Everything on this page is made from the lessons themselves: the minutes, the questions, and the mistakes that the
checks of the exercises know.

```bash
lora-lessons copies --without-solutions class/my_lessons   # what students get
lora-lessons class handed_in --out marks.csv               # a folder for each student, marked
```

The copies keep hints and checks, so students see at once what is wrong. The table has a row for each student and
exercise: *right*, *wrong* with the sentence that names the mistake, *open*, *raised*, *out of time*, *out of memory*,
*damaged*, *not handed in*, or *by hand*. Where a notebook answers an exercise twice, the later answer
counts. Nothing is trained again. [How a class is marked](#how-a-class-is-marked) says what a notebook cannot do."""
_MARKING = """## How a class is marked

**`class` runs students' code.** Run it on Linux, in a container or a virtual machine that holds nothing that you would
miss. Each answer has a process of its own, with a limit of time and memory.

- **{apart} of the {all} exercises are judged apart.** The check runs in another process, which is handed nothing but
  values: numbers, text, lists and tensors. So code in a notebook can neither decide its mark nor read another one.
- **{together} share a process with their check**, because it needs a class or a model that the student wrote. Such code
  is run only where each of its words is one of the lesson's, of PyTorch's layers and tensors, or a plain built-in of
  Python. All other code is marked *by hand*. That stops the tricks that we know, but it proves nothing: the table says
  *together*, so that you can look.
- **Files:** with Landlock (Linux 5.13 and later) the code reads Python and the course, and writes into a folder of its
  own. Where there is no Landlock, `class` refuses to run, unless you add `--anyway`.
- **Processes and network:** where the system allows new namespaces (Ubuntu's desktop and Docker's defaults do not), the
  code sees no other process and no network, and whatever it started ends with it. Elsewhere Landlock forbids it to use
  TCP (Linux 6.7) and to signal others (6.12).
- **What no marking sees:** an answer that was copied from a neighbour or from this repository is marked right. So is
  one that fits the check's examples and nothing else. The processor, the disk's room and other processes' speed are
  shared."""


def page(notebooks: Notebooks) -> str:
    """The page as MyST."""
    told = tomllib.loads(Path(__file__).with_name("teaching.toml").read_text(encoding="utf-8"))
    lessons = {place[:2]: (place, one) for place, one in notebooks.items() if "/" not in place}
    count = len(all_exercises())
    marking = _MARKING.format(all=count, apart=count - len(TOGETHER), together=len(TOGETHER))
    schedules = [_schedule(one, lessons) for one in told["schedules"]]
    known = mistakes()
    parts = (_lesson(number, *lesson, told, known) for number, lesson in lessons.items())
    return "\n\n".join([_ABOUT, "## Three schedules", *schedules, *parts, marking])


def _schedule(one: Mapping[str, Any], lessons: Mapping[str, tuple[str, NotebookNode]]) -> str:
    rows = []
    for name, numbers in one["parts"]:
        if not (chosen := [lessons[number] for number in numbers.split() if number in lessons]):
            continue
        times = [(*learning_minutes(notebook), _running(place)) for place, notebook in chosen]
        names = "<br>".join(html.escape(title(notebook)) for _, notebook in chosen)
        rows.append((html.escape(name), names, *(str(sum(each)) for each in zip(*times, strict=True))))
    head = ("when", "lessons", "reading, min", "exercises, min", "running, min")
    return f"### {one['name']}\n\n{one['says']}\n\n{as_table(head, rows)}"


def _running(place: str) -> int:
    minutes, _ = took(notebook_of(place))
    return int(minutes) if minutes.isdigit() else 0


def _lesson(
    number: str, place: str, notebook: NotebookNode, told: Mapping[str, Any], known: Mapping[str, list[tuple[str, str]]]
) -> str:
    reading, exercises = learning_minutes(notebook)
    needs = re.search(r"needs lessons? [^·\n]+|you can start here", notebook.cells[0].source)
    first = re.split(r"(?<=[.!?]) (?=[A-Z])", answer(notebook))[0]
    lines = [
        f"## [{title(notebook)}]({FOLDER}/{place}.ipynb)",
        f"Reading {reading} minutes, exercises {exercises}, running {_running(place)}; {needs[0] if needs else ''}.",
        f"**To take home:** {told['home'].get(number) or first}",
        f"**To show live:** {told['live'].get(number, 'what you like best.')}",
        *recall(notebook),
        *(_exercise(id, cases) for id, cases in known.items() if id.startswith(number)),
    ]
    return "\n\n".join(lines)


_RECALL = re.compile(r"(?:### Recall|\*\*Recall\*\*)\n(.*?)<details><summary>Answers?</summary>(.*?)</details>", re.S)


def recall(notebook: NotebookNode) -> Iterator[str]:
    """A lesson's questions, and their answers folded."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for questions, answers in _RECALL.findall(without_sources(text)):
        folded = f"<details><summary>Answers</summary>\n\n{answers.strip()}\n\n</details>"
        both = f"**Recall**\n\n{questions.strip()}\n\n{folded}"
        yield re.sub(r"\]\((?=[\w/]+\.ipynb)", f"]({FOLDER}/", both)


def _exercise(id: str, cases: list[tuple[str, str]]) -> str:
    """The mistakes that an exercise's check knows: words of its sentence, then the code."""
    one, place = all_exercises()[id], of_the_course()[id][0].notebook.removesuffix(".ipynb")
    shown = "".join(
        f"<p>“… {html.escape(words)} …”</p><pre>{html.escape(code.strip())}</pre>" for code, words in cases
    ).replace("\n", "&#10;")
    head = f"Exercise {id}, {html.escape(one.title)}: {len(cases)} mistakes that its check knows"
    where = "" if "/" not in place_of(place) else f" (side trip {place})"
    return f"<details><summary>{head}{where}</summary>{shown}</details>"


def mistakes() -> dict[str, list[tuple[str, str]]]:
    """Wrong answers to each exercise, each with words of the sentence that its check says; from the tests, which hold
    the checks to them."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted(course_root().glob("tests/lessons/*/wrong_answers*.py")):
        spec: Any = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.WRONG
    return {id: found[id] for id in all_exercises() if id in found}
