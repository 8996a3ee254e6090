"""The fast path gives the loss and every gradient of the plain one; what it does not know goes the plain way,
and says so."""

import pytest
import torch
from tiny import shake
from tiny_configs import small
from torch import nn
from transformers import AttentionInterface, AutoModelForCausalLM, LlamaForSequenceClassification
from two_ways import assert_same, batch, loss_and_gradients

from lora_lessons import lora, quant, tasks, training
from lora_lessons.fast import FastPath, why_not
from lora_lessons.tasks import IGNORED
from lora_lessons.training.losses import losses, plain

FAMILIES = [("llama", {}), ("qwen2", {}), ("mistral", {"sliding_window": None})]


def adapted(family="llama", targets="all-linear", quantized=False, **more):
    """A small random model with adapters that are no longer at their start."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(small(family, **more)).eval()
    if quantized:
        quant.quantize_linears(model, lora.resolve_targets(model, "all-linear"))
    lora.attach(model, r=4, lora_alpha=8, target_modules=targets)
    shake(model, 0.05)
    return model


@pytest.mark.parametrize("family, more", FAMILIES)
def test_loss_and_every_gradient_are_the_plain_paths(family, more):
    model = adapted(family, **more)
    assert why_not(model) == ""
    assert_same(model)
    assert_same(model, loss_of=FastPath(model, share_prefix=False).loss)
    assert_same(model, batch([(9, 4)]))


def test_chats_of_several_answers_have_the_plain_loss_and_gradients():
    """All of them begin alike, the first answer included; and one has an answer of one token."""
    model, chats = adapted(), batch([(9, 12), (9, 7), (14, 9)], shared=9)
    for number, (one, questions) in enumerate(zip(chats, [(12, 15), (11, 15), (15, 22)], strict=True)):
        one.labels[slice(*questions)] = IGNORED
        if number:
            one.input_ids[9:11] = chats[0].input_ids[9:11]
            one.labels[9:11] = one.input_ids[9:11] if number == 1 else IGNORED
    with training.no_cache(model):
        for some in (chats, tasks.pack(chats, 64), chats[:1]):
            assert_same(model, some)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["down_proj"], ["k_proj", "up_proj", "o_proj"]])
def test_layers_without_an_adapter_take_part(targets):
    assert_same(adapted(targets=targets))


def test_a_layer_without_an_adapter_keeps_no_copy_of_its_four_bit_weight():
    model = adapted(targets=["q_proj", "v_proj"])
    names = [
        f"model.layers.{n}.{name}" for n in range(2) for name in ("mlp.up_proj", "mlp.down_proj", "self_attn.o_proj")
    ]
    quant.quantize_linears(model, names)
    assert_same(model)
    assert kept_bytes(model, FastPath(model).loss) < 0.7 * kept_bytes(model, plain(model))


def test_a_base_in_four_bits_stays_in_four_bits():
    model = adapted(quantized=True)
    assert why_not(model) == "" and model.model.layers[0].mlp.up_proj.base_layer.weight.dtype == torch.uint8
    assert_same(model)


def test_bitsandbytes_layers_too():
    from bitsandbytes.nn import Linear4bit, Params4bit

    model = adapted()
    for _, layer in lora.lora_layers(model):
        W = layer.base_layer
        packed = Linear4bit(W.in_features, W.out_features, bias=False, compute_dtype=torch.float32, quant_type="nf4")
        packed.weight = Params4bit(W.weight.data.clone(), requires_grad=False, quant_type="nf4").to("cpu")
        layer.base_layer = packed
    assert "as it likes" in why_not(model), "once evaluated, it may be repacked: on a processor it goes the plain way"
    assert_same(model)


def test_packed_rows_and_padded_batches_have_one_loss():
    model, examples = adapted(), batch()
    apart, _ = loss_and_gradients(model, FastPath(model).loss, examples)
    packed, _ = loss_and_gradients(model, FastPath(model).loss, tasks.pack(examples, 64))
    assert packed == pytest.approx(apart, rel=1e-6)


def test_checkpointing_changes_what_is_kept_and_not_what_is_learned():
    model, examples, kept = adapted().train(), batch(), {}
    _, wanted = loss_and_gradients(model, FastPath(model).loss, examples)
    for on in (False, True):
        total = []
        with training.checkpointing(model) if on else training.no_cache(model):
            with torch.autograd.graph.saved_tensors_hooks(
                lambda t, total=total: total.append(t.nbytes) or t, lambda t: t
            ):
                loss = FastPath(model).loss(examples)
            model.zero_grad()
            loss.backward()
        kept[on] = sum(total)
        for name, gradient in wanted.items():
            assert torch.allclose(model.get_parameter(name).grad, gradient, rtol=1e-5, atol=1e-8)
    assert kept[True] < 0.5 * kept[False]


def kept_bytes(model, loss_of):
    """Bytes of the tensors that a forward pass saves for the way back."""
    total = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: total.append(t.nbytes) or t, lambda t: t):
        loss_of(batch([(60, 10)] * 4, shared=20))
    return sum(total)


def changed(how):
    """An adapted model after `how` was done to it."""
    model = adapted()
    how(model)
    return model


class Other(lora.LoRALinear):
    """An adapter that computes something else than the course's."""

    def __init__(self, model):
        super().__init__(nn.Linear(model.config.hidden_size, model.config.intermediate_size), 2, 4)

    def forward(self, x):
        return 2 * super().forward(x)


def squared(logits, labels, vocab_size, **_):
    """A loss of one's own."""
    return logits.square().mean()


def of_ones_own():
    """The name of an attention function that transformers was told of: it looks twice as sharply."""
    from transformers.masking_utils import AttentionMaskInterface, eager_mask
    from transformers.models.llama.modeling_llama import eager_attention_forward

    AttentionInterface.register(
        "sharp", lambda module, q, *rest, **how: eager_attention_forward(module, 2 * q, *rest, **how)
    )
    AttentionMaskInterface.register("sharp", eager_mask)
    return "sharp"


def noise(module, args, out):
    """As NEFTune adds it, by the rows and columns of a batch, here without chance."""
    return out + 1 / (out.size(1) * out.size(2)) ** 0.5


@pytest.mark.parametrize("make, reason", [
    (lambda: adapted("gemma"), "a GemmaForCausalLM"),
    (lambda: adapted().half(), "fp16"),
    (lambda: adapted(targets=["lm_head", "q_proj"], tie_word_embeddings=False), "its head is adapted"),
    (lambda: changed(lambda m: setattr(m.model.layers[1].mlp, "act_fn", nn.GELU())), "a GELU"),
    (lambda: changed(lambda m: setattr(m.model.layers[1].self_attn, "scaling", 0.5)), "a scale of its own"),
    (
        lambda: changed(lambda m: setattr(m.lm_head, "bias", nn.Parameter(torch.ones(len(m.lm_head.weight)), False))),
        "bias",
    ),
    (lambda: changed(lambda m: setattr(m.model.layers[0].mlp, "up_proj", Other(m))), "a Other"),
    (lambda: adapted("mistral", sliding_window=8), "window"),
    (lambda: adapted("mistral", sliding_window=4, use_sliding_window=False), "window"),
    (lambda: changed(lambda m: setattr(m.config, "is_causal", False)), "looks ahead"),
    (lambda: changed(lambda m: setattr(m.model.layers[1].self_attn, "is_causal", False)), "looks ahead"),
    (lambda: adapted("llama", attn_implementation=of_ones_own()), "a function of your own"),
    (lambda: changed(lambda m: m.model.embed_tokens.register_forward_hook(noise)), "hooked"),
    (lambda: adapted("llama", attention_dropout=0.1), "dropout"),
    (lambda: changed(lambda m: setattr(m.model.layers[1].self_attn, "attention_dropout", 0.5)), "dropout"),
    (lambda: changed(lambda m: setattr(m, "loss_function", squared)), "its loss is not the usual one"),
    (lambda: changed(lambda m: m.model.layers.__setitem__(1, m.model.layers[0])), "a block twice"),
    (lambda: changed(lambda m: setattr(m.config, "num_hidden_layers", 1)), "or not at all"),
    (lambda: adapted("llama").requires_grad_(True), "more than the course's own adapters trains"),
])  # fmt: skip
def test_a_model_that_it_does_not_know_goes_the_plain_way_and_says_so(make, reason, capsys):
    model = make()
    assert reason in why_not(model)
    how = training.Settings(steps=1)
    with training.no_cache(model):
        loss, wanted = loss_and_gradients(model, plain(model), batch())
        found, gradients = loss_and_gradients(model, losses(model, how), batch())
    assert "trains the plain way" in capsys.readouterr().out
    assert found == loss and all(gradients[name].equal(gradient) for name, gradient in wanted.items())


@pytest.mark.parametrize("name", ["", "model.layers.1.mlp.up_proj"])
def test_a_hooked_layer_is_heard(name):
    model, heard = adapted(), []
    handle = model.get_submodule(name).register_forward_hook(lambda *_: heard.append(1))
    assert "hooked" in why_not(model)
    losses(model, training.Settings(steps=1))(batch())
    assert heard
    handle.remove()
    assert why_not(model) == ""
    with training.checkpointing(model):  # transformers then hooks the embedding, which is called here, too
        assert why_not(model) == ""
    handle = model.get_submodule(name).register_full_backward_hook(lambda *_: None)
    assert "hooked" in why_not(model)
    handle.remove()
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: None)
    assert "hooked" in why_not(model)
    everywhere.remove()
    kind = type(model.model.layers[1].mlp)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "forward", lambda self, x: 2 * x)
        assert "another forward" in why_not(model)
    assert why_not(model) == ""
    model.forward = model.forward
    assert "another forward" in why_not(model)


def test_a_classifier_goes_the_plain_way():
    model = LlamaForSequenceClassification(small("llama"))
    assert "LlamaForSequenceClassification" in why_not(model)


def test_peft_layers_go_the_plain_way():
    from peft import LoraConfig, get_peft_model

    model = adapted()
    lora.detach(model)
    wrapped = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
    assert why_not(wrapped) and why_not(model)
