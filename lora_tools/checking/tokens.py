"""What a conversation is to a model: its tokens, counted in batches, and what the template makes of its answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from lora_lessons.tasks.conversations import IGNORED, ChatText, Encoded, answers_in, chat_text, tokenized
from lora_lessons.tasks.jsonl import APART, Fault, calls_in, said
from lora_lessons.tasks.preferences import SIDES, both, is_pair
from lora_lessons.tasks.templates import (
    NO_THINKING,
    REFUSALS,
    SHOWN_WITH,
    THOUGHT,
    THOUGHTS,
    longest_word,
    out_of_text,
    shown_with,
    without_thinking,
    written,
)

# A batch of texts has so many of them, and so many characters, at most (but for one that is longer alone).
BATCH, CHARACTERS = 256, 500_000
# A chat of more messages is counted before all its answers are looked for, which takes long.
LONG_CHAT = 100
Example = dict[str, Any]
SETTINGS = SHOWN_WITH[1]
# TRL 1.16, trainer/sft_trainer.py: of prompt and completion it warns, of messages it says nothing
TRAINED_ELSEWHERE = (
    "This course leaves the line out, since it would learn the answer behind another text than the model is asked "
    "with; TRL and Unsloth train on what the template writes."
)


class LineSizes(NamedTuple):
    """Tokens of a conversation: of what is given, and of what is learned, ends included; and how many answers that is.

    `only_last` says why the answers before the last are not learned, where nobody asked for that (see `chat_text`). Of
    a preference, these are the sizes of the chosen answer's conversation, and `rejected` those of the other.
    """

    given: int
    taught: int
    answers: int = 1
    only_last: str = ""
    rejected: LineSizes | None = None
    # codes of REMARKS
    remarks: tuple[str, ...] = ()

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
                both_ways = zip(conversations_in(example), texts, strict=True)
                sizes = [_sizes(tokenizer, text, next(made), limit, one) for one, text in both_ways]
                yield line, example, _of_all(sizes)


def conversations_in(example: Example) -> tuple[Example, ...]:
    """The conversations that a line puts through the model: itself, or of a preference both."""
    return both(example) if is_pair(example) else (example,)


def _of_all(sizes: list[LineSizes | Fault]) -> LineSizes | Fault:
    """The sizes of a line's conversations as one; or the first fault, which names its answer where there are two."""
    for side, one in zip(SIDES, sizes, strict=False):
        if isinstance(one, Fault):
            return one if len(sizes) == 1 else Fault(one.code, f"with its {side} answer, {one}")
    chosen, *rejected = (one for one in sizes if isinstance(one, LineSizes))
    if not rejected:
        return chosen
    return chosen._replace(rejected=rejected[0], remarks=tuple(dict.fromkeys(chosen.remarks + rejected[0].remarks)))


def _sizes(tokenizer: Any, text: ChatText, encoded: Encoded, limit: int | None, example: Example) -> LineSizes | Fault:
    learned = encoded.labels != IGNORED
    taught, first = int(learned.sum()), int(learned.int().argmax())
    sizes = LineSizes(
        len(learned) - taught,
        taught,
        1 + len(text.earlier),
        text.only_last,
        remarks=tuple(_remarks(tokenizer, text, example)),
    )
    return _too_long(sizes.total, first, limit) or sizes


# What a template makes of an answer, by the line.
REMARKS = {
    # seen by others: hiyouga/LlamaFactory#9092 (2025-09-08); in templates of TRL's own,
    # huggingface/trl#6361 (2026-07-12)
    "empty_think_block": "the template begins its answer with an empty think block, which is learned, so the model "
    "learns to answer without thinking, also where it is asked to think (LlamaFactory#9092, trl#6361). {}.",
    # huggingface/transformers#44301 (2026-02-26); since then transformers hands the three names on to a template as one
    "thinking_left_out": "the template does not write the thinking that stands in a field of its answer, so it is not "
    "learned (transformers#44301): {}.",
    # verl-project/verl#6854 (2026-06-26), huggingface/trl#6766 (2026-08-15)
    "earlier_thinking_left_out": "the template leaves the thinking of an earlier answer out, and keeps the last one's "
    "alone (verl#6854): write a line for each answer, so that each thinks where it is the last.",
    "thinking_cut_out": "the template cuts what stands between <think> and </think> out of the answer, so the "
    "thinking is not learned (trl#6766): use a template that keeps it.",
    "think_left_open": "the template opens a think block where it asks, and the answer does not close it, so the "
    "model learns to answer inside its thinking: write the thinking and </think> before the answer, "
    "or ask for none in the way that this template knows.",
    "arguments_as_text": "the arguments of a tool call are text, which this template quotes once more: for this "
    "template, give an object in their place.",
}
# What a template passes over without a word, by whose it is, and what to do.
_PASSED_OVER = {
    "system": ("system message says", "put it into the user's message"),
    "user": ("user says in an earlier turn", "say it in other turns"),
    "assistant": ("assistant says in an earlier turn", "say it in other turns"),
    "tool": ("tool answers", "tell it in a message of the user"),
    "calls": (
        "assistant calls in an earlier turn (TRL and others learn that turn without the call)",
        "write the call into the content, take a template that writes it, such as a newer one of this model",
    ),
}
REMARKS |= {
    f"{whose}_left_out": (
        f"the template does not write what its {what}, so nobody reads it: {todo}, or use another base."
    )
    for whose, (what, todo) in _PASSED_OVER.items()
}
AT_ONCE = 'add "chat_template_kwargs": {"enable_thinking": false} to the line, and ask it with that, too'
# between which marks models think whose templates write no <think>
OWN_MARKS = (("<|channel>thought", "<channel|>"), ("[THINK]", "[/THINK]"))
_EMPTY = re.compile(r"\A\s*(?:<think>)?\s*</think>")


def remark(code: str, tokenizer: Any, example: Example) -> str:
    """The sentence of REMARKS for a line, and what helps there: only what was tried with this template is advised."""
    if code == "thinking_left_out":
        return REMARKS[code].format(where_it_stays(tokenizer, example))
    if code != "empty_think_block":
        return REMARKS[code]
    hows: list[tuple[Example, Example]] = [({"reasoning_content": "Thinking."}, {}), ({}, NO_THINKING)]
    answers = [_answer(tokenizer, example, *how) for how in hows]
    thinks, at_once = (bool(answer) and not _EMPTY.match(answer) for answer in answers)
    todo = "Where it should answer at once, leave it so" + (f", or {AT_ONCE}" if at_once else "")
    keep = "; to keep it thinking, write the thinking into the message's reasoning_content" if thinks else ""
    return REMARKS[code].format(todo + keep)


def where_it_stays(tokenizer: Any, example: Example) -> str:
    """What to do with thinking that a template does not write: the first of the usual ways that it takes."""
    template, word = str(getattr(tokenizer, "chat_template", "")), "thinkingofnothing"
    begin, end = next((pair for pair in OWN_MARKS if pair[1] in template), ("<think>", "</think>"))
    answer = example["messages"][-1].get("content") or ""
    ways: dict[str, tuple[Example, Example]] = {
        f"write it into the field {name}, which this template reads": ({name: word}, {}) for name in THOUGHTS
    }
    ways[AT_ONCE.replace("false", "true")] = ({"reasoning_content": word}, {"enable_thinking": True})
    ways[f"write it into the content between {begin} and {end}, if this model thinks between these"] = (
        {"content": f"{begin}\n{word}\n{end}\n{answer}"},
        {},
    )
    last = "use a template that writes it, such as a newer one of this model"
    return (
        "take it out, or "
        f"{next((todo for todo, way in ways.items() if word in _answer(tokenizer, example, *way)), last)}"
    )


def _answer(tokenizer: Any, example: Example, fields: Example, settings: Example) -> str:
    """The last answer as the template writes it with this thinking and these settings; "" where it refuses them."""
    *before, last = example["messages"]
    settings = {**(example.get(SETTINGS) or {}), **settings}
    try:
        return chat_text(
            tokenizer,
            {**example, "messages": [*before, {**without_thinking(last), **fields}], SETTINGS: settings},
            last_only=True,
        ).taught
    except ValueError:
        return ""


def _remarks(tokenizer: Any, text: ChatText, example: Example) -> Iterator[str]:
    """The codes of what the template made of the last answer, and of tool calls anywhere."""
    messages = example["messages"]
    if _EMPTY.match(text.taught):
        yield "empty_think_block"
    if text.given.rfind("<think>") > text.given.rfind("</think>") and "</think>" not in text.taught:
        yield "think_left_open"
    whole = text.given + text.taught
    yield from _of_thinking(whole, messages, rewrites=bool(text.only_last))
    for message in messages[:-1]:
        if _is_missing(without_thinking(message).get("content") or "", whole):
            yield f"{message['role']}_left_out"
        if not all(longest_word(part) in whole for call in calls_in(message) for part in _said_by(call)):
            yield "calls_left_out"
    if any(map(calls_in, messages[:-1])) and _passes_over_calls(tokenizer, example):
        yield "calls_left_out"
    texts = [call.get("arguments") for message in messages for call in calls_in(message)]
    if any(isinstance(one, str) and one and json.dumps(one) in text.given + text.taught for one in texts):
        yield "arguments_as_text"


def _passes_over_calls(tokenizer: Any, example: Example) -> bool:
    """Whether the template writes the same without the calls of earlier turns,
    whose words may stand in tools and questions."""
    *before, last = example["messages"]
    bare = [{name: value for name, value in one.items() if name != "tool_calls"} for one in before]
    try:
        beside = shown_with(tokenizer, example)
        return written(tokenizer, [*bare, last], beside)[1] == written(tokenizer, [*before, last], beside)[1]
    except (*REFUSALS, ValueError):
        return False


def _is_missing(text: str, whole: str) -> bool:
    """Whether half of the words of `text` or more stand nowhere in `whole`: others may share some,
    and a template may take out a few."""
    words = set(re.findall(r"\w{4,}", text)) or {longest_word(text)}
    return text.strip() not in whole and 2 * sum(word not in whole for word in words) >= len(words)


def _of_thinking(whole: str, messages: list[dict[str, Any]], rewrites: bool) -> Iterator[str]:
    """The codes of thinking that stands in an answer and not in `whole`;
    a template that `rewrites` keeps what follows the last question."""
    asked = max((n for n, message in enumerate(messages) if message["role"] == "user"), default=0)
    for n in answers_in(messages):
        field = next((str(messages[n][name]) for name in THOUGHTS if messages[n].get(name)), "")
        inside = " ".join(THOUGHT.findall(messages[n].get("content") or ""))
        thoughts = list(filter(None, (" ".join(one.split()) for one in (field, inside))))
        # without thinking, as most lines are, nothing is looked for
        if not thoughts or all(map(" ".join(whole.split()).__contains__, thoughts)):
            continue
        if n < asked and rewrites:
            yield "earlier_thinking_left_out"
        else:
            yield "thinking_left_out" if field else "thinking_cut_out"


def _said_by(call: Mapping[str, Any]) -> Iterator[str]:
    """The name and the arguments of a tool call, each as a text."""
    given = out_of_text(call.get("arguments"))
    for part in (call.get("name"), *(given.values() if isinstance(given, dict) else [given or ""])):
        yield part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)


def _characters(example: Example, last_only: bool) -> LineSizes:
    messages, answers = example["messages"], answers_in(example["messages"])
    sizes = [len(said(message)) for message in messages]
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
            apart = isinstance(error, Fault) and error.code == APART
            texts = Fault(APART, f"{error} {TRAINED_ELSEWHERE}") if apart else Fault("template_refuses", str(error))
            size = 0
        if batch and (len(batch) == BATCH or characters + size > CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append((line, example, texts))
        characters += size
    if batch:
        yield batch


def _text(tokenizer: Any, example: Example, limit: int | None, last_only: bool) -> ChatText:
    """`chat_text`; of a long chat that does not fit, only the first answer is looked for,
    since it says all that is asked."""
    if limit is not None and not last_only and len(example["messages"]) > LONG_CHAT:
        text = chat_text(tokenizer, example, earlier=1)
        if isinstance(_sizes(tokenizer, text, next(tokenized(tokenizer, [text])), limit, example), Fault):
            return text
    return chat_text(tokenizer, example, last_only=last_only)


def _too_long(total: int, first: int, limit: int | None) -> Fault | None:
    """Why a conversation of `total` tokens, of which `first` come before any answer, does not fit into `limit`."""
    if limit is None or total <= limit:
        return None
    if first >= limit:
        return Fault(
            "all_masked",
            f"the question alone has {first:,} tokens and {limit:,} fit, so no token of the answer is left "
            "to learn: shorten it.",
        )
    return Fault(
        "too_long",
        f"it has {total:,} tokens and {limit:,} fit: cutting it would cut the answer and its end, so the "
        "model would not learn to stop. Shorten or split it.",
    )


def begins_twice(tokenizer: Any, text: str) -> bool:
    """Whether a text brings the token that the tokenizer puts before every text."""
    begin = getattr(tokenizer, "bos_token_id", None)
    return begin is not None and list(tokenizer(text)["input_ids"][:2]) == [begin, begin]


def limit_of(tokenizer: Any, max_tokens: int | None) -> int | None:
    """How many tokens fit: what was asked for, or what the tokenizer says of its base; None where neither says it."""
    limits = max_tokens, getattr(tokenizer, "model_max_length", None)
    return min((limit for limit in limits if isinstance(limit, int) and 0 < limit < 10**9), default=None)
