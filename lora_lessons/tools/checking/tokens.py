"""What a conversation is to a model: its tokens, counted in batches, and what tokenizer and template do to all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ...tasks.conversations import IGNORED, ChatText, Encoded, answers_in, chat_text, tokenized
from ...tasks.jsonl import Fault
from ...tasks.preferences import SIDES, both, is_pair
from .problems import LOOK, NOTE, WRONG

# A batch of texts has so many of them, and so many characters, at most (but for one that is longer alone).
BATCH, CHARACTERS = 256, 500_000
# A chat of more messages is counted before all its answers are looked for, which takes long.
LONG_CHAT = 100
Example = dict[str, Any]
# code, severity, sentence
Finding = tuple[str, str, str]


class LineSizes(NamedTuple):
    """Tokens of a conversation: of what is given, and of what is learned, ends included; and how many answers that is.

    `only_last` says why the answers before the last are not learned, where nobody asked for that (see `chat_text`). Of a
    preference, these are the sizes of the chosen answer's conversation, and `rejected` those of the other.
    """

    given: int
    taught: int
    answers: int = 1
    only_last: str = ""
    rejected: LineSizes | None = None

    @property
    def total(self) -> int:
        """All its tokens."""
        return self.given + self.taught


def measured(
    tokenizer: Any, examples: Iterable[tuple[int, Example]], limit: int | None = None, *, last_only: bool = False
) -> Iterator[tuple[int, Example, LineSizes | Fault]]:
    """(line, conversation, its sizes) of each; or why it cannot be used: the template refuses it, or it is too long.

    Without a tokenizer the sizes are in characters, and none is too long.
    """
    if tokenizer is None:
        for line, example in examples:
            yield line, example, _of_all([_characters(one, last_only) for one in conversations_in(example)])
        return
    for batch in _batches(tokenizer, examples, limit, last_only):
        made = tokenized(tokenizer, [text for _, _, texts in batch if not isinstance(texts, Fault) for text in texts])
        for line, example, texts in batch:
            if isinstance(texts, Fault):
                yield line, example, texts
            else:
                yield line, example, _of_all([_sizes(text, next(made), limit) for text in texts])


def conversations_in(example: Example) -> tuple[Example, ...]:
    """The conversations that a line puts through the model: itself, or of a preference both."""
    return both(example) if is_pair(example) else (example,)


def _of_all(sizes: list[LineSizes | Fault]) -> LineSizes | Fault:
    """The sizes of a line's conversations as one; or the first fault, which names its answer where there are two."""
    for side, one in zip(SIDES, sizes, strict=False):
        if isinstance(one, Fault):
            return one if len(sizes) == 1 else Fault(one.code, f"with its {side} answer, {one}")
    chosen, *rejected = (one for one in sizes if isinstance(one, LineSizes))
    return chosen._replace(rejected=rejected[0]) if rejected else chosen


def _sizes(text: ChatText, encoded: Encoded, limit: int | None) -> LineSizes | Fault:
    learned = encoded.labels != IGNORED
    taught, first = int(learned.sum()), int(learned.int().argmax())
    sizes = LineSizes(len(learned) - taught, taught, 1 + len(text.earlier), text.only_last)
    return _too_long(sizes.total, first, limit) or sizes


def _characters(example: Example, last_only: bool) -> LineSizes:
    messages, answers = example["messages"], answers_in(example["messages"])
    sizes = [len(message["content"]) for message in messages]
    learned = answers[-1:] if last_only else answers
    taught = sum(sizes[n] for n in learned)
    return LineSizes(sum(sizes) - taught, taught, len(learned))


def _batches(
    tokenizer: Any, examples: Iterable[tuple[int, Example]], limit: int | None, last_only: bool
) -> Iterator[list[tuple[int, Example, list[ChatText] | Fault]]]:
    batch: list[tuple[int, Example, list[ChatText] | Fault]] = []
    characters = 0
    for line, example in examples:
        texts: list[ChatText] | Fault
        try:
            texts = [_text(tokenizer, one, limit, last_only) for one in conversations_in(example)]
            size = sum(len(text.given) + len(text.taught) for text in texts)
        except ValueError as error:
            texts, size = Fault("template_refuses", str(error)), 0
        if batch and (len(batch) == BATCH or characters + size > CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append((line, example, texts))
        characters += size
    if batch:
        yield batch


def _text(tokenizer: Any, example: Example, limit: int | None, last_only: bool) -> ChatText:
    """`chat_text`; of a long chat that does not fit, only the first answer is looked for, since it says all that is asked."""
    if limit is not None and not last_only and len(example["messages"]) > LONG_CHAT:
        text = chat_text(tokenizer, example, earlier=1)
        if isinstance(_sizes(text, next(tokenized(tokenizer, [text])), limit), Fault):
            return text
    return chat_text(tokenizer, example, last_only=last_only)


def _too_long(total: int, first: int, limit: int | None) -> Fault | None:
    """Why a conversation of `total` tokens, of which `first` come before any answer, does not fit into `limit`."""
    if limit is None or total <= limit:
        return None
    if first >= limit:
        reason = (
            f"the question alone has {first:,} tokens and {limit:,} fit, so no token of the answer is left to learn"
        )
        return Fault("all_masked", f"{reason}: shorten it.")
    reason = f"it has {total:,} tokens and {limit:,} fit: cutting it would cut the answer and its end"
    return Fault("too_long", f"{reason}, so the model would not learn to stop. Shorten or split it.")


def limit_of(tokenizer: Any, max_tokens: int | None) -> int | None:
    """How many tokens fit: what was asked for, or what the tokenizer says of its base; None where neither says it."""
    says = getattr(tokenizer, "model_max_length", None)
    known = [limit for limit in (max_tokens, says) if isinstance(limit, int) and 0 < limit < 10**9]
    return min(known, default=None)


def marks_of(tokenizer: Any) -> tuple[str, ...]:
    """The texts that the tokenizer makes one special token of, wherever they stand."""
    return tuple(token for token in getattr(tokenizer, "all_special_tokens", ()) if len(token) > 2)


def unfit(tokenizer: Any) -> Iterator[Finding]:
    """(code, severity, sentence) of why nothing can be encoded with a tokenizer."""
    if tokenizer is not None and not getattr(tokenizer, "chat_template", True):
        reason = "this base has no chat template, so nobody can say what it would see of a conversation"
        yield "no_template", LOOK, f"{reason}: check with the instruct model's tokenizer, or set a template."
    elif tokenizer is not None and not tokenizer.eos_token:
        reason = "the tokenizer names no end token, so no answer could end: set tokenizer.eos_token."
        yield "eos_never_supervised", WRONG, reason


def of_the_template(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """(code, severity, sentence) of what tokenizer and chat template do to every line, seen on one."""
    end = tokenizer.eos_token
    whole = tokenizer.apply_chat_template(example["messages"], tokenize=False)
    answer = example["messages"][-1]["content"].strip()
    yield from _end(tokenizer, whole.rpartition(answer)[2].strip(), end)
    begin = getattr(tokenizer, "bos_token_id", None)
    if begin is not None and list(tokenizer(whole)["input_ids"][:2]) == [begin, begin]:
        reason = f"the template writes {tokenizer.bos_token} and the tokenizer puts another before it"
        yield (
            "bos_twice",
            LOOK,
            f"{reason}: pass add_special_tokens=False where its text is tokenized, as this course does.",
        )
    template = getattr(tokenizer, "chat_template", "") or ""
    if isinstance(template, str) and not re.search(r"\{%-?\s*generation\b", template):
        reason = (
            "the template has no {% generation %} marks: with assistant_only_loss=True older versions of TRL learn nothing, and "
            "1.16 takes a marked template of its own or stops"
        )
        yield (
            "no_generation_marks",
            NOTE,
            f"{reason}: use prompt and completion, or add the marks. This course needs none.",
        )
    pad = getattr(tokenizer, "pad_token", None)
    if pad is None or pad == end:
        reason = "padding has no token of its own" if pad is None else f"padding and end are the same token, {end}"
        yield (
            "pad_is_eos",
            NOTE,
            f"{reason}: a trainer that masks padding by its token masks every end, and the model never stops. "
            "Set another pad token there; this course masks by position.",
        )


def _end(tokenizer: Any, after: str, end: str) -> Iterator[Finding]:
    """What is wrong with the text that the template writes `after` an answer."""
    if end in after:
        return
    mark = next((mark for mark in marks_of(tokenizer) if mark in after), None)
    reason = f"the template ends an answer with {mark}" if mark else "the template writes no end token after an answer"
    mend = f"Set eos_token to {mark}, or add {end} to the template." if mark else f"Add {end} to the template."
    yield (
        "eos_never_supervised",
        LOOK,
        f"{reason}, and generation stops at {end}: a trainer that takes the template as it stands never teaches that. "
        f"{mend} This course adds it.",
    )
