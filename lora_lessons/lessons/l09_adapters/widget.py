"""The mixer: two adapters, a scale for each, a question; base and mixture answer.

The answers are written by a thread of their own, so the kernel stays free and a click on Cancel is heard. Before the
first question it shows recorded answers, which are also what a page without a kernel shows.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import ipywidgets as widgets

from ... import mixing, models
from ...adapter import Adapter
from ...course.chat_box import write
from ...experiments.prompting import Sample
from .controls import Scale, Status

NONE = "none"
LOWEST, HIGHEST = -1.0, 1.5
OPENING = "How do I keep bread fresh?"


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


class Mixer(widgets.VBox):
    """Two adapters and their scales (-1 … 1.5), a question, Answer and Cancel; two answers side by side.

    `samples` are recorded answers, by the adapter's name: shown for an adapter until the learner asks something.
    """

    def __init__(
        self,
        base: models.Base,
        known: Mapping[str, Adapter],
        max_new_tokens: int = 60,
        samples: Mapping[str, Sample] | None = None,
    ) -> None:
        self.base = base._replace(model=mixing.shared_copy(base.model).eval())
        self.known, self.length, self.samples = dict(known), max_new_tokens, dict(samples or {})
        names = [NONE, *known]
        self.first = widgets.Dropdown(options=names, value=names[1], description="first adapter", **_fits(300))
        self.second = widgets.Dropdown(options=names, value=NONE, description="second adapter", **_fits(300))
        self.scale = Scale(description="scale of first", min=LOWEST, max=HIGHEST)
        self.scale_second = Scale(description="scale of second", min=LOWEST, max=HIGHEST)
        self.prompt = widgets.Text(value=OPENING, description="your question", **_fits(620))
        self.ask = widgets.Button(description="Answer", button_style="primary")
        self.stop = widgets.Button(description="Cancel", disabled=True)
        self.plain, self.mixed, self.status = widgets.HTML(), widgets.HTML(), Status(group="adapter mixer")
        self._cancelled, self._thread = threading.Event(), threading.Thread()
        self._said = {"base": "", "mixed": ""}
        self.ask.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self.cancel())
        self.prompt.on_msg(self._entered)
        self.first.observe(lambda _: self._sample(), "value")
        self._show("Choose an adapter, type a question, and press Enter.")
        self._sample()
        columns = [widgets.Box([part], layout=_wide(400)) for part in (self.plain, self.mixed)]
        rows = [
            [self.first, self.scale],
            [self.second, self.scale_second],
            [self.prompt],
            [self.ask, self.stop],
            columns,
        ]
        wrap = widgets.Layout(flex_flow="row wrap")
        super().__init__([*(widgets.HBox(row, layout=wrap) for row in rows), self.status])
        self.add_class("mixer")

    def parts(self) -> dict[str, float]:
        """The chosen adapters and their scales; the same one chosen twice counts once, with both scales."""
        found: dict[str, float] = {}
        for name, scale in ((self.first.value, self.scale.value), (self.second.value, self.scale_second.value)):
            if name != NONE:
                found[name] = round(found.get(name, 0.0) + scale, 3)
        return found

    def start(self) -> None:
        """Answer what is chosen now; an answer under way is cancelled first."""
        self.cancel()
        if self._thread.is_alive():
            self._thread.join()
        try:
            if not self.prompt.value.strip():
                raise ValueError("Type a question first.")
            mixed = mixture(self.known, self.parts())
        except ValueError as error:
            self._show(str(error))
            return
        self._cancelled, self._said = threading.Event(), {"base": "", "mixed": ""}
        self.stop.disabled = False
        job = (self.prompt.value.strip(), mixed, self._cancelled)
        self._thread = threading.Thread(target=self._work, args=job, daemon=True)
        self._thread.start()

    def _entered(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """Enter in the question asks it."""
        if content.get("event") == "submit":
            self.start()

    def _sample(self) -> None:
        """The recorded answers of the first adapter, while the question is still one of ours."""
        ours = {OPENING, *(one.question for one in self.samples.values())}
        if (one := self.samples.get(self.first.value)) and self.prompt.value in ours and not self._thread.is_alive():
            self.prompt.value, self._said = one.question, {"base": one.base, "mixed": one.tuned}
            self._show("Recorded answers. Press Enter, or Answer, to ask the question here.")

    def cancel(self) -> None:
        """End the answer under way after its next token."""
        self._cancelled.set()

    def wait(self) -> None:
        """Until the answer under way has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _work(self, prompt: str, mixed: Adapter | None, cancelled: threading.Event) -> None:
        tokens = 0
        try:
            for column, adapter in (("base", None), ("mixed", mixed)):
                with mixing.attached(self.base.model, adapter):
                    if not cancelled.is_set():
                        say = partial(self._tell, column)
                        tokens += write(self.base, prompt, say, cancelled, self.length)
            self._show("Cancelled." if cancelled.is_set() else f"Done: {tokens} tokens.")
        except Exception as error:  # a thread has nobody else to tell
            self._show(f"This went wrong: {error}")
        finally:
            self.stop.disabled = True

    def _tell(self, column: str, text: str) -> None:
        self._said[column] = text
        self._show("Writing … (Cancel stops it)")

    def _show(self, status: str) -> None:
        blend = " + ".join(f"{scale:g} × {name}" for name, scale in self.parts().items()) or "no adapter"
        for part, title, column in ((self.plain, "the base", "base"), (self.mixed, blend, "mixed")):
            part.value = f"<b>{html.escape(title)}</b><p class='answer' style='white-space:pre-wrap;line-height:1.4'>{html.escape(self._said[column])}</p>"
        self.status.value = status

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = self.still()
        return bundle

    def still(self) -> str:
        """What a page without a kernel shows (HTML): what the widget does, and the recorded answers."""
        words = (
            f"<p><i>A widget:</i> choose one adapter or two of {html.escape(', '.join(self.known))}, a scale from -1 to 1.5 "
            "for each, and a question. The base's answer and the mixture's stand side by side. Run the cell to use it.</p>"
        )
        cell = "<td style='text-align:left;vertical-align:top;white-space:pre-wrap'>{}</td>"
        rows = "".join(
            "<tr>" + "".join(cell.format(html.escape(text)) for text in (name, *one)) + "</tr>"
            for name, one in self.samples.items()
        )
        head = "".join(f"<th>{title}</th>" for title in ("adapter", "question", "the base", "with the adapter"))
        return words + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")


def _wide(pixels: int) -> widgets.Layout:
    return widgets.Layout(width=f"{pixels}px", max_width="100%")


def _fits(pixels: int) -> dict[str, Any]:
    return {"style": {"description_width": "110px"}, "layout": _wide(pixels)}


def adapter_mixer(
    base: models.Base,
    known: Mapping[str, Adapter],
    max_new_tokens: int = 60,
    samples: Mapping[str, Sample] | None = None,
) -> Mixer:
    """Mix the adapters in `known` on `base`; `samples` are recorded answers to show first.

    Raises ValueError for no adapter, or one that does not fit the base.
    """
    if not known:
        raise ValueError("the mixer needs at least one adapter: give {name: read_adapter(folder)}.")
    probe = mixing.shared_copy(base.model)
    for adapter in known.values():
        with mixing.attached(probe, adapter):
            pass
    return Mixer(base, known, max_new_tokens, samples)
