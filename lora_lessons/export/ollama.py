"""A folder for Ollama: model files, Modelfiles, and a check that Ollama would send what the model was trained on.

Ollama does not run a model's own chat template (Jinja). It fills in the TEMPLATE of the Modelfile, in Go's template
language, with SYSTEM and the messages. A model that answers well in Python and badly in Ollama most often gets another
text there. So the Go template is chosen by what it renders (chatform.py), and the folder is checked (ollama_check.py).

Two ways in: `Modelfile` has the adapter folded into the weights, and works in every version. `Modelfile.adapter` keeps
base and adapter apart (FROM and ADAPTER). One report (mellea#1651, 2026-09-18; not measured here) says that
`ollama create` refuses ADAPTER from v0.34.1 on; earlier versions take one adapter.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ..adapter import Adapter
from ..files import whole_folder
from . import chatform, gguf, modelfile
from .ollama_check import check

CONTEXT = 4096  # tokens; a longer context takes more memory


class Written(NamedTuple):
    """What `write` left behind, and how to use it."""

    folder: Path
    template: str  # its name in chatform.TEMPLATES, or "your own"
    system: str | None
    remarks: list[str]
    commands: list[str]


def write(
    out: Path | str,
    base_folder: Path | str,
    adapter: Adapter,
    system: str | None = None,
    *,
    file_type: str = "f16",
    template: str | None = None,
    overwrite: bool = False,
) -> Written:
    """Write the folder `out` for Ollama: merged.gguf with Modelfile, base.gguf and adapter.gguf with Modelfile.adapter.

    `system` is the SYSTEM text (None: what the base's own template says), `file_type` one of gguf.FILE_TYPES, `template`
    a Go template of your own. The folder is checked (see `check`) and appears whole or not at all. Raises
    FileExistsError when it exists and overwrite is False, ValueError or ModelError when something cannot be expressed.
    """
    from transformers import AutoTokenizer

    out, base = Path(out), gguf.open_base(base_folder)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists: choose another folder, or overwrite it (--overwrite, overwrite=True).")
    gguf.check_fit(adapter, base)
    form = chatform.of_tokenizer(AutoTokenizer.from_pretrained(base.folder, trust_remote_code=False))
    if system is not None and not system.strip():
        raise ValueError("the system text is empty: leave it away, and the base's own is written.")
    if system and not form.takes_system:
        raise ValueError("this base's chat template takes no system message: say it in the first question instead.")
    if not form.end:
        raise ValueError(
            "the chat template puts no special token after an answer, so nothing would tell Ollama to stop: "
            "mend the template (an answer ends with the EOS token) and train with it."
        )
    system = system or form.system
    if template is None:
        name, odd = chatform.choose_template(form, system)
        template = chatform.TEMPLATES[name]
    else:
        name = "your own"
        faults, odd = chatform.compare(template, form, system)
        if faults:
            raise ValueError(f"your template does not render as the base's own. {faults[0]}")
    remarks = [str(difference) for difference in odd]
    rest = _instructions(template, system, form.end, min(CONTEXT, base.config.max_position_embeddings), remarks)
    model = re.sub(r"[^a-z0-9._-]+", "-", adapter.name.lower()).strip("-._") or "my-adapter"
    with whole_folder(out) as new:
        for file, head, why in (
            ("Modelfile", "FROM ./merged.gguf\n", "The adapter is folded into the weights. First choice."),
            ("Modelfile.adapter", "FROM ./base.gguf\nADAPTER ./adapter.gguf\n",
             "Base and adapter apart. Newer versions of Ollama (v0.34.1 on, by one report) refuse ADAPTER: use Modelfile."),
        ):  # fmt: skip
            use = f"# {why}\n# ollama create {model} -f {file} && ollama run {model}\n"
            (new / file).write_text(use + head + rest, encoding="utf-8", newline="\n")
        gguf.write_merged(base.folder, adapter, new / "merged.gguf", file_type)
        gguf.write_base(base.folder, new / "base.gguf", file_type)
        gguf.write_adapter(adapter, base.folder, new / "adapter.gguf")
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


class Created(NamedTuple):
    """Whether `ollama create` made the model, and what to tell the learner."""

    ok: bool
    says: str


def try_create(folder: Path | str, name: str, file: str = "Modelfile") -> Created:
    """Run `ollama create NAME -f Modelfile` in `folder`, for real. Raises FileNotFoundError where there is no ollama."""
    program = shutil.which("ollama")
    if program is None:
        raise FileNotFoundError(
            f"no ollama on this machine: install it from ollama.com, then: ollama create {name} -f {file}"
        )
    done = subprocess.run(
        [program, "create", name, "-f", file],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout).replace("\r", "\n")
    last = next((line.strip() for line in reversed(plain.splitlines()) if line.strip()), "nothing")
    if done.returncode == 0:
        return Created(True, f"Ollama made {name}. Talk to it: ollama run {name}")
    hint = ""
    if "adapter" in last.lower():
        hint = " Newer versions take no ADAPTER: use Modelfile, where it is folded in."
    elif "connect" in last.lower():
        hint = " Its server does not run: start `ollama serve` in another window."
    return Created(False, f"ollama create refused {file}: {last}.{hint}".replace("..", "."))
