"""What a program can say about an answer: a module for each task, whose `faults` names every rule that is broken.

No answer is compared with a training answer, and nothing that a model wrote is ever run.
"""

from __future__ import annotations

from typing import Any

from . import code_style, persona, plain_language, strict_json

RULES: dict[str, Any] = {
    "code_style": code_style,
    "persona": persona,
    "plain_language": plain_language,
    "strict_json": strict_json,
}


def faults(task: str, answer: str, example: dict[str, Any]) -> list[str]:
    """Advice for each rule of `task` that `answer` breaks, [] for a good one; `example` is the conversation it answers.

    Raises ValueError when no rules are written for the task.
    """
    return _rules(task).faults(answer, example)


def looks_like(task: str, answer: str) -> bool:
    """Whether an answer to a question of no task has taken on the task's form all the same."""
    return _rules(task).looks_like(answer)


def _rules(task: str) -> Any:
    if task not in RULES:
        raise ValueError(f"no rules are written for the task {task!r}: see lora_lessons/tasks/scores/.")
    return RULES[task]
