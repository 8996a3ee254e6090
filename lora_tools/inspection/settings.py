"""What an adapter_config.json says, of whatever kind the adapter is: read, checked, and never acted on.

Which modules its names and patterns mean, is decided by PEFT's own rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lora_lessons.errors import first_line
from lora_lessons.lora import scale
from lora_lessons.peft_config import DEFAULT_ALPHA, DEFAULT_R, KNOWN, may_never_end, pattern_fault, type_fault
from lora_lessons.targets import is_end

# Starts that take a part of W into A and B, so that B·A alone is not the update of the plain W.
CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
# Those that need what only the training had: PEFT stops at CorDA's, and begins LoRA-GA's elsewhere without a word.
NEEDS_COVARIANCES, NEEDS_GRADIENTS = "corda", "lora_ga"
# Characters of a pattern of target_modules that is searched for.
LONGEST = 10_000
# What bases call their embedding and their head, which ensure_weight_tying adapts together.
EMBEDDINGS = ("embed_tokens", "wte", "word_embeddings", "embedding", "embeddings", "lm_head", "embed_out")


class AdapterSettings(NamedTuple):
    """The configuration of an adapter, in PEFT's names; `kind` is its peft_type."""

    kind: str
    r: int
    lora_alpha: float
    use_rslora: bool
    use_dora: bool
    bias: str
    # A list of names, or a pattern; None where the file names none.
    target_modules: tuple[str, ...] | str | None
    target_parameters: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    init_lora_weights: str
    base_name: str
    revision: str
    task_type: str
    # Everything else that is switched on, by its name in the file.
    others: dict[str, Any]
    # Of r and lora_alpha, those that the file does not say: PEFT takes its own default.
    unsaid: tuple[str, ...] = ()

    @property
    def is_lora(self) -> bool:
        """Whether it is LoRA, or one of its variants that PEFT keeps under the same name."""
        return self.kind == "LORA"

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is switched on that PEFT 0.21 has no setting for, as a later one may: it warns, and leaves it out."""
        return tuple(sorted(self.others.keys() - KNOWN)) if self.is_lora else ()

    @property
    def changes_base(self) -> bool:
        """Whether its start changed the base's weights as well (PiSSA, OLoRA and their like)."""
        return self.starts(*CHANGES_BASE)

    @property
    def to_plain(self) -> str:
        """What makes it one for the plain W: PEFT converts all but LoftQ's
        (`LoraModel._convert_state_dict_for_initial_model`)."""
        return "merge it with PEFT" if self.starts("loftq") else "convert it with PEFT first"

    def starts(self, *ways: str) -> bool:
        """Whether init_lora_weights is one of `ways`, or a kind of it (pissa_niter_4)."""
        return self.init_lora_weights.lower().startswith(ways)

    def scale_of(self, module: str, r: int) -> float:
        """The factor before B·A of one module whose rank is `r`: α/r, or α/√r with rsLoRA; alpha_pattern counts."""
        return scale(r, self.alpha_of(module), self.use_rslora)

    def alpha_of(self, module: str) -> float:
        """lora_alpha of one module, by PEFT's rule: the first pattern that its name ends with."""
        return self.alpha_pattern.get(matching(self.alpha_pattern, module), self.lora_alpha)

    def rank_of(self, module: str) -> int:
        """r of one module as the configuration has it."""
        return self.rank_pattern.get(matching(self.rank_pattern, module), self.r)

    def reaches(self, module: str) -> bool:
        """Whether PEFT puts A and B on `module`: a pattern means the whole name, a name in a list its end.

        And neither exclude_modules nor layers_to_transform leaves it out.
        True where the configuration leaves the choice to PEFT.
        """
        named = self.target_modules
        if means(self.others.get("exclude_modules"), module):
            return False
        tied = "ensure_weight_tying" in self.others and module.rpartition(".")[2] in EMBEDDINGS
        if tied or self.stacks(module) or (named is None and not self.target_parameters):
            return True
        if isinstance(named, str):
            return named.lower() == "all-linear" or may_match(named, module)
        return means(named, module) and in_layers(module, self.others)

    def stacks(self, module: str) -> bool:
        """Whether target_parameters names a parameter of `module`, a stack of experts."""
        owners = [name.rpartition(".")[0] for name in self.target_parameters]
        return any(not owner or is_end(owner, module.replace(".base_layer", "")) for owner in owners)

    def blocks_of(self, module: str, part: str) -> int:
        """Of how many blocks on its diagonal BD-LoRA makes a module's "A" or "B"; 1 where the file holds it whole."""
        bd_lora = self.others.get("use_bdlora")
        bd_lora = bd_lora if isinstance(bd_lora, dict) else {}
        named, blocks = bd_lora.get(f"target_modules_bd_{part.lower()}"), bd_lora.get("nblocks")
        if type(blocks) is not int or not isinstance(named, list):
            return 1
        leaf = module.rpartition(".")[2]
        return blocks if blocks > 1 and any(isinstance(one, str) and one in leaf for one in named) else 1

    def in_base(self, module: str) -> str:
        """The module of the base that PEFT copied `module` from, where layer_replication stacks layers anew;
        else itself."""
        return copied_from(self.others.get("layer_replication"), module)


def read_settings(file: Path) -> AdapterSettings:
    """What `file`, an adapter_config.json, says. Raises ValueError where it is damaged."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({first_line(error)}): copy it again.") from error
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str) or not config["peft_type"]:
        raise ValueError(f"{file} is damaged (it names no peft_type): copy it again.")
    if fault := type_fault(config):
        raise ValueError(f"{file}: {fault}")
    try:
        return _checked(config)
    except _Odd as odd:
        raise ValueError(f"{file} is damaged ({odd}): copy it again, or save the adapter again.") from None


class _Odd(Exception):
    """What of a configuration cannot be."""


def _checked(config: dict[str, Any]) -> AdapterSettings:
    known = (set(AdapterSettings._fields) - {"others", "unsaid"}) | {"peft_type", "base_model_name_or_path"}
    kind = config["peft_type"]
    # Other kinds mean something else by the same names: AdaLoRA's rank_pattern says which directions it kept.
    of_lora = config if kind == "LORA" else {}
    return AdapterSettings(
        kind=kind,
        r=_whole("r", of_lora.get("r", DEFAULT_R)) if of_lora else 0,
        lora_alpha=_number("lora_alpha", of_lora.get("lora_alpha", DEFAULT_ALPHA)),
        use_rslora=_switch(config, "use_rslora"),
        use_dora=_switch(config, "use_dora"),
        bias=_text(config, "bias") or "none",
        target_modules=_targets(config),
        target_parameters=_names(config, "target_parameters"),
        modules_to_save=_names(config, "modules_to_save"),
        rank_pattern={k: _whole("rank_pattern", v) for k, v in _patterns(of_lora, "rank_pattern").items()},
        alpha_pattern={k: _number("alpha_pattern", v) for k, v in _patterns(of_lora, "alpha_pattern").items()},
        init_lora_weights=_start(config.get("init_lora_weights")),
        base_name=_text(config, "base_model_name_or_path"),
        revision=_text(config, "revision"),
        task_type=_text(config, "task_type"),
        others={k: v for k, v in config.items() if k not in known and v is not False and v not in (None, "", [], {})},
        unsaid=tuple(name for name in ("r", "lora_alpha") if of_lora and name not in of_lora),
    )


def _sure(value: Any, fits: bool, odd: str) -> Any:
    """`value` where it `fits`. Raises _Odd."""
    if not fits:
        raise _Odd(odd)
    return value


def _whole(name: str, value: Any) -> int:
    return int(_sure(value, type(value) is int and 1 <= value <= 2**20, f"{name} = {repr(value)[:40]} is not a rank"))


def _number(name: str, value: Any) -> float:
    fits = type(value) in (int, float) and abs(value) < 1e12  # NaN is not below it
    return float(_sure(value, fits, f"{name} = {repr(value)[:40]} is not a number"))


def _switch(config: dict[str, Any], name: str) -> bool:
    return bool(_sure(config.get(name), config.get(name) in (None, True, False), f"{name} is neither true nor false"))


def _text(config: dict[str, Any], name: str) -> str:
    return str(_sure(config.get(name) or "", isinstance(config.get(name), str | None), f"{name} is not a text"))


def _names(config: dict[str, Any], name: str) -> tuple[str, ...]:
    value = config.get(name) or []
    value = [value] if isinstance(value, str) else value
    fits = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return tuple(sorted(_sure(value, fits, f"{name} is not a list of names")))


def _targets(config: dict[str, Any]) -> tuple[str, ...] | str | None:
    value = config.get("target_modules")
    return value if isinstance(value, str) else _names(config, "target_modules") or None


def _patterns(config: dict[str, Any], name: str) -> dict[str, Any]:
    value: dict[str, Any] = config.get(name) or {}
    _sure(value, isinstance(value, dict), f"{name} is not a table")
    fault = next(filter(None, map(pattern_fault, value)), "")
    _sure(value, not fault, f"{name}: {fault}")
    return value


def _start(value: Any) -> str:
    """init_lora_weights as text: "" for PEFT's own start, "false" where A and B were drawn at random."""
    if value in (None, True):
        return ""
    if value is False:
        return "false"
    return str(_sure(value, isinstance(value, str), "init_lora_weights is neither a switch nor a name"))


def matching(patterns: dict[str, Any], module: str) -> str:
    """The pattern that means `module`, or "": PEFT's own rule (peft.utils.get_pattern_key),
    the first in the file's order."""
    return next(all_matching(patterns, module), "")


def all_matching(patterns: dict[str, Any], module: str) -> Iterator[str]:
    """Every pattern that means `module`. PEFT's save_pretrained sorts them,
    so the first need not be the first of the training."""
    return (one for one in patterns if re.match(rf"(.*\.)?({one})$", module))


def may_match(pattern: str, module: str) -> bool:
    """Whether PEFT's pattern means `module`; True for one that is not searched, because the search may never end."""
    try:
        return bool(len(pattern) > LONGEST or may_never_end(pattern) or re.fullmatch(pattern, module))
    except (re.error, RecursionError, OverflowError):
        return True


def means(named: Any, module: str) -> bool:
    """Whether `named`, a pattern or names as in exclude_modules, surely means `module`;
    what is not searched means none."""
    if isinstance(named, str):
        return not pattern_fault(named) and bool(re.fullmatch(named, module))
    return isinstance(named, list | tuple) and any(isinstance(name, str) and is_end(name, module) for name in named)


def in_layers(module: str, said: dict[str, Any]) -> bool:
    """Whether `module` is in one of the layers_to_transform, by PEFT's rule; True where it names none."""
    layers, named = said.get("layers_to_transform"), said.get("layers_pattern")
    if layers is None:
        return True
    patterns = [rf"(?:^|.*?\.){one}" for one in ([named] if isinstance(named, str) else named or ())]
    for pattern in patterns or [r".*?\.[^.]*"]:
        if pattern_fault(pattern):
            return True
        if match := re.match(rf"{pattern}\.(\d{{1,9}})\.", module):
            # the last group: a pattern may have groups of its own
            return int(match[match.re.groups]) in (layers if isinstance(layers, list) else [layers])
    return False


def copied_from(replication: Any, module: str) -> str:
    """The base's module behind `module`, where `replication`, as PEFT's layer_replication, stacks [first, behind)
    ranges of layers."""
    layer = re.search(r"\.(\d{1,9})\.", module)
    if not isinstance(replication, list) or layer is None:
        return module
    number = int(layer[1])
    for span in replication:
        if not isinstance(span, list) or [type(end) for end in span] != [int, int]:
            return module
        first, behind = span
        if number < behind - first:
            return f"{module[: layer.start(1)]}{first + number}{module[layer.end(1) :]}"
        number -= max(0, behind - first)
    return module
