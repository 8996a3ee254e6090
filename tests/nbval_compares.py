"""What nbval compares of a stored output (a pytest plugin): every cell by default, pictures and addresses aside.

A number that was recorded is compared with its record's band, wherever it is shown: another version of a library may
round it otherwise. Everything else is compared by its letters. A cell tagged `nbval-ignore-output` shows what another
run or machine does not repeat. Of it the frame is compared: the kinds of its outputs, the names and units of its
records, and every verdict card and caption with its numbers masked.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import nbval.kernel
import pytest
import replay
from nbval.plugin import IPyNbCell, IPyNbFile

from lora_lessons.course.claims import read_card
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.course.records import MIME, records_of
from lora_lessons.run import baselines
from lora_lessons.run.kernel import PATIENCE, private_sockets
from lora_lessons.run.stored import as_stored

IGNORE = "nbval-ignore-output"
# Why a cell is exempt, as a second tag: the clock, memory and rounding of a machine; a training; what a learner kept.
REASONS = ("varies-machine", "varies-trained", "varies-kept")
MASKS = {
    r"data:image/[\w+]+;base64,[\w+/=]+": "a picture",
    r" at 0x[0-9a-f]+": " at an address",
}
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


def pytest_configure(config: pytest.Config) -> None:
    """Two workers start kernels at the same time: neither may take the other's ports."""
    stack = ExitStack()
    nbval.kernel.KernelManager = partial(nbval.kernel.KernelManager, **stack.enter_context(private_sockets()))
    config.add_cleanup(stack.close)
    config.option.nbval_kernel_startup_timeout = PATIENCE  # nbval gives 60 seconds, and 5 between two messages (below)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Records are compared as they are shown, to four digits: the baselines hold the rest.
    A scene has its day and machine."""
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
    """Whether what ran would be stored as what is: a widget leaves its still,
    and progress and warnings leave nothing."""
    kept, book = as_stored(ran), item.parent
    if same is IPyNbCell.compare_outputs and len(kept) == len(stored):
        if not hasattr(book, "pairs"):
            book.pairs = list(_pairs(book))
        for now, then in zip(kept, stored, strict=True):
            for part, before in ((now, then), (now.get("data", {}), then.get("data", {}))):
                part |= {key: in_bands(part[key], before[key], book.pairs) for key in _texts(part) & _texts(before)}
    return same(item, kept, stored)


def _texts(part: dict[str, Any]) -> set[str]:
    return {key for key, shown in part.items() if key.startswith("text") and isinstance(shown, str)}


def _pairs(book: IPyNbFile) -> Iterator[tuple[Decimal, Decimal]]:
    """Each recorded number of a lesson as it was in the run and as it is stored, where its band allows the run's."""
    name = Path(book.path).name
    entries = (baselines.read_baseline(Path(name).stem) or {"records": {}})["records"]
    run = next(Path(os.environ.get(replay.RAN, "no run")).rglob(name), None)
    ran, stored = (records_of(nbformat.read(run, 4)) if run else {}), records_of(book.nb)
    for key, entry in entries.items():
        both = [records[key] for records in (ran, stored) if key in records]
        same = len(both) == 2 and both[0].unit == both[1].unit and baselines.band(entry)
        if same and all(baselines.inside(one.value, entry) for one in both):
            yield Decimal(both[0].value), Decimal(both[1].value)


def in_bands(ran: str, stored: str, pairs: list[tuple[Decimal, Decimal]]) -> str:
    """`ran` with the stored number wherever the two show one record, whose band allows what ran; else as it is."""
    if _masked(ran) != _masked(stored):
        return ran
    then = _NUMBER.finditer(stored)

    def shown(now: re.Match[str]) -> str:
        before = next(then)[0]
        recorded = any(_shows(now[0], new * k) and _shows(before, old * k) for new, old in pairs for k in _SCALES)
        return before if recorded else now[0]

    return _NUMBER.sub(shown, ran)


# A record may be shown as it is, in percent, or in thousands, millions, billions of its unit.
_SCALES = tuple(map(Decimal, ("1", "100", "1e-3", "1e-6", "1e-9")))


def _shows(text: str, value: Decimal) -> bool:
    """Whether `text` is `value`, rounded to the digits that it has: two at least, or anything could be meant."""
    number = Decimal(text.replace(",", ""))
    half = Decimal((0, (5,), int(number.as_tuple().exponent) - 1))
    return len(number.as_tuple().digits) > 1 and abs(number - value) <= half


def _same_frame(item: Any, ran: list[Any], stored: list[Any]) -> bool:
    now, then = frame(ran), frame(stored)
    item.comparison_traceback = [f"the frame of its output was {then}, and is {now}"]
    return now == then


def frame(outputs: list[Any]) -> list[Any]:
    """What stays the same of outputs whose values vary.

    Where its printed lines stand is not: nbval moves them to the first,
    and a run that was found prints before its picture.
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
