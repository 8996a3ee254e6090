"""The data: well-formed, held out by topic, and supervised on the answer and its end alone."""

import json
import subprocess
import sys

import pytest
import torch

from lora_lessons import models, tasks
from lora_lessons.paths import course_root
from lora_lessons.tasks import scores

MAKERS = sorted((course_root() / "data").glob("make_*.py"))
TASKS = [maker.stem.removeprefix("make_") for maker in MAKERS]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_large_enough_and_held_out_by_topic(name):
    task = tasks.load_task(name)
    assert len(task.train) >= 200 and len(task.held_out) >= 50
    assert not {e["topic"] for e in task.train} & {e["topic"] for e in task.held_out}
    questions = [e["messages"][-2]["content"] for e in task.train + task.held_out]
    assert len(set(questions)) == len(questions)
    for example in task.train + task.held_out:
        assert not scores.faults(name, example["messages"][-1]["content"], example)


@pytest.mark.parametrize("maker", MAKERS, ids=TASKS)
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


def conversations(vocabulary, *lengths):
    """Random conversations; the first half of each is its prompt."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for length in lengths:
        ids = torch.randint(vocabulary, (length,), generator=generator)
        made.append(tasks.Encoded(ids, torch.where(torch.arange(length) < length // 2, tasks.IGNORED, ids)))
    return made


def test_packed_rows_hold_everything_in_order_and_no_more_than_they_may():
    examples = conversations(100, 5, 3, 4, 9, 2)
    rows = tasks.pack(examples, 9)
    assert [len(row.input_ids) for row in rows] == [8, 4, 9, 2]
    assert torch.equal(torch.cat([row.input_ids for row in rows]), torch.cat([one.input_ids for one in examples]))
    assert rows[0].position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    with pytest.raises(ValueError, match="a conversation has 9 tokens and a row 8: choose a longer row"):
        tasks.pack(examples, 8)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_loss_of_packed_rows_is_that_of_their_parts(tiny_model, attention):
    """No token looks into another conversation, padding is not taught, and no first token is predicted from another's end."""
    tiny_model.set_attn_implementation(attention)
    tiny_model.config.use_cache = False  # as in training: with a cache transformers does not look at position_ids
    examples = conversations(tiny_model.config.vocab_size, 7, 5, 6, 9)
    packed = tasks.collate(tasks.pack(examples, 12), pad_id=0)
    assert "attention_mask" not in packed and packed["input_ids"].shape == (3, 12)
    apart = [tiny_model(**tasks.collate([one], pad_id=0)).loss for one in examples]
    taught = [int((one.labels[1:] != tasks.IGNORED).sum()) for one in examples]
    expected = sum(loss * n for loss, n in zip(apart, taught, strict=True)) / sum(taught)
    assert tiny_model(**packed).loss.item() == pytest.approx(expected.item(), rel=1e-5)
