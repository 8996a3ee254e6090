"""What a number in prose may come from: records, published figures, recorded files, constants of the package."""

import importlib
import json
import math
from collections.abc import Mapping

import nbformat

from lora_lessons.course import published
from lora_lessons.course.lesson import notebook_of, number_of
from lora_lessons.course.syllabus import SYLLABUS, learning_minutes
from lora_lessons.paths import measurements
from lora_lessons.run.baselines import read_baseline


def recorded(lesson):
    """The values of a lesson's quick baseline, by record name."""
    return {name: entry["expected"] for name, entry in (read_baseline(lesson) or {"records": {}})["records"].items()}


def of_one_run(lesson):
    """What the lesson measured that depends on the machine (volatile), by record name: quoted as of one run,
    or not at all."""
    return {name: entry["value"] for name, entry in (read_baseline(lesson) or {}).get("volatile", {}).items()}


class Sources(Mapping):
    """The lesson's records by name, and by a prefix what lies elsewhere.

    `published:svd_llm.intact` is a row of data/published.toml, `06_quantization:perplexity.nf4` another lesson's
    record, `measurements:training_speed.steps` a number in that recorded file, and `lora_lessons.lora.NAME` a number of
    the package: a list counts as its length, a function without arguments as what it returns.
    """

    def __init__(self, lesson=None):
        self.mine = recorded(lesson) if lesson else {}
        self.of_one_run = of_one_run(lesson) if lesson else {}
        if lesson:
            self.mine["lesson minutes"] = math.ceil(read_baseline(lesson)["seconds"] / 60)
            reading, exercises = learning_minutes(nbformat.read(notebook_of(lesson), 4))
            self.mine |= {"lesson reading": reading, "lesson exercises": exercises}
        if lesson and "GB of disk" in SYLLABUS[number_of(lesson)].besides:
            self.mine["lesson disk"] = int(SYLLABUS[number_of(lesson)].besides.split()[0])

    def __getitem__(self, name):
        if name in self.mine:
            return self.mine[name]
        if name in self.of_one_run:
            return self.of_one_run[name]
        prefix, colon, rest = name.partition(":")
        if colon and prefix == "published":
            return published.figure(rest)
        if colon and prefix == "measurements":
            file, *path = rest.split(".")
            found = json.loads((measurements() / f"{file}.json").read_text(encoding="utf-8"))
            for part in path:
                found = found[part]
            return found
        if colon:
            return recorded(prefix)[rest]
        module, dot, attribute = name.rpartition(".")
        if not dot or not module.startswith(("lora_lessons", "lora_tools")):
            raise KeyError(f"{name} is no record of the lesson")
        found = getattr(importlib.import_module(module), attribute, None)
        if found is None:
            raise KeyError(f"{module} has no {attribute}")
        found = found() if callable(found) else found
        return found if isinstance(found, (int, float)) else len(found)

    def __contains__(self, name):
        try:
            self[name]
        except (KeyError, ImportError):
            return False
        return True

    def __iter__(self):
        return iter(self.mine)

    def __len__(self):
        return len(self.mine)


def texts(notebook, kind="markdown"):
    """The sources of the notebook's cells of one kind."""
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def read(lesson):
    """The lesson's notebook as it is stored."""
    return nbformat.read(notebook_of(lesson), 4)
