"""The data: well-formed, held out by topic, and supervised on the answer and its end alone."""

import json
import subprocess
import sys

import pytest
import torch

from lora_lessons import models, tasks
from lora_lessons.files import course_root


def test_the_persona_task_is_large_enough_and_held_out_by_topic():
    task = tasks.load_task("persona")
    assert len(task.train) >= 200 and len(task.held_out) >= 50
    assert not {e["topic"] for e in task.train} & {e["topic"] for e in task.held_out}
    questions = [e["messages"][0]["content"] for e in task.train + task.held_out]
    assert len(set(questions)) == len(questions)


def test_the_data_on_disk_is_what_the_script_makes():
    script = course_root() / "data" / "make_data.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
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


def test_collate_pads_on_the_right_and_hides_the_padding():
    a, b = (tasks.Encoded(torch.arange(n), torch.arange(n)) for n in (3, 5))
    batch = tasks.collate([a, b], pad_id=9)
    assert batch["input_ids"].tolist() == [[0, 1, 2, 9, 9], [0, 1, 2, 3, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[0, 1, 2, tasks.IGNORED, tasks.IGNORED], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("not json", "line 2: expected"),
        ("{}", "line 2: expected"),
        ('{"messages": []}', "line 2: expected"),
        (json.dumps({"messages": [{"role": "user", "content": "hi"}]}), "line 2: the last message must be"),
        (json.dumps({"messages": [{"role": "assistant", "content": " "}]}), "not empty"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, sentence):
    good = json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
    (tmp_path / "x.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(ValueError, match=sentence):
        tasks.read_jsonl(tmp_path / "x.jsonl")


def test_unknown_tasks_name_the_known_ones():
    with pytest.raises(FileNotFoundError, match="persona"):
        tasks.load_task("nope")


def test_the_base_stops_by_its_own_end_token(base_fp32):
    assert models.chat(base_fp32, "What is the capital of France?", max_new_tokens=40).endswith("Paris.")
