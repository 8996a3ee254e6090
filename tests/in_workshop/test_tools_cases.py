"""The cases that README and the site show: our tools say what is quoted,
PEFT and TRL's template do what is said of them."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from chat_templates import tokenizer_of
from families import adapter

from lora_lessons import planning
from lora_lessons.memory import Job
from lora_lessons.paths import course_root, measurements
from lora_tools import checking, cli, inspection
from workshop import tools_cases
from workshop.site import tools_page

ROWS = [row.split(" | ") for row in tools_cases.cases_table().splitlines()[2:]]


def quoted(row):
    return row[2].partition("“")[2].partition("”")[0]


def test_inspect_says_of_rslora_in_sglang_what_is_quoted(tmp_path):
    place = adapter(tmp_path / "it", "gemma3_text", use_rslora=True)  # at r = 4
    (sglang,) = [one for one in inspection.inspect(place).runtimes if one.name == "SGLang"]
    assert (
        sglang.loads == "care"
        and sglang.reason == quoted(ROWS[0]).replace("(8)", "(2)")
        and sglang.behind.partition(" ")[0] in ROWS[0][1]
    )


def test_check_says_of_r1s_template_what_is_quoted_and_it_cuts_the_reasoning_out(tmp_path):
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / "deepseek_r1_distill.jinja").read_text("utf-8")
    answer = "<think>\nTwo and two.\n</think>\n\nFour."
    chat = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": answer}]
    tokenizer = tokenizer_of(template, begin=False)
    (tmp_path / "x.jsonl").write_text(json.dumps({"messages": chat}))
    (said,) = [
        one.sentence for one in checking.check(tmp_path / "x.jsonl", tokenizer).problems if one.code == "answer_apart"
    ]
    assert said.startswith(quoted(ROWS[1]).replace("`", ""))
    assert "Two and two" not in tokenizer.apply_chat_template(chat, tokenize=False)


def test_the_plan_is_that_of_the_command_for_a_card():
    job = Job("qlora", 16, ["q_proj", "k_proj", "v_proj", "o_proj"], seq=1024, batch_size=4, recipe="hf")
    total = (
        planning.plan("Llama-3.2-3B", planning.on_card(job, "T4"), planning.card_bytes("T4")).ledger.bill.total / 1e9
    )
    assert f"`plan`: {total:.1f} GB, and {total + planning.margin(total * 1e9) / 1e9:.1f} with" in ROWS[2][2]


def test_no_count_of_the_cases_is_more_than_there_are():
    record = json.loads((measurements() / "tool_cases.json").read_text("utf-8"))
    for fifty in record["fifties"]:
        for right, silent, since in zip(fifty["right"], fifty["silent"], fifty["since"], strict=True):
            assert right + silent <= record["each"] == 10 and right <= since <= 10
        assert len(fifty["right"]) == len(record["kinds"]) == 5
        for more in (fifty.get("practice"), fifty.get("afterwards")):
            assert not more or more["right"] + more["silent"] <= more["cases"]


def test_what_came_out_is_said_also_where_it_is_less_than_was_wanted():
    said = tools_cases.judged_table()
    assert (
        "We had wanted 45 right, and none in silence; the eighth was the first to have that." in said
        and "| **all 50** |  | 37 (7) | 39 (7) | 43 (1) | 36 (3) |" in said
    )
    assert "9.1 GB where the process held 11.95, is too low" in said
    assert "written afterwards, 33 were right and 1 wrong in silence. 50 of the 50 are right since." in said


def test_the_sites_page_is_the_readmes_part_with_links_that_lead_somewhere_there(tmp_path, monkeypatch):
    page = tools_page.page()
    assert "| `lora-lessons check FILE` |" in page and tools_cases.cases_table() in page and "<!--" not in page
    assert "](docs/" not in page and "](notebooks/" not in page and "](lessons/symptoms.md)" in page
    (tmp_path / "README.md").write_text("# Ours", encoding="utf-8")
    assert page.index("git clone") < page.index("$ lora-lessons plan") < page.index("| command |")
    monkeypatch.setattr(tools_page, "course_root", lambda: tmp_path)
    with pytest.raises(ValueError, match="restore it from git"):
        tools_page.page()


def test_what_the_page_shows_of_a_tool_it_prints(tmp_path, monkeypatch, capsys):
    shutil.copytree(course_root() / "data" / "adapters" / "persona", tmp_path / "wick")
    lines = ["A?", "Why is it dense?", "Why is it dense?", "May I freeze it?", "Which flour?"]
    rows = [{"prompt": line, "completion": "" if "freeze" in line else "Yes."} for line in lines]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    shown = re.findall(r"\$ lora-lessons ((?:plan|check|inspect|symptom) [^\n]+)\n(.*?)\n```", tools_page.page(), re.S)
    for command, printed in shown:
        cli.main(shlex.split(command))
        said = capsys.readouterr().out
        assert [line for line in printed.splitlines() if line != "…" and line not in said] == [], command
    assert len(shown) == 4
