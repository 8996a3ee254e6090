"""What is compared of a stored output with what a run of the lesson showed: every cell, pictures and addresses aside.

A number that was recorded is compared with its record's band, wherever it is shown: another version of a library may
round it otherwise. Everything else is compared by its letters. A cell tagged `nbval-ignore-output` shows what another
run or machine does not repeat. Of it the frame is compared: the kinds of its outputs, the names and units of its
records, and every verdict card and caption with its numbers masked.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from lora_lessons.course.claims import read_card
from lora_lessons.course.on_the_web import SCENE
from lora_lessons.course.records import MIME, records_of
from lora_lessons.run import baselines
from lora_lessons.run.stored import as_stored

IGNORE = "nbval-ignore-output"
# Why a cell is exempt, as a second tag: the clock, memory and rounding of a machine; a training; what a learner kept.
REASONS = ("varies-machine", "varies-trained", "varies-kept")
# Records are compared as they are shown, to four digits: the baselines hold the rest. A scene has its day and machine.
SKIPPED = {MIME, SCENE, "image/png", "text/latex", "application/vnd.jupyter.widget-view+json"}
MASKS = re.compile(r"data:image/[\w+]+;base64,[\w+/=]+| at 0x[0-9a-f]+")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")


def differences(ran: Any, stored: Any, baseline: dict[str, Any]) -> Iterator[str]:
    """What the stored notebook of a lesson shows, and the one that ran does not, cell by cell."""
    now, then = ([cell for cell in book.cells if _is_of_the_lesson(cell)] for book in (ran, stored))
    if [cell.source for cell in now] != [cell.source for cell in then]:
        yield "the cells that are stored did not all run"
        return
    pairs = list(_pairs(ran, stored, baseline))
    for number, (one, other) in enumerate(zip(now, then, strict=True)):
        outputs, kept = as_stored(copy.deepcopy(one.outputs)), other.outputs
        if IGNORE in other.metadata.get("tags", []):
            showed, shows = frame(outputs), frame(kept)
        else:
            showed, shows = _shown(outputs), _shown(kept)
            for kind in showed.keys() & shows.keys():
                if len(showed[kind]) == len(shows[kind]):
                    showed[kind] = [in_bands(*two, pairs) for two in zip(showed[kind], shows[kind], strict=True)]
        if showed != shows:
            yield f"code cell {number} showed {showed}, and {shows} is stored"


def _is_of_the_lesson(cell: Any) -> bool:
    return cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])


def _shown(outputs: list[Any]) -> dict[str, list[Any]]:
    """What a cell shows, by its kind: in which order different kinds come is not compared."""
    found = defaultdict(list)
    for output in outputs:
        for kind, part in (output.get("data") or {output.get("name", "error"): output.get("text")}).items():
            if kind not in SKIPPED:
                found[kind].append(MASKS.sub("…", part) if isinstance(part, str) else part)
    return found


def _pairs(ran: Any, stored: Any, baseline: dict[str, Any]) -> Iterator[tuple[Decimal, Decimal]]:
    """Each recorded number of a lesson as it was in the run and as it is stored, where its band allows the run's."""
    now, then = records_of(ran), records_of(stored)
    for key, entry in baseline["records"].items():
        both = [records[key] for records in (now, then) if key in records]
        same = len(both) == 2 and both[0].unit == both[1].unit and baselines.band(entry)
        if same and all(baselines.inside(one.value, entry) for one in both):
            yield Decimal(both[0].value), Decimal(both[1].value)


def in_bands(ran: Any, stored: Any, pairs: list[tuple[Decimal, Decimal]]) -> Any:
    """`ran` with the stored number wherever the two show one record, whose band allows what ran; else as it is."""
    if not isinstance(ran, str) or not isinstance(stored, str) or _masked(ran) != _masked(stored):
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


def frame(outputs: list[Any]) -> list[Any]:
    """What stays the same of outputs whose values vary.

    Where its printed lines stand is not: a run that was found prints before its picture.
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
