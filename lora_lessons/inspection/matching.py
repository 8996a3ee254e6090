"""Which modules the names and patterns of a configuration mean, by PEFT's own rules."""

from __future__ import annotations

import re
from typing import Any

from ..peft_config import may_never_end


def matching(patterns: dict[str, Any], module: str) -> str:
    """The pattern that means `module`, or "": PEFT's own rule (peft.utils.get_pattern_key)."""
    return next((one for one in patterns if re.match(rf"(.*\.)?({one})$", module)), "")


def may_match(pattern: str, module: str) -> bool:
    """Whether PEFT's pattern means `module`; True for one that is not searched, because the search may never end."""
    try:
        return bool(may_never_end(pattern) or re.fullmatch(pattern, module))
    except (re.error, RecursionError, OverflowError):
        return True
