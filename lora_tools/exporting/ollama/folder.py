"""A folder for Ollama: model files, Modelfiles, and `ollama create`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from lora_lessons.adapter import Adapter
from lora_lessons.errors import refuse
from lora_lessons.files import check_replaced, refuse_existing, whole_folder

from .. import gguf
from . import chatform, modelfile
from .chatform import TEMPLATES, ChatForm
from .checks import check

# All that the folder holds.
FILES = ("Modelfile", "Modelfile.adapter", "merged.gguf", "base.gguf", "adapter.gguf")
CONTEXT = 4096  # tokens; a longer context takes more memory
MERGED_FIRST = "The adapter is folded into the weights. First choice."
TWO_APART = (
    "Base and adapter apart. Newer versions of Ollama (v0.34.1 on, by one report) refuse ADAPTER: use Modelfile."
)


class Written(NamedTuple):
    """What `write` left behind, and how to use it."""

    folder: Path
    template: str  # its name in TEMPLATES, or "your own"
    system: str | None
    remarks: list[str]
    commands: list[str]


def write(
    out: Path | str,
    base: Path | str | gguf.SourceModel,
    adapter: Adapter,
    system: str | None = None,
    *,
    file_type: str = "f16",
    template: str | None = None,
    overwrite: bool = False,
) -> Written:
    """Write the folder `out` for Ollama: merged.gguf with Modelfile, base.gguf and adapter.gguf with Modelfile.adapter.

    `system` is the SYSTEM text (None: what the base's own template says), `file_type` one of gguf.FILE_TYPES,
    `template` a Go template of your own. The base is opened and proven once; the folder is checked (see `check`) and
    appears whole or not at all. Raises FileExistsError when it exists and overwrite is False, or holds what no export
    brought; ValueError or ModelError when something cannot be expressed.
    """
    out, source = Path(out), gguf.open_base(base)
    refuse_existing(out, overwrite)
    check_replaced(out, FILES)
    gguf.check_fit(adapter, source)
    form = chatform.of_tokenizer(source.tokenizer)
    _check_settings(form, system)
    system = system or form.system
    name, template, differences = _template(form, system, template)
    remarks = [*source.short_window, *map(str, differences), *chatform.without_tools(source.tokenizer)]
    rest = _instructions(template, system, form.end, min(CONTEXT, source.config.max_position_embeddings), remarks)
    model = re.sub(r"[^a-z0-9._-]+", "-", adapter.name.lower()).strip("-._") or "my-adapter"
    with whole_folder(out) as new:
        _write_recipe(new / "Modelfile", model, MERGED_FIRST, "FROM ./merged.gguf\n" + rest)
        _write_recipe(new / "Modelfile.adapter", model, TWO_APART, "FROM ./base.gguf\nADAPTER ./adapter.gguf\n" + rest)
        gguf.write_merged(source, adapter, new / "merged.gguf", file_type)
        gguf.write_base(source, new / "base.gguf", file_type)
        gguf.write_adapter(adapter, source, new / "adapter.gguf")
        if findings := check(new, system):
            raise ValueError(
                f"what was written does not pass the check, so it was taken away again. {' '.join(findings)}"
            )
    return Written(
        out,
        name,
        system,
        remarks,
        [f"cd {shlex.quote(str(out))}", f"ollama create {model} -f Modelfile", f"ollama run {model}"],
    )


def _check_settings(form: ChatForm, system: str | None) -> None:
    """Raise ValueError for a system text or a base that Ollama could not be told about."""
    refuse(
        (
            system is not None and not system.strip(),
            "the system text is empty: leave it away, and the base's own is written.",
        ),
        (
            system and not form.takes_system,
            "this base's chat template takes no system message: say it in the first question instead.",
        ),
        (
            not form.end,
            "the chat template puts no special token after an answer, so nothing would tell Ollama to stop: "
            "mend the template (an answer ends with the EOS token) and train with it.",
        ),
    )


def _template(form: ChatForm, system: str | None, own: str | None) -> tuple[str, str, list[chatform.Difference]]:
    """The name and text of the TEMPLATE, and where it differs without harm.
    Raises ValueError when none renders right."""
    if own is None:
        name, odd = chatform.choose_template(form, system)
        return name, TEMPLATES[name], odd
    faults, odd = chatform.compare(own, form, system)
    if faults:
        raise ValueError(
            f"your template does not render as the base's own: mend it, or give none, and one is found. {faults[0]}"
        )
    return "your own", own, odd


def _instructions(template: str, system: str | None, stop: str, context: int, remarks: list[str]) -> str:
    """The part that both Modelfiles share."""
    lines = [f"TEMPLATE {modelfile.quote(template)}"]
    lines += [f"SYSTEM {modelfile.quote(system)}"] if system else []
    lines += [
        f"PARAMETER stop {modelfile.quote(stop)}",
        "# Greedy, as in the lessons: Ollama's own settings draw at random and punish repetition.",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_ctx {context}",
    ]
    return "\n".join(lines + [f"# {remark}" for remark in remarks]) + "\n"


def _write_recipe(file: Path, model: str, why: str, instructions: str) -> None:
    use = f"# {why}\n# ollama create {model} -f {file.name} && ollama run {model}\n"
    file.write_text(use + instructions, encoding="utf-8", newline="\n")


class Created(NamedTuple):
    """Whether `ollama create` made the model, and what to tell the learner."""

    ok: bool
    says: str


def check_name(name: str) -> None:
    """Raise ValueError where Ollama takes `name` for no model's."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a model in Ollama: give letters, digits, '.', '_' and '-', such as my-model, or "
            "with an owner before it and a tag behind, such as me/my-model:v2."
        )


_PART = r"[a-zA-Z0-9_][\w.-]{0,79}"
_NAME = re.compile(rf"(?:(?:[a-zA-Z0-9_][\w.:-]*/)?{_PART}/)?{_PART}(?::{_PART})?", re.ASCII)


def try_create(folder: Path | str, name: str, file: str = "Modelfile") -> Created:
    """Run `ollama create NAME -f Modelfile` in `folder`, for real. Raises ValueError for what is no name."""
    check_name(name)
    program = shutil.which("ollama")
    if program is None:
        return Created(
            False,
            f"There is no ollama on this machine, so it could not make {name}: install it from ollama.com, then run "
            f"`ollama create {name} -f {quote(file)}` in that folder.",
        )
    done = subprocess.run(
        [program, "create", name, "-f", file],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).replace("\r", "\n")
    last = next((line.strip() for line in reversed(plain.splitlines()) if line.strip()), "nothing")
    if done.returncode == 0:
        return Created(True, f"Ollama made {name}. Talk to it: ollama run {quote(name)}")
    hint = ""
    if "adapter" in last.lower():
        hint = " Newer versions take no ADAPTER: use Modelfile, where it is folded in."
    elif "connect" in last.lower():
        hint = " Its server does not run: start `ollama serve` in another window."
    return Created(False, f"ollama create refused {file}: {last}.{hint}".replace("..", "."))
