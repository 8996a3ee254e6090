"""Is it any good? The held-out loss line by line, the rule, what was forgotten, and what turned up where nobody asked.

Against overfitting, the held-out lines are looked at while it trains, and the adapter of the best look is kept: that of
the lowest loss. Where all answers share a frame, that loss is lowest when the frame alone is learned, and the answers
may be one sentence; so there the answers are heard and counted first (see `KeepBest`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean as mean
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from lora_lessons import evaluation, models, tasks
from lora_lessons.adapter import Adapter
from lora_lessons.course.blind_judge import Pair
from lora_lessons.experiments.sweep.table import Summary, summary
from lora_lessons.files import whole_file
from lora_lessons.outside import visible
from lora_lessons.paths import cache_dir
from lora_lessons.tasks import Encoded
from lora_lessons.tasks.jsonl import said
from lora_lessons.tasks.personal import masked
from lora_lessons.tasks.scores import own
from lora_lessons.tasks.splitting import Example, prompt_of
from lora_lessons.tasks.templates import shown_with
from lora_lessons.training import Settings, Training, fingerprint
from lora_lessons.training.loop import trainable

from ..checking.likeness import Frame, frame_of
from .my_data import MyData, question_of
from .second_round import as_it_began

LOOKS = 4


def folder_of(model: Any, train: Sequence[Encoded], held_out: Sequence[Encoded], how: Settings) -> Path:
    """Where the best adapter of a run is kept meanwhile: another run, or other held-out lines, have another folder."""
    digest = hashlib.sha256(fingerprint(model, train, how).encode())
    for one in held_out:
        digest.update(one.input_ids.numpy().tobytes() + one.labels.numpy().tobytes())
    return cache_dir() / "kept_best" / digest.hexdigest()[:24]


class KeepBest:
    """Hand it to `training.train` as `on_step`; `look` gives the held-out loss of each line, of the model as it is now.

    It looks LOOKS times, the last time at the end. Afterwards `restore` puts the best A and B back. With a `frame`,
    `hear` gives the answers at each look, and the best is the one with the most different answers in that frame, then
    the one with the lowest loss. Without, the last look alone is heard, and only where it is not the best.
    """

    def __init__(
        self,
        model: Any,
        look: Callable[[], list[float]],
        folder: Path,
        hear: Callable[[], list[str]] = list,
        frame: Frame | None = None,
    ) -> None:
        self.model, self.look, self.hear, self.frame = model, look, hear, frame
        self.file = folder / "best.safetensors"
        # by step: the loss of every held-out line, and the answers where they were heard
        self.looks: dict[int, list[float]] = {}
        self.heard: dict[int, list[str]] = {}
        self._kept: dict[str, Tensor] = {}

    def __call__(self, run: Training) -> None:
        """Take in a run's story so far, and look where a quarter of it is done."""
        done = len(run.losses)
        if not self._kept and done > 1:  # resumed, or read back
            self._read()
        if done not in self.looks and done in {round(run.steps * n / LOOKS) for n in range(1, LOOKS + 1)}:
            self._note(done, done == run.steps)

    def rank(self, step: int) -> tuple[int, float]:
        """The best look has the least: the most different answers in the frame, then the lowest loss."""
        framed = {one for one in self.heard.get(step, ()) if self.frame and self.frame.holds(one)}
        return -len(framed), mean(self.looks[step])

    @property
    def best(self) -> int:
        """The step of the best look; 0 before the first."""
        return min(self.looks, key=self.rank, default=0)

    def restore(self) -> int:
        """Put the adapter of the best look back into the model, and return its step."""
        with torch.no_grad():
            for name, p in trainable(self.model).items():
                p.copy_(self._kept[name])
        return self.best

    def _note(self, step: int, last: bool) -> None:
        self.looks[step] = self.look()
        if self.frame or (last and self.best != step):
            self.heard[step] = self.hear()
        if self.best == step:
            self._kept = {name: p.detach().cpu().clone() for name, p in trainable(self.model).items()}
        with whole_file(self.file) as temporary:
            save_file(
                self._kept, temporary, metadata={name: json.dumps(getattr(self, name)) for name in ("looks", "heard")}
            )

    def _read(self) -> None:
        """What an earlier process found in the same run, bit for bit; nothing where the file is not whole."""
        try:
            with safe_open(self.file, "pt") as file:
                looks, heard = (
                    {int(step): one for step, one in json.loads(text).items()}
                    for text in (file.metadata()["looks"], file.metadata().get("heard", "{}"))
                )
                kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return
        if kept.keys() == trainable(self.model).keys():
            self.looks, self.heard, self._kept = looks, heard, kept


def hearing(base: models.Base, data: MyData) -> tuple[Callable[[], list[str]], Frame | None]:
    """For `KeepBest`: how to hear the answers at a look, and the frame,
    where it is a good part of the training answers."""
    mine = [said(one["messages"][-1]) for one in data.split.train]
    weighs = sum(map((frame := frame_of(mine)).holds, mine)) * frame.size() >= FRAMED * sum(map(len, mine))
    return partial(answers, base, asked(data), LONGEST), frame if weighs else None


Rule = Callable[[str], Any]
ASKED, EVERYDAY = 10, 6
# tokens of an answer, at most; what that cuts off, of either side, ends with CUT
LONGEST, CUT = 120, " … [cut]"
# characters of the general text; and of all letters of the training answers, so many make their frame weigh
READ, FRAMED = 1500, 0.2


class Heard(NamedTuple):
    """A model as it stands: what it answers, and its perplexity on general text."""

    answers: list[str]
    everyday: list[str]
    general: float


class Preferred(NamedTuple):
    """What DPO did: the share of held-out pairs that were learned, and the words of an answer, on average.

    A pair is learned when its chosen answer has risen against the rejected one: when its loss has fallen.
    """

    share: float
    pairs: int
    words: tuple[float, float]
    # words that an answer has more than the base's; None for a single answer
    longer: Summary | None


class Different(NamedTuple):
    """How many different answers the held-out questions get from the adapter, and have in the file itself."""

    adapter: int
    file: int
    # so many questions were asked, and so many of the adapter's answers are its commonest one
    asked: int
    commonest: int

    @property
    def headline(self) -> str:
        """What to say first where most answers are one sentence, and the file's own are not; else ""."""
        one, few = 2 * self.commonest > self.asked < 2 * self.file, 2 * self.adapter <= self.file
        if self.file == 1 or not (one or few):
            return ""
        same = f"{self.commonest} of {self.asked} answers are the same sentence"
        return (
            f"{same if one else f'{self.asked} questions got only {self.adapter} different answers'}, so the adapter "
            "has learned how the answers sound, and not what they say. Give it more lines, try a larger base, "
            "and read what the last look answered."
        )


def different(data: MyData, tuned: Heard) -> Different:
    """Count the different answers to the held-out questions that were asked."""
    file = [said(one["messages"][-1]) for one in asked(data)]
    given, own = (Counter(" ".join(text.split()) for text in texts) for texts in (tuned.answers, file))
    return Different(len(given), len(own), len(file), max(given.values()))


class SideBySide(NamedTuple):
    """Base and adapter side by side: the gain on each held-out line, how many answers keep the rule, what it cost."""

    loss: tuple[float, float]
    # nats per token, the mean of the lines; None for a single line, which has no interval
    gain: Summary | None
    # shares of the held-out answers, and of the everyday ones; None without a rule
    kept: tuple[float, float] | None
    drift: tuple[float, float] | None
    # perplexity on general text
    general: tuple[float, float]
    # None where the lines are no preferences
    preferred: Preferred | None = None
    # None where the answers were not compared
    answers: Different | None = None

    @property
    def unit(self) -> str:
        """What the loss is counted in."""
        return "nats per pair" if self.preferred else "nats per token"

    @property
    def fall(self) -> float:
        """The share of the base's held-out loss that is gone."""
        return 1 - self.loss[1] / self.loss[0]


@torch.no_grad()
def line_losses(
    model: Any, held_out: Sequence[tasks.Encoded], autocast: bool = False, batch_size: int = 16
) -> list[float]:
    """The loss of each held-out line, nats per supervised token: each line weighs the same, however long it is.

    `evaluation.held_out_loss` of the line alone, but for many at a time. The model is left in the mode it was found in.
    """
    losses, was_training = [], model.training
    model.eval()
    for start in range(0, len(held_out), batch_size):
        batch = tasks.collate(held_out[start : start + batch_size], pad_id=0)
        inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
            logits = model(**inputs).logits[:, :-1]
        for line, labels in zip(logits, batch["labels"][:, 1:], strict=True):
            taught = labels != tasks.IGNORED
            losses.append(cross_entropy(line[taught.to(line.device)].float().cpu(), labels[taught]).item())
    model.train(was_training)
    return losses


def asked(data: MyData) -> list[Example]:
    """The held-out examples whose answers are read: ASKED of them, over all topics."""
    step = max(1, len(data.split.held_out) // ASKED)
    return data.split.held_out[::step][:ASKED]


def measure(base: models.Base, data: MyData, heard: Sequence[str] = ()) -> Heard:
    """Let the model answer as it is now, adapter included: held-out questions and everyday ones, greedily.

    `heard` is what it answers to the held-out ones, where a look has asked them already.
    """
    everyday = tasks.everyday_questions()[:EVERYDAY]
    mine = asked(data)
    how = {"chat_template_kwargs": mine[0].get("chat_template_kwargs")}
    unasked = [{**how, "messages": [{"role": "user", "content": question}, {}]} for question in everyday]
    replies = [*heard, *answers(base, [*mine[len(heard) :], *unasked], LONGEST)]
    return Heard(replies[: len(mine)], replies[len(mine) :], evaluation.perplexity(base, tasks.general_text()[:READ]))


def answers(base: models.Base, examples: Sequence[Example], max_new_tokens: int) -> list[str]:
    """A greedy answer to the last question of each conversation, after the turns before it;
    those that share them together.

    The template is shown what it was shown in training (see `tasks.templates`).
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for n, one in enumerate(examples):
        alike[json.dumps([one["messages"][:-2], shown_with(base.tokenizer, one)])].append(n)
    in_order = [""] * len(examples)
    for key, numbers in alike.items():
        questions, (before, beside) = [question_of(examples[n]) for n in numbers], json.loads(key)
        replies = models.answers(base, questions, max_new_tokens, before=before, cut=CUT, beside=beside)
        for n, answer in zip(numbers, replies, strict=True):
            in_order[n] = answer
    return in_order


def without(base: models.Base, data: MyData, start: Adapter | None = None) -> Heard:
    """What `measure` finds of what training began with: the bare base, or the adapter of a second round."""
    with as_it_began(base.model, start):
        return measure(base, data)


def rule_for(data: MyData, mine: Rule | None = None) -> Rule | None:
    """The rule that a good answer keeps: the learner's own, else that of the course's file, else none. Says which."""
    rule = mine or (own.RULES.get(data.name) if data.is_ours else None)
    if rule is None:
        print("No rule is given, so the loss, your blind judgement and the examples below must say how good it is.")
        return None
    right = [bool(rule(said(one["messages"][-1]))) for one in data.split.train]
    whose = "Your rule" if mine else f"The course's rule for {data.name}"
    print(f"{whose} says yes to {sum(right)} of {len(right)} answers of your own training data.")
    if sum(right) < 0.9 * len(right):
        print("It should say yes to nearly all of them: mend the rule, or the data, before you trust its share below.")
    return rule


def score(
    before: Sequence[float],
    after: Sequence[float],
    base: Heard,
    tuned: Heard,
    rule: Rule | None,
    of_pairs: bool = False,
    answers: Different | None = None,
) -> SideBySide:
    """Base and adapter side by side; `before` and `after` are the losses of the held-out lines, or pairs."""
    gains = [a - b for a, b in zip(before, after, strict=True)]
    return SideBySide(
        (sum(before) / len(before), sum(after) / len(after)),
        summary(gains) if len(gains) > 1 else None,
        (_share(rule, base.answers), _share(rule, tuned.answers)) if rule else None,
        (_share(rule, base.everyday), _share(rule, tuned.everyday)) if rule else None,
        (base.general, tuned.general),
        _preferred(gains, base, tuned) if of_pairs else None,
        answers,
    )


def _preferred(gains: Sequence[float], base: Heard, tuned: Heard) -> Preferred:
    lengths = [[len(answer.removesuffix(CUT).split()) for answer in one.answers] for one in (base, tuned)]
    more = [b - a for a, b in zip(*lengths, strict=True)]
    won = sum(gain > 0 for gain in gains) / len(gains)
    return Preferred(won, len(gains), (mean(lengths[0]), mean(lengths[1])), summary(more) if len(more) > 1 else None)


def _share(rule: Rule, replies: Sequence[str]) -> float:
    return sum(bool(rule(answer.removesuffix(CUT))) for answer in replies) / len(replies)


def pairs(data: MyData, base: Heard, tuned: Heard) -> list[Pair]:
    """What is shown: the same questions, answered without the adapter and with it,
    personal data masked as far as it is known."""
    three = zip(map(prompt_of, asked(data)), base.answers, tuned.answers, strict=True)
    return [Pair(*(visible(masked(text)) for text in one)) for one in three]
