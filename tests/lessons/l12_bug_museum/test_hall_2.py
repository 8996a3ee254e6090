"""Hall 2 measures what it says: short trainings leave the base bare, BOS is doubled once,
and the check names what it can."""

import json
from pathlib import Path

import pytest
import torch
from tiny import make_tiny_model

from lora_lessons import lora, models
from lora_lessons.exhibits import catalogue
from lora_lessons.lessons.l12_bug_museum import workbench
from lora_lessons.lessons.l12_bug_museum.shown import named
from lora_lessons.paths import course_root
from lora_lessons.tasks import IGNORED, Encoded, encode
from lora_tools import checking


@pytest.fixture(scope="module")
def tokenizer():
    return models.load_tokenizer(models.embedded_folder())


@pytest.fixture
def model():
    return make_tiny_model().requires_grad_(False)


def a_row(length, seed=0):
    ids = torch.randint(3, 128, (length,), generator=torch.Generator().manual_seed(seed))
    return Encoded(ids, ids.clone())


def test_a_short_training_lowers_the_loss_and_leaves_the_base_bare_also_after_an_error(model):
    before = models.weights_digest(model)
    with workbench.trained(model, [a_row(12)], steps=4, rate=1e-2) as losses:
        assert len(losses) == 4 and losses[-1] < losses[0] and list(lora.lora_layers(model))
    with pytest.raises(KeyError), workbench.trained(model, [a_row(12)], 1, 1e-2):
        raise KeyError
    assert not list(lora.lora_layers(model)) and models.weights_digest(model) == before


def test_bos_comes_first_in_the_copy_alone(tokenizer):
    other, text = workbench.bos_first(tokenizer), "Hello."
    plain = tokenizer(text)["input_ids"]
    assert other(text)["input_ids"] == [tokenizer.bos_token_id, *plain]
    assert other(text, add_special_tokens=False)["input_ids"] == plain == tokenizer(text)["input_ids"]


def test_the_check_names_what_the_exhibits_say_it_names(tokenizer, tmp_path):
    file = tmp_path / "four.jsonl"
    lines = (course_root() / "data" / "persona" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    file.write_text("\n".join(lines), encoding="utf-8")
    report = checking.check(file, tokenizer)
    assert named("12.9", report.problems) and named("12.12", report.problems) and not named("12.11", report.problems)
    assert named("12.11", checking.check(file, workbench.bos_first(tokenizer)).problems)
    assert named("12.7", checking.check(file, tokenizer, max_tokens=70).problems)
    assert named("12.14", checking.check(file, workbench.thinking(tokenizer)).problems)
    assert not named("12.14", report.problems)
    assert {one.id for one in catalogue().values() if one.hall == 2} == {f"12.{n}" for n in range(7, 15)}


def test_an_empty_thought_stands_before_every_answer_and_is_read_but_not_taught_when_healthy(tokenizer):
    chat = [{"role": role, "content": text} for role, text in (("user", "Tea?"), ("assistant", "Yes."))]
    thinker = workbench.thinking(tokenizer)
    plain, thought = (
        encode(thinker, {"messages": some}) for some in (chat, [chat[0], chat[1] | {"reasoning_content": "Hm."}])
    )
    healthy = [workbench.without_empty_thoughts(tokenizer, row) for row in (plain, thought)]
    assert [tokenizer.decode(row.labels[row.labels != IGNORED]) for row in (plain, *healthy)] == [
        "<think>\n\n</think>\n\nYes.<|im_end|>",
        "\n\nYes.<|im_end|>",
        "<think>\nHm.\n</think>\n\nYes.<|im_end|>",
    ]
    assert torch.equal(healthy[0].input_ids, plain.input_ids) and torch.equal(healthy[1].labels, thought.labels)


def test_trls_own_template_for_training_teaches_an_empty_thought_too(tokenizer):
    """What 12.14 imitates, in the library itself: Qwen3.6's template as TRL 1.16 swaps it in."""
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / "qwen3_6_training.jinja").read_text(encoding="utf-8")
    chat = [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": "Yes."}]
    out = tokenizer.apply_chat_template(
        chat, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    taught = [token for token, mask in zip(out["input_ids"], out["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(taught).startswith(workbench.NO_THOUGHT)


def test_trls_trainer_cuts_the_end_of_a_long_answer_as_the_exhibit_does(tokenizer, model, tmp_path):
    trl = pytest.importorskip("trl")
    from datasets import Dataset

    assert trl.SFTConfig.__dataclass_fields__["max_length"].default == 1024
    lines = (course_root() / "data" / "persona" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    chats = [{"messages": json.loads(line)["messages"]} for line in lines]
    long, short = (pick(chats, key=lambda chat: len(encode(tokenizer, chat).input_ids)) for pick in (max, min))
    settings = trl.SFTConfig(str(tmp_path), max_length=workbench.MAX_LENGTH, use_cpu=True, report_to=[], bf16=False)
    trainer = trl.SFTTrainer(
        model, settings, train_dataset=Dataset.from_list([long, short]), processing_class=tokenizer
    )
    cut, kept = ([token for token in row["labels"] if token != IGNORED] for row in trainer.train_dataset)
    ours = encode(tokenizer, long).input_ids[: workbench.MAX_LENGTH].tolist()
    assert list(trainer.train_dataset[0]["input_ids"]) == ours and cut[-1] != tokenizer.eos_token_id
    assert tokenizer.eos_token_id in kept[-2:]
