"""`python -m workshop VERB`: the course's own adapters, its tables, addresses, new lessons and site."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from lora_tools.cli import EXIT_NO, EXIT_OK, PLAINLY, obey
from lora_tools.cli.options import absolute_path, shown
from workshop.record.verbs import recorders


def adapters(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="persona, plain_language, code_style, strict_json; none means all."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=absolute_path, metavar="DIR", help="Where they go; otherwise adapters/ in this folder."),
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Replace the course's own, in its data/adapters/.")] = False,
    seed: Annotated[int, typer.Option(metavar="S", help="The seed of every run.")] = 0,
) -> int:
    """Train and score the adapters of lesson 09.

    They are saved in PEFT's format, in 16 bits.
    """
    from workshop.record import shipped_adapters

    if out and record:
        raise ValueError("--record writes into the course's data/: leave out --out, or --record.")
    out = out or (None if record else absolute_path("adapters"))
    shipped_adapters.make(tasks or tuple(shipped_adapters.ABOUT), out, seed)
    if out:
        print(f"Written: {shown(out)}")
    return EXIT_OK


def badges(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="https://github.com/OWNER/NAME; without it, pyproject.toml's."),
    ] = None,
) -> int:
    """Write a fork's address into every badge.

    It also goes into the set-up cells, the README and pyproject.toml.
    """

    from workshop import badges

    changed = badges.set_address(address or badges.address())
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK


def new_lesson(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Number and name, such as 15_name.")],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help='What the lesson asks, such as "Which rank?".')],
) -> int:
    """Make a new lesson from the template.

    Notebook, room, tests, syllabus row and baseline. The lesson passes the tests as it stands. Write yours over it,
    piece by piece.
    """
    from workshop.new_lesson import make

    print("Writing the lesson, and running it once for its outputs and its baseline …", file=sys.stderr)
    for path in make(name, question):
        print(path)
    return EXIT_OK


def readme() -> int:
    """Write the tables and the page that are made, and notebooks as they are stored.

    In README and docs/ what stands between their markers, notebooks/symptoms.md whole, and each notebook that
    JupyterLab saved in its own way.
    """
    from lora_lessons.course.lesson import lessons, side_trips
    from lora_lessons.run.notebooks import read_notebook
    from lora_lessons.run.stored import store_outputs
    from workshop import readme as tables
    from workshop import symptoms_page

    changed = [path for path in [*lessons(), *side_trips()] if store_outputs(path, read_notebook(path))]
    changed += [*tables.write(), *symptoms_page.write()]
    for path in changed:
        print(f"{path.name}: rewritten.")
    print(f"{len(changed)} files changed.")
    return EXIT_OK


def site(
    out: Annotated[
        Path,
        typer.Option("--out", parser=absolute_path, metavar="DIR", help="The folder that the site is written into."),
    ] = Path("course-report/site"),
    alive: Annotated[
        bool,
        typer.Option("--alive", help="Let visitors wake the model in their browsers: 140 MB more, fetched by npm."),
    ] = False,
) -> int:
    """Write the course as web pages.

    It needs no server and no network: the stored notebooks become pages, and the widgets answer from what is baked in.
    With --alive the course's own model answers in the browser, too, from any plain server.
    """
    from lora_lessons.lessons import rooms
    from workshop.site.build import check_extra, check_place, stored, write_site

    check_extra()
    check_place(out)
    rooms()  # each registers its exercises, and the widgets that the web gets
    index = write_site(stored(), out, alive=alive, progress=lambda line: print(line, file=sys.stderr))
    print(f"The site is written: open {shown(index)} in a browser.")
    return EXIT_OK


def pdf(
    out: Annotated[
        Path, typer.Option("--out", parser=absolute_path, metavar="FILE", help="The PDF that is written.")
    ] = Path("course-report/lessons.pdf"),
) -> int:
    """Print the lessons into one PDF, by Chromium.

    As the site prints: pictures whole, pages numbered, links as addresses. What is folded stays off the paper.
    """
    from lora_lessons.lessons import rooms
    from workshop import pdf as paper

    rooms()
    print(f"Written: {shown(paper.make(out))}")
    return EXIT_OK


def animation(
    record: Annotated[bool, typer.Option("--record", help="Train first, and record it anew.")] = False,
) -> int:
    """Draw the README's animation, docs/door.gif, from its recording, and say the words that belong to it."""
    from lora_lessons.experiments import recordings
    from lora_lessons.paths import course_root
    from workshop import animation as door

    run = door.record() if record else recordings.recorded(door.NAME)
    path = door.animate(run, course_root() / "docs" / "door.gif")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB\n{door.words(run)}")
    return EXIT_OK


def budget() -> int:
    """Hold the statements of each door, and the lines beside them, to their limits.

    They stand in pyproject.toml, under [tool.budget]. Whoever removes lowers them.
    """
    from lora_lessons.paths import course_root
    from workshop.budget import judged

    over, loose = judged(course_root())
    print("\n".join([*over, *loose]) or "Every row is within its limit.")
    return EXIT_NO if over else EXIT_OK


app = typer.Typer(**PLAINLY, help="What maintainers of the course run.")
app.add_typer(recorders)
VERBS: list[Callable[..., int]] = [site, pdf, readme, new_lesson, badges, adapters, animation, budget]
for verb in VERBS:
    app.command()(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status, as `lora_tools.cli.main` does."""
    return obey(app, "python -m workshop", list(sys.argv[1:] if arguments is None else arguments))


if __name__ == "__main__":
    sys.exit(main())
