"""Hall 3's trials tell broken from repaired, its warnings are those that it speaks of, and its numbers are the real tools'."""

import warnings
from functools import partial

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch.utils.checkpoint import checkpoint

from lora_lessons import lora, mixing, quant, training
from lora_lessons.lessons.l14_bug_museum import mended, trials
from lora_lessons.lessons.l14_bug_museum.tiny_llama import IDS, adamw, learn, lora_config, loss_of, tiny_llama


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


def test_loading_renamed_restores_every_b_and_the_plain_way_none():
    folder, model = trials.a_saved_folder(steps=2)
    broken, well = trials.loaded(load, folder, model), trials.loaded(mended.load, folder, model)
    assert (broken.b_moved, broken.loaded) == (0, broken.base) and broken.apart > 1e-3
    assert (well.b_moved, well.apart) == (well.b_all, 0)
    wrapped_again = trials.loaded(lambda net, place: load(trials.Wrapped(net), place), folder, model)
    assert wrapped_again.apart == 0, "the other good way"


def test_a_compiled_models_adapter_has_its_wrappers_name_in_every_key(tmp_path):
    """As the third hint of 14.21 says: adapted after compiling, and not the other way round."""
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
    with warnings.catch_warnings(), pytest.raises(RuntimeError, match="element 0 of tensors does not require grad"):
        warnings.simplefilter("ignore")
        one_step(model)


def test_pefts_merge_into_four_bits_is_ours_and_keeps_next_to_nothing():
    layer = trials.one_layer()
    model = trials.on_four_bits(layer)
    before = trials.weight_of(model)
    with pytest.warns(UserWarning, match="4-bit"):
        after = trials.weight_of(model.merge_and_unload())
    packed = quant.quantize(layer.W.bfloat16(), "nf4")
    assert torch.equal(before.bfloat16(), quant.dequantize(packed))
    ours = quant.dequantize(mixing.merged_into_four_bits(packed, layer.delta)).float()
    kept = trials.kept(after - before, layer.delta)
    assert kept == pytest.approx(trials.kept(ours - before, layer.delta), abs=0.01) and kept < 0.1
    assert 0.9 < trials.kept(quant.dequantize(mended.merge(layer.W, layer.delta)).float() - before, layer.delta) < 1.1


def test_closing_the_trap_by_hand_does_what_the_processor_does():
    from lora_lessons.lessons.l14_bug_museum.tiny_llama import gradients, heard

    net = trials.in_four_bits()
    model = get_peft_model(mended.ready(net), lora_config())
    loss_of(model)
    assert not trials.repacked(net) and heard(gradients(model)) == 14
    trials.close(model)
    assert heard(gradients(model)) == 4, "o_proj and down_proj of two blocks"


def said(action):
    """What was warned of while `action` ran, the deprecations left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        action()
    return {str(one.message) for one in caught if not issubclass(one.category, (FutureWarning, DeprecationWarning))}


def tied():
    model = get_peft_model(tiny_llama(tied=True), lora_config("q_proj", "v_proj", "lm_head"))
    model.merge_and_unload()


def base_left_free():
    net = tiny_llama()
    for name in lora.resolve_targets(net, "all-linear"):
        net.set_submodule(name, lora.LoRALinear(net.get_submodule(name), r=4, lora_alpha=8))
    one_step(net)


def in_fp16():
    one_step(get_peft_model(tiny_llama(), lora_config()).half())


def second():
    model = get_peft_model(tiny_llama(), lora_config(), adapter_name="first")
    learn(model, add_second(model), 1)


@pytest.mark.parametrize(
    "action, words",
    [
        (lambda: load(tiny_llama(), trials.a_saved_folder(steps=1)[0]), "missing adapter keys"),
        (second, None),
        (base_left_free, None),
        (
            lambda: one_step(get_peft_model(save_memory(tiny_llama()), lora_config("q_proj", "lm_head"))),
            "None of the inputs have requires_grad",
        ),
        (tied, "tie_word_embeddings"),
        (in_fp16, None),
    ],
)
def test_it_warns_or_does_not(action, words):
    """With the merge into 4 bits (above) and the autograd kernel of lesson 07, these make the hall's five of eight."""
    found = said(action)
    assert any(words in one for one in found) if words else not found
