"""The adapter beside its base: which layers it reaches, ‖ΔW‖/‖W‖, new directions, what it forgot."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from torch import Tensor, nn

from lora_lessons import evaluation, lora, lowrank, memory, models, tasks
from lora_lessons.errors import ModelError, first_line
from lora_lessons.files import write_text
from lora_lessons.models.configs import read_config
from lora_lessons.models.weights import read_tensor, shapes_in, weight_files
from lora_lessons.paths import cache_dir, expanded

from ..exporting import gguf
from .architectures import TOWERS, class_in, packed_by
from .fitting import Naming, fitting
from .reading import AdapterFolder
from .settings import AdapterSettings
from .xray import AdaptedMatrix, AgainstBase, biased_by

# Leading directions of W + ΔW looked at, and the cosine below which W has none like one (Shuttleworth et al. 2024).
LEADING, ALIKE = 10, 0.6
# An SVD of W takes long: the matrices that change most, and none larger than this many numbers.
MOST_CHANGED, LARGEST = 4, 2**22
# What is said of a base's folder that holds its config and no *.safetensors.
NO_WEIGHTS = "its folder holds no *.safetensors to look at"


class OpenedBase(NamedTuple):
    """A base's folder, opened: nothing of its weights is in memory."""

    name: str
    place: Path
    config: dict[str, Any]
    # tensor → its file and its shape
    shapes: dict[str, tuple[Path, tuple[int, ...]]]
    # The model that the adapter was made for (see `fitting`), and what it calls a module of the adapter, which
    # layer_replication may have copied too.
    net: nn.Module | None
    built_by: str = ""
    own_name: Naming = str

    @property
    def said(self) -> dict[str, Any]:
        """What its config says of the language model, where that is one part of it, too."""
        part = self.config.get("text_config")
        return self.config | (part if isinstance(part, dict) else {})

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        stated = self.said.get("tie_word_embeddings")
        return bool(getattr(self.net.config, "tie_word_embeddings", False)) if self.net is not None else bool(stated)

    def has(self, tensor: str) -> bool:
        """Whether a tensor is in its files, or in the model that its config alone describes."""
        described = () if self.net is None or self.shapes else dict(self.net.named_parameters())
        return tensor in self.shapes or tensor in described

    def weight_of(self, module: str) -> str:
        """The name of a module's own weight in the files, or "" where it has none there."""
        name = f"{self.own_name(module)}.weight"
        if name not in self.shapes:
            name = next((one for one in self.shapes if _of_part(one) == _of_part(name)), name)
        if name not in self.shapes and module.endswith("lm_head") and self.tied:
            name = next((one for one in self.shapes if one.endswith("embed_tokens.weight")), "")
        return name if name in self.shapes else ""

    def weight(self, module: str) -> Tensor | None:
        """W of a module in fp32, d×k; None where the files have none under its name, or a packed one."""
        name = self.weight_of(module)
        tensor = read_tensor({name: self.shapes[name][0]}, name) if name else None
        # 8 bits are packed: their scale lies beside them
        if tensor is None or not tensor.is_floating_point() or tensor.itemsize == 1:
            return None
        return tensor.float().T if _is_turned(self.modules.get(self.own_name(module))) else tensor.float()

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The model's modules by name; none where it is no language model that transformers can build."""
        return {} if self.net is None else dict(self.net.named_modules())

    @property
    def linears(self) -> list[str]:
        """The names of those that multiply with a matrix of their own."""
        return [name for name, module in self.modules.items() if isinstance(module, nn.Linear) or _is_turned(module)]


def _is_turned(module: nn.Module | None) -> bool:
    """Whether it is the layer of GPT-2 and its like, which multiplies as a Linear does and keeps its weight k×d."""
    return type(module).__name__ == "Conv1D"  # transformers takes seconds to import


def hold_against(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], base: str, forgetting: bool = False
) -> tuple[tuple[AdaptedMatrix, ...], AgainstBase]:
    """The matrices with what the base adds to them, and what it says of the adapter as a whole. Raises ModelError."""
    in_base = opened.settings.in_base
    source = open_base(base, [in_base(one.module) for one in matrices], opened.settings.task_type)
    known = source.own_name
    source = source._replace(own_name=lambda module: known(in_base(module)))
    sizes = {one.module: _size(one, source) for one in matrices}
    not_finite = tuple(source.weight_of(module) for module, size in sizes.items() if not math.isfinite(size or 0.0))
    matrices = [
        one._replace(ratio=one.norm / size)
        if one.norm is not None and (size := sizes[one.module]) and math.isfinite(size)
        else one
        for one in matrices
    ]
    sound = not not_finite and all(one.norm is not None for one in matrices)
    lacking, other_shapes = _misfits(matrices, source)
    other_shapes += _other_sizes(opened, source)
    by_change = sorted((one for one in matrices if one.ratio), key=lambda one: -(one.ratio or 0.0))
    seen = {} if opened.settings.changes_base else dict(_intruders(opened, by_change, source))
    matrices = [one._replace(intruders=seen.get(one.module)) for one in matrices]
    ratios = [one.ratio for one in matrices if one.ratio is not None]
    adapted = {source.own_name(one.module) for one in matrices}
    return tuple(matrices), AgainstBase(
        name=source.name,
        place=source.place,
        tied=source.tied,
        vocabulary=source.said.get("vocab_size"),
        ratio=median(ratios) if ratios else None,
        largest_ratio=max(ratios, default=None),
        lacking=lacking,
        other_shapes=other_shapes,
        not_adapted=_not_adapted(source, adapted) if opened.settings.is_lora else {},
        left_out=_left_out(source, opened) if opened.settings.is_lora else {},
        not_finite=not_finite,
        intruders=(sum(seen.values()), LEADING * len(seen)) if seen else None,
        perplexity=_perplexities(opened, base) if forgetting and sound else None,
        not_exported=gguf.why_not_written(source.place) if source.shapes else NO_WEIGHTS,
        without_bias=tuple(one for one in biased_by(opened) if not source.has(f"{source.own_name(one)}.bias")),
        in_bitsandbytes=packed_by(source.config) == "bitsandbytes",
        built_by=source.built_by,
        unfilled=_unfilled(source, adapted, opened.settings),
    )


def _unfilled(base: OpenedBase, adapted: set[str], settings: AdapterSettings) -> bool:
    """Whether the base has modules that the adapter's targets mean and its file has nothing for."""
    if settings.target_modules is None:
        return True
    return any(settings.reaches(name) for name in base.linears if name not in adapted)


def open_base(base: str, modules: Sequence[str] = (), task_type: str = "") -> OpenedBase:
    """Open a base's folder, and build what has `modules` of an adapter of `task_type`. Raises ModelError with what to
    do where it cannot be had."""
    if (
        (known := models.known(str(base)))
        and "/" not in str(base)
        and known not in models.NAMED
        and not expanded(base).exists()
    ):
        base = str(_of_sizes(known))
    meant = models.which(base, weights=False)
    place = meant.place if meant.kind == "folder" and meant.place else models.folder(base)
    config = read_config(place)
    # most of what is asked of a base stands in its config
    return OpenedBase(
        meant.name,
        place,
        config,
        shapes_in(weight_files(place)) if any(place.glob("*.safetensors")) else {},
        *fitting(memory.shape_of(str(place)), modules, task_type, class_in(config)),
    )


def _of_sizes(known: str) -> Path:
    """A folder with the config of a model that `plan` knows by name, and no weights."""
    folder = cache_dir() / "sizes" / known
    write_text(folder / "config.json", json.dumps(models.KNOWN[known]))
    return folder


def _of_part(name: str) -> str:
    """A weight's name without what holds the language model: files name it as the larger model does,
    or as it once did."""
    return name.replace("language_model.", "").removeprefix("model.")


def _size(one: AdaptedMatrix, base: OpenedBase) -> float | None:
    """‖W‖ of a matrix's own weight, or None where the base has none; not finite where a number of W is not."""
    W = base.weight(one.module) if one.experts == 1 else None
    return None if W is None else float(W.norm())


def _misfits(matrices: Sequence[AdaptedMatrix], base: OpenedBase) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules that the base lacks, and those of another shape."""
    if base.net is None:
        return (), ()
    modules, stacks = dict(base.net.named_modules()), _stacks(base.net)
    lacking = tuple(
        one.module
        for one in matrices
        if base.own_name(one.module).replace(".base_layer", "") not in modules and _stack_of(one.module, stacks) is None
    )
    other = tuple(
        one.module
        for one in matrices
        if one.experts == 1
        and isinstance(weight := getattr(modules.get(base.own_name(one.module)), "weight", None), Tensor)
        and weight.dim() == 2
        and {one.d, one.k} != set(weight.shape)
    )
    return lacking, other


def _other_sizes(opened: AdapterFolder, base: OpenedBase) -> tuple[str, ...]:
    """The modules that are saved whole in another shape than the base has them, as after its vocabulary was resized."""
    own = {name: tuple(one.shape) for name, one in base.net.named_parameters()} if base.net is not None else {}
    saved = (one for one in opened.tensors if one.role in ("embedding", "whole") and one.numbers)
    whole = (one for one in saved if one.key.endswith(".weight"))
    return tuple(one.module for one in whole if own.get(f"{one.module}.weight", one.shape) != one.shape)


def _stacks(net: nn.Module) -> list[str]:
    """The modules that hold stacks of experts."""
    return [name for name, module in net.named_modules() if lora.stacked(module)]


def _stack_of(module: str, stacks: Sequence[str]) -> str | None:
    """The stack that PEFT puts one expert's own A and B into: transformers before 5 had experts one by one."""
    layer = re.match(r"(.*\.)[^.]+\.experts\.\d+\.[^.]+$", module)
    return next((stack for stack in stacks if layer and stack.startswith(layer[1])), None)


def _not_adapted(base: OpenedBase, adapted: set[str]) -> dict[str, int]:
    return dict(Counter(name.rpartition(".")[2] for name in base.linears if name not in adapted))


def _left_out(base: OpenedBase, opened: AdapterFolder) -> dict[str, int]:
    """`lora.left_out`, less what target_parameters names and what is saved whole."""
    if base.net is None:
        return {}
    reached = [*opened.settings.target_parameters, *opened.settings.modules_to_save]
    modules, stacks = dict(base.net.named_modules()), _stacks(base.net)
    adapted = [base.own_name(module) for module, _, _ in opened.pairs()]
    reached += filter(None, (_stack_of(module, stacks) for module in adapted))
    missed = lora.left_out(base.net, [module for module in adapted if not _is_stack(module, modules)])
    return {
        name: size
        for name, size in missed.items()
        if not any(name.endswith(end) or name.startswith(f"{end}.") for end in reached)
        # a table of positions in what sees is a stack, too
        and TOWERS.isdisjoint(name.split("."))
    }


def _is_stack(module: str, modules: Mapping[str, nn.Module]) -> bool:
    """A module that holds stacks of experts: only target_parameters says which of them is adapted."""
    owner = modules.get(module.replace(".base_layer", ""))
    return owner is not None and bool(lora.stacked(owner))


def _intruders(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], base: OpenedBase) -> Iterator[tuple[str, int]]:
    """How many leading directions of W + ΔW are new, of the matrices that change most."""
    pairs = {module: (A, B) for module, A, B in opened.pairs()}
    fits = [one for one in matrices if one.d * one.k <= LARGEST and not one.on_embedding]
    for one in fits[:MOST_CHANGED]:
        A, B = pairs[one.module]
        W = base.weight(one.module)
        if A is None or B is None or W is None or W.shape != (one.d, one.k):
            continue
        wide, tall = opened.factors(one.module, A, B)
        yield one.module, intruders(W, one.scale * tall.flatten(1).float() @ wide.flatten(1).float())


def intruders(W: Tensor, update: Tensor) -> int:
    """How many of the LEADING left singular vectors of W + ΔW have a cosine below ALIKE to every one of W's."""
    known, changed = lowrank.svd(W).U, lowrank.svd(W + update).U[:, :LEADING]
    return int(((known.T @ changed).abs().amax(0) < ALIKE).sum())


def _perplexities(opened: AdapterFolder, base: str) -> tuple[float, float]:
    """Perplexity on general text of the base alone and with the adapter, put on by PEFT."""
    import peft

    if opened.settings.task_type not in ("", "CAUSAL_LM") or "megatron_config" in opened.settings.others:
        raise ValueError("forgetting is measured with language models: leave out --forgetting for this adapter.")
    loaded = models.load(base, "fp32")
    text = tasks.general_text()
    before = _perplexity(loaded, text)
    try:
        with warnings.catch_warnings(action="ignore"):  # PEFT is used here as it is: what it warns of helps nobody
            worn = peft.PeftModel.from_pretrained(loaded.model, str(opened.place)).eval()
    except Exception as error:  # whatever PEFT says of an adapter that does not fit
        raise ValueError(
            f"PEFT could not put the adapter on {loaded.name} ({first_line(error)}): "
            "leave out --forgetting to inspect the rest."
        ) from error
    return before, _perplexity(loaded._replace(model=worn), text)


def _perplexity(base: models.Base, text: str) -> float:
    try:
        return evaluation.perplexity(base, text)
    except ModelError as error:
        raise ValueError(f"{error} Leave out --forgetting to inspect the rest.") from error
