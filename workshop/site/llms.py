"""llms.txt at the site's root, in llmstxt.org's form: what a program that reads is to know, and where it reads on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_lessons.course.syllabus import SYLLABUS
from lora_lessons.paths import course_root
from lora_lessons.run.result import title
from lora_tools import cli
from lora_tools.cli.as_json import SCHEMAS

from ..badges import address
from .lessons import FOLDER, SYMPTOMS

if TYPE_CHECKING:
    from nbformat import NotebookNode

NAME = "llms.txt"
# The pages of docs/ that a program needs, in the order in which it needs them.
DOCS = {
    "for-agents.md": "plan, check, train, inspect and export, a command each, and what to do after each exit status",
    "from-a-script.md": "the exit statuses, and the JSON documents with their schemas",
    "commands.md": "every command and its options",
    "api.md": "the same in Python",
}
LOOK_UP = {
    "claims": "what people say of LoRA, and what was measured",
    "papers": "what papers say of it, and what was seen in miniature",
    f"{FOLDER}/{SYMPTOMS}": "how a training goes wrong, in the words of those who met it",
    "glossary": "the course's words",
    "numbers": "where every number of the lessons comes from",
}
_HEAD = """# LoRA Lessons

> A course on LoRA and QLoRA in Jupyter notebooks, and the command `lora-lessons`, which plans a training's memory, \
checks its data, trains, inspects an adapter and exports it.

Everything runs on a processor, without a hub. The tools print JSON with `--json`, and their exit status says yes (0)
or no (1). No file is overwritten unless you say `--overwrite`, no pickle is loaded, and no code from a model's folder
is run."""


def text(notebooks: Mapping[str, NotebookNode]) -> str:
    """The file: what this is, then the instructions, the tools, the lessons and what is looked up, a link each."""
    sections = {
        "Use the tools": _docs(),
        "Tools, each with the schema of its --json": _tools(),
        "Lessons": _lessons(notebooks, deeper=False),
        "Look it up": (
            f"- [{what.rpartition('/')[2].capitalize()}]({what}.html): {says}" for what, says in LOOK_UP.items()
        ),
        # by llmstxt.org, what may be left out where there is little room
        "Optional": _lessons(notebooks, deeper=True),
    }
    parts = [f"## {name}\n\n" + "\n".join(lines) for name, each in sections.items() if (lines := list(each))]
    return "\n\n".join([_HEAD, *parts]) + "\n"


def _in_repository(path: Path) -> str:
    return f"{address()}/blob/main/{path.relative_to(course_root()).as_posix()}"


def _docs() -> Iterator[str]:
    for name, says in DOCS.items():
        page = course_root() / "docs" / name
        heading = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        yield f"- [{heading}]({_in_repository(page)}): {says}"


def _tools() -> Iterator[str]:
    says = {
        verb.__name__: " ".join((verb.__doc__ or "").partition("\n\n")[0].split()) for verb in (cli.run, *cli.VERBS)
    }
    says |= {str(group.info.name): str(group.info.help) for group in (cli.export, cli.cluster)}
    for name in sorted(file.stem for file in SCHEMAS.glob("*.json") if file.stem in says):
        yield f"- [lora-lessons {name}]({_in_repository(SCHEMAS / f'{name}.json')}): {says[name].rstrip('.')}"


def _lessons(notebooks: Mapping[str, NotebookNode], *, deeper: bool) -> Iterator[str]:
    """The lessons with what one can do afterwards; or the side trips."""
    for place, notebook in notebooks.items():
        if ("/" in place) == deeper:
            planned = None if deeper else SYLLABUS.get(place[:2])
            yield f"- [{title(notebook) or place}]({FOLDER}/{place}.html)" + (
                f": afterwards you can {planned.afterwards}" if planned else ""
            )
