"""Which layers LoRA adapts: the same as PEFT's all-linear, and a sentence for every name that cannot be one."""

import peft
import pytest
import torch
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

from lora_lessons import lora

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = {"vocab_size": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


@pytest.fixture
def mixture():
    """A random Mixtral of two layers and four experts, whose experts are stacks of matrices."""
    return MixtralForCausalLM(MixtralConfig(**SMALL, **TOKENS, num_key_value_heads=2, num_local_experts=4)).eval()


def test_experts_that_no_adapter_reaches_are_named_and_counted(mixture):
    found = lora.left_out(mixture, lora.resolve_targets(mixture, "all-linear"))
    one_layer = {"gate_up_proj": 4 * 2 * 48 * 32, "down_proj": 4 * 48 * 32}
    assert found == {f"model.layers.{i}.mlp.experts.{name}": size for i in (0, 1) for name, size in one_layer.items()}


def test_all_linear_says_what_it_leaves_out_of_a_mixture(mixture):
    with pytest.warns(
        UserWarning, match=r"adapts 8 Linear .* leaves out 4 weights with 36,864 .* target_parameters"
    ) as w:
        lora.attach(mixture, r=2)
    assert len(w) == 1


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


@pytest.mark.parametrize("targets", [None, 1, [1], ["q_proj", None], b"q_proj", {"q_proj": 1, 2: 3}])
def test_targets_that_are_no_names_are_refused_in_a_sentence(tiny_model, targets):
    with pytest.raises(ValueError, match=r"not the name of a layer"):
        lora.attach(tiny_model, target_modules=targets)
    assert not list(lora.lora_layers(tiny_model))
