"""Three of this year's mistakes that cost a training in silence, as README and the site show them,
and what became of all cases."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

from lora_lessons.files import read_text
from lora_lessons.memory import Job, predict
from lora_lessons.memory.bill import GB
from lora_lessons.paths import measurements
from lora_lessons.planning.margin import margin

WANTED, LATEST = 45, 3
# The jobs of the plans, in our words: those of four models, and that of the third case.
JOB = Job("qlora", 16, ("q_proj", "k_proj", "v_proj", "o_proj"), seq=1024, recipe="hf")


def cases_table() -> str:
    """A row of each of three cases of the last fifty: what somebody had, what the programs said,
    and what our tool says."""
    shown = _record()["shown"]
    planned = _planned(shown["model"], shown["batch_size"])
    rows = [
        (
            "An adapter of Llama-3.2-1B at r = 64, with `use_rslora`",
            "SGLang computes α/r where rsLoRA means α/√r, an eighth of the strength, and says nothing "
            "([sglang#40835](https://github.com/sgl-project/sglang/issues/40835), September 2026; not run here)",
            "`inspect`: SGLang, with care: “it computes α/r where rsLoRA means α/√r: raise lora_alpha √r-fold (8) and "
            "switch use_rslora off, or merge it first”",
        ),
        (
            "Answers with their reasoning between `<think>` and `</think>`, and the template of DeepSeek-R1-Distill",
            "The template cuts the reasoning out of every answer, so it is never learned (rendered here; "
            "[trl#6766](https://github.com/huggingface/trl/issues/6766), August 2026)",
            "`check`: “this chat template has the model think where it is asked, and cuts what stands between "
            "`<think>` and `</think>` out of an answer, so the thinking is lost”, and which template keeps it",
        ),
        (
            f"{shown['model']}, QLoRA on a T4, {shown['batch_size']} texts of {JOB.seq:,} tokens at once",
            f"The process held {shown['held']:.1f} GB ([fitcheck]({_record()['memory']['url']}), September 2026)",
            f"`plan`: {planned:.1f} GB, and {planned + margin(planned * GB) / GB:.1f} with its margin",
        ),
    ]
    return "\n".join(
        [
            "| what somebody had | what the programs said | what ours says |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


@cache
def _record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_text(measurements() / "tool_cases.json"))
    return found


def _measured() -> dict[str, float]:
    """GB that the process of each model held."""
    held: dict[str, float] = _record()["memory"]["held"]
    return held


@cache
def _planned(model: str, batch_size: int = 1) -> float:
    return predict(model, replace(JOB, batch_size=batch_size)).bill.total / GB


def judged_table() -> str:
    """What became of the cases that no test had seen, kind by kind, from their record."""
    record, low = _record(), _record()["too_low"]
    fifties, kinds, each = record["fifties"], record["kinds"], record["each"]
    whole, still = each * len(kinds), each * len(kinds) * len(fifties) - sum(sum(fifty["since"]) for fifty in fifties)
    wrong = LATEST * whole - sum(sum(fifty["right"]) for fifty in fifties[-LATEST:])
    reached = [at for at, fifty in enumerate(fifties) if sum(fifty["right"]) >= WANTED and not any(fifty["silent"])]
    first = f"; the {_ordinal(reached[0])} was the first to have that" if reached else ""
    times = [held / _planned(name) for name, held in _measured().items()]
    rows = [[kind, f"`{kinds[kind]}`", *_cells(fifties, slice(at, at + 1))] for at, kind in enumerate(kinds)]
    rows.append([f"**all {whole}**", "", *_cells(fifties, slice(None))])
    return "\n".join(
        [
            "## The tools, on cases that no test had seen",
            "",
            f"{record['judged']} Right means that the tool says what they say and nothing false beside it. In "
            "brackets: how many were wrong *in silence*, so that something goes wrong and the tool says nothing. We "
            f"had wanted {WANTED} right, and none in silence{first}.",
            "",
            f"| right of {each} at first (in silence) | command | {' | '.join(map(_ordinal, range(len(fifties))))} |",
            "|---" * (len(fifties) + 2) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            *(f"- The {_ordinal(at)}: {_about(fifty, whole)}" for at, fifty in enumerate(fifties)),
            *(
                f"- {one['about']}: {', '.join(f'{n} {how}' for how, n in one.items() if how != 'about')}."
                for one in record["later"]
            ),
            "",
            "What was wrong was mended by general rules, each time before the next fifty was seen; the cases of "
            f"lasting worth are tests. {still} stay wrong. One: a plan for {low['what']}, {low['planned']:.1f} GB "
            f"where the process held {low['held']:.2f}, is too low. Of the last three times fifty about "
            f"{_one_in(wrong, LATEST * whole)} was wrong in some sentence; expect no better.",
            "",
            f"Among the models are {len(times)} whose memory others measured on a Tesla T4 "
            f"([fitcheck]({record['memory']['url']}), September 2026, QLoRA): they held {min(times):.2f} to "
            f"{max(times):.2f} times their plan.",
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
    return ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")[at]


def _one_in(wrong: int, whole: int) -> str:
    return f"one in {round(whole / wrong)}" if wrong else f"none of {whole}"
