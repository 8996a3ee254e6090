"""Out of the notebook: what the model card says of an adapter, and the files that llama.cpp and Ollama load."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lora_lessons import llamacpp, models
from lora_lessons.adapter import Adapter, save_adapter
from lora_lessons.course.blind_judge import Tally, in_words
from lora_lessons.course.learner import my_folder
from lora_lessons.course.lesson import Handover
from lora_lessons.errors import ModelError, first_line
from lora_lessons.machine import machine
from lora_lessons.outside import in_line, visible
from lora_lessons.paths import expanded
from lora_lessons.sums import sha256
from lora_lessons.tasks.personal import masked
from lora_lessons.training import Settings

from .. import checking, inspection
from ..exporting import gguf, ollama
from ..exporting.model_card import CARD, AboutAdapter, CardRow, base_in_card, model_card, signed
from . import pictures
from .beforehand import in_four_bits
from .my_data import COURSES, Choices, MyData
from .scoring import LONGEST, SideBySide

# Bytes: a base that takes more in 16 bits is not written out by a lesson.
LARGE = 2e9


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
    judged: Tally,
    best: int,
    chosen: Choices = COURSES,
    start: Adapter | None = None,
) -> AboutAdapter:
    """What the model card says: numbers and names, never a line of the data. `best` is the step that was kept."""
    trained_on, pairs = base_in_card(base.name), data.of_pairs
    notes = (
        f"It was trained and scored on {trained_on.copy}. On the original weights nothing was measured."
        if trained_on.copy
        else "",
        "It was trained and scored on that model in 4 bits (NF4)." if in_four_bits(base) else "",
    )
    told = judged.decided + judged.same
    limits = (
        _BEGAN if start else "",
        (
            f"Its loss was measured on {len(data.held_out)} held-out lines of the same file. It answered {asked} of "
            f"them. {pictures.can_tell(asked)}"
        ),
        _LEARNED if pairs else "",
        "The point at which training stopped was chosen by the same held-out lines, so the scores flatter a little.",
        "It was trained once, with one seed. Another seed was not tried.",
        "Whether an answer is true was not measured. It can be fluent, in the right form, and wrong.",
        f"Judged blind by its maker, who was told: “{in_words(judged)}”" if told else "Nobody has judged it blind yet.",
    )
    facts = {
        "file": data.path.name,
        "good lines": f"{data.of:,}",
        "trained on": str(len(data.train)),
        "ordinary lines beside them": f"{len(data.ordinary)}, never held out" if data.ordinary else "",
        "held out": f"{len(data.held_out)} lines, {_HELD_OUT[data.split.by]}",
        "sha256 of the file": sha256(data.path),
        "what the check found": "; ".join([_in_words(one) for one in problems if one.severity != checking.NOTE])
        or "no fault",
    }
    answers = "the last answer" if chosen.last_answer_only else "every answer"
    settings = {
        "method": "LoRA on every linear layer but the head",
        "went on from": start.name if start else "",
        "r": str(chosen.r),
        "lora_alpha": f"{chosen.lora_alpha:g}",
        "steps": f"trained {how.steps}, kept step {best}",
        "loss": f"DPO, β = {chosen.beta:g}; the reference is the base" if pairs else "",
        "batch size": str(how.examples_per_step),
        "learning rate": f"{how.learning_rate:g}",
        "seed": str(how.seed),
        "learned": "which of two answers is preferred" if pairs else f"{answers} of each line",
        "machine": machine(),
    }
    return AboutAdapter(
        name=name,
        base=trained_on.name,
        base_note=" ".join(filter(None, notes)),
        loads=trained_on.loads,
        data=_filled(facts),
        settings=_filled(settings),
        scores=[CardRow(*row) for row in pictures.score(found, asked)],
        condition=pictures.condition(data),
        limits=[*filter(None, limits)],
        summary=pictures.in_words(found, asked),
    )


def _filled(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts about which something is said."""
    return {name: value for name, value in facts.items() if value}


_BEGAN = (
    "Training went on from another adapter, named above. Where a score or a judgement names the base, "
    "that adapter is meant."
)
_LEARNED = (
    "A pair was learned when its chosen answer became likelier against the rejected one. What the model says when it "
    "is asked may be neither of the two: read its answers."
)
_HELD_OUT = {
    "topic": "whole topics",
    "group": "near copies kept together",
    "copy": "only equal questions kept together",
}


def _in_words(problem: checking.Problem) -> str:
    """A finding with how many lines have it, and what was done; not its sentence, which may quote the file."""
    named = f"with “{problem.code.replace('_', ' ')}”"
    what = "that may hold personal data" if problem.code == "personal_data" else named
    lines = f"{problem.count:,} line{'s' * (problem.count != 1)}" if problem.line else "all lines"
    return f"{lines} {what}, {'left out' if problem.severity == checking.WRONG else 'used as they are'}"


def keep(base: models.Base, place: Path, about: AboutAdapter) -> Path:
    """Keep the adapter that is on the base in `place`, with its card: a run that is killed leaves both, or neither."""
    return save_adapter(base.model, place, base.name, origin="lesson 11", beside={CARD: signed(model_card(about))})


def where(folder: Path, data: MyData) -> str:
    """Where an adapter was kept: the whole path for a file of the learner's; of the course's own,
    its last two names."""
    return in_line("/".join(folder.parts[-2:]) if data.is_ours else str(folder))


def xray(folder: Path, model: str) -> inspection.Xray:
    """What stands in an adapter's folder, beside its base's weights where they can be read."""
    try:
        return inspection.inspect(folder, model)
    except (ModelError, OSError, ValueError):
        return inspection.inspect(folder)


def handover(
    folder: Path,
    data: MyData,
    model: str,
    found: SideBySide,
    export_path: str,
    shipped: Exported,
    page: Path | None = None,
    start_from_path: str = "",
) -> Handover:
    """Where the adapter is, what it gained, and the commands that ask it and write it for llama.cpp and Ollama."""
    place = where(folder, data)
    name, old = shlex.quote(place), shlex.quote(start_from_path)
    base = "" if model == models.EMBEDDED else f" --base {shlex.quote(model)}"
    written = shipped.files[0].parent if export_path and shipped.files else None
    lines = (
        found.answers.headline if found.answers else "",
        f"Your adapter: {place}",
        (
            f"On {len(data.held_out)} held-out lines the loss went from {found.loss[0]:.2f} to "
            f"{found.loss[1]:.2f} {found.unit}."
        ),
        f'Ask it: lora-lessons ask {name} "Your question?"{base}',
        f"Its model card: {place}/{CARD}",
        f"A page to send to a colleague: {where(page, data)} (it quotes held-out questions: read it first)"
        if page
        else "",
        f"Did the second round change it? lora-lessons inspect {name} --before {old}" if start_from_path else "",
        f"For llama.cpp and Ollama: {written or f'lora-lessons export ollama {name} --out for-ollama{base}'}",
    )
    return Handover([*filter(None, lines)])


def out_folder(export_path: str, scratch: str) -> Path:
    """Where the export goes: a new folder of the learner's where one is asked for, else `scratch`,
    which is temporary."""
    return my_folder(expanded(export_path).absolute()) if export_path else Path(scratch)


def export(base: models.Base, model: str, adapter: Adapter, out: Path, question: str) -> Exported:
    """The files for llama.cpp and Ollama in `out`, and one answer of llama.cpp with the adapter on.

    Of a base above LARGE only the adapter's file is written. What cannot be exported is said in a sentence.
    """
    remark = "The base is large, so only the adapter was written: see the command below for the rest."
    try:
        home = gguf.place_of(model)
        if 2 * models.base_weights(base.model) > LARGE:
            return Exported([gguf.write_adapter(adapter, home, out / "adapter.gguf", overwrite=True)], "", remark)
        written = ollama.write(out / "for-ollama", home, adapter, overwrite=True)
    except (ModelError, ValueError, OSError) as error:
        return Exported([], "", f"This was not exported: {first_line(error)}")
    return Exported(sorted(written.folder.iterdir()), *ask(written.folder, adapter.name, question))


def ask(folder: Path, name: str, question: str) -> tuple[str, str]:
    """What llama.cpp answers with base and adapter of an Ollama folder; and why not, where it does not run here."""
    try:
        with llamacpp.serve(folder / "base.gguf", {name: folder / "adapter.gguf"}) as server:
            server.set_scales({name: 1.0})
            return visible(masked(server.chat(question, max_tokens=LONGEST))), ""
    except (ImportError, ModelError, OSError, RuntimeError, ValueError) as error:
        return "", f"llama.cpp was not asked: {first_line(error)}"
