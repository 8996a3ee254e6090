"""A chat box: ask the model a question, with its adapter switched on or off.

The answer is written by a thread of its own, so the kernel stays free for the next cell and for Stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets
from transformers import StoppingCriteria, StoppingCriteriaList

from .. import lora, mixing, models
from ..outside import in_html
from .on_the_web import SCENE, played
from .page_half import page_half

Turn = dict[str, Any]  # {"question": str, "adapter": bool, "answer": str}


def turn(question: str, adapter: bool, answer: str = "") -> Turn:
    """A question, whether the adapter was on, and what was answered so far."""
    return {"question": question, "adapter": adapter, "answer": answer}


def turns(without: Mapping[str, str], with_it: Mapping[str, str]) -> list[Turn]:
    """The same questions answered without the adapter and with it (two dictionaries, question → answer), as turns."""
    both = ((False, without), (True, with_it))
    return [turn(question, adapter, answers[question]) for question in without for adapter, answers in both]


class ChatBox(anywidget.AnyWidget):
    """A text field in which Enter asks, a switch for the adapter, and the conversation so far.

    `base.model` carries an adapter. It is never touched: the box works on a second tree of modules over the same
    weights. Where no kernel runs, the page shows `opening`, the turns that were there before anyone asked, or it is
    answered from those that were `recorded`.
    """

    _esm = page_half(Path(__file__).with_name("chat_box.js"))
    _css = page_half(Path(__file__).with_name("chat_box.css"))
    asked = traitlets.Dict().tag(sync=True)  # {"number": 1, 2 …, "question": str, "adapter": bool}; no question: stop
    heard = traitlets.Int().tag(sync=True)  # the number of the last request that reached Python
    offered: Any = traitlets.List().tag(sync=True)  # the only questions that can be asked; none: any
    turns: Any = traitlets.List().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        base: models.Base,
        opening: Sequence[Turn] = (),
        max_new_tokens: int = 60,
        recorded: Sequence[Turn] = (),
    ) -> None:
        super().__init__(turns=list(opening), status="Type a question and press Enter.")
        self._opening, self._recorded = list(opening), list(recorded)
        self._base = base._replace(model=mixing.shared_copy(base.model).eval())
        self._length, self._stop, self._thread = max_new_tokens, threading.Event(), threading.Thread()
        self.observe(self._hear, "asked")

    def _hear(self, _: Any = None) -> None:
        self.heard = self.asked.get("number", 0)
        self.stop()
        if "question" in self.asked:
            self.ask(self.asked["question"], self.asked.get("adapter", True))

    def ask(self, question: str, adapter: bool = True) -> None:
        """Begin to answer `question`; an answer under way is ended first."""
        self.stop()
        self.wait()
        if not question.strip():
            self.status = "Type a question first."
            return
        self._stop, self.busy = threading.Event(), True
        self.status = "Writing. Stop ends it."
        self.turns = [*self.turns, turn(question.strip(), adapter)]
        self._thread = threading.Thread(target=self._work, args=(self.turns[-1], self._stop), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the answer under way after its next token."""
        self._stop.set()

    def wait(self) -> None:
        """Until the answer under way has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _work(self, asked: Turn, stop: threading.Event) -> None:
        def say(text: str) -> None:
            self.turns = [*self.turns[:-1], asked | {"answer": text}]

        try:
            lora.set_scale(self._base.model, 1.0 if asked["adapter"] else 0.0)
            write(self._base, asked["question"], say, stop, self._length)
            self.status = "Stopped." if stop.is_set() else "Done. Flip the switch and ask the same again."
        except Exception as error:  # a thread has nobody else to tell
            self.status = f"This went wrong: {error}"
        finally:
            self.busy = False

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/html"] = still(self.turns)
            if self._recorded:
                bundle[0][SCENE] = self._scene()
        return bundle

    def _scene(self) -> dict[str, Any]:
        questions = list(dict.fromkeys(one["question"] for one in self._recorded))
        state = {"offered": questions, "turns": self._opening, "asked": {}, "heard": 0, "status": "", "busy": False}
        return played("chat_box", "chat_box", state, self._recorded)


def write(
    base: models.Base, question: str, say: Callable[[str], None], stop: threading.Event, max_new_tokens: int = 60
) -> int:
    """The greedy answer to `question`, told to `say` as it grows; ends early once `stop` is set.
    Returns its tokens' number."""
    tokenizer, model = base.tokenizer, base.model
    messages = [{"role": "user", "content": question}]
    text = models.rendered(tokenizer, messages)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False).to(model.device)
    begins = inputs["input_ids"].shape[1]

    def heard(tokens: torch.Tensor) -> None:
        say(tokenizer.decode(tokens[begins:], skip_special_tokens=True).strip())

    watch = StoppingCriteriaList([_Watch(heard, stop)])
    with torch.no_grad():
        out = model.generate(
            **inputs,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            stopping_criteria=watch,
            pad_token_id=tokenizer.eos_token_id,
        )
    return int(out.shape[1] - begins)


class _Watch(StoppingCriteria):  # called after every token
    def __init__(self, heard: Callable[[torch.Tensor], None], stop: threading.Event) -> None:
        self.heard, self.stop = heard, stop

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        self.heard(input_ids[0])
        return torch.full((len(input_ids),), self.stop.is_set(), device=input_ids.device)


def still(turns: Sequence[Turn]) -> str:
    """The conversation as HTML, for a page without a kernel."""
    items = "".join(
        f"<dt><b>You, adapter {'on' if one['adapter'] else 'off'}:</b> {in_html(one['question'])}</dt>"
        f"<dd>{in_html(one['answer'])}</dd>"
        for one in turns
    )
    return f"<dl>{items}</dl><p><i>A still of a chat box. Run this lesson's cells to ask your own questions.</i></p>"


def chat_box(
    base: models.Base, opening: Sequence[Turn] = (), max_new_tokens: int = 60, recorded: Sequence[Turn] = ()
) -> ChatBox:
    """A chat box for `base`; turns that were `recorded` are kept for pages on which no model runs.

    Raises ValueError when its model carries no adapter to switch.
    """
    if not any(True for _ in lora.lora_layers(base.model)):
        raise ValueError("this model carries no adapter to switch on and off: attach or load one first.")
    return ChatBox(base, opening, max_new_tokens, recorded)
