"""Options that hold several values: "1,2,4"."""

from __future__ import annotations


def names(text: str) -> list[str]:
    """The parts of "q_proj, v_proj"; an empty text has none."""
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_numbers(option: str, text: str) -> list[int]:
    """The numbers of "1,2,4". Raises ValueError naming the option when a part is none."""
    try:
        return [int(part) for part in names(text)]
    except ValueError:
        raise ValueError(f"{option} {text!r}: give whole numbers, separated by commas.") from None


def numbers(option: str, text: str) -> list[float]:
    """The numbers of "4e-3,1e-3". Raises ValueError naming the option when a part is none."""
    try:
        return [float(part) for part in names(text)]
    except ValueError:
        raise ValueError(f"{option} {text!r}: give numbers, separated by commas.") from None
