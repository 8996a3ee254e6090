"""The layouts that training files have, made into one, {"messages": [...]}.

A preference is a conversation with a second answer: beside its messages, which end with the chosen answer, stand
prompt, chosen and rejected, each a list of messages, as TRL's trainers take them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from operator import itemgetter
from typing import Any, NamedTuple

from lora_lessons.tasks.jsonl import APART, CHAT, Fault, check_messages, shown
from lora_lessons.tasks.preferences import SIDES, parted
from lora_lessons.tasks.templates import out_of_text

from .traces import OLD_FORM

# How ShareGPT and its followers call the roles.
SPEAKERS = {"human": "user", "gpt": "assistant", "model": "assistant"}
KNOWN = (
    f'{CHAT}, {{"conversations": [...]}}, prompt and completion, instruction and output, or prompt, chosen and rejected'
)


class Layout(NamedTuple):
    """A way to write a conversation: its name, the fields it must have, those it may have, and how it is read."""

    name: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    read: Callable[[dict[str, Any]], Any]


def _sharegpt(record: dict[str, Any]) -> Any:
    turns = record["conversations"]
    if not isinstance(turns, list):
        return turns
    return _system(record) + [_said(turn) for turn in turns]


def _turns(said: Any) -> list[Any]:
    """The turns of an answer, which may be one turn without a list around it."""
    return [_said(turn) for turn in (said if isinstance(said, list) else [said])]


def _said(turn: Any) -> Any:
    if not isinstance(turn, dict) or not {"from", "value"} <= turn.keys():
        return turn
    speaker = turn["from"]
    more = {name: value for name, value in turn.items() if name not in ("from", "value")}
    return {
        **more,
        "role": SPEAKERS.get(speaker, speaker) if isinstance(speaker, str) else speaker,
        "content": turn["value"],
    }


def _pair(question: str, answer: str, besides: str = "") -> Callable[[dict[str, Any]], Any]:
    """A question and an answer under these names: as texts, or as lists of messages, as TRL writes them too.

    What stands `besides` an instruction goes on with the question, behind an empty line; then both are texts.
    """

    def read(record: dict[str, Any]) -> Any:
        asked, replied = record[question], record[answer]
        more = record.get(besides) if besides else None
        if not besides and isinstance(asked, list) and isinstance(replied, list):
            return asked + replied
        if isinstance(asked, str) and isinstance(more, str) and more.strip():
            asked = f"{asked}\n\n{more}"
        return [*_system(record), {"role": "user", "content": asked}, {"role": "assistant", "content": replied}]

    return read


def _system(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The system message, where a field beside the question holds one."""
    text = record.get("system")
    return [{"role": "system", "content": text}] if text else []


# ---- preferences: each function reads both conversations, the chosen one first ----

Both = tuple[list[Any], list[Any]]


def _preference(asked: Callable[[str], Callable[[dict[str, Any]], Any]]) -> Callable[[dict[str, Any]], Both]:
    """Two conversations, each read as a conversation with that answer alone would be."""

    def read(record: dict[str, Any]) -> Both:
        _check_sides(record)
        chosen, rejected = (asked(side)(record) for side in SIDES)
        return chosen, rejected

    return read


def _behind_turns(answer: str) -> Callable[[dict[str, Any]], Any]:
    """ShareGPT's turns, and this answer behind them, as LLaMA-Factory's files have it."""

    def read(record: dict[str, Any]) -> Any:
        turns = _sharegpt(record)
        return [*turns, *_turns(record[answer])] if isinstance(turns, list) else turns

    return read


def _check_sides(record: dict[str, Any]) -> None:
    """Raise Fault unless both answers hold something, and are of one kind."""
    for side in SIDES:
        value = record[side]
        if not value or (isinstance(value, str) and not value.strip()):
            raise Fault("empty_answer", f"{side} is empty: write the answer, or take the line out.")
        if not isinstance(value, str | list | dict):
            raise Fault("no_text", f'{side} must be text, such as "Hello.", or messages, not {shown(value)}.')
    if len({isinstance(record[side], str) for side in SIDES}) > 1:
        raise Fault("no_text", "of chosen and rejected, one is text and the other a list: write both in the same way.")


def _prompted(record: dict[str, Any]) -> Both:
    """A prompt and two answers: texts, or lists of messages; with a text as prompt,
    messages may be whole conversations."""
    _check_sides(record)
    prompt, sides = record["prompt"], [record[side] for side in SIDES]
    if isinstance(prompt, list) and not isinstance(sides[0], str):
        turns = [_turns(side) for side in sides]
        _check_once(len(prompt), all(side[: len(prompt)] == prompt for side in turns))
        return prompt + turns[0], prompt + turns[1]
    if isinstance(prompt, list):
        raise Fault("no_text", "the prompt is a list and the answers are text: write all three in the same way.")
    if isinstance(sides[0], str):
        _check_once(
            isinstance(prompt, str) and len(prompt.split()) >= LONG_ENOUGH,
            all(side.startswith(str(prompt)) for side in sides),
        )
        chosen, rejected = (_pair("prompt", side)(record) for side in SIDES)
        return chosen, rejected
    chosen, rejected = (_turns(side) for side in sides)
    asked = {"role": "user", "content": prompt}
    begins = [side[0].get("role") for side in (chosen, rejected) if isinstance(side[0], dict)]
    if begins == ["assistant"] * 2:
        before = [*_system(record), asked]
        return before + chosen, before + rejected
    if asked not in chosen or asked not in rejected:
        raise Fault(
            "prompt_not_shared",
            "what the field prompt says is no message of the user in both chosen and rejected: correct it, "
            "or leave the field out.",
        )
    return chosen, rejected


# Words; a shorter prompt, such as "Hello", may well be how two answers begin.
LONG_ENOUGH = 5


def _check_once(can_be_told: Any, begins_both: bool) -> None:
    """Raise Fault where both answers begin with a prompt that has a field of its own, and is long enough to tell."""
    if can_be_told and begins_both:
        raise Fault(
            "prompt_twice",
            "chosen and rejected begin with the prompt, which stands in a field of its own, so it would be "
            "given twice: take it out of both, or leave the field out.",
        )


def _unprompted(record: dict[str, Any]) -> Both:
    """Two whole conversations, as lists of messages or as text; what both begin with is the prompt."""
    _check_sides(record)
    sides = [record[side] for side in SIDES]
    chosen, rejected = (_spoken(side) if isinstance(side, str) else _turns(side) for side in sides)
    if not (_asks(chosen) and _asks(rejected)) and (field := _question_in(record)):
        # its prompt_strategies/dpo/chat_template.py (read in November 2026)
        code, who = (OTHERS, ", as axolotl does") if isinstance(record[field], list) else ("prompt_not_shared", "")
        raise Fault(
            code,
            f"its fields are {shown(list(record))}: the question stands in {field[:40]}, where neither TRL "
            f"nor this course looks for that of a preference{who}. Rename this field to prompt.",
        )
    if not isinstance(sides[0], str) or (chosen and rejected):
        return chosen, rejected
    begins = re.sub(r"\S*\Z", "", os.path.commonprefix(sides))
    if not begins.strip():
        raise Fault(
            "prompt_not_shared", f"no word begins both chosen and rejected, so nothing is asked: {_WRITE_PROMPT}."
        )
    chosen, rejected = (
        [{"role": "user", "content": begins.strip()}, {"role": "assistant", "content": text[len(begins) :].strip()}]
        for text in sides
    )
    return chosen, rejected


# Fields in which files keep what the two answers answer, as text; as messages it may stand in any.
_QUESTIONS = ("messages", "input", "query", "conversation", "problem")


def _question_in(record: dict[str, Any]) -> str:
    """The field beside both answers that holds what they answer, which neither repeats; "" where there is none."""
    for name, value in record.items():
        if name in SIDES or not value:
            continue
        if isinstance(value, list) and _is_by(value[-1], "user"):
            return name
        repeated = [str(record[side]).startswith(str(value)) for side in SIDES]
        if isinstance(value, str) and value.strip() and name.lower() in _QUESTIONS and not any(repeated):
            return name
    return ""


def _asks(turns: list[Any]) -> bool:
    """Whether somebody is asked something in these messages."""
    return any(_is_by(turn, "user") for turn in turns[:-1])


def _is_by(turn: Any, role: str) -> bool:
    said = _said(turn)
    return isinstance(said, dict) and said.get("role") == role


_WRITE_PROMPT = "write the question into a field prompt, and take it out of both"
# Turns in one text, as Anthropic's hh-rlhf has them (its card on the hub).
_SPEAKS = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


def _spoken(text: str) -> list[Any]:
    """The messages of a text in which Human and Assistant speak; none where they do not."""
    begins, *rest = _SPEAKS.split(text.strip())
    if begins or not rest:
        return []
    roles = ("user" if who == "Human" else "assistant" for who in rest[::2])
    return [{"role": role, "content": said.strip()} for role, said in zip(roles, rest[1::2], strict=True)]


# What a record has decides; of several that fit, the first.
PREFERENCES = (
    Layout("preferences", ("prompt", *SIDES), ("system",), _prompted),
    Layout(
        "preferences in Alpaca's fields",
        ("instruction", *SIDES),
        ("input", "system"),
        _preference(lambda side: _pair("instruction", side, "input")),
    ),
    Layout(
        "preferences on a question",
        ("question", *SIDES),
        ("system",),
        _preference(lambda side: _pair("question", side)),
    ),
    Layout(
        "preferences behind ShareGPT's turns",
        ("conversations", *SIDES),
        ("system",),
        _preference(_behind_turns),
    ),
    Layout("preferences without a prompt", SIDES, (), _unprompted),
)
# Two texts that only their common beginning parts into a question and two answers.
GUESSED = PREFERENCES[-1]._replace(name="preferences whose prompt was guessed")
LAYOUTS = (
    *PREFERENCES,
    Layout("chat messages", ("messages",), (), itemgetter("messages")),
    Layout("ShareGPT", ("conversations",), ("system",), _sharegpt),
    Layout("prompt and completion", ("prompt", "completion"), ("system",), _pair("prompt", "completion")),
    Layout("Alpaca", ("instruction", "output"), ("input", "system"), _pair("instruction", "output", "input")),
    Layout("Dolly", ("instruction", "response"), ("context", "system"), _pair("instruction", "response", "context")),
    Layout("prompt and response", ("prompt", "response"), ("system",), _pair("prompt", "response")),
    Layout("question and answer", ("question", "answer"), ("system",), _pair("question", "answer")),
    # ms-swift's page on custom data, and data sets on the hub
    Layout("query and response", ("query", "response"), ("system",), _pair("query", "response")),
    Layout("input and output", ("input", "output"), ("system",), _pair("input", "output")),
)


def layout_of(fields: Collection[str]) -> Layout | None:
    """The layout that these fields make, or None."""
    return next((layout for layout in LAYOUTS if set(layout.needs) <= set(fields)), None)


def known_columns(names: Collection[str]) -> bool:
    """Whether a table with these columns can be read, or it can be said of each row why not."""
    columns = {name.strip().lower() for name in names}
    return layout_of(columns) is not None or not columns.isdisjoint(("text", "prompt"))


# How templates open a turn; with OLD_FORM, what tells a chat that a template has written from other text.
_OPENS = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|turn>|\[INST\]|<\|start_of_role\|>|<\|start\|>"
    r"|<[|｜](?:system|user|assistant|System|User|Assistant)[|｜]>"
)


def rendered_text(record: dict[str, Any]) -> str:
    """The chat that a template has already written into the field text of a record; "" where there is none."""
    text = record.get("text")
    return text if isinstance(text, str) and (_OPENS.search(text) or OLD_FORM.search(text)) else ""


# What TRL takes as a text to learn whole, and this course does not read;
# and all that other trainers take and this course leaves out.
TEXTS = RENDERED, PLAIN = "rendered_text", "plain_text"
PROMPTS, SEEN, OTHERS = "prompt_alone", "picture_part", "other_layout"
ELSEWHERE = (*TEXTS, PROMPTS, SEEN, OTHERS, APART)
# Fields that only other trainers or services read (their pages on data, November 2026): whose,
# and what to write for this course and TRL.
_RENAME = "write what stands in input as prompt, and the two outputs as chosen and rejected"
_ELSEWHERE: dict[tuple[str, ...], tuple[str, str]] = {
    ("input", "preferred_output", "non_preferred_output"): ("preferences for OpenAI, Together or Fireworks", _RENAME),
    ("segments",): ("axolotl's type input_output, whose segments say what is learned", f"write turns as {CHAT}"),
    ("input_ids",): ("tokens already, which TRL and axolotl take as they are", "give the text instead"),
    ("prompt", "completions", "labels"): (
        "steps judged one by one, for a PRM trainer",
        "write the answer as completion",
    ),
}


def _unknown(record: dict[str, Any]) -> Fault:
    """Why a record in no layout is not used; of a field text, what it means to trainers that take one."""
    fields, text = f"its fields are {shown(list(record))}", record.get("text")
    if rendered_text(record):
        return Fault(
            RENDERED,
            "its field text holds a chat that a template has already written: TRL and Unsloth take it so, "
            "and learn the questions as well, unless you mask them; this course reads turns. Write its "
            f"turns as {CHAT}, so that the answers alone can be learned.",
        )
    if isinstance(text, str) and text.strip():
        return Fault(
            PLAIN,
            "its field text is text without turns: TRL's SFTTrainer learns all of it, and an end token "
            "behind it (continued pretraining), and this course reads questions and answers. To teach "
            f"answers, write {CHAT}.",
        )
    for names, (whose, todo) in _ELSEWHERE.items():
        if set(names) <= record.keys() and isinstance(record[names[-1]], list):
            return Fault(OTHERS, f"{fields}: {whose}. For this course and TRL's usual trainers, {todo}.")
    if len(sides := [side for side in SIDES if isinstance(record.get(side), str | list | dict)]) == 1:
        return Fault(
            "half_a_pair",
            f"{fields}: a preference has chosen and rejected, and {'rejected' if 'chosen' in sides else 'chosen'} is "
            "missing. Write it, or take the line out.",
        )
    if record.get("prompt") and "completions" not in record:
        return Fault(
            PROMPTS,
            f"{fields}: a prompt without its answer, as GRPO and RLOO take it (other columns go to the "
            "reward). Fine-tuning (SFT) learns answers: write them into a field completion.",
        )
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and layout_of(value[0]):
            return Fault(
                "unknown_layout",
                f"the examples stand in a list in its field {name[:40]}: write each in a line of its own, "
                f"as `jq -c '.{name[:40]}[]' FILE` does.",
            )
    return Fault("unknown_layout", f"{fields}: expected {KNOWN}.")


def for_trl(layout: Layout, record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(code, sentence) of what is read here and TRL passes over: its SFTTrainer, 1.16,
    and `maybe_convert_to_chatml` (run)."""
    turns = next((record[name] for name in ("conversations", "messages") if name in layout.needs), ())
    said = (str(turn.get("from")) for turn in turns if isinstance(turn, dict))
    if speakers := list(dict.fromkeys(who for who in said if who in SPEAKERS)):
        yield (
            "sharegpt_roles",
            f"TRL hands such roles as {' and '.join(speakers)} to the chat template as they are, and few know them: "
            "Qwen's writes nothing of such a turn. For TRL, write user and assistant; LLaMA-Factory knows human and "
            "gpt.",
        )
    roles = dict.fromkeys(str(turn.get("role", turn.get("from"))) for turn in turns if isinstance(turn, dict))
    # ipython is known to the templates that it comes from
    if odd := [role for role in roles if role in (*CALLS, *ANSWERED) and role != "ipython"]:
        yield (
            "tool_roles",
            f"TRL hands the role {' and the role '.join(odd)} to the chat template as it is, and many, "
            "such as Qwen3's, write nothing of it. For TRL, write the call into tool_calls of an "
            "assistant's message, and its answer with the role tool, as it is read here.",
        )
    if record.get("system") and "system" in layout.may and {"prompt", "conversations"} & record.keys():
        yield (
            "system_beside",
            "its system message stands in a field of its own, which LLaMA-Factory reads, and TRL does not: "
            "for TRL, make it the first message.",
        )


def _check_fields(layout: Layout, record: dict[str, Any]) -> None:
    """Raise Fault, in the words of the file's own columns, unless question and answer are text;
    lists of messages pass."""
    if len(layout.needs) > 1 and all(_is_column(record[name]) for name in layout.needs):
        raise Fault(
            "unknown_layout",
            "it holds whole columns, as pandas' to_json() and datasets' to_dict() write them: write an "
            'object a line (in pandas, to_json(file, orient="records", lines=True)).',
        )
    for name in layout.needs if len(layout.needs) == 2 else ():
        value = record[name]
        if not isinstance(value, str | list):
            raise Fault("no_text", f'the {name} must be text, such as "Hello.", not {shown(value)}.')
    answer = layout.needs[-1]
    if isinstance(record[answer], str) and not record[answer].strip():
        raise Fault("empty_answer", f"the {answer} is empty: write one, or take the line out.")


def _is_column(value: Any) -> bool:
    """Whether a field holds the cells of a column: as a list of texts, or as an object of row numbers."""
    cells = list(value.values()) if isinstance(value, dict) and "0" in value else value
    return isinstance(cells, list) and bool(cells) and all(isinstance(cell, str) for cell in cells)


# ---- what some trainers and programs write otherwise than chat templates take it ----

# LLaMA-Factory's and ms-swift's roles of a tool call and its answer (their pages on data, 2026),
# Llama 3's and OpenAI's old one
CALLS, ANSWERED = ("function_call", "tool_call"), ("observation", "tool_response", "ipython", "function")
# OpenAI's name for the system message
DEVELOPER = "developer"
# The field in which a conversation keeps its messages as they stand in the file, where they were read otherwise.
AS_WRITTEN = "messages_as_written"


def _as_taken(messages: Any) -> Any:
    """`messages` with the roles and the texts that chat templates take; what is no list of messages stays as it is."""
    return [_one_taken(n, one) for n, one in enumerate(messages, 1)] if isinstance(messages, list) else messages


def _one_taken(number: int, message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    role, content = message.get("role"), message.get("content")
    if role in CALLS:
        made = out_of_text(content)
        more = {name: value for name, value in message.items() if name not in ("role", "content")}
        return {
            **more,
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"type": "function", "function": call} for call in (made if isinstance(made, list) else [made])
            ],
        }
    if isinstance(content, list) and content and all(isinstance(part, dict) and "type" in part for part in content):
        if other := [
            part["type"] for part in content if part["type"] != "text" or not isinstance(part.get("text"), str)
        ]:
            seen = re.search("image|video|audio", str(other[0]))
            who = ", while TRL and others train models on it that see or hear" if seen else ""
            raise Fault(
                SEEN if seen else "no_text",
                f"message {number} holds a part of type {shown(other[0])}, and text alone is read "
                f"here{who}. For this course, take it out.",
            )
        message = {**message, "content": "".join(part["text"] for part in content)}
    roles = {DEVELOPER: "system", **dict.fromkeys(ANSWERED, "tool")}
    return {**message, "role": roles[role]} if isinstance(role, str) and role in roles else message


def written_otherwise(example: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Code → the messages of an example with what that code is about as it stands in the file,
    and the rest as it was read."""
    pairs = list(zip(example["messages"], example.get(AS_WRITTEN) or (), strict=False))
    ways = {}
    if any(isinstance(raw.get("content"), list) for _, raw in pairs):
        ways["content_parts"] = [{**read, "content": raw.get("content")} for read, raw in pairs]
    if any(raw["role"] == DEVELOPER for _, raw in pairs):
        ways["developer_role"] = [{**read, "role": raw["role"]} for read, raw in pairs]
    return ways


def _keep(read: Any, taken: Any) -> dict[str, Any]:
    """The field that keeps messages as they were written, where that matters to a template."""
    odd = isinstance(read, list) and any(
        isinstance(one, dict) and (one.get("role") == DEVELOPER or isinstance(one.get("content"), list)) for one in read
    )
    # a call has another form, which no template takes
    return {AS_WRITTEN: [a if a["role"] not in CALLS else b for a, b in zip(read, taken, strict=True)]} if odd else {}


def conversation(record: dict[str, Any]) -> tuple[Layout, dict[str, Any]]:
    """The layout of a record, and the conversation in it: {"messages": [...]} and whatever fields stand beside it.

    Of a preference, {"messages": …, "prompt": …, "chosen": …, "rejected": …}, with the chosen answer in the messages.
    Raises Fault when the fields are none that is known, or what they hold is no conversation.
    """
    layout = layout_of(record)
    if not layout:
        raise _unknown(record)
    others = {name: value for name, value in record.items() if name not in layout.needs + layout.may}
    if layout in PREFERENCES:
        chosen, rejected = layout.read(record)
        pair = parted(_as_taken(chosen), _as_taken(rejected))
        if layout.read is _unprompted and isinstance(record["chosen"], str) and not _spoken(record["chosen"]):
            layout = GUESSED
        messages = pair["prompt"] + pair["chosen"]
        return layout, {**others, "messages": messages, **pair, **_keep(chosen, messages)}
    _check_fields(layout, record)
    read = layout.read(record)
    messages = _as_taken(read)
    check_messages(messages)
    return layout, {"messages": messages, **others, **_keep(read, messages)}
