"""Which modules the names and patterns of a configuration mean, by PEFT's own rules."""

from __future__ import annotations

import re
from typing import Any

from ..peft_config import may_never_end, pattern_fault
from ..targets import is_end


def matching(patterns: dict[str, Any], module: str) -> str:
    """The pattern that means `module`, or "": PEFT's own rule (peft.utils.get_pattern_key)."""
    return next((one for one in patterns if re.match(rf"(.*\.)?({one})$", module)), "")


def may_match(pattern: str, module: str) -> bool:
    """Whether PEFT's pattern means `module`; True for one that is not searched, because the search may never end."""
    try:
        return bool(may_never_end(pattern) or re.fullmatch(pattern, module))
    except (re.error, RecursionError, OverflowError):
        return True


def means(named: Any, module: str) -> bool:
    """Whether `named`, a pattern or names as in exclude_modules, surely means `module`; what is not searched means none."""
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
        if found := re.match(rf"{pattern}\.(\d{{1,9}})\.", module):
            return int(found[1]) in (layers if isinstance(layers, list) else [layers])
    return False


def copied_from(replication: Any, module: str) -> str:
    """The base's module behind `module`, where `replication`, as PEFT's layer_replication, stacks [first, behind) ranges of layers."""
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
