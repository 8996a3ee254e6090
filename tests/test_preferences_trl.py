"""Ours is TRL's: losses and gradients of DPO and distillation, gradients of GRPO, on batches of TRL's trainers."""

import re
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig
from sources import read, texts
from transformers import LlamaConfig, LlamaForCausalLM

from lora_lessons import distillation, lora, preferences, tasks
from lora_lessons.models import loading

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

PAIRS = [{name: pair[name] for name in ("prompt", "chosen", "rejected")} for pair in tasks.load_pairs().train[:4]]


@pytest.fixture(scope="module")
def tokenizer():
    return loading.load_tokenizer(loading.folder())


def tiny(tokenizer):
    """A random model of 16 columns that knows every token; the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
        return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes, **heads))


def ours_like(theirs, tokenizer):
    """The tiny model with our layers around the same A and B as the trainer's, which have learned something by now.

    By now, because TRL keeps a copy of an adapter that it is given trained, and takes that for the reference.
    """
    ours = tiny(tokenizer)
    names = lora.attach(ours, r=theirs.peft_config["default"].r, lora_alpha=16)
    torch.manual_seed(1)
    for name in names:
        layer, other = ours.get_submodule(name), theirs.base_model.model.get_submodule(name)
        layer.lora_B.data.normal_(std=0.1)
        other.lora_A.default.weight.data.copy_(layer.lora_A)
        other.lora_B.default.weight.data.copy_(layer.lora_B)
    return ours, names


def assert_same(ours, theirs, names, mine, their_loss):
    assert mine.item() == pytest.approx(their_loss.item(), abs=1e-5)
    mine.backward()
    their_loss.backward()
    for name in names:
        layer, other = ours.get_submodule(name), theirs.base_model.model.get_submodule(name)
        for part in ("lora_A", "lora_B"):
            grad, same = getattr(layer, part).grad, getattr(other, part).default.weight.grad
            largest = float(same.abs().max())
            assert largest > 1e-4, "gradients of zero would agree, too"
            assert float((grad - same).abs().max()) < 1e-5 * max(1, largest), (name, part)


def test_dpo_is_trls_in_its_loss_and_its_gradients_and_nearly_in_its_tokens(tokenizer, tmp_path, monkeypatch):
    # lesson 13's lines as they are printed, with four pairs and a tiny model; TRL writes its checkpoints where it runs
    monkeypatch.chdir(tmp_path)
    given = {"model": tiny(tokenizer), "tokenizer": tokenizer, "pairs": SimpleNamespace(train=PAIRS)}
    (cell,) = (text for text in texts(read("13_preferences")) if "trl.DPOTrainer(" in text)
    exec(re.search(r"~~~python\n(.*?)~~~", cell, re.S)[1], given)
    trainer = given["trainer"]
    assert trainer.state.global_step == 3 and trainer.state.log_history[-1]["train_loss"] > 0
    ours, names = ours_like(trainer.model, tokenizer)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(PAIRS))])
    rows = [
        tasks.Encoded(ids[seen == 1], ids.where(answer == 1, tasks.IGNORED)[seen == 1])
        for ids, seen, answer in zip(batch["input_ids"], batch["attention_mask"], batch["completion_mask"], strict=True)
    ]
    pairs = [tasks.Preference(*both) for both in zip(rows[: len(PAIRS)], rows[len(PAIRS) :], strict=True)]
    for theirs, mine in zip(pairs, [tasks.encode_pair(tokenizer, pair) for pair in PAIRS], strict=True):
        for row, one in zip(theirs, mine, strict=True):
            end = len(one.input_ids)
            assert torch.equal(row.input_ids[:end], one.input_ids) and torch.equal(row.labels[:end], one.labels)
            assert tokenizer.decode(row.labels[end:]) == "\n", "TRL also teaches what the template writes after the end"

    reference = preferences.reference_of(ours, lambda model: preferences.of_pairs(model, pairs))
    loss = preferences.dpo_loss(preferences.of_pairs(ours, pairs), reference, trainer.beta)
    assert abs(loss.item() - torch.log(torch.tensor(2.0)).item()) > 0.01, "the adapter must differ from its reference"
    assert_same(ours, trainer.model, names, loss, trainer.compute_loss(trainer.model, batch))


def test_grpo_is_trls_in_its_advantages_and_its_gradients(tokenizer, tmp_path):
    given = []

    def reward(completions, **_):
        given.extend(float(len(one) % 7) for one in completions)
        return given[-len(completions) :]

    group = {"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 6}
    here = {"output_dir": str(tmp_path), "report_to": "none", "use_cpu": True, "bf16": False}
    trainer = trl.GRPOTrainer(
        model=tiny(tokenizer),
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"),
        reward_funcs=reward,
        args=trl.GRPOConfig(
            loss_type="grpo", beta=0.0, scale_rewards="none", gradient_checkpointing=False, **group, **here
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": pair["prompt"]} for pair in PAIRS]),
        processing_class=tokenizer,
    )
    ours, names = ours_like(trainer.model, tokenizer)
    asked = [{"prompt": pair["prompt"]} for pair in PAIRS[:2] for _ in range(4)]
    torch.manual_seed(0)
    batch = trainer._generate_and_score_completions(asked)
    rewards = torch.tensor(given).view(2, 4)
    advantages = preferences.advantages(rewards).flatten()
    assert torch.allclose(advantages, batch["advantages"]) and advantages.abs().max() > 0.5

    batch["completion_mask"][-1] = 0  # nothing is taught of the last answer
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    labels = torch.cat([torch.full_like(batch["prompt_ids"], tasks.IGNORED), batch["completion_ids"]], 1)
    labels = labels.masked_fill(mask == 0, tasks.IGNORED)
    now = preferences.token_logprobs(ours(input_ids=ids, attention_mask=mask).logits, labels)
    taught = labels[:, 1:] != tasks.IGNORED
    trainer.current_gradient_accumulation_steps = 1
    batch["old_per_token_logps"] = now.detach()[:, -batch["completion_ids"].shape[1] :]
    loss, theirs = preferences.push(now, taught, rewards), trainer._compute_loss(trainer.model, batch)
    # the two losses differ, and have the same gradients
    assert_same(ours, trainer.model, names, loss + (theirs - loss).detach(), theirs)


def test_on_policy_distillation_is_trls_in_its_loss_and_its_gradients(tokenizer, tmp_path, monkeypatch):
    # lesson 14's lines as they are printed, with few questions, short answers and tiny models
    monkeypatch.chdir(tmp_path)
    teacher, asked = tiny(tokenizer), [pair["prompt"] for pair in tasks.load_pairs().train[:8]]
    torch.manual_seed(5)
    for weight in teacher.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    given = {"model": tiny(tokenizer), "teacher": teacher, "tokenizer": tokenizer, "questions": asked}
    (cell,) = (text for text in texts(read("14_a_teacher")) if "trl.DistillationTrainer(" in text)
    lines = re.search(r"~~~python\n(.*?)~~~", cell, re.S)[1]
    exec(lines.replace("max_completion_length=40", "max_completion_length=6"), given)
    trainer = given["trainer"]
    assert trainer.state.global_step == 3 and trainer.state.log_history[-1]["train_loss"] > 0
    ours, names = ours_like(trainer.model, tokenizer)
    torch.manual_seed(0)
    batch = trainer._generate_and_score_completions([{"prompt": question} for question in asked[:4]])
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    begins = batch["prompt_ids"].shape[1]
    theirs, mine = (one(input_ids=ids, attention_mask=mask).logits[:, begins - 1 : -1] for one in (teacher, ours))
    taught = batch["completion_mask"].bool()
    assert taught.sum() > 4, "answers that end at once would agree, too"
    loss = distillation.reverse_kl(theirs, mine, taught)
    assert trainer.beta == 1.0
    assert_same(ours, trainer.model, names, loss, trainer._compute_loss(trainer.model, batch, None)[0])


def test_the_defaults_are_what_lessons_13_and_17_say():
    said = {"beta": 0.0, "loss_type": "dapo", "scale_rewards": "group", "average_tokens_across_devices": True}
    assert said == {name: getattr(trl.GRPOConfig, name) for name in said}
