"""Nothing false is said of adapters of any kind that PEFT makes, and ‖ΔW‖ is what PEFT itself adds to W."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter

import peft
import pytest
import torch
from peft.tuners.lora.variants import BdLoraLinearVariant, KasaLinearVariant
from peft_zoo import BASES, KINDS, OTHERS, SIZES, STARTS, edited, llama, logits, lora, made, what_peft_does
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, LlamaConfig

from lora_lessons.adapter import read_adapter
from lora_tools import inspection
from lora_tools.exporting import gguf
from lora_tools.inspection import reading
from lora_tools.inspection.findings.of_numbers import STARTS as STILL
from lora_tools.inspection.runtimes import MERGED, NOT_MERGED
from lora_tools.inspection.xray import measure

# Every code that an adapter of this kind gets, and no other.
EXPECTED = {
    **dict.fromkeys([*KINDS, "bf16"], set()),
    "classifier": {"labels_differ"},
    "experts": {"experts_stacked"},
    "dora": {"dora"},
    **dict.fromkeys(["rslora", "wider_than_w"], {"rslora_export"}),
    "subtracted": {"scale_tiny"},
    **dict.fromkeys(["modules_to_save", "on_embeddings", "half_tied"], {"embeddings_saved", "tied_embeddings"}),
    "tied": {"embeddings_saved"},
    **dict.fromkeys(["pissa", "olora", *STARTS], {"start_changed_base"}),
    **dict.fromkeys(["alora", "stacked", "bdlora", "kasa", "monteclora", "velora", "qalora"], {"variant"}),
    **dict.fromkeys(OTHERS, {"not_lora"}),
}
# Embeddings that are most of the file are to be looked at where nobody asked for them.
WHOLE = {"modules_to_save": ["note"], **dict.fromkeys(["on_embeddings", "tied", "half_tied"], ["look"])}


def peft_norms(kept):
    """What PEFT adds to each adapted weight, by the module's name: the norm of its own get_delta_weight."""
    found = {}
    for name, module in kept.model.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "lora_A"):
            short = name.removeprefix("base_model.model.").replace(".base_layer", "")
            found.setdefault(short, []).append(float(added(module).float().norm()))
    return {name: sorted(norms) for name, norms in found.items()}


@torch.no_grad()
def added(module):
    """ΔW of a layer as PEFT merges it; BD-LoRA and KaSA have a way of their own."""
    variant = getattr(module, "lora_variant", {}).get("default")
    if isinstance(variant, BdLoraLinearVariant | KasaLinearVariant):
        W = module.get_base_layer().weight
        return variant.merge_safe(module, "default", W) - W
    return module.get_delta_weight("default")


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_found_is_true_and_nothing_else_is_said(zoo, kind):
    xray = inspection.inspect(zoo[kind].place)
    assert set(xray.codes) == EXPECTED[kind], [finding.sentence for finding in xray.findings]
    assert [one.severity for one in xray.findings if one.code == "embeddings_saved"] == WHOLE.get(kind, [])
    assert all(matrix.finite for matrix in xray.matrices)
    inspection.in_words(xray)


@pytest.mark.parametrize("kind", [kind for kind, codes in EXPECTED.items() if "not_lora" not in codes])
def test_the_norms_are_those_of_what_peft_adds(zoo, kind):
    ours = {}
    for matrix in inspection.inspect(zoo[kind].place).matrices:
        ours.setdefault(matrix.module.replace(".base_layer", ""), []).append(matrix.norm)
    theirs = peft_norms(zoo[kind])
    assert ours.keys() == theirs.keys() and ours
    for name, norms in ours.items():
        assert sorted(norms) == pytest.approx(theirs[name], rel=0.01 if kind == "bf16" else 1e-4), name


def test_stable_and_effective_rank_follow_the_spectrum():
    """σ = 4, 2, 1, 1: as shares 1/2, 1/4, 1/8 and 1/8, whose entropy is 1.75 bits;
    and Σσ² = 22 is 22/16 of the largest."""
    found = measure("q_proj", torch.eye(4, 9), torch.eye(7, 4) * torch.tensor([4.0, 2.0, 1.0, 1.0]), scale=0.5)
    assert (found.effective_rank, found.stable_rank) == pytest.approx((2**1.75, 22 / 16))


def test_ranks_and_scales_follow_the_patterns(zoo):
    by_rank = {one.module: one.r for one in inspection.inspect(zoo["rank_pattern"].place).matrices}
    assert by_rank["model.layers.1.self_attn.q_proj"] == 2 and by_rank["model.layers.0.self_attn.q_proj"] == 4
    assert " of 2 … 4\n" in inspection.in_words(inspection.inspect(zoo["rank_pattern"].place))
    assert inspection.inspect(zoo["alpha_pattern"].place).scales == (0.5, 2.0)
    assert inspection.inspect(zoo["rslora"].place).scales == (4.0,)
    assert {one.experts for one in inspection.inspect(zoo["experts"].place).matrices} == {1, 4}


# What our loader does not take, for another reason each.
BROKEN = {
    "NaN": lambda t: {name: one * torch.nan for name, one in t.items()},
    "too large": lambda t: {name: one * 1e30 for name, one in t.items()},
    "whole numbers": lambda t: {name: (100 * one).to(torch.int8) for name, one in t.items()},
    "eight bits": lambda t: {name: one.to(torch.float8_e4m3fn) for name, one in t.items()},
    "of a convolution": lambda t: {name: one[..., None, None] for name, one in t.items()},
    "a half": lambda t: dict(list(t.items())[1:]),
}


def test_what_is_said_to_go_through_our_exporter_is_what_our_loader_takes(zoo, tmp_path):
    places = {kind: kept.place for kind, kept in zoo.items()}
    places |= {name: edited(zoo["plain"], tmp_path / name, change) for name, change in BROKEN.items()}
    places["another r"] = edited(zoo["plain"], tmp_path / "r", r=3)
    for kind, place in places.items():
        xray = inspection.inspect(place)
        reasons = [runtime.reason for runtime in xray.runtimes]
        promised = any("lora-lessons export ollama" in reason for reason in reasons)
        assert promised == any("lora-lessons export gguf" in reason for reason in reasons), kind
        assert promised or "lora-lessons export merged" not in inspection.in_words(xray), kind
        try:
            read_adapter(place)
        except ValueError:
            assert not promised, kind
        else:
            assert promised or kind == "classifier", kind


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The bases of the zoo as folders, by what BASES says of them."""
    places = {}
    for said in ({}, *BASES.values()):
        place = places.setdefault(str(said), tmp_path_factory.mktemp("bases") / "tiny")
        llama(**said).save_pretrained(place)
    return places


# Where a merge is possible, and only in the way that the reason names.
MERGED_WITH_CARE = {"modules_to_save": "yes", "half_tied": "no", "lora_ga": "yes"}


@pytest.mark.parametrize("kind", [*KINDS, *STARTS, *OTHERS])
def test_peft_loads_and_merges_what_is_said_to(zoo, bases, kind):
    said = BASES.get(kind, {})
    xray = inspection.inspect(zoo[kind].place, bases[str(said)])
    rows = {one.name: one.loads for one in xray.runtimes}
    loads, merges = what_peft_does(zoo[kind], llama(**said))
    assert rows["PEFT"] == loads
    if rows["Ollama (merged)"] == "care":
        assert MERGED_WITH_CARE[kind] == merges
    else:
        assert rows["Ollama (merged)"] == merges, xray.runtimes
    of_size = {"update_too_large"}
    assert set(xray.codes) <= EXPECTED[kind] | of_size, [one.sentence for one in xray.findings]
    assert not xray.base.lacking and not xray.base.other_shapes
    assert "every Linear layer is adapted" not in inspection.in_words(xray)  # none adapts the head of all its Linears


def test_every_kind_of_peft_is_known_and_all_are_tried_that_can_be_made():
    kinds = {one.value for one in peft.PeftType}
    assert {*MERGED, *NOT_MERGED} == kinds and not {*MERGED} & {*NOT_MERGED}
    made = {config().peft_type.value for config in OTHERS.values()}
    assert kinds - made == {"LORA", "ADAMSS", "XLORA"}


def test_every_setting_of_lora_is_in_the_zoo_or_changes_nothing_that_is_saved():
    tried = {name for settings in KINDS.values() for name in settings} | {"target_parameters", "task_type"}
    tried |= {name for settings, _ in STARTS.values() for name in settings}
    known = {one.name for one in dataclasses.fields(peft.LoraConfig)} - {
        one.name for one in dataclasses.fields(peft.PeftConfig)
    }
    about_training = {"lora_dropout", "runtime_config", "eva_config", "loftq_config", "qalora_group_size"}
    of_other_bases = {"fan_in_fan_out", "megatron_config", "megatron_core", "layers_pattern", "arrow_config"}
    assert known - tried - about_training - of_other_bases == set()


# What the runtimes' own sources and threads say: PEFT, llama.cpp, vLLM, SGLang, MLX, and Ollama by a merge.
LOADS = {
    "plain": "yes yes yes yes no yes",
    "rank_pattern": "yes yes care no no yes",
    "alpha_pattern": "yes care care care no yes",
    "dora": "yes no no no no yes",
    "rslora": "yes care yes care no yes",
    "modules_to_save": "yes no no unknown no care",
    "on_embeddings": "yes care care unknown no care",
    "half_tied": "yes care care unknown no care",
    "tied": "yes no care unknown no no",
    "norms": "yes care no unknown no yes",
    "alora": "yes yes care unknown no no",
    "stacked": "yes no no no no no",
    "bdlora": "yes no no unknown no yes",
    "kasa": "yes no no unknown no yes",
    "qalora": "yes care care unknown no care",
    "corda": "no care care care no no",
    "lora_ga": "care care care care no care",
    "pissa": "yes care care care no yes",
    "biases": "yes no no unknown no yes",
    "lora_bias": "yes no no unknown no care",
    "tokens": "yes no no unknown no yes",
    "experts": "yes no unknown no no yes",
    "classifier": "yes no no unknown no no",
}


@pytest.mark.parametrize("kind", LOADS)
def test_which_runtimes_load_it(zoo, kind):
    said = inspection.inspect(zoo[kind].place).runtimes
    assert " ".join(runtime.loads for runtime in said) == LOADS[kind], said
    assert all(runtime.reason for runtime in said)


def test_other_kinds_are_looked_at_for_what_can_be_said(zoo):
    for kind, named in (("ia3", "IA3"), ("loha", "LOHA"), ("prompt", "PROMPT_TUNING")):
        xray = inspection.inspect(zoo[kind].place)
        loads = {runtime.name: runtime.loads for runtime in xray.runtimes}
        assert named in xray.findings[0].sentence and xray.size.numbers and not xray.matrices
        assert loads["llama.cpp"] == loads["vLLM"] == "no" and loads["Ollama (merged)"] == (
            "no" if kind == "prompt" else "yes"
        )


@pytest.mark.parametrize("kind", [kind for kind, one in OTHERS.items() if one().peft_type.value in STILL])
def test_an_adapter_of_another_kind_that_never_moved_is_named(tmp_path, kind):
    config = OTHERS[kind]()
    fresh = peft.get_peft_model(llama(), config)  # as it begins: `made` would train AdaLoRA a little
    fresh.save_pretrained(tmp_path)
    (found,) = (one for one in inspection.inspect(tmp_path).findings if one.code == "never_moved")
    assert found.severity == "wrong" and STILL[config.peft_type.value][0] in found.sentence
    assert torch.allclose(logits(fresh), logits(llama()), atol=1e-5), "it changes nothing"


def test_advice_to_merge_is_given_where_peft_merges_and_a_head_of_labels_is_known_by_its_rows(zoo, tmp_path):
    sglang = {one.name: one.reason for one in inspection.inspect(zoo["alora"].place).runtimes}["SGLang"]
    assert "none can be merged" in sglang and "merge it first" not in sglang
    xray = inspection.inspect(zoo["classifier"].place)
    assert "num_labels=3" in xray.findings[0].sentence
    assert "BERT's kind alone" in {one.name: one.reason for one in xray.runtimes}["llama.cpp"]
    for labels, loads in ((2, False), (3, True)):
        config = LlamaConfig(**SIZES, vocab_size=128, num_labels=labels)
        base = AutoModelForSequenceClassification.from_config(config)
        base.save_pretrained(tmp_path / str(labels))
        named = edited(zoo["classifier"], tmp_path / f"it{labels}", base_model_name_or_path=str(tmp_path / str(labels)))
        assert ("labels_differ" in inspection.inspect(named).codes) != loads
        with contextlib.nullcontext() if loads else pytest.raises(RuntimeError, match="size mismatch"):
            peft.PeftModel.from_pretrained(base, str(named))


def test_an_adapter_of_a_model_without_its_head_is_not_promised_to_our_exporters(base_folder, tmp_path):
    """As adapters of embedding models are, which Ollama serves; PEFT's own merge is the way."""
    model = AutoModel.from_pretrained(base_folder)
    config = peft.LoraConfig(task_type="FEATURE_EXTRACTION", r=4, target_modules=["q_proj"])
    place = made(tmp_path, model, config).place
    for base in (None, str(base_folder)):
        rows = {one.name: one for one in inspection.inspect(place, base).runtimes}
        assert rows["Ollama (merged)"].loads == rows["llama.cpp"].loads == "yes"
        assert not any("lora-lessons export" in one.reason for one in rows.values())
    with pytest.raises(ValueError, match="has no such layer"):
        gguf.check_fit(read_adapter(place), gguf.checked_base(base_folder))


def test_a_base_that_our_export_refuses_is_not_promised_to_it(zoo, tmp_path):
    """What is said of `lora-lessons export` is what it does, of the base that was named, and of none it was not."""
    ours = [one.reason for one in inspection.inspect(zoo["plain"].place).runtimes if "lora-lessons" in one.reason]
    assert len(ours) == 2 and all("if its base is llama, mistral, qwen2 or qwen3" in one for one in ours)
    sizes = {name: size for name, size in SIZES.items() if name != "initializer_range"}
    for model_type, promised in (("gemma3_text", False), ("gemma", False), ("qwen3", True)):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes, vocab_size=64, head_dim=8))
        model.save_pretrained(tmp_path / model_type)
        kept = lora(tmp_path / f"{model_type}-lora", model=model)
        reasons = [one.reason for one in inspection.inspect(kept.place, tmp_path / model_type).runtimes]
        assert sum("lora-lessons export" in one for one in reasons) == (2 if promised else 0), reasons
        refused = gguf.why_not_written(tmp_path / model_type)
        assert bool(refused) != promised and any(refused.rstrip(".") in reason for reason in reasons)


def test_a_file_is_opened_as_often_whatever_it_holds(zoo, monkeypatch):
    opened, real = Counter(), reading.Numbers
    for kind in ("plain", "all_linear"):
        monkeypatch.setattr(reading, "Numbers", lambda file, kind=kind: opened.update([kind]) or real(file))
        inspection.inspect(zoo[kind].place)
    assert opened["all_linear"] == opened["plain"]  # 14 pairs, and 4
