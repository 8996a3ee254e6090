"""`run`, `lab` and `doctor`: execute lessons, open them to learn, and what this machine can do."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from lora_lessons.errors import refuse, require
from lora_lessons.outside import in_json

from .as_json import AsJson
from .options import EXIT_FAILED, EXIT_NO, EXIT_OK, absolute_path, notebook_or_name, path_or_name, shown

if TYPE_CHECKING:
    from lora_lessons.run.result import LessonResult


# Where the report of a run goes, in the folder that it was started from.
REPORT = Path("course-report")
PARAMETER = ("-p", "--parameter")


class LessonCommand(TyperCommand):
    """Reads `-p NAME VALUE` as papermill does; typer itself has no option that takes two words and may be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined, rest = [], iter(args)
        for word in rest:
            joined.append(word)
            if word in PARAMETER:
                given = [part for part in (next(rest, None), next(rest, None)) if part is not None]
                joined.append("=".join(given))
        return super().parse_args(ctx, joined)


def run(
    lessons: Annotated[
        list[str] | None,
        typer.Argument(
            parser=notebook_or_name, metavar="LESSON", help="03, 03_train_lora, deeper/03_x or a path; none means all."
        ),
    ] = None,
    profile: Annotated[Literal["quick", "full"], typer.Option(help="How much work to do.")] = "quick",
    parameter: Annotated[
        list[str] | None,
        typer.Option(*PARAMETER, metavar="NAME VALUE", help="Set a parameter; then no baseline is compared."),
    ] = None,
    out: Annotated[Path, typer.Option(parser=absolute_path, metavar="DIR", help="Where the report goes.")] = REPORT,
    update_baselines: Annotated[
        bool, typer.Option("--update-baselines", help="Run once per seed and rewrite data/baselines.")
    ] = False,
    seeds: Annotated[int, typer.Option(metavar="N", help="The number of seeds for --update-baselines.")] = 3,
    update_notebooks: Annotated[
        bool,
        typer.Option(
            "--update-notebooks",
            help="Store the outputs in notebooks/ if all went well, and that run's times in data/baselines.",
        ),
    ] = False,
    at_once: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many run side by side; as many as suit this machine.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run lessons and write a report.

    Without a LESSON, all lessons run, and then all side trips. With --json the report.json that is written is printed,
    too.
    """
    from lora_lessons.run import runner, side_by_side

    require("papermill")
    given = dict(_pair(words) for words in parameter or [])
    timed = update_baselines or update_notebooks  # their minutes are kept
    refuse(
        (
            given and timed,
            "baselines and stored outputs are made with the lessons' own parameters: leave out -p.",
        ),
        (
            as_json and timed,
            "--json prints the report of a run: leave it out where baselines or notebooks are made anew.",
        ),
        (seeds < 1, "--seeds is the number of seeds to run, 1 at least (3 is a usual number)."),
    )
    chosen = runner.find_lessons(lessons or [])
    if not chosen:
        raise FileNotFoundError("there are no lessons in notebooks/: is the checkout complete?")
    at_once = at_once or (1 if timed else side_by_side.how_many(chosen))
    results = runner.run(
        chosen, profile, given, out, judge=not update_baselines, fresh=update_baselines, at_once=at_once
    )
    statuses = {result.status for result in results}
    worst = EXIT_FAILED if "failed" in statuses else EXIT_NO if "deviates" in statuses else EXIT_OK
    if update_baselines:
        worst = max(worst, _update_baselines(results, chosen, profile, seeds, out))
    if update_notebooks:
        worst = max(worst, _update_notebooks(results, chosen, profile))
    written = out / "report.json"
    print(written.read_text(encoding="utf-8") if as_json else f"Report: {shown(written.with_suffix('.html'))}")
    return worst


def _pair(words: str) -> tuple[str, Any]:
    name, equals, value = words.partition("=")
    if not equals:
        raise ValueError(f"-p {words}: give the parameter's name and its value, such as -p steps 12.")
    # A notebook runs in its own folder, and a path is meant from where the command was typed.
    if name.endswith("_path") and value:
        return name, str(absolute_path(value))
    if name == "model":
        return name, path_or_name(value)
    return name, scalar(value)


def scalar(text: str) -> Any:
    """A value as papermill's command line reads it: a number, True, False, None, or the text itself."""
    named = {"True": True, "true": True, "False": False, "false": False, "None": None}
    if text in named:
        return named[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _update_baselines(first: list[LessonResult], lessons: list[Path], profile: str, seeds: int, out: Path) -> int:
    """Run the lessons with the other seeds, and rewrite the baseline of each that ran with all of them."""
    from lora_lessons.run import baselines, runner

    by_seed = [first]
    for seed in range(1, seeds):
        print(f"Seed {seed}:", file=sys.stderr)
        by_seed.append(runner.run(lessons, profile, {"seed": seed}, out / f"seed-{seed}", judge=False, fresh=True))
    status = EXIT_OK
    for runs in zip(*by_seed, strict=True):
        lesson, records = runs[0].lesson, [result.records for result in runs]
        if any(result.status != "ok" for result in runs):
            print(f"{lesson}: failed with at least one seed; its baseline stays as it was.")
            status = EXIT_FAILED
            continue
        peak = max(result.peak_ram_bytes for result in runs)
        try:
            lines = baselines.update(lesson, profile, records, seconds=runs[0].seconds, peak_ram_bytes=peak)
        except ValueError as error:
            print(f"{error} Its baseline stays as it was.")
            status = EXIT_FAILED
            continue
        print(f"{lesson}: baseline rewritten from {len(runs)} seeds", *lines, sep="\n")
    return status


def _update_notebooks(results: Sequence[LessonResult], lessons: Sequence[Path], profile: str) -> int:
    from lora_lessons.run import baselines, stored

    status = EXIT_OK
    for result, lesson in zip(results, lessons, strict=True):
        if result.status != "ok" or result.notebook is None:
            print(f"{lesson.name}: {result.status}; its stored outputs stay as they were.")
            continue
        try:
            changed = stored.store_outputs(lesson, result.notebook)
            baselines.keep_volatile(result.lesson, profile, result.records)
        except ValueError as error:
            print(f"lora-lessons: {lesson.name}: {error}", file=sys.stderr)
            status = EXIT_FAILED
            continue
        print(f"{lesson.name}: {'outputs stored' if changed else 'the stored outputs are the same already'}.")
    return status


def lab(
    context: typer.Context,
    lesson: Annotated[
        str, typer.Argument(parser=notebook_or_name, metavar="LESSON", help="The lesson to open.")
    ] = "00",
) -> int:
    """Copy the lessons to my_lessons/ and open JupyterLab.

    What follows -- goes to JupyterLab: `-- --no-browser`, or `-- --ip 0.0.0.0` to reach it from another machine.
    """
    from lora_lessons.machine import kernel_environment
    from lora_lessons.run.lab import copy_lessons, jupyter_environment, place
    from lora_lessons.run.runner import find_lessons

    require("jupyterlab")
    folder, notebook = Path("my_lessons"), find_lessons([lesson])[0]
    for line in copy_lessons(folder):
        print(line, file=sys.stderr)
    options = [f"--ServerApp.root_dir={folder.resolve()}"]
    if not any(word.partition("=")[0] in ("--ip", "--ServerApp.ip") for word in context.obj):
        options.append("--ServerApp.ip=127.0.0.1")  # nobody else on the network; a token is asked for in any case
    command = [sys.executable, "-m", "jupyterlab", *options, f"--LabApp.default_url=/lab/tree/{place(notebook)}"]
    environment = kernel_environment() | jupyter_environment()
    with subprocess.Popen([*command, *context.obj], env=environment) as jupyter:
        # Ctrl-C is JupyterLab's: it asks, then stops its kernels. A request to end is passed on to it.
        before = (
            signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.signal(signal.SIGTERM, lambda *_: jupyter.terminate()),
        )
        try:
            ended = jupyter.wait()
            return ended if ended >= 0 else 128 - ended  # a signal, as the shell tells it
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])


def doctor(
    as_json: AsJson = False,
) -> int:
    """Say what this machine can do.

    It also says how long each lesson takes, and whether it fits into the memory that is free here.
    """
    from lora_lessons.run import doctor as probes

    findings = probes.examine()
    print(in_json(findings) if as_json else probes.table(findings))
    return EXIT_OK
