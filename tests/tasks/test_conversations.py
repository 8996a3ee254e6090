"""The data: well-formed, held out by topic, and supervised on the answer and its end alone."""

import copy
import subprocess
import sys

import pytest
import torch
from chat_templates import LLAMA_3, tokenizer_of

from lora_lessons import models, tasks
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores

MAKERS = sorted((course_root() / "data").glob("make_*.py"))
TASKS = sorted(file.parent.name for file in (course_root() / "data").glob("*/train.jsonl"))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_large_enough_and_held_out_by_topic(name):
    task = tasks.load_task(name)
    assert len(task.train) >= 200 and len(task.held_out) >= 50
    assert not {e["topic"] for e in task.train} & {e["topic"] for e in task.held_out}
    questions = [e["messages"][-2]["content"] for e in task.train + task.held_out]
    assert len(set(questions)) == len(questions)
    for example in task.train + task.held_out:
        assert not scores.faults(name, example["messages"][-1]["content"], example)


@pytest.mark.parametrize("maker", MAKERS, ids=[maker.stem for maker in MAKERS])
def test_the_data_on_disk_is_what_the_script_makes(maker):
    done = subprocess.run([sys.executable, str(maker), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_answer_and_its_end_are_supervised(base_fp32):
    tokenizer = base_fp32.tokenizer
    for example in tasks.load_task("persona").held_out[:10]:
        one = tasks.encode(tokenizer, example)
        taught = one.labels != tasks.IGNORED
        answer = example["messages"][-1]["content"]
        assert tokenizer.decode(one.labels[taught]) == answer + tokenizer.eos_token
        assert torch.equal(one.input_ids[taught], one.labels[taught])
        assert taught[-1] and not taught[0]
        whole = tokenizer.apply_chat_template(example["messages"], tokenize=False)
        assert tokenizer.decode(one.input_ids) == whole.rstrip()


def test_unknown_tasks_name_the_known_ones():
    with pytest.raises(FileNotFoundError, match="persona"):
        tasks.load_task("nope")


def test_the_base_stops_by_its_own_end_token(base_fp32):
    assert models.chat(base_fp32, "What is the capital of France?", max_new_tokens=40).endswith("Paris.")


@pytest.fixture
def without_end(base_fp32):
    """The base's tokenizer with a template that marks turns by their role and has no end token."""
    tokenizer = copy.deepcopy(base_fp32.tokenizer)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return tokenizer


def test_the_end_is_supervised_also_where_the_template_has_none(without_end):
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]
    one = tasks.encode(without_end, {"messages": messages})
    taught = one.labels != tasks.IGNORED
    assert without_end.decode(one.labels[taught]) == "Ho." + without_end.eos_token
    assert without_end.decode(one.input_ids[~taught]) == "user: Hi?\nassistant: "


def test_a_tokenizer_that_begins_every_text_begins_a_conversation_once():
    """The template puts the beginning; the answer, tokenized apart, must not get another."""
    tokenizer = tokenizer_of(LLAMA_3, begin=True)
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]
    one = tasks.encode(tokenizer, {"messages": messages})
    assert one.input_ids[0] == tokenizer.bos_token_id and not (one.input_ids[1:] == tokenizer.bos_token_id).any()
