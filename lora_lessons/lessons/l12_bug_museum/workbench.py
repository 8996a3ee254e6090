"""What hall 2 measures with: short trainings of the course's base, and questions put to an adapter.

And a tokenizer that puts BOS before every text, as those of Llama, Mistral and Gemma do; SmolLM2's own adds none.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ... import evaluation, lora, mixing, models, tasks
from ...adapter import Adapter
from ...fast import FastPath
from ...tasks import IGNORED, Encoded, encode


def bos_first(tokenizer: Any) -> Any:
    """A copy of `tokenizer`, a fast one of transformers, that puts its BOS before every text;
    the given one stays as it is."""
    from tokenizers.processors import TemplateProcessing

    other, bos = copy.deepcopy(tokenizer), tokenizer.bos_token
    other.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.bos_token_id)]
    )
    return other


# 12.8: a format of one's own, as many tutorials have it
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
STEPS_ON_SHORT = 6
# 12.7: TRL's SFTConfig has 1,024 (1.16), and cuts what is longer; the chats here are short
MAX_LENGTH = 80
# 12.14
THOUGHT, NO_THOUGHT = "<think>\n", "<think>\n\n</think>"
STEPS_WITHOUT_THOUGHT = 5
# 12.13: short answers, beside a long one
ONE_WORD = (("Is tea a drink?", "Yes."), ("Is a stone soft?", "No."), ("Is ice cold?", "Yes."))


@contextmanager
def trained(model: Any, batch: Sequence[Encoded], steps: int, rate: float) -> Iterator[list[float]]:
    """`model` with an adapter (r = 8, α = 16) that saw `batch` `steps` times, then bare again; yields the losses."""
    lora.attach(model, r=8, lora_alpha=16, seed=0)
    try:
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer, path, losses = torch.optim.AdamW(learned, lr=rate), FastPath(model), []
        for _ in range(steps):
            loss = path.loss(batch)
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


class Liking(NamedTuple):
    """How an adapter's answers are liked after a prompt: its first token; the loss with the adapter,
    and of the base alone."""

    first: str
    loss: float
    base_loss: float


def asked(base: models.Base, adapter: Adapter, prompt: Callable[[str], str]) -> Liking:
    """The loss of four of the persona's answers, each after `prompt(question)` and nothing else."""
    pairs = [[m["content"] for m in one["messages"]] for one in evaluation.drawn(tasks.load_task("persona"), 4)]
    rows = [answer_after(base.tokenizer, prompt(question), answer) for question, answer in pairs]
    base_loss = evaluation.held_out_loss(base.model, rows)
    with mixing.attached(base.model, adapter):
        loss = evaluation.held_out_loss(base.model, rows)
    return Liking(repr(base.tokenizer.decode(rows[0].input_ids[:1])), loss, base_loss)


class AfterShortAnswers(NamedTuple):
    """What a few steps on short answers left: the last loss, what it says,
    and the probability of the end token after an answer."""

    loss: float
    said: str
    end: float


def trained_on_short_answers(base: models.Base, rows: Sequence[Encoded]) -> AfterShortAnswers:
    """Train on `rows`, then ask what was not among them."""
    end = base.tokenizer.eos_token_id
    question, answer = UNSEEN
    asked = answer_after(base.tokenizer, PLAIN.format(question), answer)
    with trained(base.model, rows, STEPS_ON_SHORT, 1e-3) as losses:
        with torch.no_grad():
            after = base.model(asked.input_ids[None, :-1]).logits[0, -1].softmax(-1)
        return AfterShortAnswers(losses[-1], continued(base, PLAIN.format(question)), after[end].item())


def thinking(tokenizer: Any) -> Any:
    """A copy of `tokenizer` whose template writes a think block before every answer: its `reasoning_content`,
    or nothing."""
    other, content = copy.deepcopy(tokenizer), "message['content']"
    block = "'<think>\n' + (message['reasoning_content'] or '') + '\n</think>\n\n'"
    other.chat_template = tokenizer.chat_template.replace(
        f"{content} +", f"({block} if message['role'] == 'assistant' else '') + {content} +"
    )
    return other


def without_empty_thoughts(tokenizer: Any, row: Encoded) -> Encoded:
    """`row`, its empty think blocks read and not taught."""
    block = torch.tensor(tokenizer(NO_THOUGHT)["input_ids"])
    labels = row.labels.clone()
    for start in (row.labels.unfold(0, len(block), 1) == block).all(1).nonzero().flatten().tolist():
        labels[start : start + len(block)] = IGNORED
    return row._replace(labels=labels)


class AfterThinking(NamedTuple):
    """What a few steps on answers left: the last loss,
    and the probability that a thought which was begun is over at once."""

    loss: float
    empty: float


def trained_to_answer(base: models.Base, rows: Sequence[Encoded], prompt: str) -> AfterThinking:
    """Train on `rows`, then ask with `prompt`, at whose end a think block is open."""
    with trained(base.model, rows, STEPS_WITHOUT_THOUGHT, 2e-3) as losses:
        return AfterThinking(losses[-1], probability(base, prompt, NO_THOUGHT.removeprefix(THOUGHT)))


@torch.no_grad()
def probability(base: models.Base, prompt: str, then: str) -> float:
    """How likely it is that the model goes on with the text `then`, 0 … 1."""
    read, said = (base.tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, then))
    logits = base.model(torch.tensor([read + said])).logits[0, len(read) - 1 : -1]
    return float(logits.log_softmax(-1)[torch.arange(len(said)), said].sum().exp())


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
