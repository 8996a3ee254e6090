"""The data of `data/`: conversations, the chat format, and which tokens are supervised (the answers and their ends).

And conversations of different lengths in one rectangle: padded, or packed side by side.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import first_line
from ..paths import course_root
from .jsonl import APART, Fault, calls_in, read_jsonl
from .templates import REFUSALS, instead, shown_with, why_apart, without_thinking, written

if TYPE_CHECKING:
    from torch import Tensor

# the label that cross-entropy skips
IGNORED = -100


class Task(NamedTuple):
    """A data set: conversations to learn from, and others, on other topics, to be judged by."""

    name: str
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


class Encoded(NamedTuple):
    """One conversation as tokens: input_ids (length,) and labels (length,), IGNORED where nothing is taught.

    A row of several (see `pack`) also says where each token stands in its own conversation: position_ids (length,)
    are 0, 1, 2 … and 0 again where the next conversation begins.
    """

    input_ids: Tensor
    labels: Tensor
    position_ids: Tensor | None = None


def load_task(name: str = "persona") -> Task:
    """The task `data/<name>`, train and held-out. Raises FileNotFoundError or ValueError with what to do next."""
    folder = course_root() / "data" / name
    if not (folder / "train.jsonl").is_file():
        known = sorted(p.parent.name for p in folder.parent.glob("*/train.jsonl"))
        raise FileNotFoundError(f"no task named {name!r}: choose from {', '.join(known)}.")
    return Task(name, read_jsonl(folder / "train.jsonl"), read_jsonl(folder / "held_out.jsonl"))


def general_text() -> str:
    """Plain English that belongs to no task, written for the course: what forgetting is measured on."""
    return (course_root() / "data" / "held_out_text" / "general.txt").read_text(encoding="utf-8")


def everyday_questions() -> list[str]:
    """Questions that belong to no task, written for the course: what format drift is looked for in."""
    text = (course_root() / "data" / "held_out_text" / "questions.txt").read_text(encoding="utf-8")
    return text.strip().splitlines()


def as_chat(question: str, answer: str) -> dict[str, Any]:
    """A conversation of one question and its answer."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def encode(tokenizer: Any, example: dict[str, Any], *, last_only: bool = False) -> Encoded:
    """Tokens and labels of one conversation in the model's own chat template.

    Supervised: every answer of the assistant and the token that ends it; with `last_only` the last answer alone. A
    model that never sees its end token never learns to stop, so it is added to the last answer where the template has
    none. The template also gets the example's `tools` and `chat_template_kwargs`, as in TRL. Warns where the earlier
    answers cannot be learned (`chat_text` says when). Raises ValueError when the template refuses the conversation,
    rewrites the last question or leaves out a part of the answer, or when there is no end token.
    """
    text = chat_text(tokenizer, example, last_only=last_only)
    if text.only_last:
        warnings.warn(f"Of a chat of several answers, only the last is learned: {text.only_last}.", stacklevel=2)
    return next(tokenized(tokenizer, [text]))


class ChatText(NamedTuple):
    """A conversation as its chat template writes it, and what of it is learned.

    `given` is all before the last answer, `taught` that answer and its end. `earlier` are the answers in `given` that
    are learned as well, each with its end: from its first character to the one behind its last. `only_last` says why
    there are none although nobody asked for that; "" otherwise.
    """

    given: str
    taught: str
    earlier: tuple[tuple[int, int], ...] = ()
    only_last: str = ""


REWRITES = "the chat template writes earlier turns in another way than the last"
ASKED_OTHERWISE = "the chat template does not write an earlier one as the model would be asked for it"
NO_PLACES = "this tokenizer does not say where in a text its tokens stand"


def chat_text(
    tokenizer: Any, example: dict[str, Any], *, last_only: bool = False, earlier: int | None = None
) -> ChatText:
    """The texts that `encode` makes tokens of.

    An earlier answer is learned where the model would have had to write it just so: the conversation up to its end,
    written alone, must be how the whole one begins, but for an end token that closes the whole. If that fails for one
    answer, the last alone is learned, since a template that rewrites earlier turns (Qwen3's drops their thinking) never
    shows them as they were written.
    Each earlier answer costs two renderings of all before it, because only the template itself knows what it would have
    written: so the time of a chat grows with the square of its turns. With `earlier` no more of them are looked for.
    Raises ValueError as `encode` does.
    """
    messages, beside = example["messages"], shown_with(tokenizer, example)
    given, taught = _up_to_an_answer(tokenizer, messages, beside)
    if not tokenizer.eos_token:
        raise ValueError("this tokenizer names no end token, so no answer could end: set tokenizer.eos_token.")
    if not taught.endswith(tokenizer.eos_token):
        taught += tokenizer.eos_token
    looked_for = [] if last_only else answers_in(messages)[:-1][:earlier]
    if looked_for and not getattr(tokenizer, "is_fast", False):
        return ChatText(given, taught, only_last=NO_PLACES)
    places = []
    for number in looked_for:
        try:
            before, answer = _up_to_an_answer(tokenizer, messages[: number + 1], beside)
        except ValueError:
            return ChatText(given, taught, only_last=ASKED_OTHERWISE)
        if not given.startswith(before + answer):
            answer = _alone(tokenizer, answer, given[len(before) :])
        if not given.startswith(before + answer):
            return ChatText(given, taught, only_last=REWRITES)
        places.append((len(before), len(before) + len(answer)))
    return ChatText(given, taught, tuple(places))


def _alone(tokenizer: Any, answer: str, standing: str) -> str:
    """An answer up to its own end, where the whole chat closes with another token than it has where others follow it.

    Phi-3's template puts its end token behind the whole;
    gpt-oss's ends the last answer with <|return|> and others with <|end|>.
    """
    own = answer.removesuffix(tokenizer.eos_token).rstrip()
    marks = tuple(str(one) for one in getattr(tokenizer, "added_tokens_decoder", {}).values())
    return own if own.endswith(marks) or standing.removeprefix(own).startswith(marks) else answer


def answers_in(messages: Sequence[dict[str, Any]]) -> list[int]:
    """Which messages are answers to learn: the last one, and the assistant's that somebody has spoken before.

    A greeting that opens a chat answers nobody: no model has to write it. A message of "weight": 0 is not to be
    learned, as files for OpenAI's fine-tuning say it.
    """
    last = len(messages) - 1
    spoken = next((n for n, message in enumerate(messages) if message["role"] not in ("system", "assistant")), last)
    answers = [n for n in range(spoken + 1, last) if messages[n]["role"] == "assistant"]
    return [n for n in answers if messages[n].get("weight") != 0] + [last]


def _up_to_an_answer(tokenizer: Any, messages: Sequence[dict[str, Any]], beside: dict[str, Any]) -> tuple[str, str]:
    """What the template writes before the last of `messages`, where the model begins to answer, and the answer."""
    try:
        prompt, whole = written(tokenizer, messages, beside)
    except REFUSALS as error:
        raise ValueError(
            f"this chat template refuses the conversation ({first_line(error)}): "
            f"{instead(tokenizer, messages, beside)}, or use another template."
        ) from error
    if not whole.startswith(prompt):
        raise Fault(APART, why_apart(tokenizer, messages, beside, prompt, whole))
    # a template may write the marks of thinking in another way
    answer, words = whole[len(prompt) :].rstrip(), str(without_thinking(messages[-1]).get("content") or "").split()
    if words and words[-1] not in answer:
        raise ValueError(
            "this chat template leaves out what the answer says (those of models that see take lists of parts, which "
            "TRL's trainers make, and no text): use another template, or such a trainer."
        )
    if any(str(call.get("name")) not in answer for call in calls_in(messages[-1])):
        raise ValueError(
            "this chat template leaves the tool call out, so it could not be learned: write the call into the content "
            "as the model should say it, or use another template."
        )
    return prompt, answer


def tokenized(tokenizer: Any, texts: Sequence[ChatText]) -> Iterator[Encoded]:
    """Tokens and labels of each: a token is learned when it holds a character of an answer or of its end.

    The last answer is made into tokens behind what is given: alone, a tokenizer such as Llama 2's begins it with a
    space. Each question is made into tokens twice, alone and with its answer, because only that shows whether the
    answer begins where it will when the model is asked.
    """
    if not texts:
        return
    import torch  # only here and below: a file of texts is judged without it

    where = {"return_offsets_mapping": True} if any(text.earlier for text in texts) else {}
    pairs = [part for text in texts for part in (text.given, text.given + text.taught)]
    made = tokenizer(pairs, add_special_tokens=False, **where)
    for n, text in enumerate(texts):
        given, whole = made["input_ids"][2 * n : 2 * n + 2]
        taught = whole[len(given) :]
        if whole[: len(given)] != given:
            # the model is asked with these tokens, and its answer begins behind them
            taught = tokenizer(text.taught, add_special_tokens=False)["input_ids"]
        labels = [IGNORED] * len(given)
        for begin, end in text.earlier:
            for at, (first, behind) in enumerate(made["offset_mapping"][2 * n]):
                if first < end and begin < behind:
                    labels[at] = given[at]
        yield Encoded(torch.tensor(given + taught), torch.tensor(labels + taught))


# What the names of such layers contain in transformers' configurations.
STATEFUL = ("linear", "mamba", "recurrent", "conv", "hybrid")
# Models whose configurations do not list their layers.
RECURRENT = ("mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm")


def collate(batch: Sequence[Encoded], pad_id: int) -> dict[str, Tensor]:
    """Pad on the right to one rectangle: input_ids, labels, and attention_mask or position_ids, each (batch × longest).

    Packed rows carry position_ids in place of the mask; their padding is one more conversation, of which nothing is
    taught.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [one.input_ids for one in batch]
    made = {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "labels": pad_sequence([one.labels for one in batch], batch_first=True, padding_value=IGNORED),
    }
    if all(one.position_ids is None for one in batch):
        return made | {"attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True)}
    longest = made["input_ids"].shape[1]
    positions = [torch.arange(len(one.input_ids)) if one.position_ids is None else one.position_ids for one in batch]
    filled = [torch.cat([p, torch.arange(longest - len(p))]) for p in positions]
    return made | {"position_ids": torch.stack(filled)}


def pack(examples: Sequence[Encoded], seq: int, config: Any = None) -> list[Encoded]:
    """Conversations side by side in rows of at most `seq` tokens, in their order: hardly a token is padding.

    Where no cache is used, as in training, transformers sees from position_ids where one ends, and lets no token look
    into another conversation: the loss of a packed row is that of its parts. Give the model's `config`, too: layers
    that carry a running state from token to token, such as linear attention, do not look at position_ids. Raises
    ValueError for such a model, and when a conversation is longer than `seq`.
    """
    if kinds := running_states(config):
        raise ValueError(
            f"this model has layers of {', '.join(kinds)}, which carry a running state from one conversation of a "
            "packed row into the next: train it on padded batches (tasks.collate without tasks.pack)."
        )
    if longest := max((len(one.input_ids) for one in examples if len(one.input_ids) > seq), default=0):
        raise ValueError(f"a conversation has {longest} tokens and a row {seq}: choose a longer row, or leave it out.")
    rows: list[list[Encoded]] = [[]]
    for one in examples:
        if sum(len(other.input_ids) for other in rows[-1]) + len(one.input_ids) > seq:
            rows.append([])
        rows[-1].append(one)
    return [_row(parts) for parts in rows if parts]


def running_states(config: Any) -> list[str]:
    """The kinds of layer in a model's configuration that carry a running state along a row;
    empty for attention alone."""
    text = getattr(config, "text_config", None) or config
    listed = [getattr(text, name, None) for name in ("layer_types", "layers_block_type")]
    kinds = {str(kind) for kind in next((one for one in listed if one), ())}
    if not kinds and getattr(text, "model_type", None) in RECURRENT:
        kinds = {text.model_type}
    return sorted(kind for kind in kinds if kind in RECURRENT or any(part in kind for part in STATEFUL))


def _row(parts: Sequence[Encoded]) -> Encoded:
    """One row (length of all `parts`,) with their tokens, labels and positions."""
    import torch

    labels = torch.cat([one.labels for one in parts])
    starts = torch.tensor([len(one.input_ids) for one in parts]).cumsum(0)[:-1]
    # the last token of one conversation does not predict the first of the next
    labels[starts] = IGNORED
    positions = torch.cat([torch.arange(len(one.input_ids)) for one in parts])
    return Encoded(torch.cat([one.input_ids for one in parts]), labels, positions)
