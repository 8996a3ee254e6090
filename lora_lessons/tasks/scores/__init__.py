"""What a program can say about an answer: a module for each task, whose `faults` names every rule that is broken.

No answer is compared with a training answer, and nothing that a model wrote is ever run.
"""

from __future__ import annotations

import importlib
from typing import Any


def faults(task: str, answer: str, example: dict[str, Any]) -> list[str]:
    """Advice for each rule of `task` that `answer` breaks, [] for a good one; `example` is the conversation it answers.

    Raises ValueError when no rules are written for the task.
    """
    return _rules(task).faults(answer, example)


def looks_like(task: str, answer: str) -> bool:
    """Whether an answer to a question of no task has taken on the task's form all the same."""
    return _rules(task).looks_like(answer)


def _rules(task: str) -> Any:
    try:
        return importlib.import_module(f".{task}", __name__)
    except ModuleNotFoundError as error:
        raise ValueError(f"no rules are written for the task {task!r}: see lora_lessons/scores/.") from error
