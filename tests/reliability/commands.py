"""The table of what is killed: how each command begins, what it does, and what must be the same in the end,
bit for bit."""

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import short_run
from nbformat import v4

from lora_lessons import models, training
from lora_lessons.models import embedded
from lora_tools import cli
from reliability import valid
from reliability.judging import Refused


class Command(NamedTuple):
    """Something that takes a while and may be killed meanwhile."""

    name: str
    makes: Callable[[Path], Any]
    run: Callable[[Path], Any]  # its result, to be the same whenever it was killed
    kills: int  # as many as it can be killed in two minutes or so
    quick: bool  # fast enough for `make test`


COMMANDS: dict[str, Command] = {}


def command(
    name: str, makes: Callable[[Path], Any], kills: int = 12, quick: bool = True
) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Enter the decorated command into the table."""

    def enter(run: Callable[[Path], Any]) -> Callable[[Path], Any]:
        COMMANDS[name] = Command(name, makes, run, kills, quick)
        return run

    return enter


def _ended(words: list[str]) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = cli.main(words)
    last = (said.getvalue().strip().splitlines() or [""])[-1]
    if status in (cli.EXIT_USER, cli.EXIT_FAILED) and last.startswith("lora-lessons: "):
        raise Refused(last.removeprefix("lora-lessons: "))
    assert status == cli.EXIT_OK, f"lora-lessons {' '.join(words)} ended with {status}: {said.getvalue()}"


def _all(folder: Path) -> dict[str, bytes]:
    """What the files of `folder` hold; what another process is still building there begins with a dot."""
    files = [path for path in folder.rglob("*") if "/." not in f"/{path.relative_to(folder).as_posix()}"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()}


def _stand_in_course(box: Path) -> None:
    """A course of one lesson, and a training notebook for sweeps that trains the tests' tiny model."""
    valid.course(box)
    (box / "course" / "notebooks" / "03_tiny.ipynb").unlink()
    for place, parameters, cell in (
        ("03_tiny", valid.PARAMETERS, valid.CELL.replace('record("took", 0.1, "s", volatile=True)', "")),
        ("experiments/train_adapter", _TRIAL, _TRAINS),
    ):
        first = v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="parameters")
        whole = v4.new_notebook(cells=[first, v4.new_code_cell(cell, id="cell")])
        nbformat.write(whole, box / "course" / "notebooks" / f"{place}.ipynb")


_TRIAL = "\n".join(
    f"{name} = {value!r}"
    for name, value in {
        "method": "lora",
        "r": 8,
        "lora_alpha": 16.0,
        "learning_rate": 4e-3,
        "target_modules": "all-linear",
        "steps": 24,
        "batch_size": 4,
        "seed": 0,
        "base_format": "16-bit",
        "checkpoints": "",
    }.items()
)
_TRAINS = """from short_run import make_examples
from tiny import make_tiny_model
from lora_lessons import lora, training
from lora_lessons.course import record
model = make_tiny_model()
lora.attach(model, r=r, lora_alpha=lora_alpha)
settings = training.Settings(steps=steps, batch_size=batch_size, seed=seed, checkpoint_every=5)
run = training.train(model, make_examples(), settings, run_dir=checkpoints)
record("scale", lora_alpha / r)
record("trainable", 10 * r, "numbers")
record("train.losses", " ".join(map(repr, run.losses)), "nats")
record("train.seconds", 0.5, "s", volatile=True)
record("loss.held_out", run.losses[-1], "nats")
record("update.relative", 0.01 * r)
"""


@command("run a lesson", _stand_in_course, kills=8, quick=False)
def run(box: Path) -> Any:
    _ended(["run", "03", "--out", "out"])
    report = json.loads((box / "out" / "report.json").read_text())
    return [(lesson["status"], lesson["records"]) for lesson in report["lessons"]], report["not_run"]


@command("train", lambda box: None)
def train(box: Path) -> Any:
    model = valid.tiny(box)
    settings = training.Settings(steps=60, batch_size=2, learning_rate=1e-2, checkpoint_every=5)
    losses = training.train(model, short_run.make_examples(), settings, run_dir=box / "run").losses
    again = valid.tiny(box)
    training.train(again, short_run.make_examples(), settings, run_dir=box / "run")
    return short_run.adapter(model), short_run.adapter(again), losses


@command("sweep", _stand_in_course, kills=6, quick=False)
def sweep(box: Path) -> Any:
    _ended(["sweep", "--r", "1,4", "--seed", "0", "--steps", "10", "--out", "out", "--resume"])
    rows = [json.loads(file.read_text())["row"] for file in sorted((box / "out").glob("runs/*/result.json"))]
    about = ("seconds", "date", "machine", "train_seconds")
    return [{name: value for name, value in row.items() if name not in about} for row in rows]


@command("export gguf", valid.adapter_and_base)
def export(box: Path) -> Any:
    try:
        _ended(["export", "gguf", "adapter", "--out", "out", "--base", "base", "--types", "f16,q8_0", "--merged"])
    except Refused as refused:  # killed in the moment after its files had moved: all must be there
        if "exists: " not in str(refused):
            raise
    return _all(box / "out")


@command("prepare the base", valid.stand_in)
def prepare(box: Path) -> Any:
    gguf = box / "stand-in.gguf"
    os.environ["LORA_LESSONS_BASE_GGUF"] = str(gguf)
    embedded.EMBEDDED_SHA256 = hashlib.sha256(gguf.read_bytes()).hexdigest()
    base = models.load(models.EMBEDDED, "fp32", "cpu")
    return base.model.state_dict(), _all(models.embedded_folder())


@command("keep 4-bit weights", valid.base)
def keep(box: Path) -> Any:
    return valid.in_four_bits(box), valid.in_four_bits(box)
