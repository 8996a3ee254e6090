"""The layer: a no-op at first, trainable where it should be, mergeable, strict about bad settings; and which layers
it is put around, as PEFT's all-linear."""

import math

import peft
import pytest
import torch
from tiny import shake
from torch import nn
from transformers import (
    LlamaConfig,
    LlamaForQuestionAnswering,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
    MambaConfig,
    MambaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from lora_lessons import lora, models, quant

FACTS = {  # facts.md: trainable parameters in millions, calculated from the models' shapes, r = 8 / 16 / 64
    "Llama-2-7B": ((4.19, 8.39, 33.6), (8.39, 16.8, 67.1), (19.99, 39.98, 159.9)),
    "Mistral-7B": ((3.41, 6.82, 27.3), (6.82, 13.6, 54.5), (20.97, 41.94, 167.8)),
    "Qwen2.5-7B": ((2.52, 5.05, 20.2), (5.05, 10.1, 40.4), (20.19, 40.37, 161.5)),
}
TARGETS = (["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"], "all-linear")


@pytest.fixture
def ids():
    return torch.arange(24).reshape(2, 12)


def test_a_fresh_adapter_changes_nothing(tiny_model, ids):
    before = tiny_model(ids).logits
    lora.attach(tiny_model, r=4)
    assert torch.equal(tiny_model(ids).logits, before)


def test_only_a_and_b_train_and_at_step_zero_only_b_has_a_gradient(tiny_model, ids):
    lora.attach(tiny_model, r=4)
    tiny_model(ids, labels=ids).loss.backward()
    for name, p in tiny_model.named_parameters():
        assert p.requires_grad == ("lora_" in name)
        if "lora_B" in name:
            assert p.grad.any()
        elif "lora_A" in name:
            assert not p.grad.any()
        else:
            assert p.grad is None


def test_a_starts_uniform_within_one_over_the_root_of_k_and_b_at_zero():
    """Kaiming-uniform with a = √5: the bound √(6 / (1 + 5) / k) is the one nn.Linear starts with, and PEFT's."""
    k = 256
    layer = lora.LoRALinear(nn.Linear(k, 64), r=32, lora_alpha=8)
    bound, largest = 1 / math.sqrt(k), layer.lora_A.detach().abs().max().item()
    assert 0.99 * bound < largest <= bound
    assert layer.lora_A.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not layer.lora_B.any()


def test_a_starts_by_the_seed_alone_and_no_other_draw_is_disturbed(tiny_model):
    starts = []
    for seed in (0, 0, 1):
        before = torch.get_rng_state()
        lora.attach(tiny_model, r=2, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        starts.append(torch.cat([layer.lora_A.detach().flatten() for _, layer in lora.lora_layers(tiny_model)]))
        lora.detach(tiny_model)
        torch.rand(1)
    assert torch.equal(starts[0], starts[1]) and not torch.equal(starts[0], starts[2])


def test_a_layer_freezes_its_base():
    linear = nn.Linear(6, 5)
    with pytest.raises(ValueError, match="does not fit a 5×6"):
        lora.LoRALinear(linear, r=6, lora_alpha=4)
    assert linear.weight.requires_grad, "a layer that is refused leaves it alone"
    layer = lora.LoRALinear(linear, r=2, lora_alpha=4)
    assert {name for name, p in layer.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


def test_the_update_is_scaled_by_alpha_over_r():
    torch.manual_seed(0)
    x, linear = torch.randn(3, 6), nn.Linear(6, 5)
    for rslora, scaling in ((False, 10 / 4), (True, 10 / 2)):
        layer = lora.LoRALinear(linear, r=4, lora_alpha=10, use_rslora=rslora)
        nn.init.normal_(layer.lora_B)
        expected = linear(x) + scaling * (x @ layer.lora_A.T @ layer.lora_B.T)
        assert torch.allclose(layer(x), expected, rtol=1e-5, atol=1e-5)  # fp32 sums of numbers near 10
        assert torch.allclose(layer.delta(), scaling * layer.lora_B @ layer.lora_A, rtol=1e-5, atol=1e-5)


def test_merge_equals_the_adapter_beside_the_base(tiny_model, ids):
    lora.attach(tiny_model, r=4)
    shake(tiny_model, 0.05)
    beside = tiny_model(ids).logits
    lora.merge(tiny_model)
    assert not list(lora.lora_layers(tiny_model))
    assert torch.allclose(tiny_model(ids).logits, beside, atol=1e-5)


def test_the_layer_and_its_merge_round_once():
    """In bf16, W·x + ΔW·x and W + ΔW are summed in fp32: an update rounded on its own would be rounded twice."""
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 48, bias=False, dtype=torch.bfloat16), torch.randn(5, 64, dtype=torch.bfloat16)
    layer, W = lora.LoRALinear(linear, r=4, lora_alpha=7), linear.weight.detach().float()
    nn.init.normal_(layer.lora_B, std=0.1, generator=torch.Generator().manual_seed(0))
    update = x.float() @ layer.lora_A.T @ layer.lora_B.T * layer.scaling
    assert torch.equal(layer(x), (linear(x).float() + update).bfloat16())
    assert not torch.equal(layer(x), linear(x) + update.bfloat16())
    expected = (W + layer.delta()).bfloat16()
    assert torch.equal(layer.merged().weight, expected)
    assert not torch.equal((W.bfloat16() + layer.delta().bfloat16()), expected)


@pytest.mark.parametrize(
    "spoil, sentence",
    [
        (lambda model, last: quant.quantize_linears(model, [last]), "packed in 4 bits"),
        (
            lambda model, last: model.half().get_submodule(last).weight.data.fill_(65_503),
            r"down_proj: W \+ ΔW goes up to 6.55e\+04, and fp16 ends at 65,504: load the base in bf16",
        ),
    ],
    ids=["4 bits", "fp16"],
)
def test_a_merge_that_is_refused_leaves_every_layer_as_it_was(tiny_model, spoil, sentence):
    """Only the last layer cannot be merged: those before it could be, and are not."""
    spoil(tiny_model, lora.resolve_targets(tiny_model, "all-linear")[-1])
    lora.attach(tiny_model, r=4)
    shake(tiny_model, 0.05)
    for _, layer in lora.lora_layers(tiny_model):
        layer.scaling *= 100
    digest, layers = models.weights_digest(tiny_model), dict(lora.lora_layers(tiny_model))
    with pytest.raises(ValueError, match=sentence):
        lora.merge(tiny_model)
    assert dict(lora.lora_layers(tiny_model)) == layers and models.weights_digest(tiny_model) == digest


@pytest.mark.parametrize("name", FACTS)
def test_seven_b_counts_equal_the_published_table(name):
    for targets, row in zip(TARGETS, FACTS[name], strict=True):
        for r, millions in zip((8, 16, 64), row, strict=True):
            model = models.shape(name)
            lora.attach(model, r, 16, targets)
            digits = len(str(millions).partition(".")[2])
            assert round(lora.trainable_parameters(model) / 1e6, digits) == pytest.approx(millions, abs=1e-9)
            assert all(p.is_meta for p in model.parameters())


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"r": 0}, "1 ≤ r ≤"),
        ({"r": 17}, "1 ≤ r ≤ 16"),
        ({"r": 10_000}, "1 ≤ r ≤"),
        ({"r": "eight"}, "whole number"),
        ({"r": 8.0}, "whole number"),
        ({"lora_alpha": 0}, "above 0"),
        ({"lora_alpha": -1}, "above 0"),
        ({"lora_alpha": float("nan")}, "above 0"),
        ({"lora_alpha": 1e308}, "fits 32 bits"),
        ({"lora_alpha": 10**400}, "fits 32 bits"),
        ({"target_modules": []}, "empty"),
        *(
            ({"target_modules": targets}, "not the name of a layer")
            for targets in (None, 1, [1], ["q_proj", None], b"q_proj", {"q_proj": 1, 2: 3})
        ),
        ({"target_modules": ["q_proj", "v_prj"]}, "'v_prj'.*Did you mean 'v_proj'"),
        ({"target_modules": ["query_key_value_zzz"]}, "Write names of this model: q_proj"),
        ({"target_modules": ["embed_tokens"]}, "is a Embedding|is an Embedding"),
        ({"target_modules": ["input_layernorm"]}, "LoRA here wraps Linear layers"),
    ],
)
def test_impossible_settings_say_what_to_change_and_leave_the_model_alone(tiny_model, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        lora.attach(tiny_model, **settings)
    assert not list(lora.lora_layers(tiny_model))
    assert all(p.requires_grad for p in tiny_model.parameters())


def test_a_head_tied_to_the_embeddings_is_refused(tiny_model):
    tiny_model.lm_head.weight = tiny_model.model.embed_tokens.weight
    with pytest.raises(ValueError, match="shares its weight"):
        lora.attach(tiny_model, target_modules=["lm_head"])


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), None, "0.5"])
def test_a_scale_that_is_no_number_is_refused(tiny_model, factor):
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="finite number"):
        lora.set_scale(tiny_model, factor)


SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = {"vocab_size": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@pytest.fixture
def mixture():
    """A random Mixtral of two layers and four experts, whose experts are stacks of matrices."""
    return MixtralForCausalLM(MixtralConfig(**SMALL, **TOKENS, num_key_value_heads=2, num_local_experts=4)).eval()


def test_experts_that_all_linear_does_not_reach_are_named_counted_and_said(mixture):
    one_layer = {"gate_up_proj": 4 * 2 * 48 * 32, "down_proj": 4 * 48 * 32}
    assert lora.left_out(mixture, lora.resolve_targets(mixture, "all-linear")) == {
        f"model.layers.{i}.mlp.experts.{name}": size for i in (0, 1) for name, size in one_layer.items()
    }
    said = r"adapts 8 Linear .* leaves out 4 weights with 36,864 .* target_parameters"
    with pytest.warns(UserWarning, match=said) as warned:
        lora.attach(mixture, r=2)
    assert len(warned) == 1


def test_nothing_is_said_where_nothing_is_left_out(tiny_model, mixture, recwarn):
    mamba = MambaForCausalLM(MambaConfig(hidden_size=16, state_size=4, num_hidden_layers=1, vocab_size=32))
    for model in (tiny_model, mamba):  # Mamba's convolution has three dimensions too
        assert not lora.left_out(model, lora.attach(model, r=1))
    lora.attach(mixture, r=2, target_modules=["q_proj"])  # the user chose
    assert not [w for w in recwarn if "leaves out" in str(w.message)]


@pytest.mark.parametrize(
    "model_class, config",
    [(LlamaForSequenceClassification, LlamaConfig), (RobertaForSequenceClassification, RobertaConfig)],
)
def test_all_linear_leaves_a_classifiers_head_alone_as_peft_does(model_class, config):
    model = model_class(config(**SMALL, **TOKENS))
    names = lora.resolve_targets(model, "all-linear")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", target_modules="all-linear"))
    layers = wrapped.base_model.model.named_modules()
    assert names and set(names) == {name for name, m in layers if isinstance(m, peft.tuners.lora.LoraLayer)}


@pytest.mark.parametrize("model_class", [LlamaForTokenClassification, LlamaForQuestionAnswering])
def test_the_heads_that_label_tokens_and_find_answers_are_left_alone_too(model_class):
    model = model_class(LlamaConfig(**SMALL, **TOKENS))
    names = lora.resolve_targets(model, "all-linear")
    assert len(names) == 14 and all(".layers." in name for name in names)


def test_a_plain_module_named_classifier_is_adapted():
    model = torch.nn.ModuleDict({"body": torch.nn.Linear(4, 4), "classifier": torch.nn.Linear(4, 4)})
    assert lora.resolve_targets(model, "all-linear") == ["body", "classifier"]
