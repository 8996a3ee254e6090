"""What looks like a mistake in the turns of a conversation: their order, what the answers say,
and the marks of templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lora_lessons.tasks.conversations import answers_in
from lora_lessons.tasks.jsonl import calls_in, function_of, said, shown
from lora_lessons.tasks.templates import THOUGHTS, out_of_text

from .traces import Remark, traces
from .unread import unread_in

# Marks of well-known chat templates. A tokenizer makes one token of each that is its own, wherever it stands.
MARKS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>"),
    *("<|end_of_text|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "</s>"),
)
# How templates write marks of their own, whatever they are called: <|channel|>, <｜User｜>
ANY_MARK = re.compile(r"<[|｜][A-Za-z][A-Za-z0-9_▁]{1,30}[|｜]>")
# A turn as a template writes it, with the name of its role behind a mark, or in one
TURN = re.compile(
    r"(?:[|｜]>|<start_of_turn>|<\|turn>)\s*(?:system|user|assistant|model|tool)\b"
    r"|<[|｜](?:system|user|assistant)[|｜]>|\[INST\].+\[/INST\]",
    re.I | re.S,
)
# What pandas, Python and Excel write for a cell in which nothing stands, and people for what is to come; as it is here,
# or in capitals: "Na" is sodium, and "todo" is Spanish.
NOTHING = {
    *("nan", "<na>", "nat", "#n/a", "TODO", "TBD"),
    *(MAY_BE_MEANT := {"none", "null", "undefined", "n/a", "NA", "-", "--", "?"}),
}
# Words of a question from which on an answer does not begin with it by chance
LONG_ENOUGH = 5
BOILERPLATE = re.compile(
    r"\bas an? (?:AI|artificial intelligence|large language model|language model)\b|\bmy (?:last "
    r")?knowledge (?:cutoff|update)\b"
    r"|^\W{0,3}(?:I['’]m|I am) (?:very )?sorry,? but (?:I|as)\b|\bI (?:cannot|can['’]t|am unable to) "
    r"(?:assist with|fulfill|comply)\b",
    re.I,
)
# What stands for a picture in LLaVA's texts and their followers', or is one; <video> and <audio> may be HTML
PICTURE = re.compile(r"<image>|<\|image(?:_pad)?\|>|<start_of_image>|data:(?:image|audio|video)/[\w.+-]+;base64,")


def remarks(messages: Sequence[dict[str, Any]], marks: Sequence[str] = MARKS) -> Iterator[Remark]:
    """(code, sentence) of everything in a conversation that is probably a mistake."""
    yield from _order([message["role"] for message in messages])
    yield from _answers(messages)
    text = "\n".join(map(said, messages))
    # thinking in an answer is written between marks that many templates take apart themselves
    bare = "\n".join(
        re.sub(r"</?think>", "", said(one)) if one["role"] == "assistant" else said(one) for one in messages
    )
    if marked := sorted({*(mark for mark in marks if mark in bare), *ANY_MARK.findall(bare)}, key=bare.find):
        stand = f"{', '.join(marked[:-1])} and {marked[-1]} stand" if len(marked) > 1 else f"{marked[0]} stands"
        yield (
            "special_token_in_text",
            f"{stand} in the text: a chat template has been applied to it already, and would be applied again. Take "
            "the marks out, and the names of roles behind them, unless you train on this text without a template."
            if TURN.search(bare)
            else f"{stand} in the text, where a chat template writes marks of its own: take "
            f"{'them' if len(marked) > 1 else 'it'} out, unless you train on this text without a template.",
        )
    if PICTURE.search(text):
        yield "picture_in_text", PICTURE_LEARNS
    yield from unread_in(messages)
    yield from traces(messages)


PICTURE_LEARNS = (
    "it is about a picture or a sound, which nobody sees or hears here: only its words would be learned. Train a model "
    "that sees or hears, with a trainer for one (TRL's is), or take the line out."
)


def _order(roles: list[str]) -> Iterator[Remark]:
    """Roles that most chat templates refuse or misread."""
    if "system" in roles[1:]:
        which = "a second system message" if roles[0] == "system" else "a system message that is not the first"
        yield "misplaced_system", f"it has {which}: put one before all others."
    turns = [role for role in roles if role != "system"]
    if turns == ["assistant"]:
        yield "missing_role", "nobody asks anything before its answer: put a message of the user before it."
    elif turns[0] == "assistant":
        yield (
            "greeting",
            "it begins with the assistant, as with a greeting: that turn is not learned here, and some "
            "chat templates refuse it. See with --base, or put the user's message before it.",
        )
    for one, next_one in zip(turns, turns[1:], strict=False):
        if one == next_one and one != "tool":
            yield (
                "doubled_role",
                f"two messages of the {one} follow each other, which some chat templates refuse: make one "
                "of them, or add what is missing.",
            )
            return


def _is_one_of(words: set[str], message: dict[str, Any]) -> bool:
    """Whether a message says one of these words and nothing else; a user may well ask "?" """
    text = said(message).strip()
    return bool(words & {text, text.lower()}) and (message["role"], text) != ("user", "?")


def _answers(messages: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    *before, last = messages
    # an empty list, a sign and a smiley may be answers
    if re.fullmatch(r"[\s.…,;:!_*–—'\"`/|]+", said(last)):
        yield "empty_answer", "the answer is nothing but punctuation: write one, or take the line out."
    # a system message and a tool's answer may be empty, and an answer that only thinks
    speak = [one for one in before if one["role"] in ("user", "assistant") and not any(map(one.get, THOUGHTS))]
    if any(not said(message).strip() for message in speak):
        yield "empty_message", "the question, or another message before the answer, is empty: fill it, or take it out."
    if empty := [one for one in messages if one["role"] != "tool" and _is_one_of(NOTHING, one)]:
        # "None" may be what there is to find, and "nan" hardly
        meant = all(one["role"] == "assistant" and _is_one_of(MAY_BE_MEANT, one) for one in empty)
        yield (
            "says_nothing" if meant else "empty_cell",
            f"a message says {shown(said(empty[0]).strip())} and nothing else, as where a cell was empty: "
            "fill it, or take it out, unless it is meant.",
        )
    if any(said(messages[n]).count("<think>") != said(messages[n]).count("</think>") for n in answers_in(messages)):
        yield (
            "think_block_open",
            "an answer opens or closes a think block alone: write both <think> and </think>, unless your "
            "template writes the other.",
        )
    question = next((said(one).strip() for one in reversed(before) if one["role"] == "user"), "")
    if len(question.split()) >= LONG_ENOUGH and said(last).strip().startswith(question):
        yield (
            "question_in_answer",
            "the answer begins with the question, so the model learns to repeat it: take it out, unless "
            "that is the task.",
        )
    if any(BOILERPLATE.search(messages[n].get("content") or "") for n in answers_in(messages)):
        yield (
            "boilerplate",
            "an answer is a refusal or a stock phrase of another model: write what yours should say, "
            "unless it is just that.",
        )


def of_calls(messages: Sequence[dict[str, Any]], tools: Any) -> Iterator[Remark]:
    """(code, sentence) of what is probably a mistake in tool calls; `tools` is what the line says that there are."""
    called = [str(call.get("name")) for message in messages for call in calls_in(message)]
    listed = out_of_text(tools)
    listed = listed if isinstance(listed, list) else []
    known = {str(function_of(tool).get("name")) for tool in listed if isinstance(tool, dict)}
    if called and not tools and messages[0]["role"] != "system":
        yield (
            "tools_missing",
            "it calls a tool, and nothing says which there are, so the model learns to call what it is not "
            "shown: add a field tools, as a list of their descriptions.",
        )
    elif known and (unknown := [name for name in called if name not in known]):
        yield (
            "unknown_tool",
            f"it calls {shown(unknown[0])}, which its tools do not have: correct the name, or add it there.",
        )
    if odd := next(_strange_arguments(messages, listed), None):
        yield "unknown_argument", odd
    if broken := [one for message in messages for one in _arguments(message) if not isinstance(out_of_text(one), dict)]:
        yield (
            "bad_arguments",
            f"the arguments of a tool call are {shown(broken[0])}, which is no JSON object: write one.",
        )
    calls = [call for message in messages for call in message.get("tool_calls") or () if isinstance(call, dict)]
    ids = [call["id"] for call in calls if call.get("id") is not None]
    answered = [
        message["tool_call_id"] for message in messages if message["role"] == "tool" and message.get("tool_call_id")
    ]
    if ids and (strange := [one for one in answered if one not in ids]):
        yield "unknown_call", f"a tool answers the call {shown(strange[0])}, and none has that id: correct it."
    asked = 0
    for message in messages:
        # where no call stands, what an assistant says may be one, written as text
        asked += len(calls_in(message)) if called else len(messages) * (message["role"] == "assistant")
        asked = 0 if message["role"] == "user" else asked - (message["role"] == "tool")
        if asked < 0:
            yield (
                "answer_without_call",
                f"a tool answers {'more often than it is called' if called else 'without being called'}: add the "
                "call, or take its answer out.",
            )
            return


def _strange_arguments(messages: Sequence[dict[str, Any]], tools: list[Any]) -> Iterator[str]:
    """A sentence for each argument of a call that is no parameter of its tool, where the tool says which it takes."""
    functions = [function_of(tool) for tool in tools if isinstance(tool, dict)]
    schemas = {str(one.get("name")): one["parameters"] for one in functions if isinstance(one.get("parameters"), dict)}
    for call in (call for message in messages for call in calls_in(message)):
        schema, given = schemas.get(str(call.get("name")), {}), out_of_text(call.get("arguments"))
        takes = schema.get("properties")
        if (
            not isinstance(takes, dict)
            or not takes
            or not isinstance(given, dict)
            or schema.get("additionalProperties")
        ):
            continue
        for name in (name for name in given if name not in takes):
            # huggingface/trl#5376 (2026-03-26): before datasets 4.7 all objects of a column got the same fields
            null = (
                ", which is null, as older versions of datasets fill in what other lines have,"
                if given[name] is None
                else ""
            )
            yield (
                f"a call gives {shown(str(call.get('name')))} the argument {shown(name)}{null} and the tool has no "
                "such parameter: take it out, or add it to the tool."
            )


def _arguments(message: dict[str, Any]) -> list[Any]:
    return [call["arguments"] for call in calls_in(message) if call.get("arguments") not in (None, "")]
