"""What lesson 08's page says of a card, as far as a processor can run it: TRL's recipe."""

import pytest
import torch
from sources import read, texts
from transformers import LlamaConfig, LlamaForCausalLM

from lora_lessons import memory, models, tasks
from lora_lessons.lessons import l08
from lora_lessons.models import loading

(RECIPE,) = (text for text in texts(read("08_qlora_7b"), "code") if "SFTTrainer(" in text)
JOB = l08.COLLEAGUES | l08.changes()
GIVEN = f"import importlib.util\n\nimport torch\n\nfrom lora_lessons import models, tasks\n\njob = {JOB!r}\n"


def test_without_a_card_it_is_skipped_with_a_sentence(capsys, monkeypatch):
    monkeypatch.setattr(models, "card", lambda: None)
    exec(GIVEN + RECIPE, given := {})
    assert "needs an NVIDIA card, and TRL (pip install trl)" in capsys.readouterr().out and "trainer" not in given


def test_trls_recipe_trains_a_tiny_7b_in_nf4_on_a_processor(tmp_path, monkeypatch):
    """The cell as it stands: only the base is tiny, the steps are two, and what needs a card is named beside them."""
    pytest.importorskip("trl")
    tokenizer = loading.load_tokenizer(loading.folder())
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    tiny = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=1, **sizes))
    tiny.to(torch.bfloat16).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "card", lambda: ("A Card", 12.0 * 2**30))
    monkeypatch.setattr(models, "fast_dtype", lambda: torch.bfloat16)
    cell = RECIPE
    for old, new in (
        ('"Qwen/Qwen2.5-7B-Instruct"', repr(str(tmp_path / "tiny"))),
        ("max_steps=50", "max_steps=2, use_cpu=True"),
    ):
        assert cell.count(old) == 1
        cell = cell.replace(old, new)
    exec(GIVEN + cell, given := {})
    trainer = given["trainer"]
    assert trainer.state.global_step == 2 and trainer.state.log_history[-1]["train_loss"] > 0
    assert (tmp_path / "trl-7b" / "adapter_model.safetensors").is_file()
    # what lesson and plan say of it
    job = memory.Job(**JOB)
    learned = {p.dtype for p in trainer.model.parameters() if p.requires_grad}
    assert {str(dtype) for dtype in learned} == {"torch.bfloat16"} and job.adapter_dtype == "bf16"
    assert trainer.model.is_loaded_in_4bit and trainer.args.gradient_checkpointing and trainer.args.bf16
    assert trainer.args.max_length == job.seq and trainer.completion_only_loss
    assert trainer.args.optim == job.optimizer.replace("adamw", "adamw_torch")
    assert trainer.args.gradient_accumulation_steps == 8 and trainer.args.per_device_train_batch_size == 1
    assert {p.shape[0] for n, p in trainer.model.named_parameters() if "lora_A" in n} == {job.r}
    row = trainer.data_collator([trainer.train_dataset[0]])
    taught = row["input_ids"][0][row["labels"][0] != tasks.IGNORED] if "labels" in row else None
    said = given["task"].train[0]["messages"][-1]["content"]
    if taught is None:
        taught = row["input_ids"][0][row["completion_mask"][0] == 1]
    assert said in tokenizer.decode(taught) and given["task"].train[0]["messages"][0][
        "content"
    ] not in tokenizer.decode(taught)
