"""The check of a training file: read once from its beginning to its end, a line at a time, and never written to."""

from __future__ import annotations

import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lora_lessons.tasks.conversations import answers_in
from lora_lessons.tasks.jsonl import Fault, said, shown
from lora_lessons.tasks.preferences import SIDES, is_pair
from lora_lessons.tasks.splitting import LEAST
from lora_lessons.tasks.templates import THOUGHTS

from . import template, tokens
from .layouts import GUESSED, KNOWN, PROMPTS, TEXTS, conversation, for_trl, written_otherwise
from .likeness import ALIKE, SEVERAL, AskedQuestions, Likeness, frame_of, leaks
from .pairs import Compared
from .problems import LOOK, NOTE, WRONG, Found, PersonalData
from .records import Progress, delimiter, has_mark, records, unit
from .remarks import MARKS, PICTURE_LEARNS, of_calls, remarks
from .report import DataReport, as_seen, lengths
from .unread import SEEN_OR_HEARD, unlearned, unread_fields, verdict

Example = dict[str, Any]
# Fewer lines than these get a word about what to expect; an example of more tokens is not shown if there is a shorter.
FEW, SHORT = 100, 400
# From these shares of the questions on, one answer is all, or much, of what is learned; above this share of its tokens,
# the frame of the answers is most of it. That is looked for in a file of no more lines.
ONE_ANSWER, COMMON_ANSWER, MOSTLY_FRAME, SHORT_FILE = 0.9, 0.2, 0.5, 200
# TRL's max_length where nobody sets it, of SFTConfig and of DPOConfig (1.16, trainer/sft_config.py and dpo_config.py)
TRL_CUTS = 1024
# Marks that one family of chat templates alone has.
FORMS = {"ChatML": "<|im_start|>", "Llama 3": "<|start_header_id|>", "Gemma": "<start_of_turn>", "Mistral": "[INST]"}
# What is sound in many files, and worth a word all the same.
MILD = ("empty_think_block", "greeting", "says_nothing", "picture_beside")
# What TRL takes as it stands where prompt and completion are text: it puts no template around them.
OF_TEMPLATES = ("special_token_in_text", "old_form")
# What is said of an answer because it is to be learned, and not of one that is there to be bad.
OF_GOOD_ONES = ("boilerplate", "in_circles", "question_in_answer")


def conversations(
    path: Path | str, tokenizer: Any = None, max_tokens: int | None = None
) -> Iterator[tuple[int, Example]]:
    """(line, {"messages": …}) of every good line, whatever the layout; with the other fields that stand in the line.

    Of a preference it is {"messages": …, "prompt": …, "chosen": …, "rejected": …}, each a list of messages (see
    `layouts`). With a tokenizer, lines that its chat template refuses or that are too long are left out as well: those
    are the lines that `check` calls wrong. Raises ValueError when the file is empty, or of a kind that has no lines.
    """
    good = _good(path, Found(), Counter())
    for line, example, sizes in tokens.measured(tokenizer, good, tokens.limit_of(tokenizer, max_tokens)):
        if not isinstance(sizes, Fault):
            yield line, example


def check(
    path: Path | str,
    tokenizer: Any = None,
    *,
    held_out: Path | str | None = None,
    max_tokens: int | None = None,
    last_only: bool = False,
    progress: Progress | None = None,
) -> DataReport:
    """Look for mistakes in a training file of any layout (see `records`),
    for the model of `tokenizer` where one is given.

    `max_tokens`: what a conversation may have; the tokenizer's own limit where that is less. `held_out`: a file whose
    questions must not be learned from. `last_only`: of a chat, only the last answer is learned. `progress` is told how
    many bytes were read. Memory does not grow with the file, but for a hundred bytes a line. Raises ValueError or
    OSError when the file cannot be read at all.
    """
    return _Check(path, tokenizer, max_tokens, held_out, last_only).run(progress)


def _good(
    path: Path | str,
    problems: Found,
    layouts: Counter[str],
    progress: Progress | None = None,
    texts: dict[str, str] | None = None,
    forms: dict[str, list[int]] | None = None,
) -> Iterator[tuple[int, Example]]:
    """The good lines of a file; what is wrong with the others goes to `problems`,
    and how many have a layout to `layouts`.

    To `texts` goes the first text that a trainer would take as it stands, of each kind: one of TEXTS, or a layout's
    name. Raises ValueError for a file in which nothing stands.
    """
    texts, line = {} if texts is None else texts, None
    for line, record in records(path, progress):
        try:
            if isinstance(record, Fault):
                raise record
            layout, example = conversation(record)
        except Fault as fault:
            problems.add(fault.code, WRONG, line, str(fault))
            if fault.code in TEXTS and not isinstance(record, Fault):
                texts.setdefault(fault.code, record["text"])
                _note_forms(forms, line, record["text"])
        else:
            layouts[layout.name] += 1
            for code, sentence in for_trl(layout, record):
                problems.add(code, NOTE, line, sentence)
            if (
                "prompt" in layout.needs
                and "response" not in layout.needs
                and all(isinstance(record[name], str) for name in layout.needs)
            ):
                texts.setdefault(layout.name, record["prompt"])
            yield line, example
    if line is None:
        raise ValueError(f"{Path(path).name} holds no examples: write one a line, as {KNOWN}.")


def _note_forms(forms: dict[str, list[int]] | None, line: int, text: str) -> None:
    """Note of which templates marks stand in `text`."""
    for name, mark in FORMS.items():
        if forms is not None and mark in text:
            forms[name].append(line)


def _asked(example: Example) -> Any:
    """The messages of an example up to its answer, of a preference the chosen one; that is the last of them."""
    return example["messages"][: len(example["prompt"]) + 1] if is_pair(example) else example["messages"]


def _spaced_apart(pair: Example) -> bool:
    """Whether what is said in the two answers is the same but for its white space."""
    chosen, rejected = ([said(one).split() for one in pair[side]] for side in SIDES)
    return chosen == rejected


class _Check:
    """One check on its way: what is kept while the lines go by, and the rules,
    for a line and for all lines together."""

    def __init__(
        self, path: Path | str, tokenizer: Any, max_tokens: int | None, held_out: Path | str | None, last_only: bool
    ) -> None:
        self.path, self.held_out, self.last_only = Path(path), held_out, last_only
        self.unit, self.found, self.layouts = unit(path), Found(), Counter[str]()
        unfit = list(template.unfit(tokenizer))
        self.found.take(None, unfit)
        # None where nothing can be encoded with the tokenizer of the base
        self.base, self.tokenizer = tokenizer, None if unfit else tokenizer
        self.limit = tokens.limit_of(tokenizer, max_tokens) if tokenizer else None
        self.marks = tuple(dict.fromkeys([*template.marks_of(tokenizer), *MARKS]))
        # tokens of each conversation, or without a tokenizer its characters
        self.given, self.taught = array("L"), array("L")
        # good lines, answers in them, and those of them that are learned
        self.good = self.answers = self.learned = 0
        self.compared, self.likeness, self.questions = Compared(), Likeness(), AskedQuestions()
        self.personal = PersonalData()
        # what was worked out for the first line with a code, and is said of all
        self.known: dict[str, Any] = {}
        self.texts: dict[str, str] = {}
        # the lines that write their thinking, or marks of a template, in each way
        self.thinking, self.forms = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
        # whether every answer so far is a label of a word or two
        self.labels = True
        # of a short file, what its different answers begin and end with, as keys
        self.different: dict[str, None] = {}
        # the line on which each rule for the base is tried
        self.samples: dict[Callable[[Any, Example], Iterator[template.Finding]], Example] = {}
        # the line that is shown, and how long it is
        self.shown: tuple[int, Example] | None = None
        self.shown_size = 0

    def run(self, progress: Progress | None) -> DataReport:
        """Read the file, and say what was found."""
        good = _good(self.path, self.found, self.layouts, progress, self.texts, self.forms)
        for line, example, sizes in tokens.measured(self.tokenizer, good, self.limit, last_only=self.last_only):
            if isinstance(sizes, Fault):
                self.found.add(sizes.code, WRONG, line, str(sizes))
            else:
                self._add(line, example, sizes)
        if self.layouts["prompt and completion"]:
            self.found.misspelt(
                PROMPTS, "a name looks misspelt, since other lines have prompt and completion. Mend it."
            )
        self._whole_file()
        return self._report()

    def _add(self, line: int, example: Example, sizes: tokens.LineSizes) -> None:
        """Count a good line, say what is found in it, and keep what later lines and the base are held against."""
        pair, messages = is_pair(example), tokens.conversations_in(example)[0]["messages"]
        self.good += 1
        self.answers += len(answers_in(messages))
        self.learned += sizes.answers
        self.found.take(line, self._of_a_line(example, sizes, messages))
        private = self.personal.add(self.found, line, messages + example["rejected"] if pair else messages)
        for reason in unread_fields(example, SIDES if pair else ()):
            self.found.add("unread_field", LOOK, line, reason)
        for one in filter(None, (sizes, sizes.rejected)):
            self.given.append(one.given)
            self.taught.append(one.taught)
        if sizes.rejected:
            self.compared = self.compared.add(sizes.taught, sizes.rejected.taught)
            self.likeness.add_pair(line, example["prompt"], example["chosen"], example["rejected"])
        else:
            self.likeness.add(line, messages, judged=bool(verdict(example)))
        answer = said(example["messages"][-1])
        if not pair and self.good <= SHORT_FILE:
            self.different[answer[:200] + answer[200:][-200:]] = None
        self.labels = self.labels and len(answer.split()) < 3
        for way, there in (
            ("think tags", "<think>" in answer),
            (THOUGHTS[0], any(map(example["messages"][-1].get, THOUGHTS))),
        ):
            if there:
                self.thinking[way].append(line)
        _note_forms(self.forms, line, "\n".join(map(said, messages)))
        if self.held_out is not None:
            self.questions.add(line, _asked(example))
        known = self.samples.setdefault(template.of_the_template, example)
        if not known["messages"][-1].get("content"):
            self.samples[template.of_the_template] = example
        if example.get("tools"):
            self.samples.setdefault(template.of_tools, example)
        if "<think>" in answer:
            self.samples.setdefault(template.of_thinking, example)
        if not private and (not self.shown or sizes.total <= SHORT < self.shown_size):
            self.shown, self.shown_size = (line, example), sizes.total

    def _of_a_line(
        self, example: Example, sizes: tokens.LineSizes, messages: list[dict[str, Any]]
    ) -> Iterator[template.Finding]:
        """(code, severity, sentence) of everything that is found in a line."""
        pair, judged = is_pair(example), verdict(example)
        if sizes.only_last:
            # TRL 1.16 and Unsloth: of "messages", all that the template writes is learned,
            # or with assistant_only_loss all answers in it
            yield (
                "only_last_answer",
                NOTE,
                f"of its {len(answers_in(messages))} answers only the last is learned here: {sizes.only_last}. "
                "Trainers that learn all that the template writes, as TRL's, learn what it writes of the others, too. "
                "For each to be learned as it will be asked, write a line for each answer.",
            )
        if pair and _spaced_apart(example):
            yield (
                "same_but_spaces",
                LOOK,
                "its two answers differ in white space alone, so the model would learn that and nothing else: change "
                "one of them, or take the line out.",
            )
        found: dict[str, str] = {}
        for side in [example["prompt"] + example["rejected"], messages] if pair else [messages]:
            # a bad answer may well be a refusal, or run in circles
            bad = side is not messages or (judged and not judged[1])
            found |= {code: one for code, one in self._remarks(side, example) if not (bad and code in OF_GOOD_ONES)}
        whole = tokens.conversations_in(example)[0]
        found |= {code: self._once(code, tokens.remark, code, self.tokenizer, whole) for code in sizes.remarks}
        for code, sentence in found.items():
            mild = code in MILD or (code in OF_TEMPLATES and self.texts.keys() - set(TEXTS))
            yield code, NOTE if mild else LOOK, sentence
        longest = max(one.total for one in (sizes, sizes.rejected) if one)
        if self.tokenizer and longest > TRL_CUTS:
            yield (
                "cut_by_trl",
                NOTE,
                f"it has {longest:,} tokens, of which TRL's trainers keep the first {TRL_CUTS:,} and say nothing: set "
                "their max_length. This course cuts nothing.",
            )
        if not pair and (weight := unlearned(messages)):
            yield "weight_0", NOTE, weight
        if not pair and judged:
            yield (
                "kto_label",
                NOTE,
                f"its field {judged[0]} seems to say whether the answer is good, as KTO's trainers read it (TRL's with "
                "prompt, completion and label): for KTO, leave it so; here and in SFT all answers are learned, "
                "so take out the lines where it is false.",
            )
        for code, written in written_otherwise(example).items():
            if told := self._once(code, template.of_what_is_written, self.tokenizer, code, example, written):
                yield code, *told

    def _once(self, code: str, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` says of the first line with this code; of all others the same is said."""
        if code not in self.known:
            self.known[code] = work(*given)
        return self.known[code]

    def _remarks(self, messages: list[dict[str, Any]], example: Example) -> Iterator[tuple[str, str]]:
        # a base that does not refuse it writes it where it stands, or system_left_out says so
        settled = ["misplaced_system", "greeting"] if self.tokenizer else []
        if any(example.get(name) for name in SEEN_OR_HEARD):
            settled.append("picture_in_text")
            yield "picture_beside", PICTURE_LEARNS
        if self.tokenizer and template.repairs_thinking(self.tokenizer, {**example, "messages": messages}):
            settled.append("think_block_open")
        yield from ((code, sentence) for code, sentence in remarks(messages, self.marks) if code not in settled)
        yield from of_calls(messages, example.get("tools"))

    def _whole_file(self) -> None:
        """Say what only all lines together show, and what the base does to each."""
        self.personal.tell(self.found, self.unit)
        if has_mark(self.path):
            self.found.add(
                "bom",
                NOTE,
                1,
                "the file begins with a byte-order mark, which some readers take for a part of the text "
                "(Python's json among them): save it without.",
            )
        share, same = self.likeness.commonest()
        self.found.take(None, self._of_all_lines(share, same))
        for code, lines, sentence in self._of_some_lines(share, same):
            for line in lines:
                self.found.add(code, LOOK, line, sentence)
            self.found.reword(code, LOOK, sentence)
        for alike in self.likeness.found():
            self.found.add(alike.code, LOOK, alike.line, ALIKE[alike.code].format(f"{self.unit} {alike.other}"))
        if self.held_out is not None:
            self._leaks(self.held_out)
        for rule in (template.of_the_template, template.of_tools, template.of_thinking):
            if self.tokenizer and rule in self.samples:
                self.found.take(None, rule(self.tokenizer, self.samples[rule]))
        self.found.take(None, self._of_texts())
        self.found.take(None, self._of_few())

    def _of_all_lines(self, share: float, same: list[int]) -> Iterator[template.Finding]:
        """(code, severity, sentence) of how the file is written, and of what its answers share."""
        if (sign := delimiter(self.path)) not in (",", ""):
            yield (
                "delimiter",
                NOTE,
                "its cells are not parted by commas, as load_dataset and pandas expect of a .csv: give "
                f"them sep={json.dumps(sign)}.",
            )
        if len(self.layouts) > 1:
            words = ", ".join(f"{count:,} as {name}" for name, count in self.layouts.most_common())
            yield "mixed_layouts", LOOK, f"the lines are in several layouts ({words}): use one."
        if GUESSED.name in self.layouts:
            yield (
                "prompt_guessed",
                NOTE,
                "what both texts of a pair begin with was taken for the prompt, as TRL does, so an answer may begin "
                "within a sentence: write the prompt into a field of its own.",
            )
        if self.compared.shortcut:
            yield "length_shortcut", NOTE, self.compared.shortcut
        if share >= ONE_ANSWER:
            yield (
                "one_answer",
                LOOK,
                f"{len(same):,} of its questions, {share:.0%}, have one and the same answer, so the model "
                "learns to give it whatever is asked: add lines with others, or look whether a column was mixed up.",
            )
        elif len(self.different) >= SEVERAL and self.good <= SHORT_FILE:
            frame, parts = frame_of(list(self.different)), self.tokenizer.tokenize if self.tokenizer else str
            share = sum(map(frame.holds, self.different)) * frame.size(parts) / max(1, sum(self.taught))
            both = (f"{does} with {shown(one)}" for does, one in zip(("begin", "end"), frame, strict=True) if one)
            if share > MOSTLY_FRAME:
                yield (
                    "shared_frame",
                    LOOK if self.good < FEW else NOTE,
                    f"nearly all answers {' and '.join(both)}, which is {share:.0%} of what they say: a low loss may "
                    "mean that the model has learned this alone, and gives one sentence to every question. Read the "
                    "answers to questions that it has not seen. More lines, a shorter frame or a larger base help.",
                )

    def _of_some_lines(self, share: float, same: list[int]) -> Iterator[tuple[str, list[int], str]]:
        """(code, lines, sentence) of what some lines share, and others do not."""
        if len(same) > 1 and COMMON_ANSWER <= share < ONE_ANSWER and not self.labels:
            yield (
                "common_answer",
                same,
                f"{len(same):,} different questions, {share:.0%} of all, have one and the same answer (that of "
                f"{self.unit} {same[0]}), so the model learns to give it where it is unsure: keep a few of them.",
            )
        for code, ways, mend in (
            ("mixed_thinking", self.thinking, "write all of it in one way, or the template shows two"),
            ("mixed_marks", self.forms, "a tokenizer has the marks of one template alone: write the others anew"),
        ):
            if len(ways) > 1:
                usual = max(ways, key=lambda way: len(ways[way]))
                others = sorted({line for way, lines in ways.items() for line in lines if way != usual})
                words = ", ".join(f"{way} in {len(lines):,}" for way, lines in ways.items())
                yield code, others, f"the {self.unit}s are written in several ways ({words}): {mend}."

    def _of_texts(self) -> Iterator[template.Finding]:
        """What TRL does to texts that it takes as they stand, on this base."""
        pairs = self.texts.keys() - set(TEXTS)
        if self.base and pairs and not getattr(self.base, "chat_template", True):
            self.found.reword("no_template", LOOK, f"{template.NO_TEMPLATE} {template.TEXTS_AS_THEY_ARE}")
        elif self.tokenizer and pairs:
            yield "texts_without_template", NOTE, template.TEXTS_WITHOUT_TEMPLATE
        if self.base and any(tokens.begins_twice(self.base, text) for text in self.texts.values()):
            bos = self.base.bos_token
            yield (
                "bos_in_text",
                LOOK,
                f"the text begins with {bos}, and the tokenizer puts another before it, so TRL trains on both: where "
                f"you train on the texts as they are, take {bos} off the beginning of each.",
            )

    def _of_few(self) -> Iterator[template.Finding]:
        """What to expect of so few good lines; without one, what is wrong with each says it all."""
        if 0 < self.good < LEAST:
            yield (
                "too_few",
                LOOK,
                f"{self.good} line{'' if self.good == 1 else 's'} can be used, and some must be held out "
                f"to judge by: write at least {LEAST}, and better a dozen.",
            )
        elif LEAST <= self.good < FEW:
            yield (
                "too_few",
                NOTE,
                f"{self.good} lines can teach a tone or a format, hardly facts: write more, or hold a few out and read "
                "the answers to them yourself.",
            )

    def _leaks(self, held_out: Path | str) -> None:
        questions, faults, their = AskedQuestions(), Found(), unit(held_out)
        for line, example in _good(held_out, faults, Counter()):
            questions.add(line, _asked(example))
        for problem in (one for one in faults.sorted() if one.severity == WRONG):
            several = f"{problem.count:,} {their}s (first {problem.line})"
            place = f"{their} {problem.line}" if problem.count == 1 else several
            self.found.add(
                "held_out_line",
                LOOK,
                None,
                f"{place} of the held-out file cannot be used, so nothing was compared with it: {problem.sentence}",
            )
        for alike in leaks(self.questions, questions):
            self.found.add(alike.code, LOOK, alike.line, ALIKE[alike.code].format(f"{their} {alike.other}"))

    def _report(self) -> DataReport:
        problems, on_base = self.found.sorted(), self.tokenizer is not None
        sizes, share = lengths(self.given, self.taught) if on_base else (None, None)
        seen = self.shown if on_base else None
        return DataReport(
            path=self.path.name,
            lines=self.good + sum(one.count for one in problems if one.severity == WRONG and one.lines),
            good=self.good,
            layouts=dict(self.layouts.most_common()),
            problems=problems,
            tokens=sizes,
            supervised=share,
            answers=self.answers if on_base else None,
            learned=self.learned if on_base else None,
            compared=self.compared if self.compared.pairs else None,
            max_tokens=self.limit,
            example=as_seen(self.tokenizer, *seen, last_only=self.last_only) if seen else None,
            unit=self.unit,
        )
