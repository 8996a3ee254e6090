"""Out of the notebook: what the model card says of an adapter, and the files that llama.cpp and Ollama load."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ... import models
from ...adapter import Adapter
from ...errors import ModelError, first_line
from ...export import gguf, llamacpp, ollama
from ...export.model_card import AboutAdapter, CardRow
from ...machine import machine
from ...tasks import checking
from ...training import Settings
from .my_data import MyData, sha256
from .planning import ALPHA, R
from .scoring import SideBySide
from .words import can_tell
from .words import score as score_rows

# Bytes: a base that takes more in 16 bits is not written out by a lesson.
LARGE = 2e9
HUB = {"SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"}


class Exported(NamedTuple):
    """What was written, what llama.cpp answered ("" where it was not asked), and a sentence on what was not done."""

    files: list[Path]
    answer: str
    remark: str


def about(
    name: str,
    base: models.Base,
    data: MyData,
    how: Settings,
    found: SideBySide,
    asked: int,
    problems: Sequence[checking.Problem],
    judged: str,
) -> AboutAdapter:
    """What the model card says: numbers and names, never a line of the data."""
    counts = ", ".join(f"{one.code} ({one.count})" for one in problems if one.severity != checking.NOTE) or "no fault"
    limits = [
        f"It was judged on {len(data.held_out)} held-out lines of the same file. {can_tell(len(data.held_out))}",
        "The point at which training stopped was chosen by the same held-out lines, so the scores flatter a little.",
        "Whether an answer is true was not measured. It can be fluent, in the right form, and wrong.",
        f"Judged blind, by whoever made it: {judged}",
    ]
    return AboutAdapter(
        name=name,
        base=HUB.get(Path(base.name).name, Path(base.name).name if Path(base.name).exists() else base.name),
        data={
            "file": data.path.name,
            "good lines": f"{data.of:,}",
            "trained on": str(len(data.train)),
            "held out": f"{len(data.held_out)}, by {data.split.by}",
            "sha256 of the file": sha256(data.path),
            "what the check found": counts,
        },
        settings={
            "method": "LoRA on every linear layer but the head",
            "r": str(R),
            "lora_alpha": str(ALPHA),
            "steps": str(how.steps),
            "batch size": str(how.batch_size),
            "learning rate": f"{how.learning_rate:g}",
            "seed": str(how.seed),
            "machine": machine(),
        },
        scores=[CardRow(*row) for row in score_rows(found, asked)],
        limits=limits,
    )


def where(folder: Path, data: MyData) -> str:
    """Where an adapter was kept: the whole path for a file of the learner's; of the course's own, its last two names."""
    return "/".join(folder.parts[-2:]) if data.is_ours else str(folder)


def commands(folder: Path, data: MyData) -> str:
    """The commands that write the adapter out again, in a terminal, and load it in llama.cpp and Ollama."""
    name = shlex.quote(where(folder, data))
    model = folder.name.lower()
    return "\n".join(
        [
            f"lora-lessons export gguf {name} --out shipped",
            f"lora-lessons export ollama {name} --out for-ollama",
            f"cd for-ollama && ollama create {model} -f Modelfile && ollama run {model}",
        ]
    )


def export(base: models.Base, model: str, adapter: Adapter, out: Path, question: str) -> Exported:
    """The files for llama.cpp and Ollama in `out`, and one answer of llama.cpp with the adapter on.

    Of a base above LARGE only the adapter's file is written. What cannot be exported is said in a sentence.
    """
    try:
        home = models.folder(model)
        if 2 * sum(p.numel() for p in base.model.parameters()) > LARGE:
            file = gguf.write_adapter(adapter, home, out / "adapter.gguf", overwrite=True)
            return Exported(
                [file], "", "The base is large, so only the adapter was written: see the command below for the rest."
            )
        written = ollama.write(out / "for-ollama", home, adapter, overwrite=True)
    except (ModelError, ValueError, OSError) as error:
        return Exported([], "", f"This was not exported: {first_line(error)}")
    files = sorted(written.folder.iterdir())
    return Exported(files, *ask(written.folder, adapter.name, question))


def ask(folder: Path, name: str, question: str) -> tuple[str, str]:
    """What llama.cpp answers with base and adapter of an Ollama folder; and why not, where it does not run here."""
    try:
        with llamacpp.serve(folder / "base.gguf", {name: folder / "adapter.gguf"}) as server:
            server.set_scales({name: 1.0})
            return server.chat(question, max_tokens=80), ""
    except (ImportError, ModelError, OSError, RuntimeError, ValueError) as error:
        return "", f"llama.cpp was not asked: {first_line(error)}"
