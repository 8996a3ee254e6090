"""What servers know at all: architectures by config or name, ranks, names of layers. PEFT is asked where it decides."""

from __future__ import annotations

import json
import re
import string
import sys
import tomllib
import warnings
from pathlib import Path

import peft
import pytest
import torch
from families import SIZES, moved
from peft_zoo import Kept, edited
from transformers import AutoConfig, AutoModelForCausalLM, WhisperConfig, WhisperForConditionalGeneration

from lora_tools import inspection
from lora_tools.inspection import reading, served
from lora_tools.inspection.runtimes import MAMBAS, facts_of, rows

# A base's name → what vLLM, llama.cpp and a merge for Ollama make of a plain adapter of it.
NAMES = {
    "Qwen/Qwen3-8B": "yes yes yes",
    "allenai/Olmo-3-7B-Instruct": "yes yes yes",
    "tiiuae/falcon-7b": "no yes yes",
    "tiiuae/Falcon3-7B-Instruct": "yes yes yes",
    "EleutherAI/pythia-1.4b": "no yes yes",
    "openai/whisper-small": "yes no no",
    "Salesforce/codegen-350M-mono": "unknown no no",
    "moonshotai/Kimi-Linear-48B-A3B-Instruct": "no yes yes",
    "unsloth/Qwen3-8B-unsloth-bnb-4bit": "yes care care",
    "black-forest-labs/FLUX.1-dev": "no no no",
    "moonshotai/Kimi-K2-Instruct": "yes yes yes",
    "zai-org/GLM-4.7-Flash": "yes yes yes",
    "inclusionAI/Ling-3.0-flash": "no yes yes",
    "LiquidAI/LFM2-VL-1.6B": "yes yes yes",
}


def answers(place, base=None):
    return {one.name: one for one in inspection.inspect(place, base).runtimes}


def qwen3():
    return AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen3", **SIZES))


def with_names(new):
    """A change of the names of the tensors: each key of `new` becomes its value."""
    return lambda tensors: {re.sub("|".join(new), lambda old: new[old[0]], key): one for key, one in tensors.items()}


@pytest.fixture
def of_any_width(monkeypatch):
    """The zoo's matrices are narrower than those of the bases that a test names."""
    monkeypatch.setattr(sys.modules[facts_of.__module__], "other_width", lambda *_: {})


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_base_says_which_programs_know_it(zoo, tmp_path, of_any_width, name):
    rows = answers(edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=name))
    assert " ".join(rows[one].loads for one in ("vLLM", "llama.cpp", "Ollama (merged)")) == NAMES[name], rows


def test_a_config_says_it_better_than_a_name_and_what_nobody_knows_is_left_open(zoo, base_folder, tmp_path):
    named = edited(zoo["plain"], tmp_path / "it", base_model_name_or_path="me/falcon-7b")
    assert answers(named)["vLLM"].loads == "no" and answers(named, str(base_folder))["vLLM"].loads == "yes"
    strange = answers(edited(zoo["plain"], tmp_path / "other", base_model_name_or_path="me/my-own"))
    for runtime in ("vLLM", "SGLang", "llama.cpp"):
        assert strange[runtime].loads == "yes" and "which was not looked at" in strange[runtime].reason
        assert "not looked at" not in answers(zoo["plain"].place)[runtime].reason


def test_the_lists_hold_classes_once_and_no_class_is_taken_and_refused():
    said = tomllib.loads(Path(served.__file__).with_name("served.toml").read_text("utf-8"))
    vllm, llamacpp = said["vLLM"], said["llama.cpp"]
    for text in (vllm["takes"], vllm["refuses"], llamacpp["takes"]):
        assert len(text.split()) == len(set(text.split())) > 50
    assert not set(vllm["takes"].split()) & set(vllm["refuses"].split())
    assert "LlamaForCausalLM" in vllm["takes"].split() and "GPT2LMHeadModel" in vllm["refuses"].split()


def test_a_row_asks_and_says_nothing_but_facts(zoo):
    """One that misspells a fact would stop the inspection of the rare adapter that it is about."""
    known = {*facts_of(reading.open_adapter(zoo["plain"].place), (), None), "it", "peft", "merges"}
    for _, asks, *said in rows():
        fields = string.Formatter().parse(said[2] if said else "")
        named = {name.partition("[")[0] for _, name, _, _ in fields if name}
        assert {*asks.split()} | named <= known | {"by_list", "by_architecture", "care_by_architecture"}, (asks, named)


@pytest.mark.parametrize(("r", "loads", "words"), [(300, "yes", "--max-lora-rank 320"), (600, "no", "export rank")])
def test_vllm_takes_some_ranks_and_none_above_the_largest(tmp_path, r, loads, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.get_peft_model(qwen3(), peft.LoraConfig(r=r, target_modules=["q_proj"])).save_pretrained(tmp_path)
    vllm = answers(tmp_path)["vLLM"]
    assert vllm.loads == loads and words in vllm.reason


def test_sglang_stops_at_a_pattern_and_not_at_the_word_for_all_and_knows_no_layer_of_other_names(zoo, tmp_path):
    for targets, loads in ((r".*\.(q|v)_proj", "no"), ("all-linear", "yes"), (["q_proj", "v_proj"], "yes")):
        place = edited(zoo["plain"], tmp_path / loads / str(targets)[:3], target_modules=targets)
        assert answers(place)["SGLang"].loads == loads
    assert '["q_proj", "v_proj"]' in answers(tmp_path / "no" / ".*\\")["SGLang"].reason
    wide = edited(zoo["all_linear"], tmp_path / "wide", target_modules=".*_proj")
    assert '"gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]' in answers(wide)["SGLang"].reason
    # a list is no help where SGLang stops at what it would name
    lacking = {"v_proj": "o_proj"}, "stops where one layer adapts q_proj and no v_proj: merge it first"
    strange = {"q_proj": "my_own_proj", "v_proj": "o_proj"}, "know no my_own_proj: merge it first"
    for names, said in (lacking, strange):
        place = edited(zoo["plain"], tmp_path / str(len(names)), with_names(names), target_modules=r".*_proj")
        sglang = answers(place)["SGLang"]
        assert sglang.loads == "no" and said in sglang.reason
    renamed = {"q_proj": "query_key_value", "v_proj": "my_own_proj"}
    for old, new in renamed.items():
        targets = [new, *(renamed.keys() - {old})]
        rows = answers(edited(zoo["plain"], tmp_path / new, with_names({old: new}), target_modules=targets))
        assert rows["SGLang"].loads == "unknown" and new in rows["SGLang"].reason
        own = new == "my_own_proj"
        assert (rows["vLLM"].loads, rows["llama.cpp"].loads) == (("unknown", "no") if own else ("yes", "yes"))


def test_a_larger_models_language_model_decides_for_llama_cpp(zoo, base_folder, tmp_path):
    """Its converter asks text_config, or llm_config, before the class of the whole."""
    place = edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=str(tmp_path / "base"))
    config = json.loads((base_folder / "config.json").read_text()) | {"architectures": ["MyOwnChatModel"]}
    for part, loads in ({"llm_config": {"architectures": ["Qwen2ForCausalLM"]}}, "yes"), ({}, "no"):
        (tmp_path / "base").mkdir(exist_ok=True)
        (tmp_path / "base" / "config.json").write_text(json.dumps(config | part))
        assert answers(place)["llama.cpp"].loads == loads


# Of the projections of attention: which are adapted, what SGLang makes of that, and the one that it misses.
@pytest.mark.parametrize(
    ("names", "loads", "lacks"),
    [("qkvo", "yes", ""), ("qv", "yes", ""), ("o", "yes", ""), ("qk", "no", "no v_proj"), ("v", "no", "no q_proj")],
)
def test_sglang_joins_the_projections_of_attention_and_says_which_is_missing(tmp_path, names, loads, lacks):
    sglang = answers(moved(tmp_path / "it", qwen3(), target_modules=[f"{one}_proj" for one in names]))["SGLang"]
    assert sglang.loads == loads and lacks in sglang.reason


def test_vllm_stops_at_an_embedding_that_is_saved_whole_and_may_stop_at_one_that_is_adapted(zoo, tmp_path):
    head = {"base_model.model.lm_head.weight": torch.ones(4, 4)}
    vllm = answers(edited(zoo["plain"], tmp_path / "whole", lambda tensors: tensors | head))["vLLM"]
    assert vllm.loads == "no" and "lm_head.weight" in vllm.reason
    vllm = answers(moved(tmp_path / "it", qwen3(), target_modules=["q_proj", "v_proj", "lm_head"]))["vLLM"]
    assert vllm.loads == "care" and "embedding_modules" in vllm.reason
    llamacpp = answers(tmp_path / "it")["llama.cpp"]
    assert llamacpp.loads == "care" and "ties head and embedding" in llamacpp.reason


def test_parts_of_lora_by_another_programs_names_are_said_and_peft_leaves_them_out_without_a_word(tmp_path):
    """NeMo Automodel's experts (Automodel#1814), kohya's layers: PEFT neither loads them nor warns."""
    made = Kept(moved(tmp_path / "first", qwen3(), target_modules=["q_proj", "v_proj"]), None)
    for number, name in enumerate(("mlp.experts.lora_gate_and_up_A", "mlp.up_proj.lora_down.weight")):
        strange = {f"base_model.model.model.layers.0.{name}": torch.ones(4, 4)}
        place = edited(made, tmp_path / str(number), lambda tensors, strange=strange: tensors | strange)
        (found,) = (one for one in inspection.inspect(place).findings if one.code == "keys_do_not_match")
        assert found.severity == "wrong" and name in found.sentence and answers(place)["PEFT"].loads == "care"
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            worn = peft.PeftModel.from_pretrained(qwen3(), str(place))
        assert not [one for one in said if "adapter" in str(one.message)]
        assert not [one for one in worn.state_dict() if name in one]


@pytest.mark.parametrize("name", ["fused_expert_lora.safetensors", "non_lora_trainables.bin"])
def test_weights_beside_the_adapters_own_are_said_and_a_trainers_files_are_none(zoo, tmp_path, name):
    place = edited(zoo["plain"], tmp_path / "it")
    for usual in ("optimizer.pt", "training_args.bin", "model.safetensors", "adapter_model.bin", "recipe_state.pt"):
        (place / usual).write_bytes(b"")
    assert "weights_beside" not in inspection.inspect(place).codes
    (place / name).write_bytes(b"")
    found = {one.code: one.sentence for one in inspection.inspect(place).findings}
    assert name in found["weights_beside"] and all(name in answers(place)[one].reason for one in ("PEFT", "vLLM"))


def test_matrices_that_the_base_lacks_are_left_out_with_a_warning_only_where_another_has_none(tmp_path):
    """Unsloth's experts of gpt-oss in 4 bits (unsloth#6936): all modules of the base that are meant have theirs."""
    qwen3().save_pretrained(tmp_path / "base")
    made = Kept(moved(tmp_path / "first", qwen3(), "me/other", target_modules=["q_proj", "v_proj"]), None)

    def more(tensors):
        return tensors | {
            key.replace("q_proj", "down_projs.0"): one.clone() for key, one in tensors.items() if "q_proj" in key
        }

    for change, says in ((more, "say nothing"), (with_names({"layers.0": "layers.7"}), "in a warning only")):
        place = edited(made, tmp_path / says, change, target_modules=["q_proj", "v_proj", "down_projs.0"])
        found = {one.code: one.sentence for one in inspection.inspect(place, str(tmp_path / "base")).findings}
        assert says in found["keys_do_not_match"] and "they fit" not in found.get("base_mismatch", "")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), str(place))
        assert any("missing adapter keys" in str(one.message) for one in said) == (says != "say nothing")


def test_experts_in_a_row_are_called_by_their_name_and_not_by_their_number(tmp_path):
    """Unsloth's gpt-oss in 4 bits (unsloth-zoo#885): PEFT applies them on that model alone."""
    made = Kept(moved(tmp_path / "first", qwen3(), "me/other", target_modules=["up_proj"]), None)
    in_a_row = with_names({"mlp.up_proj": "mlp.experts.gate_up_projs.0"})
    xray = inspection.inspect(edited(made, tmp_path / "it", in_a_row, target_modules=["gate_up_projs.0"]))
    rows = {one.name: one for one in xray.runtimes}
    assert rows["PEFT"].loads == "care" and "in a row" in rows["PEFT"].reason
    assert all("gate_up_projs" in rows[one].reason for one in ("llama.cpp", "vLLM", "SGLang"))
    assert "gate_up_projs       " in inspection.in_words(xray)


def test_experts_one_by_one_stop_vllm_where_its_class_wants_them_stacked(tmp_path, of_any_width):
    for base, loads in (("Qwen/Qwen3.6-35B-A3B", "depends"), ("Qwen/Qwen3-30B-A3B", "yes")):
        made = Kept(moved(tmp_path / loads / "first", qwen3(), base, target_modules=["up_proj", "down_proj"]), None)
        vllm = answers(edited(made, tmp_path / loads / "it", with_names({"mlp.": "mlp.experts.0."})))["vLLM"]
        assert vllm.loads == loads and ("one by one" in vllm.reason) == (loads == "depends")


def test_tinkers_names_are_said_and_peft_leaves_them_out(tmp_path):
    made = Kept(moved(tmp_path / "first", qwen3(), target_modules=["q_proj", "lm_head"]), None)
    place = edited(made, tmp_path / "it", with_names({"lm_head": "model.unembed_tokens"}))
    (found,) = (one for one in inspection.inspect(place).findings if one.code == "keys_do_not_match")
    assert found.severity == "wrong" and "unembed_tokens" in found.sentence and "build_lora_adapter" in found.sentence
    with pytest.warns(UserWarning, match="missing adapter keys"):
        peft.PeftModel.from_pretrained(qwen3(), str(place))


def test_peft_stops_at_what_is_said_to_stop_it_in_a_model_with_mambas_layers(tmp_path):
    sizes = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_expand": 1}
    config = AutoConfig.for_model("falcon_h1", **SIZES, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    place = moved(
        tmp_path / "it", AutoModelForCausalLM.from_config(config), str(tmp_path / "base"), target_modules=["in_proj"]
    )

    def out(tensors):
        A = {key.replace("in_proj", "out_proj"): torch.ones(4, 32) for key in tensors if "lora_A" in key}
        return A | {key.replace("lora_A", "lora_B"): torch.ones(32, 4) for key in A}

    old = edited(Kept(place, None), tmp_path / "old", out, target_modules=["out_proj"])
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    with pytest.raises(ValueError, match="incompatible with Mamba"):
        peft.PeftModel.from_pretrained(base, str(old))
    assert [answers(one)["PEFT"].loads for one in (place, old)] == ["yes", "no"]
    assert config.architectures[0] in MAMBAS


def test_an_encoder_is_looked_into_by_the_class_that_the_config_names(tmp_path):
    small = {
        f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("layers", 1), ("attention_heads", 2))
    }
    config = WhisperConfig(vocab_size=64, d_model=32, num_mel_bins=8, decoder_start_token_id=1, **small, pad_token_id=0)
    model = WhisperForConditionalGeneration(config)
    model.save_pretrained(tmp_path / "base")
    place = moved(tmp_path / "it", model, target_modules=["q_proj", "conv1"])
    xray = inspection.inspect(place, str(tmp_path / "base"))
    assert not xray.base.lacking and "keys_do_not_match" not in xray.codes
    rows = {one.name: one for one in xray.runtimes}
    assert rows["PEFT"].loads == "yes"
    assert rows["SGLang"].loads == "unknown" and "reads with an encoder" in rows["SGLang"].reason
