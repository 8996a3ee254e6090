"""Three of this year's mistakes that cost a training in silence, as README and the site show them, and what became of all cases."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from lora_lessons.files import read_text
from lora_lessons.memory import Job, predict
from lora_lessons.memory.bill import GB
from lora_lessons.paths import measurements
from lora_lessons.tools.checking.tokens import REMARKS
from lora_lessons.tools.inspection.architectures import listed
from lora_lessons.tools.planning.margin import margin

# The model of the third case, and its job in our words.
MODEL = "Qwen2.5-7B"
JOB = Job("qlora", 16, ("q_proj", "k_proj", "v_proj", "o_proj"), seq=1024, recipe="hf")


def cases_table() -> str:
    """A row of each case: what somebody had, what the programs said, and what our tool says."""
    rows = [
        (
            "An adapter of DeepSeek-V3 that also adapts `kv_b_proj`",
            "vLLM loads it, computes without that part, and says nothing ([vllm#48974](https://github.com/vllm-project/vllm/issues/48974), "
            "open in July 2026; not run here)",
            f"`inspect`: vLLM, with care: “{_of_vllm()}”",
        ),
        (
            "Questions and plain answers, and the template with which TRL trains Qwen3 (`qwen3_training`)",
            "TRL 1.16's template marks an empty think block as part of every answer, so it is learned (rendered here; "
            "[trl#6361](https://github.com/huggingface/trl/issues/6361), July 2026)",
            f"`check`: “{_of_thinking()}”, and what to do",
        ),
        (
            f"{MODEL}, QLoRA on a T4, texts of {JOB.seq:,} tokens",
            f"The process held {_measured()[MODEL]:.1f} GB ([fitcheck]({_record()['memory']['url']}), September 2026)",
            f"`plan`: {_planned(MODEL):.1f} GB, and {_planned(MODEL) + margin(_planned(MODEL) * GB) / GB:.1f} with its margin",
        ),
    ]
    return "\n".join(
        [
            "| what somebody had | what the programs said | what ours says |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


def _of_vllm() -> str:
    return next(rule.reason for rule in listed()[1] if (rule.runtime, rule.keys) == ("vLLM", "latent"))


def _of_thinking() -> str:
    return REMARKS["empty_think_block"].partition(" (")[0]


@cache
def _record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_text(measurements() / "tool_cases.json"))
    return found


def _measured() -> dict[str, float]:
    """GB that the process of each model held."""
    held: dict[str, float] = _record()["memory"]["held"]
    return held


@cache
def _planned(model: str) -> float:
    return predict(model, JOB).bill.total / GB


def judged_table() -> str:
    """What became of the cases that no test had seen, kind by kind, from their record."""
    record, low = _record(), _record()["too_low"]
    fifties, kinds, each = record["fifties"], record["kinds"], record["each"]
    last, whole = fifties[-1], each * len(kinds)
    wrong, still = whole - sum(last["right"]), sum(whole - sum(fifty["since"]) for fifty in fifties)
    times = [held / _planned(name) for name, held in _measured().items()]
    rows = [[kind, f"`{kinds[kind]}`", *_cells(fifties, slice(at, at + 1))] for at, kind in enumerate(kinds)]
    rows.append([f"**all {whole}**", "", *_cells(fifties, slice(None))])
    return "\n".join(
        [
            "## The tools, on cases that no test had seen",
            "",
            f"{record['judged']} Right means that the tool says what they say and nothing false beside it. In brackets: how many were wrong *in silence*, so "
            "that something goes wrong and the tool says nothing. We had wanted 45 right, and none in silence.",
            "",
            f"| right of {each} at first (in silence) | command | {' | '.join(map(_ordinal, range(len(fifties))))} |",
            "|---" * (len(fifties) + 2) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *(f"- The {_ordinal(at)}: {_about(fifty, whole)}" for at, fifty in enumerate(fifties)),
            "",
            f"What was wrong was mended by general rules, each time before the next fifty was seen; the cases of lasting worth are tests. {still} stay wrong. One: a plan for {low['what']}, "
            f"{low['planned']:.1f} GB where the process held {low['held']:.2f}, is too low. So expect about {_one_in(wrong, whole)} to find a tool wrong in some sentence.",
            "",
            f"Among the models are {len(times)} whose memory others measured on a Tesla T4 ([fitcheck]({record['memory']['url']}), "
            f"September 2026, QLoRA): they held {min(times):.2f} to {max(times):.2f} times their plan.",
        ]
    )


def _cells(fifties: list[dict[str, Any]], kinds: slice) -> list[str]:
    """Of each fifty, how many of these kinds were right at first, and wrong in silence."""
    return [f"{sum(fifty['right'][kinds])} ({sum(fifty['silent'][kinds])})" for fifty in fifties]


def _about(fifty: dict[str, Any], whole: int) -> str:
    """Who made a fifty, what was practised on before it, and what is right since."""
    said = fifty["about"] + "."
    for what, when in (("practice", "to practise on before"), ("afterwards", "written afterwards")):
        if more := fifty.get(what):
            said += f" Of {more['cases']} {when}, {more['right']} were right and {more['silent']} wrong in silence."
    return f"{said} {sum(fifty['since'])} of the {whole} are right since."


def _ordinal(at: int) -> str:
    return ("first", "second", "third", "fourth", "fifth", "sixth")[at]


def _one_in(wrong: int, whole: int) -> str:
    return f"one in {round(whole / wrong)}" if wrong else f"none of {whole}"
