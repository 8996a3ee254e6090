"""What programs make of adapters of this year's families: PEFT is asked,
and for the servers the rule that names its thread."""

from __future__ import annotations

import peft
import pytest
import torch
from families import adapter, applied, built
from peft_zoo import Kept, edited
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from lora_tools import inspection
from lora_tools.inspection.architectures import architecture_of, listed
from lora_tools.inspection.reading import open_adapter

QV = ["q_proj", "v_proj"]
IN_LANGUAGE_MODEL = r".*language_model.*\.(q|v)_proj"
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
RUNTIMES = ("PEFT", "llama.cpp", "vLLM", "SGLang", "MLX", "Ollama (merged)")

# what: the family, the model that is adapted, PEFT's settings, what builds that model,
# and what the six programs make of it
CASES = {
    "a text adapter of a hybrid": (
        *("qwen3_5", "text", {"target_modules": "all-linear"}),
        *("AutoModelForCausalLM", "yes no no care no yes"),
    ),
    "the same of the model around it": (
        *("qwen3_5", "whole", {"target_modules": IN_LANGUAGE_MODEL}),
        *("AutoModelForImageTextToText", "yes care care no no yes"),
    ),
    "experts of a hybrid": (
        *("qwen3_5_moe", "text", {"target_modules": QV, "target_parameters": EXPERTS}),
        *("AutoModelForCausalLM", "yes no no care no yes"),
    ),
    "a text adapter that sees": (
        *("qwen3_vl", "whole", {"target_modules": IN_LANGUAGE_MODEL}),
        *("AutoModelForImageTextToText", "yes care yes no no yes"),
    ),
    "Gemma 3 with its tower": (
        *("gemma3", "whole", {"target_modules": QV}),
        *("AutoModelForImageTextToText", "yes care care care no yes"),
    ),
    "Gemma 3's text model": (
        *("gemma3", "text", {"target_modules": QV}),
        *("Gemma3ForCausalLM", "care care no unknown no yes"),
    ),
    "Gemma 3 without a tower": (
        *("gemma3_text", "whole", {"target_modules": QV}),
        *("", "yes yes yes yes no yes"),
    ),
    "Gemma 4": (
        *("gemma4", "whole", {"target_modules": IN_LANGUAGE_MODEL}),
        *("AutoModelForImageTextToText", "yes care care no no yes"),
    ),
    "Mistral 3's text model": (
        *("mistral3", "text", {"target_modules": QV}),
        *("Ministral3ForCausalLM", "care care care unknown no yes"),
    ),
    "a model that no rule knows": (
        *("llava", "text", {"target_modules": QV}),
        *("LlamaForCausalLM", "care care unknown unknown no yes"),
    ),
    "gpt-oss with its experts": (
        *("gpt_oss", "whole", {"target_modules": QV, "target_parameters": EXPERTS}),
        *("", "yes no care care no yes"),
    ),
    "a mixture's attention": (
        *("qwen3_moe", "whole", {"target_modules": QV}),
        *("", "yes yes yes yes no yes"),
    ),
    "a mixture's experts": (
        *("qwen3_moe", "whole", {"target_modules": QV, "target_parameters": EXPERTS}),
        *("", "yes no unknown care no yes"),
    ),
    "keys and values that DeepSeek keeps small": (
        *("deepseek_v3", "whole", {"target_modules": ["q_a_proj", "kv_b_proj"]}),
        *("", "yes no care care no yes"),
    ),
    "DeepSeek's other projections": (
        *("deepseek_v3", "whole", {"target_modules": ["q_a_proj", "o_proj"]}),
        *("", "yes yes yes yes no yes"),
    ),
    "a hybrid of text alone": (
        *("qwen3_next", "whole", {"target_modules": ["in_proj_qkvz", *QV]}),
        *("", "yes no yes unknown no yes"),
    ),
    "half of a mixture's experts": (
        *("qwen3_moe", "whole", {"target_modules": QV, "target_parameters": EXPERTS[1:]}),
        *("", "yes no no care no yes"),
    ),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The family's base as its maker publishes it, in a folder."""
    places = {}

    def base(model_type):
        if model_type not in places:
            places[model_type] = tmp_path_factory.mktemp("bases") / model_type
            built(model_type).save_pretrained(places[model_type])
        return places[model_type]

    return base


@pytest.mark.parametrize("what", CASES)
def test_the_base_decides_and_peft_applies_it_where_it_is_said_to(bases, tmp_path, what):
    model_type, part, settings, built_by, loads = CASES[what]
    place = adapter(tmp_path / "it", model_type, part, **settings)
    xray = inspection.inspect(place, str(bases(model_type)))
    assert " ".join(one.loads for one in xray.runtimes) == loads, xray.runtimes
    assert tuple(one.name for one in xray.runtimes) == RUNTIMES and xray.base.built_by == built_by
    assert "keys_do_not_match" not in xray.codes
    assert all(one.ratio for one in xray.matrices if one.experts == 1) and xray.base.vocabulary == 64
    assert ("keys_of_language_model" in xray.codes) == (part == "text")
    assert ("experts_stacked" in xray.codes) == ("target_parameters" in settings)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText) if built_by else ():
        try:
            model = auto.from_pretrained(bases(model_type))
        except ValueError:
            continue
        fits = auto.__name__ == built_by or (part == "whole" and "language_model" in dict(model.model.named_children()))
        assert applied(model, place) == fits, auto


@pytest.mark.parametrize(
    ("name", "family"), [("Qwen/Qwen2-VL-2B-Instruct", "Qwen2-VL"), ("Qwen/Qwen3-VL-8B-Instruct", "Qwen3-VL")]
)
def test_names_that_no_class_of_transformers_has_are_said_to_load_into_nothing(zoo, tmp_path, name, family):
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=name))
    rows = {one.name: one for one in xray.runtimes}
    found = {one.code: one.sentence for one in xray.findings}["keys_do_not_match"]
    assert found.startswith(f"If this base is {family}") and "rename model.layers to model.language_model" in found
    assert [rows[one].loads for one in ("PEFT", "Ollama (merged)")] == ["depends", "depends"]
    assert "merge it" not in rows["MLX"].reason and ("load_adapter" in found) == (family == "Qwen2-VL")


def test_peft_takes_those_names_only_when_they_are_renamed_as_is_said(tmp_path):
    made = Kept(adapter(tmp_path / "new", "qwen3_vl", target_modules=IN_LANGUAGE_MODEL), None)
    old = edited(
        made,
        tmp_path / "old",
        lambda t: {key.replace("model.language_model.layers", "model.layers"): one for key, one in t.items()},
    )
    assert applied(built("qwen3_vl"), made.place) and not applied(built("qwen3_vl"), old)
    assert {one.name: one for one in inspection.inspect(made.place).runtimes}["Ollama (merged)"].loads == "yes"


NAMES = {
    "Qwen/Qwen3.5-4B": "qwen3_5",
    "unsloth/Qwen3.6-35B-A3B-bnb-4bit": "qwen3_5",
    "Qwen/Qwen3-8B": None,
    "Qwen/Qwen3-VL-8B-Instruct": "qwen3_vl",
    "Qwen/Qwen2.5-7B-Instruct": None,
    "unsloth/gemma-3-4b-it-unsloth-bnb-4bit": "gemma3",
    "google/gemma-3-1b-it": None,
    "google/gemma-3-270m": None,
    "google/gemma-4-E2B-it": "gemma4",
    "unsloth/gemma-7b-bnb-4bit": None,
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": "mistral3",
    "mistralai/Mistral-Small-24B-Instruct-2501": None,
    "mistralai/Mistral-7B-Instruct-v0.3": None,
    "openai/gpt-oss-20b": "gpt_oss",
    "somebody/llama-4bit": None,
    "/data/models/Qwen3.5-4B/": "qwen3_5",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_one_family_or_none(zoo, tmp_path, name):
    known = architecture_of(open_adapter(edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=name)))
    assert not known.sure and (known.family.model_types[0] if known.family else None) == NAMES[name]


def test_where_only_the_name_is_known_it_depends_and_the_config_decides(bases, tmp_path, zoo):
    place = adapter(tmp_path / "it", "qwen3_5", "text", base="Qwen/Qwen3.5-4B", target_modules=QV)
    vllm = {one.name: one for one in inspection.inspect(place).runtimes}["vLLM"]
    assert vllm.loads == "depends" and "if this base is Qwen3.5" in vllm.reason and "name it with --base" in vllm.reason
    (found,) = inspection.inspect(place).findings
    assert found.code == "keys_of_language_model" and "the base's name says Qwen3.5" in found.sentence
    # a folder that the adapter names is looked into
    here = adapter(tmp_path / "here", "qwen3_5", "text", base=str(bases("qwen3_5")), target_modules=QV)
    assert {one.name: one.loads for one in inspection.inspect(here).runtimes}["vLLM"] == "no"
    # and a checkpoint of the language model alone is what its config says, whatever its name
    alone = tmp_path / "Qwen3.5-4B"
    built("qwen3_5", "text").save_pretrained(alone)
    xray = inspection.inspect(place, str(alone))
    assert {one.name: one.loads for one in xray.runtimes}["vLLM"] == "yes" and xray.base.built_by == ""


def with_experts(place):
    return Kept(adapter(place, "qwen3_moe", target_modules=["q_proj"], target_parameters=EXPERTS), None)


def turned(tensors):
    """Experts as PEFT 0.18 wrote them: of each expert's A (r×k) and B (d×r) the one takes the other's place."""
    found = dict(tensors)
    for key in [key for key in tensors if ".experts." in key and "lora_A" in key]:
        A, B = tensors[key], tensors[key.replace("lora_A", "lora_B")]
        A, B = A.view(4, 4, -1), B.view(B.shape[0], 4, 4).permute(2, 0, 1)
        found[key] = B.transpose(1, 2).reshape(16, -1)
        found[key.replace("lora_A", "lora_B")] = A.transpose(1, 2).permute(1, 2, 0).reshape(A.shape[2], -1)
    return found


def test_experts_as_an_older_peft_wrote_them_stop_vllm_and_peft(tmp_path):
    made = with_experts(tmp_path / "new")
    old = edited(made, tmp_path / "old", turned)
    with pytest.raises(RuntimeError, match="size mismatch"):
        peft.PeftModel.from_pretrained(built("qwen3_moe"), str(old))
    for place, loads in ((made.place, ["yes", "unknown"]), (old, ["care", "no"])):
        rows = {one.name: one.loads for one in inspection.inspect(place).runtimes}
        assert [rows["PEFT"], rows["vLLM"]] == loads


def test_experts_of_llama_4_whose_weights_lie_the_other_way_round_are_not_taken_for_an_older_pefts(tmp_path):
    place = edited(
        with_experts(tmp_path / "new"),
        tmp_path / "it",
        lambda tensors: {key.replace("mlp.", "feed_forward."): one for key, one in turned(tensors).items()},
        target_parameters=[name.replace("mlp", "feed_forward") for name in EXPERTS],
    )
    rows = {one.name: one for one in inspection.inspect(place).runtimes}
    assert rows["PEFT"].loads == "yes" and "0.18" not in rows["vLLM"].reason


def test_our_exporters_are_not_promised_layers_of_a_larger_model_nor_a_base_named_after_another_family(zoo, tmp_path):
    for around, base in ((".language_model", "llava-hf/llava-1.5-7b-hf"), ("", "allenai/OLMo-2-1124-7B")):
        place = edited(
            zoo["plain"],
            tmp_path / f"it{around}",
            lambda tensors, around=around: {
                key.replace("model.model", f"model.model{around}"): one for key, one in tensors.items()
            },
            base_model_name_or_path=base,
        )
        assert not [one for one in inspection.inspect(place).runtimes if "lora-lessons export" in one.reason]


def test_every_rule_names_a_program_a_kind_of_keys_and_where_it_was_read():
    families, general = listed()
    rules = [*general, *(rule for family in families for rule in family.rules)]
    kinds = {"text", "wrapped", "towers", "hybrid", "stacked", "one_stack", "turned", "any"}
    kinds |= {"latent", "qkvz", "headed", "headless", "single", "in_row"}
    assert len(rules) > 20 and all(family.rules for family in families)
    for rule in rules:
        assert rule.runtime in RUNTIMES and rule.keys in kinds and rule.loads in ("yes", "care", "no", "unknown"), rule
        assert rule.behind and rule.reason[0].islower() and not rule.reason.endswith("."), rule
        assert ("run here" in rule.behind or "PEFT" in rule.behind) == (rule.runtime == "PEFT"), rule


@torch.no_grad()
def test_a_training_that_changed_nothing_is_seen_beside_the_adapter_it_went_on_from(tmp_path):
    """PEFT loads an adapter frozen unless is_trainable says otherwise: an optimizer then has nothing to move."""
    place = adapter(tmp_path / "first", "qwen3_moe", target_modules=QV)
    seen = {}
    # the first pair of "partly" is frozen by hand
    for name, trainable, first in (("frozen", False, 0), ("partly", True, 2), ("trained", True, 0)):
        worn = peft.PeftModel.from_pretrained(built("qwen3_moe"), str(place), is_trainable=trainable)
        for n, parameter in enumerate(one for one in worn.parameters() if one.requires_grad):
            parameter += 0.01 * (n >= first)
        worn.save_pretrained(tmp_path / name)
        seen[name] = [
            (one.severity, one.sentence) for one in inspection.inspect(tmp_path / name, before=place).findings
        ]
    ((severity, sentence),) = seen["frozen"]
    assert (
        severity == "wrong" and "Every number is that of first, to the bit" in sentence and "is_trainable" in sentence
    )
    (severity, sentence), changed = seen["partly"]
    assert severity == "look" and "in 1 of 4 matrices, such as model.layers.0.self_attn" in sentence
    assert changed[0] == "note" and "changed in 3 of 4 matrices, such as model.layers.0.self_attn" in changed[1]
    assert seen["trained"] == [("note", "Beside first, numbers changed in all 4 matrices.")]
    (anew, *_) = inspection.inspect(
        adapter(tmp_path / "wider", "qwen3_moe", target_modules=[*QV, "k_proj"]), before=place
    ).findings
    assert (anew.code, anew.severity) == ("another_adapter", "look") and "began anew" in anew.sentence
    file = tmp_path / "trained" / "adapter_model.safetensors"
    save_file({key: one for key, one in load_file(file).items() if ".layers.0." in key}, file)
    assert (
        "Others stand in one of the two alone." in inspection.inspect(file.parent, before=place).findings[-1].sentence
    )
    assert (
        "another_adapter"
        in inspection.inspect(adapter(tmp_path / "other", "gpt_oss", target_modules=["o_proj"]), before=place).codes
    )


@pytest.mark.parametrize(
    ("kind", "part"), [("modules_to_save", "lm_head"), ("dora", "magnitude"), ("tokens", "tokens_delta")]
)
def test_what_is_trained_beside_a_and_b_is_compared_too(zoo, tmp_path, kind, part):
    first = zoo[kind].place
    moved = edited(zoo[kind], tmp_path / "it", lambda tensors: {k: one + (part in k) for k, one in tensors.items()})
    said = [
        one.sentence for one in inspection.inspect(moved, before=first).findings if one.code in ("unchanged", "changed")
    ]
    assert any("numbers changed in" in one for one in said) and not any("changed nothing. PEFT" in one for one in said)
    halved = edited(zoo[kind], tmp_path / "half", lambda tensors: {k: one.bfloat16() for k, one in tensors.items()})
    for again, exactly in ((first, "to the bit"), (halved, "but for rounding")):
        (same,) = [one for one in inspection.inspect(again, before=first).findings if one.code == "unchanged"]
        assert same.severity == "wrong" and exactly in same.sentence
