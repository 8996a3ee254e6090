"""What nbval compares of a stored output (a pytest plugin): every cell by default, pictures and addresses aside.

A cell tagged `nbval-ignore-output` shows what another run or machine does not repeat. Of it the frame is compared: the
kinds of its outputs, the names and units of its records, and every verdict card and caption with its numbers masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import nbval.kernel
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from lora_lessons.course.claims import read_card
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.course.records import MIME
from lora_lessons.run.kernel import PATIENCE, private_sockets
from lora_lessons.run.stored import as_stored

IGNORE = "nbval-ignore-output"
# Why a cell is exempt, as a second tag: the clock, memory and rounding of a machine; a training; what a learner kept.
REASONS = ("varies-machine", "varies-trained", "varies-kept")
MASKS = {
    r"data:image/[\w+]+;base64,[\w+/=]+": "a picture",
    r" at 0x[0-9a-f]+": " at an address",
}
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def pytest_configure(config: pytest.Config) -> None:
    """Two workers start kernels at the same time: neither may take the other's ports."""
    stack = ExitStack()
    nbval.kernel.KernelManager = partial(nbval.kernel.KernelManager, **stack.enter_context(private_sockets()))
    config.add_cleanup(stack.close)
    config.option.nbval_kernel_startup_timeout = PATIENCE  # nbval gives 60 seconds, and 5 between two messages (below)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Records are compared as they are shown, to four digits: the baselines hold the rest. A scene has its day and machine."""
    if isinstance(collector, IPyNbFile):
        collector.skip_compare = (*collector.skip_compare, MIME, SCENE)
        collector.sanitize_patterns.update(MASKS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cells that are exempt are compared by their frame."""
    for item in items:
        if isinstance(item, IPyNbCell):
            item.output_timeout = PATIENCE
            exempt = IGNORE in item.cell.metadata.get("tags", [])
            item.options["check"] |= exempt
            item.compare_outputs = partial(_compared, item, _same_frame if exempt else IPyNbCell.compare_outputs)


def _compared(item: IPyNbCell, same: Callable[..., bool], ran: list[Any], stored: list[Any]) -> bool:
    """Whether what ran would be stored as what is: a widget leaves its still, and progress and warnings leave nothing."""
    return same(item, as_stored(ran), stored)


def _same_frame(item: Any, ran: list[Any], stored: list[Any]) -> bool:
    now, then = frame(ran), frame(stored)
    item.comparison_traceback = [f"the frame of its output was {then}, and is {now}"]
    return now == then


def frame(outputs: list[Any]) -> list[Any]:
    """What stays the same of outputs whose values vary.

    Where its printed lines stand is not: nbval moves them to the first, and a run that was found prints before its picture.
    """
    scenes = [SCENE in output.get("data", {}) for output in outputs]
    framed = [_frame(output, tells) for output, tells in zip(outputs, [False, *scenes], strict=False)]
    return [one for one in framed if one != "stream"] + ["stream"] * ("stream" in framed)


def _frame(output: Any, tells: bool) -> Any:
    """The frame of one output; where it `tells` of a scene, its words are a model's answers, which vary."""
    data = output.get("data")
    if data is None:
        return output["output_type"]
    kinds = sorted(kind for kind in data if "widget-view" not in kind)
    records = [(record["name"], record["unit"]) for record in data.get(MIME, [])]
    cards = [read_card(part) for part in "".join(data.get("text/html", "")).split("<div ")]
    masked = [(card.id, card.says, card.said, _masked(card.sentence)) for card in cards if card]
    return kinds, records, masked, "" if tells else _masked("".join(data.get("text/markdown", "")))


def _masked(text: str) -> str:
    return _NUMBER.sub("#", text)
