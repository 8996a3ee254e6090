"""Hall 3's warnings are those that it speaks of, also within its trials, and its traps are the real tools'."""

import warnings
from functools import partial

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch.utils.checkpoint import checkpoint

from lora_lessons import lora, training
from lora_lessons.lessons.l12_bug_museum import trials
from lora_lessons.lessons.l12_bug_museum.trials import (
    IDS,
    adamw,
    learn,
    lora_config,
    tiny_llama,
)


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
