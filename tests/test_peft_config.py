"""Every kind of adapter that PEFT makes: loaded as PEFT loads it, or refused with the feature named."""

import copy
import dataclasses
import json
from typing import NamedTuple

import peft
import pytest
import torch
from peft.tuners.lora import config as kinds
from peft.tuners.lora.corda import preprocess_corda
from peft_zoo import mixtral, move
from transformers import GPT2Config, GPT2LMHeadModel

from lora_lessons import lora, peft_config
from lora_lessons.adapter import ADAPTER_CONFIG, load_adapter, read_adapter, save_adapter

LIMIT = 1e-5
IDS = torch.arange(3, 27).reshape(2, 12)


class Kind(NamedTuple):
    """What PEFT is told, the model it is told it for, and what the refusal names (None: loaded)."""

    settings: dict
    refused: str | None = None
    model: str = "llama"


KINDS = {
    "plain": Kind({}),
    "rslora": Kind({"use_rslora": True}),
    "dropout": Kind({"lora_dropout": 0.3}),
    "all-linear": Kind({"target_modules": "all-linear"}),
    "pattern of names": Kind({"target_modules": r".*\.(q|v)_proj"}),
    "head": Kind({"target_modules": ["lm_head"]}, r"also holds lm_head\.base_layer\.weight"),
    "some layers": Kind({"layers_to_transform": [1]}),
    "some layers by pattern": Kind({"layers_to_transform": 0, "layers_pattern": "layers"}),
    "excluded": Kind({"exclude_modules": ["model.layers.0.self_attn.q_proj"]}),
    "random start": Kind({"init_lora_weights": False}),
    "gaussian": Kind({"init_lora_weights": "gaussian"}),
    "orthogonal": Kind({"init_lora_weights": "orthogonal"}),
    "mica": Kind({"init_lora_weights": "mica"}),
    "eva": Kind({"init_lora_weights": "eva"}),
    "pissa": Kind({"init_lora_weights": "pissa"}, "'pissa'.*path_initial_model_for_weight_conversion"),
    "pissa fast": Kind({"init_lora_weights": "pissa_niter_4"}, "'pissa_niter_4'.*path_initial_model"),
    "olora": Kind({"init_lora_weights": "olora"}, "'olora'.*path_initial_model_for_weight_conversion"),
    "corda": Kind({"init_lora_weights": "corda"}, "'corda'.*path_initial_model_for_weight_conversion"),
    "lora_ga": Kind({"init_lora_weights": "lora_ga"}, "'lora_ga'.*path_initial_model_for_weight_conversion"),
    "dora": Kind({"use_dora": True}, "use_dora = True"),
    "bias of B": Kind({"lora_bias": True}, "lora_bias = True"),
    "biases": Kind({"bias": "all"}, "bias = 'all'"),
    "biases of adapted layers": Kind({"bias": "lora_only"}, "bias = 'lora_only'"),
    "modules_to_save": Kind({"modules_to_save": ["lm_head"]}, r"modules_to_save = \['lm_head'\]"),
    "ranks by pattern": Kind({"rank_pattern": {"layers.1.self_attn.v_proj": 2, "v_proj": 7}}),
    "alphas by pattern": Kind({"alpha_pattern": {"v_proj": 99}}),
    "both, with rslora": Kind(
        {
            "use_rslora": True,
            "rank_pattern": {r"layers\.1\..*(q|v)_proj": 2, "q_proj": 3},
            "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 5, "_proj": 99, "0.self_attn.v_proj": 2.5},
        }
    ),
    "patterns that say what holds anyway": Kind({"rank_pattern": {"q_proj": 4}, "alpha_pattern": {"v_proj": 6}}),
    "patterns that mean nothing": Kind({"rank_pattern": {"k_proj": 64, "proj": 64}, "alpha_pattern": {"^q_proj": 9}}),
    "layer_replication": Kind({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
    "new tokens": Kind({"trainable_token_indices": [3, 4]}, "trainable_token_indices"),
    "embeddings": Kind({"target_modules": ["embed_tokens", "q_proj"]}, r"also holds .*embed_tokens"),
    "activated": Kind({"alora_invocation_tokens": [5, 6]}, "alora_invocation_tokens"),
    "velora": Kind({"velora_config": kinds.VeloraConfig(num_groups=4)}, "velora_config"),
    "monteclora": Kind({"monteclora_config": kinds.MontecloraConfig()}, "monteclora_config"),
    "kasa": Kind({"kasa_config": kinds.KasaConfig()}, "kasa_config"),
    "block-diagonal": Kind(
        {"use_bdlora": kinds.BdLoraConfig(target_modules_bd_b=["q_proj", "v_proj"], nblocks=2)}, "use_bdlora"
    ),
    "tied": Kind({"ensure_weight_tying": True}, "ensure_weight_tying"),
    "transposed": Kind({"target_modules": ["c_attn"], "fan_in_fan_out": True}, "fan_in_fan_out", "gpt2"),
    "experts": Kind({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters", "mixtral"),
}


def make_model(name, tiny_model):
    if name == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=128)).eval()
    if name == "mixtral":
        return mixtral()
    return tiny_model


def made(base, folder, **settings):
    """PEFT's adapter with these settings in `folder`, trained a little on a copy of `base`; the trained model."""
    settings = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]} | settings
    model, config = copy.deepcopy(base), peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    if settings.get("init_lora_weights") == "corda":
        preprocess_corda(model, config, run_model=lambda: model(IDS[:1]))
    wrapped = peft.get_peft_model(model, config).eval()
    wrapped.save_pretrained(folder / "before")
    move(wrapped).save_pretrained(folder / "after")
    return wrapped


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_every_kind_is_loaded_as_peft_loads_it_or_refused_by_name(tiny_model, tmp_path, name):
    settings, refused, model = KINDS[name]
    base = make_model(model, tiny_model)
    made(base, tmp_path, **settings)
    if refused:
        with pytest.raises(ValueError, match=refused) as caught:
            load_adapter(base, tmp_path / "after")
        assert "PeftModel.from_pretrained" in str(caught.value) and not list(lora.lora_layers(base))
        return
    bare = base(IDS).logits
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path / "after")(IDS).logits
    plain = copy.deepcopy(base)
    load_adapter(base, tmp_path / "after")
    ours = base(IDS).logits
    again = peft.PeftModel.from_pretrained(plain, save_adapter(base, tmp_path / "again"))(IDS).logits
    assert (ours - theirs).abs().max() <= LIMIT < (ours - bare).abs().max()
    assert (again - theirs).abs().max() <= LIMIT


@pytest.mark.filterwarnings("ignore")
@torch.no_grad()
def test_eva_gives_each_layer_its_own_rank_and_alpha(tiny_model, tmp_path):
    eva = peft.EvaConfig(rho=2.0, adjust_scaling_factors=True)
    settings = {"init_lora_weights": "eva", "eva_config": eva, "target_modules": "all-linear", "r": 4, "lora_alpha": 6}
    wrapped = peft.get_peft_model(copy.deepcopy(tiny_model), peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    texts = [{"input_ids": ids, "attention_mask": torch.ones_like(ids)} for ids in (IDS, IDS.flip(0), IDS + 60)]
    peft.initialize_lora_eva_weights(wrapped, texts, show_progress_bar=False)
    move(wrapped).save_pretrained(tmp_path / "eva")
    adapter = read_adapter(tmp_path / "eva")
    assert len({len(A) for A in adapter.A.values()}) > 2 and len(set(adapter.alpha_pattern.values())) > 1
    load_adapter(tiny_model, tmp_path / "eva")
    assert (tiny_model(IDS).logits - wrapped.eval()(IDS).logits).abs().max() <= LIMIT


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", ["pissa", "olora"])
@torch.no_grad()
def test_the_advice_for_pissa_and_olora_works(tiny_model, tmp_path, start):
    wrapped = made(tiny_model, tmp_path, init_lora_weights=start)
    trained = wrapped(IDS).logits
    wrapped.save_pretrained(tmp_path / "plain", path_initial_model_for_weight_conversion=str(tmp_path / "before"))
    load_adapter(tiny_model, tmp_path / "plain")
    assert (tiny_model(IDS).logits - trained).abs().max() <= 10 * LIMIT


@pytest.fixture
def folder(tiny_model, tmp_path):
    made(tiny_model, tmp_path)
    return tmp_path / "after"


def change(folder, **fields):
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config | fields))


@pytest.mark.parametrize("fields", [{"peft_type": "lora"}, {"task_type": "causal_lm"}], ids=str)
def test_peft_indeed_stops_at_a_type_that_it_does_not_know(tiny_model, folder, fields):
    change(folder, **fields)
    with pytest.raises((KeyError, ValueError)):
        peft.PeftModel.from_pretrained(tiny_model, folder)
    with pytest.raises(ValueError, match=f"does not know the {next(iter(fields))} "):
        read_adapter(folder)
    assert set(peft_config.TASK_TYPES) == {one.value for one in peft.TaskType}


def test_every_other_method_that_peft_knows_is_refused_by_name(folder):
    others = sorted({one.value for one in peft.PeftType} - {"LORA"})
    assert len(others) > 30
    for name in others:
        change(folder, peft_type=name)
        with pytest.raises(ValueError, match=f"holds a {name} adapter.*PeftModel.from_pretrained"):
            read_adapter(folder)


@pytest.mark.parametrize(
    "field, value",
    [
        ("init_lora_weights", "loftq"),
        ("init_lora_weights", "a_start_of_tomorrow"),
        ("init_lora_weights", 3),
        ("use_qalora", True),
        ("arrow_config", {"top_k": 3}),
        ("megatron_config", {"hidden_size": 8}),
        ("a_field_of_tomorrow", {"strength": 2}),
        ("another_one", "on"),
    ],
)
def test_what_cannot_be_made_here_or_is_not_known_is_refused_by_name(folder, field, value):
    change(folder, **{field: value})
    with pytest.raises(ValueError, match=f"{field} = .*PeftModel.from_pretrained"):
        read_adapter(folder)


@pytest.mark.parametrize("value", [None, False, [], {}])
def test_a_field_of_tomorrow_that_is_off_does_no_harm(folder, value):
    change(folder, a_field_of_tomorrow=value)
    assert read_adapter(folder).r == 4


def test_every_field_of_the_installed_peft_has_been_looked_at():
    """A field that a new PEFT brings must be off, or be judged: then it goes into this list, or among the harmless."""
    must_be_off = {
        *("use_dora", "lora_bias", "bias", "fan_in_fan_out", "modules_to_save"),
        *("megatron_config", "trainable_token_indices", "alora_invocation_tokens", "use_qalora", "layer_replication"),
        *("velora_config", "monteclora_config", "kasa_config", "arrow_config", "use_bdlora", "target_parameters"),
        *("ensure_weight_tying", "runtime_config"),
    }
    fields = {field.name for field in dataclasses.fields(peft.LoraConfig)}
    assert fields - peft_config._HARMLESS == must_be_off
