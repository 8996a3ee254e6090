"""The halls measure what they say, their traps and warnings are the real tools', and the lines that lesson 12 gives for
a learner's own run print what it names."""

import json
import re
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sources import read
from tiny import make_tiny_model
from torch.utils.checkpoint import checkpoint
from transformers import TrainerCallback

from lora_lessons import lora, models, training
from lora_lessons.exhibits import catalogue
from lora_lessons.lessons.l12_bug_museum import exercises_hall_1 as mixture
from lora_lessons.lessons.l12_bug_museum import trials, workbench
from lora_lessons.lessons.l12_bug_museum.shown import named
from lora_lessons.lessons.l12_bug_museum.trials import (
    IDS,
    adamw,
    learn,
    lora_config,
    tiny_llama,
)
from lora_lessons.paths import course_root
from lora_lessons.tasks import IGNORED, Encoded, encode
from lora_tools import checking


def test_all_linear_leaves_the_experts_of_a_mixture_out_and_a_whole_configuration_does_not():
    linear = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    every = mixture.weights(mixture.tiny_mixture())
    found, whole = (
        mixture.reached(get_peft_model(mixture.tiny_mixture(), config))
        for config in (linear, mixture.config_with_experts())
    )
    assert mixture.share(found, every, "self_attn") == mixture.share(whole, every, "self_attn") == 1
    assert mixture.share(found, every, "experts") == 0 and mixture.share(whole, every) == 1
    left_out = lora.left_out(mixture.tiny_mixture(), {name.removesuffix(".weight") for name in found})
    assert set(left_out) == {name for name in every if "experts" in name}


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


def load(net, folder):
    return PeftModel.from_pretrained(net, folder)


def add_second(model):
    model.add_adapter("second", lora_config())
    return adamw(model.parameters())


def save_memory(net):
    for block in net.model.layers:
        whole = block.forward
        block.forward = lambda x, whole=whole, **more: checkpoint(partial(whole, **more), x, use_reentrant=True)
    return net


def one_step(model):
    """One batch back and forth, with the library's warnings on."""
    model.train()
    model(input_ids=IDS, labels=IDS).loss.backward()


def test_a_compiled_models_adapter_has_its_wrappers_name_in_every_key(tmp_path):
    """As the third hint of 12.15 says: adapted after compiling, and not the other way round."""
    from safetensors.torch import load_file

    config = lora_config("q_proj", "v_proj")
    get_peft_model(torch.compile(tiny_llama()), config).save_pretrained(tmp_path / "inside")
    torch.compile(get_peft_model(tiny_llama(), config)).save_pretrained(tmp_path / "outside")
    inside, outside = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("inside", "outside"))
    assert all("._orig_mod." in key for key in inside) and not any("_orig_mod" in key for key in outside)


def test_the_courses_own_guard_stops_where_checkpointing_cuts_the_graph():
    model = get_peft_model(save_memory(tiny_llama()), lora_config("q_proj", "v_proj", "lm_head"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one_step(model)
    with pytest.raises(training.TrainingStopped, match="checkpointing without input gradients"):
        training.check_gradients({name: p for name, p in model.named_parameters() if p.requires_grad})


def test_transformers_own_switch_is_safe_even_when_it_is_reentrant():
    model = tiny_llama()
    lora.attach(model, r=4, lora_alpha=8)
    model.activation_checkpointing_enable({"use_reentrant": True})
    one_step(model)
    assert all(layer.lora_B.grad.any() for _, layer in lora.lora_layers(model))


def test_without_an_adapter_outside_the_blocks_the_mistake_is_loud():
    model = get_peft_model(save_memory(tiny_llama()), lora_config("q_proj", "v_proj"))
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="does not require grad"):
        warnings.simplefilter("ignore")
        one_step(model)


def unscale_error(model):
    """What a GradScaler says when it meets the gradients of `model`; nothing where they are in fp32."""
    optimizer, scaler = adamw(model.parameters()), torch.amp.GradScaler("cpu")
    scaler.scale(model(input_ids=IDS, labels=IDS).loss).backward()
    try:
        scaler.unscale_(optimizer)
    except ValueError as error:
        return str(error)
    return ""


def test_a_scaler_stops_at_an_adapter_in_fp16_and_is_content_with_one_in_fp32():
    model = trials.half_base()
    dtypes = {"lora_" in name: p.dtype for name, p in model.named_parameters()}
    assert dtypes == {True: torch.float32, False: torch.float16}, "as PEFT makes them"
    assert unscale_error(model) == ""
    assert unscale_error(trials.half_base().half()) == "Attempting to unscale FP16 gradients."


def test_without_input_gradients_the_frozen_adapter_is_loud():
    model = load(tiny_llama(), trials.a_saved_folder(steps=1)[0])
    with pytest.raises(RuntimeError, match="does not require grad"):
        one_step(model)


def said(action):
    """What was warned of while `action` ran, the deprecations left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return {str(one.message) for one in caught if not issubclass(one.category, (FutureWarning, DeprecationWarning))}


def again():
    trials.continued(load, steps=1)


def in_fp16():
    one_step(trials.half_base())


def second():
    model = get_peft_model(tiny_llama(), lora_config(), adapter_name="first")
    learn(model, add_second(model), 1)


@pytest.mark.parametrize(
    "action, words",
    [
        (lambda: trials.loaded(load, *trials.a_saved_folder(steps=1)), "missing adapter keys"),
        (second, None),
        (again, None),
        (lambda: trials.checkpointed(save_memory, steps=1), "None of the inputs have requires_grad"),
        (lambda: trials.tied(lambda model: model.merge_and_unload(), steps=1), "tie_word_embeddings"),
        (in_fp16, None),
    ],
)
def test_it_warns_or_does_not(action, words):
    """These are the hall's three of seven."""
    found = said(action)
    assert any(words in one for one in found) if words else not found


BLOCK = re.compile(r"^~~~python\n((?:(?!~~~).)*^def vitals\(.*?)^~~~$", re.S | re.M)


@pytest.fixture(scope="module")
def snippet():
    (code,) = (found for cell in read("12_bug_museum").cells for found in BLOCK.findall(cell.source))
    return code


@pytest.fixture(scope="module")
def vitals(snippet):
    names = {}
    exec(snippet, names)
    return names["vitals"]


def adapted(**settings):
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]} | settings)
    return get_peft_model(make_tiny_model(), config)


def learned(one):
    one(input_ids=torch.arange(3, 11)[None], labels=torch.arange(3, 11)[None]).loss.backward()
    return one


def test_it_is_short_and_a_trainer_calls_it_where_the_lesson_says(snippet):
    assert len([line for line in snippet.splitlines() if line.strip()]) <= 15
    assert hasattr(TrainerCallback, "on_pre_optimizer_step")


def test_it_prints_layers_scale_size_and_gradients(vitals, capsys):
    one = learned(adapted(use_rslora=True))
    layer = one.base_model.model.model.layers[0].mlp.down_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    vitals(one)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == f"{len(lines)} layers: {{'q_proj': {len(lines) // 2}, 'down_proj': {len(lines) // 2}}}"
    (line,) = [line for line in lines if "layers.0.mlp.down_proj" in line]
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    share = 3 * (B @ A).norm() / layer.base_layer.weight.norm()
    assert f"scale 3, share {share:.2%}, gradients 0.00e+00 {B.grad.norm():.2e}" in line, "at the start only B learns"


def test_a_start_at_zero_and_a_frozen_adapter_show(vitals, capsys):
    one = adapted()
    for name, p in one.named_parameters():
        if "lora_" in name:
            torch.nn.init.zeros_(p)
    vitals(learned(one))
    assert "share 0.00%, gradients 0.00e+00 0.00e+00" in capsys.readouterr().out
    vitals(adapted())
    assert "gradients none none" in capsys.readouterr().out
