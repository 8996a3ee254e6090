"""Nothing false is said of adapters of any kind that PEFT makes, and ‖ΔW‖ is what PEFT itself adds to W."""

from __future__ import annotations

import warnings

import peft
import pytest
import torch
from peft_zoo import KINDS, llama

from lora_lessons import inspection
from lora_lessons.adapter import read_adapter
from lora_lessons.inspection.measures import measure

# Every code that an adapter of this kind gets, and no other.
EXPECTED = {
    **dict.fromkeys([*KINDS, "bf16", "experts", "classifier"], set()),
    "dora": {"dora"},
    "rslora": {"rslora_export"},
    "modules_to_save": {"embeddings_saved", "tied_embeddings"},
    "on_embeddings": {"embeddings_saved", "tied_embeddings"},
    "pissa": {"start_changed_base"},
    "olora": {"start_changed_base"},
    **dict.fromkeys(["ia3", "loha", "prompt"], {"not_lora"}),
}


def peft_norms(kept):
    """What PEFT adds to each adapted weight, by the module's name: the norm of its own get_delta_weight."""
    found = {}
    for name, module in kept.model.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "lora_A"):
            short = name.removeprefix("base_model.model.").replace(".base_layer", "")
            found.setdefault(short, []).append(float(module.get_delta_weight("default").float().norm()))
    return {name: sorted(norms) for name, norms in found.items()}


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_is_found_is_true_and_nothing_else_is_said(zoo, kind):
    xray = inspection.inspect(zoo[kind].place)
    assert set(xray.codes) == EXPECTED[kind], [finding.sentence for finding in xray.findings]
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
    """σ = 4, 2, 1, 1: as shares 1/2, 1/4, 1/8 and 1/8, whose entropy is 1.75 bits; and Σσ² = 22 is 22/16 of the largest."""
    found = measure("q_proj", torch.eye(4, 9), torch.eye(7, 4) * torch.tensor([4.0, 2.0, 1.0, 1.0]), scale=0.5)
    assert (found.effective_rank, found.stable_rank) == pytest.approx((2**1.75, 22 / 16))


def test_ranks_and_scales_follow_the_patterns(zoo):
    by_rank = {one.module: one.r for one in inspection.inspect(zoo["rank_pattern"].place).matrices}
    assert by_rank["model.layers.1.self_attn.q_proj"] == 2 and by_rank["model.layers.0.self_attn.q_proj"] == 4
    assert inspection.inspect(zoo["alpha_pattern"].place).scales == (0.5, 2.0)
    assert inspection.inspect(zoo["rslora"].place).scales == (4.0,)
    assert {one.experts for one in inspection.inspect(zoo["experts"].place).matrices} == {1, 4}


def test_what_is_said_to_go_through_our_exporter_is_what_our_loader_takes(zoo):
    for kind, kept in zoo.items():
        reasons = [runtime.reason for runtime in inspection.inspect(kept.place).runtimes]
        promised = any("lora-lessons export ollama" in reason for reason in reasons)
        assert promised == any("lora-lessons export gguf" in reason for reason in reasons), kind
        try:
            read_adapter(kept.place)
        except ValueError:
            assert not promised, kind
        else:
            assert promised or kind == "classifier", kind


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("biases",)])
def test_peft_loads_what_is_said_to_load(zoo, kind):
    (said,) = [runtime for runtime in inspection.inspect(zoo[kind].place).runtimes if runtime.name == "PEFT"]
    assert said.loads == "yes"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peft.PeftModel.from_pretrained(llama(), str(zoo[kind].place))
    assert not [one for one in caught if "missing adapter keys" in str(one.message)]


# What the runtimes' own sources and threads say: PEFT, llama.cpp, vLLM, and Ollama by a merge.
LOADS = {
    "plain": "yes yes yes yes",
    "rank_pattern": "yes yes care yes",
    "alpha_pattern": "yes care care yes",
    "dora": "yes no no yes",
    "rslora": "yes care yes yes",
    "modules_to_save": "yes no no care",
    "on_embeddings": "yes yes care care",
    "pissa": "yes care care yes",
    "biases": "yes no no yes",
    "lora_bias": "yes no no yes",
    "tokens": "yes no no yes",
    "experts": "yes unknown unknown yes",
    "classifier": "yes no no no",
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
