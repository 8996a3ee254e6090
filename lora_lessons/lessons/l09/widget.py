"""The mixer: two adapters, a scale for each, a question; base and mixture answer.

The answers are written by a thread of their own, so the kernel stays free and a click on Cancel is heard. Before the
first question it shows recorded answers; a page without a kernel shows those, or plays all that were recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ... import mixing, models
from ...adapter import Adapter
from ...course.chat_box import write
from ...course.on_the_web import SCENE, kind, played
from ...course.page_half import page_half
from ...experiments.mixer_answers import COMMON as OPENING
from ...experiments.prompting import Sample
from ...outside import in_html

NONE = "none"
LOWEST, HIGHEST = -1.0, 1.5
# What a learner chooses.
CHOICE = ("question", "first", "scale", "second", "scale_second")
STOPS = [round(tenth / 10, 1) for tenth in range(round(10 * LOWEST), round(10 * HIGHEST) + 1)]


def mixture(known: Mapping[str, Adapter], parts: Mapping[str, float]) -> Adapter | None:
    """The weighted sum of the named adapters, each with its scale; None when nothing is left of them.

    Raises ValueError for a name that is not known, or a scale outside -1 … 1.5.
    """
    for name, scale in parts.items():
        if name not in known:
            raise ValueError(f"no adapter is named {name!r}: choose from {', '.join(known)}.")
        if isinstance(scale, bool) or not LOWEST <= scale <= HIGHEST:
            raise ValueError(f"the scale of {name} is {scale:g}: choose -1 to 1.5 (1 is as trained, 0 is without).")
    chosen = [(known[name], scale) for name, scale in parts.items() if scale]
    return mixing.weighted_sum(chosen) if chosen else None


def blend(parts: Mapping[str, float]) -> str:
    """A mixture in words, such as "1 × persona + 0.5 × strict_json"."""
    return " + ".join(f"{scale:g} × {name}" for name, scale in parts.items()) or "no adapter"


def rows(recorded: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The recorded answers as the mixer's page looks them up: by its CHOICE,
    with NONE and 1 for an adapter that is not there."""
    looked_up = []
    for row in recorded["rows"]:
        parts: dict[str, float] = row["parts"]
        (first, scale), (second, scale_second), *_ = [*parts.items(), (NONE, 1.0), (NONE, 1.0)]
        chosen = dict(zip(CHOICE, (row["question"], first, scale, second, scale_second), strict=True))
        looked_up.append(
            chosen | {"title": blend(parts), "base": recorded["base"][row["question"]], "answer": row["answer"]}
        )
    return looked_up


def still(names: Sequence[str], samples: Mapping[str, Sample]) -> str:
    """What a page without a kernel shows (HTML): what the widget does, and the recorded answers."""
    words = (
        f"<p><i>A widget:</i> choose one adapter or two of {in_html(', '.join(names))}, a scale from -1 to 1.5 "
        "for each, and a question. The base's answer and the mixture's stand side by side. Run the cell to use it.</p>"
    )
    cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
    rows = "".join(
        "<tr>" + "".join(cell.format(in_html(text)) for text in (name, *one)) + "</tr>" for name, one in samples.items()
    )
    head = "".join(f"<th>{title}</th>" for title in ("adapter", "question", "the base", "with the adapter"))
    return words + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")


class Mixer(anywidget.AnyWidget):
    """Two adapters and their scales (-1 … 1.5), a question, Answer and Cancel; two answers side by side.

    `samples` are recorded answers, by the adapter's name: shown for an adapter until the learner asks something.
    `recorded` is what experiments/mixer_answers.py kept: a page on which no model runs plays it.
    """

    _esm = page_half(Path(__file__).with_name("mixer.js"))
    _css = page_half(Path(__file__).with_name("mixer.css"))
    names: Any = traitlets.List().tag(sync=True)
    first = traitlets.Unicode().tag(sync=True)
    second = traitlets.Unicode(NONE).tag(sync=True)
    scale = traitlets.Float(1.0).tag(sync=True)
    scale_second = traitlets.Float(1.0).tag(sync=True)
    stops = traitlets.Dict({"scale": STOPS, "scale_second": STOPS}).tag(sync=True)  # the scales there are
    question = traitlets.Unicode(OPENING).tag(sync=True)
    offered: Any = traitlets.List().tag(sync=True)  # the only questions that can be asked; none: any
    asked = traitlets.Dict().tag(sync=True)  # {"number": 1, 2 …}, and "cancel": True for Cancel
    heard = traitlets.Int().tag(sync=True)  # the number of the last request that reached Python
    columns: Any = traitlets.List().tag(sync=True)  # [{"title": str, "answer": str}, …]
    status = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        base: models.Base,
        known: Mapping[str, Adapter],
        max_new_tokens: int = 60,
        samples: Mapping[str, Sample] | None = None,
        recorded: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(names=[NONE, *known], first=next(iter(known)))
        self.base = base._replace(model=mixing.shared_copy(base.model).eval())
        self.known, self.length, self.samples, self.recorded = (
            dict(known),
            max_new_tokens,
            dict(samples or {}),
            recorded,
        )
        self._cancelled, self._thread = threading.Event(), threading.Thread()
        self._show("", "", self.parts())
        self.status = "Choose an adapter, type a question, and press Enter."
        self._sample()
        self.observe(self._sample, "first")
        self.observe(self._hear, "asked")

    def parts(self) -> dict[str, float]:
        """The chosen adapters and their scales; the same one chosen twice counts once, with both scales."""
        scales: dict[str, float] = {}
        for name, scale in ((self.first, self.scale), (self.second, self.scale_second)):
            if name != NONE:
                scales[name] = round(scales.get(name, 0.0) + scale, 3)
        return scales

    def _hear(self, _: Any = None) -> None:
        self.heard = self.asked.get("number", 0)
        if self.asked.get("cancel"):
            self.cancel()
        else:
            self.start()

    def start(self) -> None:
        """Answer what is chosen now; an answer under way is cancelled first."""
        self.cancel()
        self.wait()
        parts = self.parts()
        try:
            if not self.question.strip():
                raise ValueError("Type a question first.")
            mixed = mixture(self.known, parts)
        except ValueError as error:
            self.status = str(error)
            return
        self._cancelled, self.busy = threading.Event(), True
        self._show("", "", parts)
        self.status = "Writing … (Cancel stops it)"
        job = (self.question.strip(), mixed, self._cancelled)
        self._thread = threading.Thread(target=self._work, args=job, daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """End the answer under way after its next token."""
        self._cancelled.set()

    def wait(self) -> None:
        """Until the answer under way has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _sample(self, _: Any = None) -> None:
        """The recorded answers of the first adapter, while the question is still one of ours."""
        ours = {OPENING, *(one.question for one in self.samples.values())}
        if (one := self.samples.get(self.first)) and self.question in ours and not self._thread.is_alive():
            self.question = one.question
            self._show(one.base, one.tuned, {self.first: 1.0})
            self.status = "Recorded answers. Press Enter, or Answer, to ask the question here."

    def _work(self, question: str, mixed: Adapter | None, cancelled: threading.Event) -> None:
        tokens = 0
        try:
            for column, adapter in enumerate((None, mixed)):
                with mixing.attached(self.base.model, adapter):
                    if not cancelled.is_set():
                        say = partial(self._tell, column)
                        tokens += write(self.base, question, say, cancelled, self.length)
            self.status = "Cancelled." if cancelled.is_set() else f"Done: {tokens} tokens."
        except Exception as error:  # a thread has nobody else to tell
            self.status = f"This went wrong: {error}"
        finally:
            self.busy = False

    def _tell(self, column: int, text: str) -> None:
        self.columns = [one | {"answer": text} if n == column else one for n, one in enumerate(self.columns)]

    def _show(self, plain: str, mixed: str, parts: Mapping[str, float]) -> None:
        self.columns = [{"title": "the base", "answer": plain}, {"title": blend(parts), "answer": mixed}]

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = still(self.names[1:], self.samples)
            if self.recorded:
                bundle[0][SCENE] = played("mixer", "mixer", self._state(), rows(self.recorded), self.recorded)
        return bundle

    def _state(self) -> dict[str, Any]:
        sent = ("names", "stops", "offered", "columns", "asked", "heard", "status", "busy", *CHOICE)
        return {name: getattr(self, name) for name in sent}


def adapter_mixer(
    base: models.Base,
    known: Mapping[str, Adapter],
    max_new_tokens: int = 60,
    samples: Mapping[str, Sample] | None = None,
    recorded: Mapping[str, Any] | None = None,
) -> Mixer:
    """Mix the adapters in `known` on `base`; `samples` are recorded answers to show first,
    `recorded` all that a page plays.

    Raises ValueError for no adapter, or one that does not fit the base.
    """
    if not known:
        raise ValueError("the mixer needs at least one adapter: give {name: read_adapter(folder)}.")
    probe = mixing.shared_copy(base.model)
    for adapter in known.values():
        with mixing.attached(probe, adapter):
            pass
    return Mixer(base, known, max_new_tokens, samples, recorded)


HERE = Path(__file__).parent
kind("mixer", HERE / "mixer.js", HERE / "mixer.css", HERE / "mixer.replay.js")
