"""What programs make of an adapter by its base's architecture and by what its keys name:
the rules of architectures.toml.

An adapter that is right can be applied to nothing: a server that keeps the language model as one part of a larger model
looks for the layers under other names, and says nothing where it finds none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons import models
from lora_lessons.errors import ModelError
from lora_lessons.models.configs import read_config
from lora_lessons.paths import expanded

from .reading import AdapterFolder
from .xray import AdaptedMatrix, AgainstBase, Loads

# What parts of a larger model see or hear, by the names that transformers gives them.
TOWERS = {
    *("visual", "vision_tower", "vision_model", "vision_encoder", "audio_tower", "multi_modal_projector"),
    *("embed_vision", "embed_audio", "connector", "vpm", "apm", "resampler"),
}
# The gravest answer counts, where an adapter's keys are of several kinds.
_GRAVITY = {"no": 3, "care": 2, "unknown": 1, "yes": 0}


class Rule(NamedTuple):
    """What one program makes of one kind of keys, where that was read, and why."""

    runtime: str
    keys: str
    loads: Loads
    behind: str
    reason: str


class Family(NamedTuple):
    """Bases of one architecture: what their config.json says, what they are called, and the rules for them."""

    name: str
    model_types: Sequence[str]
    named: str
    wraps: bool = False
    rules: tuple[Rule, ...] = ()


class Architecture(NamedTuple):
    """What is known of a base: its family, whether its language model is one part of it,
    and whether its config says so."""

    family: Family | None
    wraps: bool
    sure: bool


@cache
def listed() -> tuple[tuple[Family, ...], tuple[Rule, ...]]:
    """The families of architectures.toml, and the rules that hold for every base."""
    said = tomllib.loads(Path(__file__).with_name("architectures.toml").read_text(encoding="utf-8"))
    families = tuple(Family(**one | {"rules": _rows(one)}) for one in said["family"])
    return families, _rows(said["every_base"])


def _rows(said: dict[str, Any]) -> tuple[Rule, ...]:
    return tuple(Rule(*row) for row in said.get("rules", ()))


def gravest(
    runtime: str, opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Rule | None:
    """The gravest of the rules that mean `runtime` and this adapter; None where none does."""
    return max(
        _rules(runtime, architecture_of(opened, against), kinds_of_keys(opened, matrices)),
        key=lambda one: _GRAVITY[one.loads],
        default=None,
    )


def refused_by_peft(
    opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[tuple[Loads, str, str]]:
    """Why PEFT loads the adapter into nothing, by the base's architecture, so that it cannot merge it either;
    nothing where it does."""
    rule = gravest("PEFT", opened, matrices, against)
    if rule is not None and rule.loads == "no":
        yield from by_architecture("PEFT", opened, matrices, against)


def by_architecture(
    runtime: str, opened: AdapterFolder, matrices: Sequence[AdaptedMatrix], against: AgainstBase | None
) -> Iterator[tuple[Loads, str, str]]:
    """What the gravest rule says, as "depends" where only the base's name is known; nothing where there is none."""
    known, rule = architecture_of(opened, against), gravest(runtime, opened, matrices, against)
    if rule is None:
        return
    of_family = known.family is not None and rule in known.family.rules
    if not of_family or known.sure or rule.loads == "yes" or known.family is None:
        yield rule.loads, rule.reason, rule.behind
        return
    yield (
        "depends",
        f"if this base is {known.family.name} as its name says, {rule.reason}. Its config.json decides: "
        "name it with --base",
        rule.behind,
    )


def _rules(runtime: str, known: Architecture, kinds: Sequence[str]) -> Iterator[Rule]:
    """Of each kind of keys the first rule that means it: the family's before those for every base."""
    of_family = known.family.rules if known.family else ()
    for kind in (*kinds, "any"):
        general = () if kind == "text" and not known.wraps else listed()[1]
        yield from [rule for rule in (*of_family, *general) if (rule.runtime, rule.keys) == (runtime, kind)][:1]


def architecture_of(opened: AdapterFolder, against: AgainstBase | None = None) -> Architecture:
    """What the base's config says it is, or what its name says where there is no config here. Nothing is fetched."""
    families, _ = listed()
    config = config_of(opened, against)
    if config is not None:
        family = next((one for one in families if config["model_type"] in one.model_types), None)
        return Architecture(family, family.wraps if family else isinstance(config.get("text_config"), dict), True)
    family = next((one for one in families if re.search(one.named, base_in_name(opened))), None)
    return Architecture(family, bool(family and family.wraps), False)


def config_of(opened: AdapterFolder, against: AgainstBase | None) -> dict[str, Any] | None:
    """The config of the base that was given, or of the folder that the adapter names;
    None where neither can be read."""
    try:
        if against is not None:
            return read_config(against.place)
        meant = models.which(opened.settings.base_name, weights=False) if opened.settings.base_name else None
        return read_config(meant.place) if meant and meant.kind == "folder" and meant.place else None
    except (ModelError, OSError):  # OSError: a name that no disk can have
        return None


def base_in_name(opened: AdapterFolder) -> str:
    """The last part of the base's name, in small letters: what tells its family where there is no config."""
    return opened.settings.base_name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


def is_lost_path(base: str) -> bool:
    """Whether `base`, as an adapter names it, is a path at which nothing lies, and not that of the embedded base."""
    if not re.match(r"[/~\\\\]|[A-Za-z]:|\.{1,2}/", base):
        return False
    try:
        return models.which(base, weights=False).kind not in ("embedded", "folder", "gguf")
    except (ModelError, OSError):
        return not expanded(base).exists()


def tied_by_name(base: str) -> bool | None:
    """Whether the head of a base that is known by its name is its embedding; None where nobody knows."""
    known = models.known(base)
    tied: bool | None = models.KNOWN[known].get("tie_word_embeddings") if known else None
    return tied


def packed_by(config: dict[str, Any]) -> str:
    """The quant_method of a base's config, such as bitsandbytes or gptq; "mlx", which MLX leaves out;
    "" where it is not packed."""
    quantization = config.get("quantization_config")
    if not isinstance(quantization, dict):
        return ""
    return str(quantization.get("quant_method", "mlx" if "group_size" in quantization else ""))


def class_in(config: dict[str, Any]) -> str:
    """The first class that a config names, "" where it names none."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def class_of_text(config: dict[str, Any]) -> str:
    """The first class that a config names for the language model within a larger one, "" where it names none."""
    thinks = config.get("thinker_config")
    parts = [config.get(name) for name in ("text_config", "llm_config", "lm_config", "language_config")]
    parts += [thinks.get("text_config")] if isinstance(thinks, dict) else []
    return next((named for part in parts if isinstance(part, dict) and (named := class_in(part))), "")


def kinds_of_keys(opened: AdapterFolder, matrices: Sequence[AdaptedMatrix]) -> tuple[str, ...]:
    """What the adapter's keys name, in the words of architectures.toml."""
    modules = [module for module, _, _ in opened.pairs()]
    parts = {part for module in modules for part in module.split(".")}
    layers = [module for module in modules if re.match(r"(model\.)?layers\.\d", module)]
    found = {
        **_stacks(matrices),
        "in_row": any(re.search(r"\.experts\.\w+_projs\.\d+$", module) for module in modules),
        "single": any(re.search(r"\.experts\.\d+\.", module) for module in modules),
        "latent": "kv_b_proj" in parts,
        "qkvz": "in_proj_qkvz" in parts,
        "hybrid": "linear_attn" in parts,
        "towers": not TOWERS.isdisjoint(parts),
        "wrapped": "language_model" in parts,
        "text": bool(layers),
        "headed": any(module.startswith("model.") for module in layers),
        "headless": bool(layers) and not any(module.startswith("model.") for module in layers),
    }
    return tuple(kind for kind, seen in found.items() if seen)


def _stacks(matrices: Sequence[AdaptedMatrix]) -> dict[str, bool]:
    """Whether experts in one parameter are adapted, one of two such parameters alone,
    and A and B the other way round."""
    stacks = {one.module: one for one in matrices if one.experts > 1}
    pairs = [(stacks.get(f"{name}.base_layer"), one) for name, one in stacks.items() if not name.endswith("base_layer")]
    both = [(inner, outer) for inner, outer in pairs if inner is not None]
    # gate_up_proj reads what down_proj gives; turned around, it gives what the other reads,
    # as the weights of Llama 4 themselves do
    turned = [inner for inner, outer in both if inner.k != outer.d and inner.d == outer.k]
    turned = [one for one in turned if ".feed_forward." not in one.module]
    return {"turned": bool(turned), "one_stack": len(both) < len(pairs), "stacked": bool(stacks)}
