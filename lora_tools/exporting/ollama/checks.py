"""Would Ollama do with this folder what the learner means? The findings, in sentences, before Ollama is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_lessons.errors import ModelError, first_line, holding

from .. import gguf
from . import chatform, modelfile
from .chatform import ChatForm

_NUMBERS = "temperature top_p min_p typical_p repeat_penalty presence_penalty frequency_penalty"
_WHOLE_NUMBERS = "num_ctx num_predict num_keep num_batch num_gpu num_thread main_gpu seed top_k repeat_last_n"
PARAMETERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(_NUMBERS.split(), float),
    **dict.fromkeys(_WHOLE_NUMBERS.split(), int),
    **dict.fromkeys(("stop", "use_mmap"), str),
}


def check(folder: Path | str, system: str | None = None) -> list[str]:
    """What is wrong with a folder for Ollama, in sentences; empty when all is well.

    `system` is the SYSTEM text that you mean; None: the base's own. Looked at, for each Modelfile: instructions, files,
    the adapter's shapes against the base's, the end of an answer, stop, SYSTEM, and the rendered TEMPLATE.
    """
    folder = Path(folder)
    files = sorted(folder.glob("Modelfile*"))
    if not (folder / "Modelfile").is_file():
        return [f"{folder} has no Modelfile: write the folder again with lora-lessons export ollama."]
    readers: dict[Path, Any] = {}
    faults: list[str] = []
    for file in files:
        try:
            instructions = modelfile.parse(file.read_bytes().decode("utf-8"))  # its line ends are part of TEMPLATE
        except (modelfile.ModelfileError, UnicodeDecodeError, OSError) as error:
            faults.append(f"{file.name}: {first_line(error)}")
            continue
        faults += [f"{file.name}: {sentence}" for sentence in _check_one(folder, instructions, system, readers)]
    return faults


def _check_one(
    folder: Path, instructions: list[modelfile.Instruction], system: str | None, readers: dict[Path, Any]
) -> list[str]:
    faults: list[str] = []
    given: dict[str, str] = {}
    for name in ("FROM", "ADAPTER", "TEMPLATE", "SYSTEM"):
        values = [i.value for i in instructions if i.name == name]
        given |= {name: values[-1]} if values else {}
        if len(values) > 1:
            faults.append(f"it has {len(values)} lines {name}: Ollama takes one; remove the others.")
    base, adapter = (_open(folder, name, given.get(name), readers, faults) for name in ("FROM", "ADAPTER"))
    if base is None:
        return faults
    if chatform.field(base, "general.type") == "adapter":
        return [*faults, f"FROM names {given['FROM']}, which is an adapter: FROM needs the base, ADAPTER the adapter."]
    if adapter is not None:
        faults += check_adapter(adapter, base)
    faults += _check_parameters(instructions, base)
    try:
        form = chatform.of_gguf(base, given["FROM"])
    except ModelError as error:
        return [*faults, f"{error}"]
    if form is None:
        return [
            *faults,
            f"{given['FROM']} holds no chat template to compare with: write the GGUF again from a base that has one.",
        ]
    stops = [i.value for i in instructions if (i.name, i.key) == ("PARAMETER", "stop")]
    return faults + _check_end(base, form, stops) + _check_text(given, form, system)


def _open(folder: Path, name: str, value: str | None, readers: dict[Path, Any], faults: list[str]) -> Any:
    """The GGUF that FROM or ADAPTER names, opened once; None, and a finding, when it is not there or is none."""
    if value is None:
        return None
    path = folder / value
    if path not in readers:
        readers[path] = None
        if not path.is_file():
            faults.append(
                f"{name} names {value}, which is not in {folder.name}: Ollama would look for a model of that name."
            )
        else:
            try:
                readers[path] = gguf.read(path)
            except ValueError as error:
                faults.append(f"{name} names {value}: {error} Write it again.")
    return readers[path]


def check_adapter(adapter: Any, base: Any) -> list[str]:
    """What keeps the GGUF `adapter` from being applied to the GGUF `base` (both gguf.GGUFReader), in sentences."""
    mine, other = (chatform.field(reader, "general.architecture") for reader in (adapter, base))
    weights = {t.name: tuple(map(int, t.shape)) for t in base.tensors}  # (columns, rows), as GGUF counts
    parts = {t.name: tuple(map(int, t.shape)) for t in adapter.tensors}
    names = dict.fromkeys(name.removesuffix(".lora_a").removesuffix(".lora_b") for name in parts)
    faults = holding(
        *(
            (
                (value := chatform.field(adapter, key)) != expected,
                f"the adapter's {key} is {value!r} and must be {expected!r}: write it with write_adapter.",
            )
            for key, expected in (("general.type", "adapter"), ("adapter.type", "lora"))
        ),
        (
            chatform.field(adapter, "adapter.lora.alpha", (int, float)) is None,
            "the adapter does not say its alpha (adapter.lora.alpha): the update would not be scaled.",
        ),
        (
            mine != other,
            f"the adapter is for the architecture {mine}, the base is {other}: it was trained on another base.",
        ),
        (not names, "the adapter holds no tensor at all."),
    )
    for name in names:
        a, b, weight = parts.get(f"{name}.lora_a"), parts.get(f"{name}.lora_b"), weights.get(name)
        if a is None or b is None:
            faults.append(
                f"the adapter lacks {name}.lora_{'a' if a is None else 'b'}: one of a pair alone changes nothing."
            )
        elif weight is None:
            faults.append(f"the adapter changes {name}, which the base does not have: it was trained on another base.")
        elif (a[0], b[1]) != weight or a[1] != b[0]:
            shapes = ", ".join(
                f"{what} {s[1]}×{s[0]}" for what, s in (("lora_a", a), ("lora_b", b), ("the weight", weight))
            )
            faults.append(f"{name} does not fit: {shapes}; lora_b·lora_a must have the weight's shape.")
    return faults


def _check_parameters(instructions: list[modelfile.Instruction], base: Any) -> list[str]:
    faults = []
    longest = chatform.field(base, f"{chatform.field(base, 'general.architecture')}.context_length", int)
    for _, value, line, key in (i for i in instructions if i.name == "PARAMETER"):
        if key not in PARAMETERS:
            faults.append(f"line {line}: {key} is no parameter of Ollama: correct it or take it out.")
            continue
        try:
            number = PARAMETERS[key](value)
        except ValueError:
            faults.append(f"line {line}: {key} needs a number, not {value!r}.")
            continue
        if key == "num_ctx" and longest and number > longest:
            faults.append(
                f"line {line}: num_ctx is {number}, and the model was made for {longest} tokens: write at most that."
            )
    return faults


def _check_end(base: Any, form: ChatForm, stops: list[str]) -> list[str]:
    """The token that ends an answer: the template must put it, the GGUF must know it, a stop must name it."""
    if not form.end:
        return ["the chat template puts no special token after an answer: the model will not know where to stop."]
    known = [token for kind in ("eos", "eot") if (token := chatform.token(base, kind))]
    return holding(
        (
            not known,
            "the GGUF names no end token (tokenizer.ggml.eos_token_id): the model will not stop by itself.",
        ),
        (
            known and form.end not in known,
            (
                f"the chat template ends an answer with {form.end}, the GGUF stops at {' or '.join(known)}: "
                "it would run on."
            ),
        ),
        (form.end not in stops, f"no PARAMETER stop names {form.end}, with which an answer ends: add it."),
    )


def _check_text(given: dict[str, str], form: ChatForm, system: str | None) -> list[str]:
    """SYSTEM must be what is meant, and TEMPLATE must render as the model's own."""
    here, meant = given.get("SYSTEM"), system or form.system
    differ = here != meant
    faults = holding(
        (
            differ and here is None,
            f"it has no SYSTEM, and the base's chat template says {meant!r} when nobody does: add it.",
        ),
        (
            differ and meant is None,
            f"SYSTEM is {here!r}, and the base says nothing of its own: take it out, or check(folder, system=…).",
        ),
        (
            differ and None not in (here, meant),
            f"SYSTEM is {here!r}, and {'you meant' if system else 'the base has'} {meant!r}.",
        ),
    )
    if "TEMPLATE" not in given:
        return [*faults, "it has no TEMPLATE: Ollama would guess one, or send the question bare."]
    try:
        return faults + [str(fault) for fault in chatform.compare(given["TEMPLATE"], form, here)[0]]
    except ValueError as error:  # a TemplateError is one
        return [*faults, f"TEMPLATE: {error}"]
