"""The layer: a no-op at first, trainable where it should be, mergeable, and strict about bad settings."""

import json

import pytest
import torch
from torch import nn

from lora_lessons import lora, models
from lora_lessons.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, load_adapter, save_adapter

FACTS = {  # facts.md: trainable parameters in millions, calculated from the models' shapes, r = 8 / 16 / 64
    "Llama-2-7B": ((4.19, 8.39, 33.6), (8.39, 16.8, 67.1), (19.99, 39.98, 159.9)),
    "Mistral-7B": ((3.41, 6.82, 27.3), (6.82, 13.6, 54.5), (20.97, 41.94, 167.8)),
    "Qwen2.5-7B": ((2.52, 5.05, 20.2), (5.05, 10.1, 40.4), (20.19, 40.37, 161.5)),
}
TARGETS = (["q_proj", "v_proj"], ["q_proj", "k_proj", "v_proj", "o_proj"], "all-linear")


def shake(model):
    """Give every lora_B a value, as training would."""
    for i, (_, layer) in enumerate(lora.lora_layers(model)):
        nn.init.normal_(layer.lora_B, std=0.05, generator=torch.Generator().manual_seed(i))


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
    shake(tiny_model)
    beside = tiny_model(ids).logits
    lora.merge(tiny_model)
    assert not list(lora.lora_layers(tiny_model))
    assert torch.allclose(tiny_model(ids).logits, beside, atol=1e-5)


def test_detach_gives_the_base_back_bit_for_bit(tiny_model, ids):
    before, digest = tiny_model(ids).logits, models.weights_digest(tiny_model.requires_grad_(False))
    lora.attach(tiny_model, r=4)
    shake(tiny_model)
    assert not torch.equal(tiny_model(ids).logits, before)
    assert models.weights_digest(tiny_model) == digest
    lora.detach(tiny_model)
    assert torch.equal(tiny_model(ids).logits, before)


@pytest.mark.parametrize("name", FACTS)
def test_seven_b_counts_equal_the_published_table(name):
    for targets, row in zip(TARGETS, FACTS[name], strict=True):
        for r, millions in zip((8, 16, 64), row, strict=True):
            model = models.shape(name)
            lora.attach(model, r, 16, targets)
            digits = len(str(millions).partition(".")[2])
            assert round(lora.trainable_parameters(model) / 1e6, digits) == pytest.approx(millions, abs=1e-9)
            assert all(p.is_meta for p in model.parameters())


def test_saved_and_loaded_adapter_gives_the_same_logits(tiny_model, ids, tmp_path):
    lora.attach(tiny_model, r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"], use_rslora=True)
    shake(tiny_model)
    expected = tiny_model(ids).logits
    save_adapter(tiny_model, tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / ADAPTER_CONFIG).read_text())["target_modules"] == [
        "down_proj",
        "q_proj",
    ]
    lora.detach(tiny_model)
    load_adapter(tiny_model, tmp_path / "mine")
    assert torch.equal(tiny_model(ids).logits, expected)


def test_partial_targets_are_saved_by_full_name(tiny_model, tmp_path):
    lora.attach(tiny_model, r=2, target_modules=["layers.0.self_attn.q_proj"])
    save_adapter(tiny_model, tmp_path / "one")
    config = json.loads((tmp_path / "one" / ADAPTER_CONFIG).read_text())
    assert config["target_modules"] == ["model.layers.0.self_attn.q_proj"]


def test_saving_never_overwrites_silently(tiny_model, tmp_path):
    lora.attach(tiny_model, r=2)
    save_adapter(tiny_model, tmp_path / "mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_adapter(tiny_model, tmp_path / "mine")
    save_adapter(tiny_model, tmp_path / "mine", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine"]  # no temporary folder left behind


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
        ({"target_modules": []}, "empty"),
        ({"target_modules": ["q_proj", "v_prj"]}, "'v_prj'.*Did you mean 'v_proj'"),
        ({"target_modules": ["query_key_value_zzz"]}, "This model has: q_proj"),
        ({"target_modules": ["embed_tokens"]}, "is a Embedding|is an Embedding"),
        ({"target_modules": ["input_layernorm"]}, "LoRA here wraps Linear layers"),
    ],
)
def test_impossible_settings_say_what_to_change_and_leave_the_model_alone(tiny_model, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        lora.attach(tiny_model, **settings)
    assert not list(lora.lora_layers(tiny_model))
    assert all(p.requires_grad for p in tiny_model.parameters())


def test_a_second_attach_is_refused(tiny_model):
    lora.attach(tiny_model, r=2)
    with pytest.raises(ValueError, match="already carries adapters"):
        lora.attach(tiny_model, r=2)


def test_unfit_adapter_folders_are_refused_and_the_model_is_left_clean(tiny_model, tmp_path):
    with pytest.raises(FileNotFoundError, match="adapter_config.json"):
        load_adapter(tiny_model, tmp_path)
    lora.attach(tiny_model, r=2)
    folder = save_adapter(tiny_model, tmp_path / "a")
    lora.detach(tiny_model)
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    for change, sentence in (
        ({"use_dora": True}, "PeftModel"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"r": 3}, r"the configuration says r = 3: another r"),
    ):
        (folder / ADAPTER_CONFIG).write_text(json.dumps(config | change))
        with pytest.raises(ValueError, match=sentence):
            load_adapter(tiny_model, folder)
        assert not list(lora.lora_layers(tiny_model))
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    (folder / ADAPTER_WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(FileNotFoundError, match="only safetensors"):
        load_adapter(tiny_model, folder)


def test_a_head_tied_to_the_embeddings_is_refused(tiny_model):
    tiny_model.lm_head.weight = tiny_model.model.embed_tokens.weight
    with pytest.raises(ValueError, match="shares its weight with the input embeddings"):
        lora.attach(tiny_model, target_modules=["lm_head"])


def test_damaged_and_mixed_adapter_files_are_refused(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    lora.attach(tiny_model, r=2)
    folder = save_adapter(tiny_model, tmp_path / "a")
    lora.detach(tiny_model)
    file = folder / ADAPTER_WEIGHTS
    whole = file.read_bytes()
    file.write_bytes(whole[:50])
    with pytest.raises(ValueError, match="cut short or damaged"):
        load_adapter(tiny_model, folder)
    file.write_bytes(whole)
    save_file(load_file(file) | {"base_model.model.lm_head.weight": torch.ones(1)}, file)
    with pytest.raises(ValueError, match=r"also holds lm_head\.weight"):
        load_adapter(tiny_model, folder)
    assert not list(lora.lora_layers(tiny_model))


def make_mixture():
    """A random Mixtral of two layers and four experts, whose experts are stacks of matrices."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=128, num_local_experts=4, num_experts_per_tok=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return MixtralForCausalLM(config).eval()


def test_what_adapters_cannot_reach_is_named_and_counted():
    from transformers import MambaConfig, MambaForCausalLM

    model = make_mixture()
    found = lora.left_out(model, lora.resolve_targets(model, "all-linear"))
    one_layer = {"gate_up_proj": 4 * 2 * 48 * 32, "down_proj": 4 * 48 * 32}
    assert found == {f"model.layers.{i}.mlp.experts.{name}": size for i in (0, 1) for name, size in one_layer.items()}
    mamba = MambaForCausalLM(MambaConfig(hidden_size=16, state_size=4, num_hidden_layers=1, vocab_size=32))
    assert not lora.left_out(mamba, lora.resolve_targets(mamba, "all-linear"))  # its convolution is no expert


def test_a_dense_model_leaves_nothing_out(tiny_model):
    assert not lora.left_out(tiny_model, lora.resolve_targets(tiny_model, "all-linear"))
