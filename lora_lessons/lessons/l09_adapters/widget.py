"""The mixer: two adapters, a scale for each, a question; base and mixture answer.

The answers are written by a thread of their own, so the kernel stays free and a click on Cancel is heard.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import ipywidgets as widgets
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from ... import mixing, models
from ...adapter import Adapter

NONE = "none"
LOWEST, HIGHEST = -1.0, 1.5


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


class _Watch(StoppingCriteria):  # called after every token
    def __init__(self, begins: int, heard: Callable[[torch.Tensor], None], cancelled: threading.Event) -> None:
        self.begins, self.heard, self.cancelled = begins, heard, cancelled

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self.heard(input_ids[0, self.begins :])
        return torch.full((len(input_ids),), self.cancelled.is_set(), device=input_ids.device)


def answer(
    base: models.Base, prompt: str, say: Callable[[str], None], cancelled: threading.Event, max_new_tokens: int = 60
) -> int:
    """The greedy answer, told to `say` as it grows; ends early once `cancelled` is set. Returns the number of tokens."""
    tokenizer, model = base.tokenizer, base.model
    messages = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False).to(model.device)
    begins = inputs["input_ids"].shape[1]

    def heard(tokens: torch.Tensor) -> None:
        say(tokenizer.decode(tokens, skip_special_tokens=True).strip())

    watch = StoppingCriteriaList([_Watch(begins, heard, cancelled)])
    with torch.no_grad():
        out = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stopping_criteria=watch,
            pad_token_id=tokenizer.eos_token_id,
        )
    return int(out.shape[1] - begins)


class Mixer(widgets.VBox):
    """Two adapters and their scales (-1 … 1.5), a question, Answer and Cancel; two answers side by side."""

    def __init__(self, base: models.Base, known: Mapping[str, Adapter], max_new_tokens: int = 60) -> None:
        self.base, self.known, self.length = (
            base._replace(model=mixing.shared_copy(base.model).eval()),
            dict(known),
            max_new_tokens,
        )
        names = [NONE, *known]
        wide = {"style": {"description_width": "90px"}, "layout": widgets.Layout(width="300px")}
        self.first = widgets.Dropdown(options=names, value=names[1], description="adapter", **wide)
        self.second = widgets.Dropdown(options=names, value=NONE, description="and", **wide)
        steps = {"min": LOWEST, "max": HIGHEST, "step": 0.1, "readout_format": ".1f", "description": "scale"}
        self.scale = widgets.FloatSlider(value=1.0, **steps, **wide)
        self.scale_second = widgets.FloatSlider(value=1.0, **steps, **wide)
        self.prompt = widgets.Text(
            value="How do I keep bread fresh?",
            description="question",
            style=wide["style"],
            layout=widgets.Layout(width="620px"),
        )
        self.ask = widgets.Button(description="Answer", button_style="primary")
        self.stop = widgets.Button(description="Cancel", disabled=True)
        self.plain, self.mixed, self.status = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._cancelled, self._thread = threading.Event(), threading.Thread()
        self._said = {"base": "", "mixed": ""}
        self.ask.on_click(lambda _: self.start())
        self.stop.on_click(lambda _: self.cancel())
        self._show("Choose, ask, and press Answer.")
        columns = [widgets.Box([part], layout=widgets.Layout(width="400px")) for part in (self.plain, self.mixed)]
        rows = [
            [self.first, self.scale],
            [self.second, self.scale_second],
            [self.prompt],
            [self.ask, self.stop],
            columns,
        ]
        super().__init__([*map(widgets.HBox, rows), self.status])
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
                        tokens += answer(self.base, prompt, say, cancelled, self.length)
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
        self.status.value = f"<span role='status'>{html.escape(status)}</span>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = (
                f"<p><i>A widget:</i> choose one adapter or two of {html.escape(', '.join(self.known))}, a scale from -1 to 1.5 "
                "for each, and a question; the base's answer and the mixture's stand side by side. (Run the cell to use it.)</p>"
            )
        return bundle


def adapter_mixer(base: models.Base, known: Mapping[str, Adapter], max_new_tokens: int = 60) -> Mixer:
    """Mix the adapters in `known` on `base`. Raises ValueError for none, or one that does not fit the base."""
    if not known:
        raise ValueError("the mixer needs at least one adapter: give {name: read_adapter(folder)}.")
    probe = mixing.shared_copy(base.model)
    for adapter in known.values():
        with mixing.attached(probe, adapter):
            pass
    return Mixer(base, known, max_new_tokens)
