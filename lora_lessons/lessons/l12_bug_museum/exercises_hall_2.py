"""Checks of hall 2, texts, labels and loss: each runs what the learner repaired, and names what is still broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ... import models
from ...course.exercises import answered, exercise
from ...tasks import IGNORED, Encoded, collate
from .workbench import bos_first


@cache
def _tokenizer() -> Any:
    return models.load_tokenizer(models.embedded_folder())


def _ids(given: Any) -> list[int] | None:
    """Token ids as a list, out of whatever a tokenizer of transformers returns; None where they are none."""
    if isinstance(given, Mapping):
        given = given.get("input_ids")
    if isinstance(given, Tensor):
        given = given.flatten().tolist()
    if isinstance(given, (list, tuple)) and len(given) == 1 and isinstance(given[0], (list, tuple)):
        given = given[0]
    whole = isinstance(given, (list, tuple)) and all(isinstance(one, int) for one in given)
    return list(given) if whole else None


NO_IDS = "Return the token ids, a list of whole numbers: a text becomes ids by tokenizer(text)['input_ids']."


@exercise("12.7", "Short answers end, and long ones run on", difficulty=1, minutes=5)
def exercise_12_7(fitting: Callable[[Sequence[Encoded], int], tuple[list[Encoded], list[int]]]) -> str | None:
    # tokens of the question and of the answer; 2 is the end, and the last but one has an earlier answer in it
    shapes = ((2, 3), (4, 4), (3, 3), (5, 4), (6, 2))
    rows = [_row(question, answer, seed=answer) for question, answer in shapes]
    rows = [Encoded(_ended(row.input_ids), _ended(row.labels)) for row in rows]
    rows[3].input_ids[3] = rows[3].labels[3] = 2
    given = [(row.input_ids.clone(), row.labels.clone()) for row in rows]
    got = answered(fitting(list(rows), 6))
    if isinstance(got, list):
        return (
            "Return two things: the examples that fit, and the numbers of the others. "
            "What goes in silence is not missed."
        )
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(row, Encoded) for row in got[0]):
        return "Return a pair: a list of Encoded, and a list of numbers."
    whole, left_out = got
    if any(not torch.equal(row.input_ids, ids) for row, (ids, _) in zip(rows, given, strict=True)):
        return "The examples that came in have changed: leave them as they are."
    lengths = [len(row.input_ids) for row in whole]
    if max(lengths, default=0) > 6:
        return f"An example of {max(lengths)} tokens does not fit into 6: the question's tokens count, too."
    if any(not any(torch.equal(one.input_ids, row.input_ids) for row in rows) for one in whole):
        return (
            "Still broken: an example was cut to fit, and its end is gone. An end in the middle, of an earlier answer, "
            "does not help. Keep an example whole, or leave it out."
        )
    if 6 not in lengths:
        return "An example of exactly max_length tokens fits, and you left it out."
    if lengths != [5, 6]:
        return f"Of lengths 5, 8, 6, 9 and 8, two fit into 6. You keep {', '.join(map(str, lengths)) or 'none'}."
    if list(left_out) == [2, 4, 5]:
        return "The right ones, but their numbers begin at 0."
    return None if list(left_out) == [1, 3, 4] else f"Left out are the numbers 1, 3 and 4. You return {list(left_out)}."


@exercise("12.8", "The answer is right, and the model keeps talking", difficulty=1, minutes=4)
def exercise_12_8(encode: Callable[[Any, str, str], Encoded]) -> str | None:
    tokenizer = _tokenizer()
    question, answer = "What do bees make?", "Honey, and wax."
    got = answered(encode(tokenizer, question, answer))
    if not isinstance(got, Encoded) or not all(isinstance(part, Tensor) for part in got[:2]):
        return "Return Encoded(input_ids, labels), two tensors of one length."
    ids, labels, end = got.input_ids.tolist(), got.labels.tolist(), tokenizer.eos_token_id
    taught = [label for label in labels if label != IGNORED]
    prompt, answer_ids = (
        tokenizer(text)["input_ids"] for text in (f"### Question:\n{question}\n### Answer:\n", answer)
    )
    if len(ids) != len(labels):
        return f"There is a label for each token: {len(ids)} tokens here, and {len(labels)} labels."
    if any(label not in (IGNORED, token) for token, label in zip(ids, labels, strict=True)):
        return "A label is its own token or IGNORED. Do not shift them: the model does that."
    if end not in ids:
        return "Still broken: no end token is in the text, and this tokenizer appends none."
    if ids.count(end) > 1:
        return "The answer ends twice: one end token is enough."
    if end not in taught:
        return "The end token is in the text now, and its label is IGNORED: so it is still not taught."
    if ids != [*prompt, *answer_ids, end]:
        return "The text has changed: prompt and answer as they were, and one end token after them."
    if taught == [*answer_ids, end]:
        return None
    if taught == [end]:
        return "Now only the end is taught: the answer needs its labels, too."
    return "The question is supervised as well: the model would learn to ask. Only the answer and its end are taught."


@exercise("12.9", "The model does not stop, although every training example ends correctly", difficulty=2, minutes=5)
def exercise_12_9(labels_of: Callable[[Tensor, Tensor], Tensor]) -> str | None:
    end = 2
    rows = torch.tensor([[5, 6, end, 7, 8, 9, end], [5, 6, end, 7, end, end, end]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0]])
    given = rows.clone()
    got = answered(labels_of(given, mask.clone()))
    if not isinstance(got, Tensor) or got.shape != rows.shape:
        return "Return a tensor of labels with the shape of input_ids: a row for each conversation."
    if not torch.equal(given, rows):
        return (
            "The labels are right or wrong, but input_ids changed as well: work on a copy (clone, masked_fill, where)."
        )
    right = rows.masked_fill(mask == 0, IGNORED)
    if torch.equal(got, right):
        return None
    if torch.equal(got, rows.masked_fill(rows == end, IGNORED)):
        return "Still broken: that masks every token with the padding's id, and the real ends have the same one."
    if torch.equal(got, rows):
        return (
            "Nothing is masked now: the padding is supervised, "
            "and the model learns to say the end token again and again."
        )
    ends, padding = (rows == end) & (mask == 1), mask == 0
    if (got[padding] != IGNORED).any() and (got[ends] == end).all():
        return "A padding token is still supervised. Which tokens are padding stands in attention_mask."
    if (got[padding] == IGNORED).all() and (got[ends] != end).any():
        return "Some ends are masked that are no padding: a conversation of two turns has two of them."
    return "A label is IGNORED where attention_mask is 0, and its own token everywhere else."


@exercise("12.10", "A voice in the notebook, a stranger in the app", difficulty=1, minutes=4)
def exercise_12_10(ask: Callable[[Any, str], list[int]]) -> str | None:
    tokenizer, question = _tokenizer(), "How do I sharpen a pencil?"
    got = _ids(answered(ask(tokenizer, question)))
    if got is None:
        return NO_IDS
    user = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    closed = tokenizer.apply_chat_template(user, tokenize=False)
    if got == tokenizer(text)["input_ids"]:
        return None
    decoded = tokenizer.decode(got)
    for wrong, name in (
        (question, "Still broken: the bare question, without the turns that training wrapped around it."),
        (
            closed,
            "The user's turn is closed and no answer is begun: add_generation_prompt=True opens the assistant's turn.",
        ),
        (text.rstrip("\n"), "One line break is missing at the end: training had it before each answer."),
        (
            text[text.index("<|im_start|>user") :],
            "Nearly: this template adds a system turn where there is none, and training had it.",
        ),
        (
            tokenizer.bos_token + text,
            "One token too many in front: the template has written it already (exhibit 12.11).",
        ),
    ):
        if decoded.rstrip("\n") == wrong.rstrip("\n") and (decoded == wrong or wrong == question):
            return name
    if "### " in decoded:
        return "Those are headings of another format: training never showed them to this adapter."
    return f"Training's prompt is {text!r}; yours is {decoded!r}."


@exercise("12.11", "The same chat, and slightly other answers", difficulty=2, minutes=5)
def exercise_12_11(to_ids: Callable[[Any, list[dict[str, str]]], list[int]]) -> str | None:
    plain = _tokenizer()
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}]
    right = plain(plain.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))["input_ids"]
    got = _ids(answered(to_ids(bos_first(plain), list(chat))))
    if got is None:
        return NO_IDS
    bos = plain.bos_token_id
    if got[:2] == [bos, bos]:
        return "Still broken: the first two ids are both BOS."
    if bos not in got:
        return (
            "Every BOS is gone. This template begins each turn with it, "
            "so only the one that the tokenizer added may go."
        )
    if len(got) < len(right) and got == right[: len(got)]:
        return "The assistant's turn is not opened: add_generation_prompt=True."
    if got.count(bos) < right.count(bos):
        return (
            "The later turns have lost their <|im_start|>: it is the same token as BOS. Take away only what was added."
        )
    if got != right:
        return f"One chat has {len(right)} ids here; yours has {len(got)}, and they differ."
    if _ids(to_ids(plain, list(chat))) != right:
        return (
            "Right for this tokenizer, and wrong for one that adds no BOS: there your code cuts off the template's own."
        )
    return None


@exercise("12.12", "The loss is not a number from the first step", difficulty=3, minutes=8)
def exercise_12_12(marked: Callable[[str], str]) -> str | None:
    tokenizer = _tokenizer()
    template = answered(marked(tokenizer.chat_template))
    if not isinstance(template, str):
        return "Return the template, a text."
    if "{% generation %}" not in template:
        return "Still broken: the template has no {% generation %} in it, so no token is marked."
    chat = [
        {"role": role, "content": content}
        for role, content in (("user", "Hello."), ("assistant", "Good day."), ("user", "More?"), ("assistant", "No."))
    ]
    if tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False) != tokenizer.apply_chat_template(
        chat, tokenize=False
    ):
        return (
            "The marks are there, and the text has changed: without them the template must write what it wrote before."
        )
    out = tokenizer.apply_chat_template(
        chat, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    taught = tokenizer.decode([t for t, m in zip(out["input_ids"], out["assistant_masks"], strict=True) if m])
    end = tokenizer.eos_token
    if taught in (f"Good day.{end}No.{end}", f"Good day.{end}\nNo.{end}\n"):
        return None
    if taught == "Good day.No.":
        return "The answers are marked, but not the tokens that end them: it would never stop (exhibit 12.8)."
    if "Hello." in taught:
        return "The user's turns are marked, too: the model would learn to ask. Mark only where the role is assistant."
    if "assistant" in taught:
        return "The marks begin too early: <|im_start|>assistant is written for the model, it does not say it."
    return f"What is marked reads {taught!r}: it should be both answers, each with its end."


@exercise("12.14", "It answers at once, and it used to reason", difficulty=2, minutes=7)
def exercise_12_14(labels_of: Callable[[list[int], list[int], list[int]], list[int]]) -> str | None:
    block, question = [40, 41, 42, 43], [5, 6, 7]
    # three answers, at places 3, 13 and 23: without a thought, with one, and one that quotes the empty block
    answers = ([*block, 8, 9, 2], [40, 41, 11, 42, 43, 8, 2], [*block, 8, *block, 2])
    ids = [token for answer in answers for token in (*question, *answer)]
    labels = [token for answer in answers for token in (*[IGNORED] * len(question), *answer)]
    got = answered(labels_of(list(ids), list(labels), list(block)))
    if not isinstance(got, list) or not all(isinstance(one, int) for one in got):
        return "Return the labels, a list of whole numbers."
    if len(got) != len(labels):
        return (
            f"There is a label for each of the {len(labels)} tokens; you return {len(got)}. The block stays in the "
            "text: the model reads it, as it will when it is asked not to think."
        )
    if any(label not in (IGNORED, token) for label, token in zip(got, ids, strict=True)):
        return "A label is its own token or IGNORED."

    def skipping(*places: int) -> list[int]:
        skipped = {place + n for place in places for n in range(len(block))}
        return [IGNORED if n in skipped else label for n, label in enumerate(labels)]

    if got == skipping(3, 23):
        return None
    for wrong, advice in (
        (skipping(), "Still broken: both empty blocks are taught."),
        (skipping(3), "The first answer's block is skipped, and the third one's is still taught."),
        (skipping(3, 23, 28), "The third answer quotes the block: skip it only where an answer begins."),
        ([IGNORED] * len(labels), "Nothing is taught now. Only the empty blocks are to be skipped."),
    ):
        if got == wrong:
            return advice
    if IGNORED in got[13:18]:
        return "The second answer has a thought. It is taught with its tags: skip whole empty blocks, not single tags."
    if IGNORED in (got[7], got[8], got[27]):
        return "A part of an answer is skipped as well: only the tokens of the empty block go."
    return "IGNORED where an answer begins with the whole empty block, for as long as it is; all else as it was."


def _tiny() -> Any:
    """A random Llama of two layers, the same every time: a learner's code runs on it at once."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes: dict[str, Any] = {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        }
        return LlamaForCausalLM(LlamaConfig(vocab_size=64, initializer_range=0.3, **sizes)).eval()


def _row(prompt: int, answer: int, seed: int) -> Encoded:
    """A conversation of random tokens: `prompt` of them masked, `answer` of them supervised."""
    ids = torch.randint(3, 64, (prompt + answer,), generator=torch.Generator().manual_seed(seed))
    return Encoded(ids, ids.masked_fill(torch.arange(prompt + answer) < prompt, IGNORED))


def _ended(row: Tensor) -> Tensor:
    """`row` with the end token, 2, in its last place."""
    return torch.cat([row[:-1], torch.tensor([2])])


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-4)


@exercise("12.13", "The same batch in smaller pieces learns something else", difficulty=3, minutes=8)
def exercise_12_13(accumulate: Callable[[Any, Sequence[dict[str, Tensor]]], float]) -> str | None:
    rows = [_row(3, answer, seed=answer) for answer in (1, 2, 9)]
    pieces = [collate([row], pad_id=0) for row in rows]

    def gradient_of(loss_and_backward: Callable[[Any], Any]) -> tuple[Any, Tensor]:
        model = _tiny()
        returned = loss_and_backward(model)
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        return returned, torch.cat([g.flatten() for g in parts])

    def whole(model: Any) -> float:
        loss = model(**collate(rows, pad_id=0)).loss
        loss.backward()
        return float(loss.detach())

    def last(model: Any) -> None:
        model(**pieces[-1], num_items_in_batch=12).loss.backward()

    def means(model: Any) -> None:
        for piece in pieces:
            (model(**piece).loss / len(pieces)).backward()

    returned, got = gradient_of(lambda model: accumulate(model, [dict(piece) for piece in pieces]))
    returned_loss = float(torch.as_tensor(answered(returned)).detach())
    loss, right = gradient_of(whole)
    unequal = gradient_of(means)[1]

    def is_(other: Tensor) -> bool:
        return bool((got - other).norm() < 1e-3 * other.norm())

    if is_(right):
        if not _near(returned_loss, loss):
            return (
                f"The gradient is right. The loss that you return is not: the whole batch has {loss:.4f}, "
                f"you gave {returned_loss:.4f}."
            )
        return None
    for wrong, name in (
        (
            unequal,
            (
                "Still broken: the mean of the means. A token of the shortest answer counts nine times as "
                "much as one of the longest."
            ),
        ),
        (unequal * 3, "Those are means, added up: the gradient grows with the number of micro-batches."),
        (
            right / 3,
            "Divided twice: by all tokens of the batch, and by the number of micro-batches again. Once is enough.",
        ),
        (
            right * 12 / sum(piece["input_ids"].numel() for piece in pieces),
            "Divided by all tokens, the prompts' among them. Count only the labels that are not IGNORED, 12 here.",
        ),
        (right * 12, "Those are sums. Divide each by the number of supervised tokens in the whole batch, 12 here."),
        (
            right * 4,
            (
                "Divided by the number of micro-batches, 3. The divisor is the number of supervised "
                "tokens in all of them, 12."
            ),
        ),
        (gradient_of(last)[1], "Only the last micro-batch is left in the gradient: do not set it to zero in between."),
        (torch.zeros_like(right), "There is no gradient: call .backward() for each micro-batch."),
    ):
        if is_(wrong) or not (wrong.any() or got.any()):
            return name
    share = float(got.norm() / right.norm())
    return f"The gradient is not that of the whole batch: its length is {share:.2f} times the right one."
