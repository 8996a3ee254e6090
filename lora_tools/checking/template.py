"""What tokenizer and chat template do to every line of a file, seen on one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2

from lora_lessons.errors import STUMBLES
from lora_lessons.machine import version
from lora_lessons.tasks.jsonl import calls_in, function_of, said, shown
from lora_lessons.tasks.preferences import is_pair
from lora_lessons.tasks.templates import REFUSALS, THOUGHTS, longest_word, shown_with, without_thinking, written

from .problems import LOOK, NOTE, WRONG
from .tokens import begins_twice, where_it_stays

Example = dict[str, Any]
# code, severity, sentence
Finding = tuple[str, str, str]


NO_TEMPLATE = (
    "this base has no chat template, so nobody can say what it would see of a conversation: check with the instruct "
    "model's tokenizer, or set a template."
)
# huggingface/trl#3468 (2025-05-19), and so in TRL 1.16 (run)
TEXTS_AS_THEY_ARE = (
    "TRL puts a prompt and an answer that are text one behind the other, with nothing between and the end token behind."
)
TEXTS_WITHOUT_TEMPLATE = (
    "prompt and answer are text: TRL trains on one behind the other, without the chat template and with nothing "
    "between (trl#3468), while a chat asks the model in the template, as this course does. For TRL, "
    "write both as lists of messages."
)
# How some write a conversation, and what to write for a template that does not take it so.
OTHERWISE = {
    "content_parts": ("the content of its messages is a list of parts, read here as one text", "write the text itself"),
    "developer_role": ("its instruction has the role developer, read here as system", "give it the role system"),
}


def of_what_is_written(
    tokenizer: Any, code: str, example: Example, messages: list[dict[str, Any]]
) -> tuple[str, str] | None:
    """Severity and sentence of a line whose `messages` were read in the way that most templates take.

    None where the template takes them as they were written, too.
    """
    reason, todo = OTHERWISE[code]
    if tokenizer is None:
        return NOTE, f"{reason}: some chat templates take it so and others do not. See with --base, or {todo}."
    try:
        beside = shown_with(tokenizer, example)
        if written(tokenizer, messages, beside) == written(tokenizer, example["messages"], beside):
            return None
        does = "makes something else of it as it stands"
    except (*REFUSALS, ValueError):
        does = "refuses it as it stands"
    return LOOK, f"{reason}, and this chat template {does}: {todo}."


def marks_of(tokenizer: Any) -> tuple[str, ...]:
    """The texts that the tokenizer makes one special token of, wherever they stand."""
    return tuple(token for token in getattr(tokenizer, "all_special_tokens", ()) if len(token) > 2)


def unfit(tokenizer: Any) -> Iterator[Finding]:
    """(code, severity, sentence) of why nothing can be encoded with a tokenizer."""
    if tokenizer is not None and not getattr(tokenizer, "chat_template", True):
        yield "no_template", LOOK, NO_TEMPLATE
    elif tokenizer is not None and not tokenizer.eos_token:
        yield (
            "eos_never_supervised",
            WRONG,
            "the tokenizer names no end token, so no answer could end: set tokenizer.eos_token.",
        )


def of_the_template(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """(code, severity, sentence) of what tokenizer and chat template do to every line, seen on one."""
    end = tokenizer.eos_token
    asked, whole = written(tokenizer, example["messages"], shown_with(tokenizer, example))
    last = example["messages"][-1]
    # a template may write its thinking in another way
    says = (without_thinking(last).get("content") or "").strip()
    answer = says or str(next((call["name"] for call in calls_in(last)), last.get("content"))).strip()
    after = whole.rpartition(answer)[2].strip()
    # what ends a call is often another token than what ends an answer
    if says and says in whole:
        yield from _end(tokenizer, asked, after, end)
    yield from _asks(tokenizer, example, asked, whole)
    yield from _merged(tokenizer, asked, whole)
    begin = getattr(tokenizer, "bos_token_id", None)
    begins = [] if begin is None else list(tokenizer(whole)["input_ids"][:1])
    # unslothai/notebooks#251 (2026-04-21)
    if begins == [begin] != list(tokenizer(whole, add_special_tokens=False)["input_ids"][:1]):
        yield (
            "bos_missing",
            NOTE,
            f"the tokenizer puts {tokenizer.bos_token} before every text, and the template writes none: "
            "TRL and this course train on what the template writes, so without it (transformers#27634). If "
            "the base was trained with it, begin the template with {{ bos_token }}.",
        )
    if begins_twice(tokenizer, whole):
        yield (
            "bos_twice",
            NOTE,
            f"the template writes {tokenizer.bos_token}, and the tokenizer puts another before any text: "
            "where you tokenize the template's text yourself, pass add_special_tokens=False, as TRL and "
            "this course do.",
        )
    template = getattr(tokenizer, "chat_template", "") or ""
    if isinstance(template, str) and re.search(r"\{%-?\s*generation\b", template):
        yield from _marked(tokenizer, example, asked, answer, after)
    elif isinstance(template, str) and not is_pair(example):
        yield (
            "no_generation_marks",
            NOTE,
            f"the template has no {{% generation %}} marks: with assistant_only_loss=True, {_of_trl(template)}.",
        )
    pad = getattr(tokenizer, "pad_token", None)
    # Phi-3 ends an answer with another token, and the whole with this one
    if (pad is None or pad == end) and after.startswith(end):
        reason = "padding has no token of its own" if pad is None else f"padding and end are the same token, {end}"
        yield (
            "pad_is_eos",
            NOTE,
            f"{reason}: TRL and this course mask padding by position, so nothing is lost. transformers' "
            "DataCollatorForLanguageModeling masks by the token, every end as well, and the model never "
            "stops: set another pad token there.",
        )


def _of_trl(template: str) -> str:
    """What TRL makes of assistant_only_loss with this unmarked template (`get_training_chat_template`, 1.16):
    it knows some by their text."""
    todo = "use prompt and completion, of which the completion alone is learned, or add the marks"
    found = find_spec("trl")
    if not (found and found.origin):
        return f"TRL takes a marked copy where it has one of this very template, and stops where it has none: {todo}"
    marked = Path(found.origin).parent.glob("chat_templates/*_training.jinja")
    originals = (path.with_name(path.name.replace("_training", "")) for path in marked)
    if any(path.is_file() and path.read_text(encoding="utf-8") == template for path in originals):
        return "TRL takes its own marked copy of it"
    return f"TRL {version('trl')} stops, since it has no marked copy of it: {todo}"


def _asks(tokenizer: Any, example: Example, asked: str, whole: str) -> Iterator[Finding]:
    """Whether the template opens an answer before it, or behind it, whatever add_generation_prompt says."""
    *before, last = example["messages"]
    said, beside = (last.get("content") or "").strip(), shown_with(tokenizer, example)
    answered = whole[len(asked) :]
    thinks = any(last.get(name) for name in THOUGHTS)
    # after a tool's answer some go on in the same turn
    if not said or said not in answered or thinks or before[-1]["role"] == "tool":
        return
    if tokenizer.apply_chat_template(before, tokenize=False, **beside) != asked:
        return
    opens, _, after = answered.partition(said)
    # the last mark behind the end, where there are several
    behind = re.split("|".join(map(re.escape, marks_of(tokenizer))) or r"\Z", after.strip(), maxsplit=1)[-1].strip()
    if opens.strip():
        yield (
            "asks_without_opening",
            LOOK,
            f"the template writes {opens.strip()} before an answer, and not where it asks: it does not "
            "look at add_generation_prompt, so that is learned as a part of the answer, and the model has "
            "to write it itself (instructlab/training#232). Write it under {% if add_generation_prompt %}, "
            "too.",
        )
    elif behind and asked.rstrip().endswith(behind):
        yield (
            "asks_always",
            LOOK,
            f"the template opens a further answer behind each, with {behind}: it ignores "
            "add_generation_prompt, so that is learned, too. Write it under {% if add_generation_prompt %}.",
        )


def _marked(tokenizer: Any, example: Example, asked: str, answer: str, after: str) -> Iterator[Finding]:
    """What the template's {% generation %} marks leave out of the answer, all of it or its end,
    or take in before it."""
    how = {"return_dict": True, "return_assistant_tokens_mask": True, **shown_with(tokenizer, example)}
    try:
        made = tokenizer.apply_chat_template(example["messages"], **how)
    except (jinja2.TemplateError, NotImplementedError, *STUMBLES):
        return
    learned = tokenizer.decode([one for one, on in zip(made["input_ids"], made["assistant_masks"], strict=True) if on])
    mark = min((mark for mark in marks_of(tokenizer) if mark in after), key=after.find, default="")
    # whose white space a tokenizer may have changed
    if longest_word(answer) not in learned:
        yield (
            "generation_marks",
            LOOK,
            "the template's {% generation %} marks leave the answer out, so assistant_only_loss=True "
            "teaches none: put them around what the assistant says and its end.",
        )
    elif mark and mark not in learned.rpartition(answer)[2]:
        yield (
            "generation_marks",
            LOOK,
            f"the template's {{% generation %}} marks leave {mark} out, so with assistant_only_loss=True "
            "the model never learns to stop (trl#5988): put {% endgeneration %} behind it. This course "
            "teaches it.",
        )
    elif header := _learned_before(tokenizer, asked, made["input_ids"], made["assistant_masks"]):
        yield (
            "generation_marks",
            LOOK,
            f"the template's {{% generation %}} marks take in {shown(header)}, which the model is given "
            "where it is asked, so with assistant_only_loss=True that is learned besides the answer "
            "(trl#5721): put {% generation %} behind it. This course learns the answer alone.",
        )


def _learned_before(tokenizer: Any, asked: str, ids: list[int], masks: list[int]) -> str:
    """What is learned of the text with which the last answer is asked for, up to its end;
    "" where that is no header."""
    question = tokenizer(asked, add_special_tokens=False)["input_ids"]
    begin = end = len(question)
    if ids[:end] != question:
        return ""
    while begin and masks[begin - 1]:
        begin -= 1
    header = tokenizer.decode(ids[begin:end]).strip()
    # an answer of gpt-oss and its like is several messages, and it writes the header of a further one itself
    own = not re.sub(r"</?think>|\s", "", header) or header.startswith("<|start|>")
    return "" if own else header


def repairs_thinking(tokenizer: Any, example: Example) -> bool:
    """Whether the template writes answers that only close a think block as if they opened it,
    and keeps their thinking."""
    thoughts = [one["content"].partition("</think>")[0].strip() for one in example["messages"] if _closes_alone(one)]
    if not thoughts:
        return False
    messages = [
        {**one, "content": f"<think>\n{one['content']}"} if _closes_alone(one) else one for one in example["messages"]
    ]
    try:
        beside = shown_with(tokenizer, example)
        _, whole = written(tokenizer, example["messages"], beside)
        return whole == written(tokenizer, messages, beside)[1] and all(thought in whole for thought in thoughts)
    except (*REFUSALS, ValueError):
        return False


def _closes_alone(message: dict[str, Any]) -> bool:
    """Whether an answer ends a think block, once, that it did not open."""
    said = message.get("content") or ""
    return message["role"] == "assistant" and "<think>" not in said and said.count("</think>") == 1


def _merged(tokenizer: Any, asked: str, whole: str) -> Iterator[Finding]:
    """Whether the question's last characters and the answer's first become one token."""
    question, both = tokenizer([asked, whole], add_special_tokens=False)["input_ids"]
    if both[: len(question)] != question:
        yield (
            "prompt_is_no_prefix",
            NOTE,
            f"{asked[-1:]!r} at the end of a question and {whole[len(asked) :][:1]!r} at the begin of an "
            "answer become one token, so a question's tokens are not how question and answer begin: TRL "
            "leaves the end of the question out of training (trl#5213). This course keeps the question as "
            "the model will be asked it, so there is nothing to change here.",
        )


def of_tools(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """Whether the template shows the tools that stand beside a conversation."""
    beside = shown_with(tokenizer, example)
    without = {name: value for name, value in beside.items() if name != "tools"}
    try:
        same = written(tokenizer, example["messages"], beside) == written(tokenizer, example["messages"], without)
    except (jinja2.TemplateError, *STUMBLES):  # it cannot do without them
        same = False
    told = "\n".join(said(one) for one in example["messages"] if one["role"] == "system")
    names = [str(function_of(tool).get("name")) for tool in beside["tools"]]
    if same and not all(name in told for name in names):
        yield (
            "tools_not_shown",
            LOOK,
            "the template does not show what the field tools says, so the model would not know what it can "
            "call: describe the tools in a system message, or use another base.",
        )


def of_thinking(tokenizer: Any, example: Example) -> Iterator[Finding]:
    """Whether an answer's <think> is plain words to a template whose model thinks in another way."""
    todo = where_it_stays(tokenizer, example)
    # fw-ai/cookbook#554 (2026-07-06) and lmstudio-bug-tracker#2013 (2026-06-05), of Gemma 4
    if "<think>" not in str(tokenizer.chat_template) and "<think>" not in todo:
        yield (
            "think_as_text",
            LOOK,
            "the thinking in answers stands between <think> and </think>, which this template writes as "
            f"plain words, since its model thinks in another way: {todo}.",
        )


def _end(tokenizer: Any, asked: str, after: str, end: str) -> Iterator[Finding]:
    """What is wrong with the text that the template writes `after` an answer."""
    stops = tokenizer.convert_ids_to_tokens(_stops(tokenizer))
    if any(one and one in after for one in (end, *stops)):
        return
    own = {str(one) for one in getattr(tokenizer, "added_tokens_decoder", {}).values() if one.special}
    marks = sorted((mark for mark in {*marks_of(tokenizer), *own} if mark in after), key=after.find)
    last = max(marks, key=after.rfind, default=None)
    # the last mark behind an answer ends it, unless the template opens a further answer there
    mark = marks[0] if last and asked.rstrip().endswith(after[after.rfind(last) :]) else last
    reason = f"the template ends an answer with {mark}" if mark else "the template writes no end token after an answer"
    does = f"and generation stops at {end}: a trainer that takes the template as it stands never teaches that"
    mend = f"Set eos_token to {mark}, or add {end} to the template." if mark else f"Add {end} to the template."
    # whether mark ends an answer, too, stands in a file that is not here
    if unknown := mark and not stops:
        does = (
            f"and the tokenizer's end token is {end}: that is well where the model's generation_config.json names "
            f"{mark}, too, as Gemma's does"
        )
        mend = (
            f"Where not, set eos_token to {mark} (in TRL, SFTConfig(eos_token=...)), or the model does not stop there."
        )
    yield "eos_never_supervised", NOTE if unknown else LOOK, f"{reason}, {does}. {mend} This course adds {end}."


def _stops(tokenizer: Any) -> list[int]:
    """The further tokens at which the base ends an answer, where its folder says so."""
    place = str(getattr(tokenizer, "name_or_path", "") or "")
    from lora_lessons.models.configs import stop_tokens

    return stop_tokens(Path(place)) if place else []
