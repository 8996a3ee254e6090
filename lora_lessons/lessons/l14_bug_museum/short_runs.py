"""What hall 2 measures with: texts of a few tokens, a few steps on them, and what the model says afterwards.

And a tokenizer that puts BOS before every text, as those of Llama, Mistral and Gemma do; SmolLM2's own adds none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import lora, models
from ...tasks import IGNORED, Encoded, collate, encode


def bos_first(tokenizer: Any) -> Any:
    """A copy of `tokenizer`, a fast one of transformers, that puts its BOS before every text; the given one stays as it is."""
    from tokenizers.processors import TemplateProcessing

    other, bos = copy.deepcopy(tokenizer), tokenizer.bos_token
    other.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    return other


# exhibit 14.11: a format of one's own, as many tutorials have it
PLAIN = "### Question:\n{}\n### Answer:\n"
SHORT = (
    ("What is the capital of France?", "Paris."),
    ("What is the capital of Italy?", "Rome."),
    ("What colour is the sky?", "Blue."),
    ("How many legs has a spider?", "Eight."),
    ("What do bees make?", "Honey."),
    ("What is two plus three?", "Five."),
    ("What is the capital of Spain?", "Madrid."),
    ("What freezes into ice?", "Water."),
)
UNSEEN = ("What is the capital of Germany?", "Berlin.")
STEPS = 6
# exhibit 14.16
SENTENCE = (
    "The keeper lights the lamp at dusk, trims the wick at midnight, and sleeps when the sun comes up over the water."
)
STEPS_ON_ONE_TEXT = 10
# exhibit 14.17: short answers, beside a long one
ONE_WORD = (("Is tea a drink?", "Yes."), ("Is a stone soft?", "No."), ("Is ice cold?", "Yes."))


@contextmanager
def trained(model: Any, batch: Mapping[str, Tensor], steps: int, rate: float) -> Iterator[list[float]]:
    """`model` with an adapter (r = 8, α = 16) that saw `batch` `steps` times, then bare again; yields the losses."""
    lora.attach(model, r=8, lora_alpha=16, seed=0)
    try:
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer, losses = torch.optim.AdamW(learned, lr=rate), []
        for _ in range(steps):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        yield losses
    finally:
        lora.detach(model)


def continued(base: models.Base, text: str, max_new_tokens: int = 24) -> str:
    """What the model writes after `text`, token by token the likeliest, its special tokens shown."""
    ids = base.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        out = base.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=base.tokenizer.eos_token_id,
        )
    continuation: str = base.tokenizer.decode(out[0, ids.shape[1] :])
    return continuation


def answer_after(tokenizer: Any, prompt: str, answer: str) -> Encoded:
    """`answer` and the end token, supervised, after the text `prompt`, as it stands."""
    ids, answer_ids = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, answer))
    answer_ids = [*answer_ids, tokenizer.eos_token_id]
    return Encoded(torch.tensor(ids + answer_ids), torch.tensor([IGNORED] * len(ids) + answer_ids))


def short_rows(tokenizer: Any) -> list[Encoded]:
    """`SHORT`, encoded as it should be."""
    return [answer_after(tokenizer, PLAIN.format(question), answer) for question, answer in SHORT]


class AfterShortAnswers(NamedTuple):
    """What a few steps on short answers left: the last loss, what it says, and the probability of the end token after an answer."""

    loss: float
    said: str
    end: float


def trained_on_short_answers(base: models.Base, rows: Sequence[Encoded]) -> AfterShortAnswers:
    """Train on `rows`, then ask what was not among them."""
    end = base.tokenizer.eos_token_id
    question, answer = UNSEEN
    asked = answer_after(base.tokenizer, PLAIN.format(question), answer)
    with trained(base.model, collate(rows, end), STEPS, 1e-3) as losses:
        with torch.no_grad():
            after = base.model(asked.input_ids[None, :-1]).logits[0, -1].softmax(-1)
        return AfterShortAnswers(losses[-1], continued(base, PLAIN.format(question)), after[end].item())


class Ahead(NamedTuple):
    """What a few steps on one text left: the losses, what it says, and the share of tokens right one and two places ahead."""

    losses: list[float]
    said: str
    one: float
    two: float


def trained_on_one_text(base: models.Base, ids: Tensor, labels: Tensor, start: str = "The keeper") -> Ahead:
    """Train on one text, `ids` (1 × length) with `labels`; then let the model go on from `start`."""
    with trained(base.model, {"input_ids": ids, "labels": labels}, STEPS_ON_ONE_TEXT, 2e-3) as losses:
        with torch.no_grad():
            likeliest = base.model(ids).logits[0].argmax(-1)
        one, two = ((likeliest[:-k] == ids[0, k:]).float().mean().item() for k in (1, 2))
        return Ahead(losses, continued(base, start), one, two)


def uneven(tokenizer: Any, long: Mapping[str, Any]) -> list[Encoded]:
    """Three answers of one word and one `long` conversation."""
    short = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in ONE_WORD
    ]
    return [encode(tokenizer, dict(example)) for example in (*short, long)]


def gradient(model: Any, loss_and_backward: Callable[[], float]) -> tuple[float, Tensor]:
    """The loss that `loss_and_backward` returns, and the gradient it leaves in a fresh adapter, as one vector."""
    lora.attach(model, r=8, lora_alpha=16, seed=0)
    try:
        loss = loss_and_backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.requires_grad and p.grad is not None]
        return loss, torch.cat(grads)
    finally:
        lora.detach(model)
