"""Plausible wrong repairs in hall 3, each with a piece of the sentence that must name it."""

WRONG: dict[str, list[tuple[str, str]]] = {}
