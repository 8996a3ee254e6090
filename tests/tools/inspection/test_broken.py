"""Adapters that we break on purpose: each is named by its code, in a sentence that has the numbers,
and is the gravest finding."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import warnings

import peft
import pytest
import torch
from peft.tuners.tuners_utils import check_target_module_exists
from peft_zoo import edited, llama, lora, move
from safetensors.torch import load_file, save_file

from lora_lessons import peft_config
from lora_lessons.errors import ModelError
from lora_lessons.outside import in_json
from lora_tools import inspection
from lora_tools.inspection import reading

ONE = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"


def put_on(place):
    """What PEFT makes of a folder, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return peft.PeftModel.from_pretrained(llama(), str(place)), [str(one.message) for one in caught]


def loads(place):
    return {runtime.name: runtime.loads for runtime in inspection.inspect(place).runtimes}


def every(part, make):
    """A change of every tensor whose name has `part` in it."""
    return lambda tensors: {k: make(v) if part in k else v for k, v in tensors.items()}


def one(make, key=ONE):
    return lambda tensors: tensors | {key: make(tensors[key].clone())}


def wider(times):
    """Every matrix `times` as often, so that r = 4 is 4 × `times`."""
    return every("lora_", lambda x: x.repeat(times, 1) if x.shape[0] == 4 else x.repeat(1, times))


def with_nan(tensor):
    tensor[0, 0] = math.nan
    return tensor


def renamed(change):
    return lambda tensors: {change(k): v for k, v in tensors.items()}


DOUBLED = renamed(lambda key: "base_model.model." + key)
BARE = renamed(lambda key: key.removeprefix("base_model.model."))
NAMED = renamed(lambda key: key.replace(".weight", ".default.weight"))
COMPILED = renamed(lambda key: key.replace("base_model.model.", "base_model.model._orig_mod."))


def of_a_tower(tensors):
    """The first layer's as those of a part that sees, each B at zero: trained on texts alone."""
    still = {k: torch.zeros_like(t) if "lora_B" in k else t for k, t in tensors.items() if ".layers.0." in k}
    return {k.replace(".layers.", ".vision_tower.layers."): t for k, t in still.items()} | {
        k: t for k, t in tensors.items() if k not in still
    }


def experts(tensors):
    """The layers as two experts, the first with each B at zero: no token was sent to it."""
    still = {k: torch.zeros_like(t) if ".0.self_attn" in k and "lora_B" in k else t for k, t in tensors.items()}
    return {k.replace(".self_attn", f".mlp.experts.{int('.1.self' in k)}"): t for k, t in still.items()}


# what is broken: the change of the tensors, the settings, the code, the severity, parts of the sentence
BROKEN = {
    "B never moved": (every("lora_B", torch.zeros_like), {}, "b_never_moved", "wrong", "all 4 matrices"),
    "one B never moved": (one(torch.zeros_like), {}, "b_never_moved", "wrong", (
        "1 of 4 matrices, such as model.layers.0"
    )),
    "B of a tower never moved": (of_a_tower, {}, "b_never_moved", "note", "sees or hears"),
    (
        "B of MiniCPM-V's eyes never moved"
    ): (lambda t: {k.replace("vision_tower", "vpm.encoder"): one for k, one in of_a_tower(t).items()},
        {}, "b_never_moved", "note", "sees or hears"),
    "B of an expert never moved": (experts, {}, "b_never_moved", "note", "experts that no token"),
    "A and B at zero": (every("lora_", torch.zeros_like), {}, "ab_both_zero", "wrong", "neither can ever move"),
    "NaN": (one(with_nan), {}, "not_finite", "wrong", "such as model.layers.0.self_attn.q_proj"),
    "A at its start": (every("lora_A", lambda A: torch.rand_like(A) * 2 / 32**0.5 - 1 / 32**0.5),
        {}, "a_never_moved", "note", "±1/√k"),
    "A far away": (every("lora_A", lambda A: 5 * A), {}, "a_far_from_start", "look", "times as large"),
    "fp16 that lost numbers": (
        every("lora_", lambda x: (x * (x.abs() > 0.01) + 1e-9 * x).half()), {}, "half_precision_zeros", "look", "fp16"
    ),
    "alpha at its default": (wider(8), {"r": 32, "lora_alpha": 8}, "alpha_at_default", "look", (
        "The scale is 0.25: lora_alpha is 8, PEFT's default, while r = 32 … Rate and scale trade places: if this "
        "adapter does what it should, keep it."
    )),
    "a tiny scale": (None, {"lora_alpha": 0.5}, "scale_tiny", "look", "The scale is 0.125 (lora_alpha = 0.5, r = 4)"),
    (
        "an alpha kept as the rank rose"
    ): (wider(16), {"r": 64, "lora_alpha": 16}, "scale_tiny", "note", "as in QLoRA's paper"),
    "no scale": (None, {"lora_alpha": 0}, "scale_tiny", "wrong", "adds nothing"),
    "alpha not divided by r": (None, {"lora_alpha": 64}, "scale_huge", "look", (
        "The scale is 16 (lora_alpha = 64, r = 4)"
    )),
    "a silent typo": (None, {"target_modules": ["q_proj", "v_porj", "v_proj"]}, "target_typo", "wrong", "'v_porj'"),
    "keys with PEFT's prefix twice": (DOUBLED, {}, "keys_do_not_match", "wrong", "twice"),
    "keys without the prefix": (BARE, {}, "keys_do_not_match", "wrong", "do not begin with base_model.model."),
    "keys of a state_dict": (NAMED, {}, "keys_do_not_match", "look", "lora_A.default.weight"),
    "keys of a compiled model": (COMPILED, {}, "keys_do_not_match", "wrong", "or rename them"),
    "a name of a base of another width": (
        None, {"base_model_name_or_path": "meta-llama/Llama-3.2-1B"}, "base_mismatch", "wrong",
        "_proj reads 32 numbers a token … Llama-3.2-1B has 2,048",
    ),
    "half of a pair": (lambda t: {k: v for k, v in t.items() if k != ONE},
        {}, "half_missing", "wrong", "layers.0.self_attn.q_proj"),
    "fewer targets than the file has": (None, {"target_modules": ["v_proj"]}, "dropped_by_targets", "wrong", (
        "2 of 4 matrices, such as model.layers.0.self_attn.q_proj (2 q_proj)"
    )),
    (
        "a name of another family among the targets"
    ): (None, {"target_modules": ["q_proj", "query_key_value", "v_proj"]}, "target_typo", "look", "'query_key_value'"),
    (
        "a name of Phi's among the targets"
    ): (None, {"target_modules": ["q_proj", "kv_proj", "v_proj"]}, "target_typo", "look", "'kv_proj'"),
    "a rank that the tensors have not": (wider(8), {"r": 64, "lora_alpha": 64}, "rank_differs", "wrong", (
        "says r = 64, and the tensors have r = 32 in all 4 matrices"
    )),
    "a rank that some tensors have not": (None, {"rank_pattern": {"q_proj": 2}}, "rank_differs", "wrong", (
        "says r = 2, and the tensors have r = 4 in 2 of 4 matrices"
    )),
    "rsLoRA to export": (None, {"use_rslora": True}, "rslora_export", "look", "α/√r = 4"),
    (
        "rsLoRA of a large scale"
    ): (wider(64), {"r": 256, "lora_alpha": 256, "use_rslora": True}, "rslora_export", "look", "α/√r = 16"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "key"), [("plain", ONE), ("modules_to_save", "base_model.model.lm_head.weight")], ids=["B", "head"]
)
def test_no_program_is_said_to_run_an_adapter_with_nan_in_it_well_and_its_medians_are_of_the_finite_layers(
    zoo, tmp_path, kind, key
):
    xray = inspection.inspect(edited(zoo[kind], tmp_path / "it", one(with_nan, key)))
    assert not {"yes", "depends"} & {runtime.loads for runtime in xray.runtimes}
    assert xray.runtimes[-1].loads == "no" and "not_finite" in xray.codes
    assert ("the layers that are finite" in inspection.in_words(xray)) == (kind == "plain")


@pytest.mark.parametrize(("alpha", "said"), [(8, False), (8.0, True), (16.5, True)])
def test_an_alpha_with_a_point_is_said_to_stop_ollamas_importer(zoo, tmp_path, alpha, said):
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", None, lora_alpha=alpha))
    assert ("without a point" in xray.runtimes[-1].reason) == said


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(zoo, tmp_path, what):
    change, settings, code, severity, parts = BROKEN[what]
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", change, **settings))
    assert xray.codes == (code,), [finding.sentence for finding in xray.findings]
    (found,) = xray.findings
    assert found.severity == severity and all(part in found.sentence for part in parts.split(" … "))
    assert found.behind and found.sentence in " ".join(inspection.in_words(xray).split())
    assert "every server stop" not in found.sentence or {runtime.loads for runtime in xray.runtimes} == {"no"}
    in_json(inspection.as_json(xray))


def test_of_an_a_at_its_start_all_matrices_are_counted(zoo, tmp_path):
    """Where B is zero, nothing is said of A."""
    change, *_ = BROKEN["A at its start"]
    xray = inspection.inspect(
        edited(zoo["plain"], tmp_path / "it", lambda tensors: one(torch.zeros_like)(change(tensors)))
    )
    found = {finding.code: finding.sentence for finding in xray.findings}
    assert "the 3 of 4 matrices in which that can be seen" in found["a_never_moved"] and "b_never_moved" in found


def test_experts_are_counted_among_the_matrices_whose_a_is_at_its_start(zoo, tmp_path):
    """PEFT draws the A of stacked experts as it draws every other."""
    at_start = every("lora_A", lambda A: (torch.rand_like(A) * 2 - 1) / A.shape[1] ** 0.5)
    xray = inspection.inspect(edited(zoo["experts"], tmp_path / "it", at_start))
    assert any(one.experts > 1 for one in xray.matrices)
    (found,) = [one.sentence for one in xray.findings if one.code == "a_never_moved"]
    assert f"in all {len(xray.matrices)} matrices" in found


def test_an_a_that_grew_as_much_as_training_makes_it_is_not_said_to_be_far(zoo, tmp_path):
    assert inspection.inspect(edited(zoo["plain"], tmp_path / "it", every("lora_A", lambda A: 2 * A))).codes == ()


@pytest.mark.parametrize("change", [DOUBLED, BARE, COMPILED], ids=["doubled", "bare", "compiled"])
def test_peft_indeed_loads_such_keys_as_if_nothing_was_trained(zoo, tmp_path, change):
    place = edited(zoo["plain"], tmp_path / "it", change)
    worn, said = put_on(place)
    assert [one for one in said if "missing adapter keys" in one]
    assert not any(p.any() for name, p in worn.named_parameters() if "lora_B" in name)
    assert loads(place)["PEFT"] == loads(place)["Ollama (merged)"] == "no"


def test_peft_indeed_finds_named_keys_only_under_their_name(zoo, tmp_path):
    for name, found in (("default", True), ("other", False)):
        place = edited(
            zoo["plain"], tmp_path / name, renamed(lambda key, name=name: key.replace(".weight", f".{name}.weight"))
        )
        assert any(p.any() for key, p in put_on(place)[0].named_parameters() if "lora_B" in key) == found
        assert [loads(place)[one] for one in ("PEFT", "llama.cpp", "vLLM")] == ["care", "no", "no"]


def test_peft_indeed_drops_what_the_targets_leave_out_without_a_word(zoo, tmp_path):
    place = edited(zoo["all_linear"], tmp_path / "it", target_modules=["q_proj", "v_proj"])
    worn, said = put_on(place)
    on = {name for name, p in worn.named_parameters() if "lora_B" in name and p.any()}
    found = {one.code: one.sentence for one in inspection.inspect(place).findings}
    assert len(on) == 4 and not [one for one in said if "adapter" in one]
    assert "leaves out 10 of 14 matrices" in found["dropped_by_targets"]
    assert loads(place)["PEFT"] == loads(place)["Ollama (merged)"] == "care"


# What PEFT stops at, if it does: the settings, the error, and what is said of PEFT, of a merge and of vLLM.
STOPS = {
    "another r": ({"r": 64}, (RuntimeError, "size mismatch"), "no no care"),
    "a pattern of ranks": ({"rank_pattern": {"q_proj": 2}}, (RuntimeError, "size mismatch"), "no no care"),
    "a name as a pattern": ({"target_modules": "q_proj"}, (ValueError, "not found in the base"), "no no yes"),
    "names as a pattern": ({"target_modules": "q_proj|v_proj"}, (ValueError, "not found in the base"), "no no yes"),
    "targets that are not in the file": ({"target_modules": ["k_proj"]}, None, "no no yes"),
    "a head that is not in the file": ({"modules_to_save": ["lm_head"]}, (KeyError, ""), "care care no"),
    "tokens that are not in the file": ({"trainable_token_indices": [3]}, (KeyError, ""), "care care yes"),
    "an unknown task": ({"task_type": "TEXT_GENERATION"}, (ValueError, "Invalid task type"), "no no yes"),
}


@pytest.mark.parametrize("what", STOPS)
def test_peft_indeed_stops_at_what_is_said_to_stop_it(zoo, tmp_path, what):
    settings, stops, said = STOPS[what]
    place = edited(zoo["plain"], tmp_path / "it", **settings)
    with pytest.raises(stops[0], match=stops[1]) if stops else contextlib.nullcontext():
        put_on(place)
    assert " ".join(loads(place)[one] for one in ("PEFT", "Ollama (merged)", "vLLM")) == said


# What one setting, or the base's name, means for a program: the adapter, the program, its answer,
# and a part of its reason.
ONE_SETTING = {
    "GPT-2's W, turned around": ("plain", {"fan_in_fan_out": True}, "llama.cpp", "no", ""),
    "biases that are asked for": (
        "plain",
        {"bias": "all"},
        "vLLM",
        "no",
        "refuses bias='all', also where the file has no",
    ),
    **{
        f"a kind that nobody knows, to {program}": ("plain", {"peft_type": "NOVEL"}, program, answer, "")
        for program, answer in {
            **dict.fromkeys(["llama.cpp", "vLLM", "SGLang", "MLX"], "no"),
            **dict.fromkeys(["PEFT", "Ollama (merged)"], "unknown"),
        }.items()
    },
    "an encoder, to vLLM": ("plain", {"task_type": "SEQ_2_SEQ_LM"}, "vLLM", "unknown", ""),
    "an encoder, to SGLang": ("plain", {"task_type": "SEQ_2_SEQ_LM"}, "SGLang", "unknown", ""),
    "a model that llama.cpp knows nothing of": (
        *("classifier", {"base_model_name_or_path": "google/vit-base-patch16-224"}),
        *("llama.cpp", "no", "merged or not"),
    ),
}


@pytest.mark.parametrize("what", ONE_SETTING)
def test_what_a_program_makes_of_a_setting_is_said(zoo, tmp_path, what):
    kind, settings, program, answer, part = ONE_SETTING[what]
    said = {one.name: one for one in inspection.inspect(edited(zoo[kind], tmp_path / "it", **settings)).runtimes}
    assert said[program].loads == answer and part in said[program].reason


OVERLAP = {"layers.0.self_attn.q_proj": 2, ".*_proj": 8}


def test_where_two_patterns_mean_a_matrix_it_is_said_that_peft_sorts_them(tmp_path):
    """PEFT trains by their order and saves them sorted; it then stops at the ranks, and says nothing of the alphas."""
    place = lora(tmp_path / "ranks", rank_pattern=OVERLAP).place
    with pytest.raises(RuntimeError, match="size mismatch"):
        put_on(place)
    (found,) = inspection.inspect(place).findings
    assert (
        found.code == "rank_differs" and "Write 'layers.0.self_attn.q_proj' first into rank_pattern" in found.sentence
    )
    kept = lora(tmp_path / "alphas", alpha_pattern=OVERLAP)
    first = "base_model.model.model.layers.0.self_attn.q_proj"
    trained, loaded = (worn.get_submodule(first).scaling["default"] for worn in (kept.model, put_on(kept.place)[0]))
    (found,) = inspection.inspect(kept.place).findings
    assert (trained, loaded, found.code) == (0.5, 2.0, "pattern_order")
    assert "1 of 4 matrices, such as model.layers.0.self_attn.q_proj ('.*_proj' = 8, 'layers.0" in found.sentence
    assert inspection.inspect(edited(kept, tmp_path / "mended", alpha_pattern=OVERLAP)).codes == ()
    same = lora(tmp_path / "same", alpha_pattern={"q_proj": 8, "_proj": 8})
    assert inspection.inspect(same.place).codes == ()


TOKENS = {
    "fewer tokens than rows": ([3], "names 1 tokens, and the file has rows for 2"),
    "no numbers": (["</s>", 4], "something else than the numbers of tokens"),
    "beyond the vocabulary": ({"embed_tokens": [3, 9999]}, "names token 9999, and the base has"),
}


@pytest.mark.parametrize("what", TOKENS)
def test_peft_indeed_stops_at_tokens_that_do_not_fit_the_file_or_the_base(zoo, base_folder, tmp_path, what):
    tokens, part = TOKENS[what]
    place = edited(zoo["tokens"], tmp_path / "it", trainable_token_indices=tokens)
    with pytest.raises((RuntimeError, IndexError, ValueError, TypeError)):
        put_on(place)
    xray = inspection.inspect(place, str(base_folder))
    (found,) = (one for one in xray.findings if one.code == "tokens_differ")
    assert part in found.sentence and found.severity == "wrong"
    assert [one.loads for one in xray.runtimes if one.name in ("PEFT", "Ollama (merged)")] == ["no", "no"]


def test_peft_indeed_drops_the_rows_of_tokens_that_are_not_named_without_a_word(zoo, tmp_path):
    place = edited(zoo["tokens"], tmp_path / "it", trainable_token_indices=None)
    worn, said = put_on(place)
    assert not any("trainable_tokens" in name for name, _ in worn.named_parameters())
    assert not [one for one in said if "adapter" in one]
    (found,) = inspection.inspect(place).findings
    assert found.code == "tokens_differ" and "the rows of 2 tokens" in found.sentence
    assert loads(place)["PEFT"] == loads(place)["Ollama (merged)"] == "care"


REACHES = [
    {"layers_to_transform": [1]},
    {"layers_to_transform": 0},
    {"layers_to_transform": [0], "layers_pattern": "layers"},
    {"layers_to_transform": [0], "layers_pattern": ["h", "blocks"]},
    {"layers_to_transform": [0], "layers_pattern": "(layers)"},
    {"exclude_modules": ["self_attn.q_proj"]},
    {"exclude_modules": r".*0\.self_attn\.(k|q)_proj"},
    {"target_modules": ["q_proj"]},
    {"target_modules": ["proj"]},
    {"target_modules": ["self_attn.q_proj"]},
    {"target_modules": "q_proj"},
    {"target_modules": r".*\.q_proj"},
    {"target_modules": r"model\.layers\.0\..*"},
]


@pytest.mark.parametrize("settings", REACHES, ids=str)
def test_what_the_settings_reach_is_what_peft_says_they_reach(zoo, tmp_path, settings):
    said = inspection.inspect(edited(zoo["plain"], tmp_path / "it", **settings)).settings
    config = peft.LoraConfig(**{"target_modules": ["q_proj", "v_proj"]} | settings)
    for name, _ in llama().named_modules():
        assert said.reaches(name) == bool(check_target_module_exists(config, name)), name


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": "all-linear"},  # PEFT looks for the Linears
        {"target_modules": "("},  # or stops
        {"layers_to_transform": [0], "layers_pattern": r"\1"},
    ],
    ids=str,
)
def test_of_a_pattern_that_is_none_nothing_is_said_to_be_dropped(zoo, tmp_path, settings):
    said = inspection.inspect(edited(zoo["plain"], tmp_path / "it", **settings)).settings
    assert all(said.reaches(f"model.layers.{n}.self_attn.{part}_proj") for n in (0, 1) for part in "qv")


def test_an_adapter_whose_scale_is_zero_has_no_effective_rank(zoo, tmp_path):
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", lora_alpha=0))
    assert {(one.norm, one.effective_rank, one.stable_rank) for one in xray.matrices} == {(0.0, 0.0, 0.0)}


def test_loftq_is_merged_because_peft_does_not_convert_it(zoo, tmp_path):
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", init_lora_weights="loftq"))
    assert "not LoftQ: merge it" in xray.findings[0].sentence
    assert not any("convert it with PEFT" in one.reason for one in xray.runtimes)


def test_a_tower_that_stayed_while_the_language_model_went_on_is_only_noted(zoo, tmp_path):
    first = edited(zoo["plain"], tmp_path / "first", of_a_tower)
    second = edited(
        zoo["plain"], tmp_path / "it", lambda t: {k: v + ("tower" not in k) for k, v in of_a_tower(t).items()}
    )
    found = inspection.inspect(second, before=first).findings
    assert {one.code: one.severity for one in found if one.code in ("changed", "unchanged")} == dict.fromkeys(
        ["changed", "unchanged"], "note"
    )


def test_patterns_that_keep_the_scale_are_no_matter_for_vllm_and_sglang_stops_at_another_rank(tmp_path):
    place = lora(tmp_path / "it", rank_pattern={"q_proj": 2}, alpha_pattern={"q_proj": 4}).place
    said = {one.name: one for one in inspection.inspect(place).runtimes}
    assert said["vLLM"].loads == "yes" and said["SGLang"].loads == "no" and "r = 4 alone" in said["SGLang"].reason


def test_a_second_adapter_that_never_moved_is_named_and_a_checkpoint_is_none(zoo, tmp_path):
    first = edited(zoo["plain"], tmp_path / "first")
    lora(first / "other", moved=False)
    found = inspection.inspect(first).findings
    assert [(one.code, one.severity) for one in found] == [
        ("second_adapter_untrained", "look"),
        ("further_adapters", "note"),
    ]
    assert inspection.inspect(first / "other").codes == ("b_never_moved",)
    (first / "other").rename(first / "checkpoint-1")
    assert inspection.inspect(first).codes == ("further_adapters",)
    shutil.rmtree(first / "checkpoint-1")
    shutil.copytree(zoo["rslora"].place, first / "other")
    assert inspection.inspect(first).codes == ("further_adapters",)


def test_pissa_that_peft_converted_is_not_taken_for_a_rate_that_is_too_high(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = peft.LoraConfig(
            task_type="CAUSAL_LM", r=4, lora_alpha=4, target_modules=["q_proj"], init_lora_weights="pissa"
        )
        base = llama()
        for layer in base.model.layers:
            layer.self_attn.q_proj.weight.data *= 20  # so that its strongest directions make a large A
        worn = peft.get_peft_model(base, start)
        worn.save_pretrained(tmp_path / "start")
        move(worn).save_pretrained(
            tmp_path / "converted", path_initial_model_for_weight_conversion=str(tmp_path / "start")
        )
    xray = inspection.inspect(tmp_path / "converted")
    A = load_file(tmp_path / "converted" / "adapter_model.safetensors")[ONE.replace("lora_B", "lora_A")]
    assert float(A.square().mean().sqrt()) * math.sqrt(3 * 32) > 5
    assert xray.codes == () and {one.r for one in xray.matrices} == {8}


def test_a_fresh_adapter_on_an_embedding_has_its_a_at_zero_and_has_not_moved_either(tmp_path):
    fresh = lora(tmp_path / "fresh", moved=False, target_modules=["embed_tokens", "q_proj"])
    found = {one.code: one.sentence for one in inspection.inspect(fresh.place).findings}
    assert "B (on an embedding, A) is zero in all 3 matrices" in found["b_never_moved"] and "ab_both_zero" not in found


def test_a_pickle_is_refused_with_a_way_that_runs_no_code(zoo, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    tensors = {ONE: torch.ones(4, 4)}
    torch.save(tensors, place / "adapter_model.bin")
    (place / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="a pickle") as refused:
        inspection.inspect(place)
    # the way that it names works
    way = str(refused.value).partition("with ")[2].partition(": weights_only")[0]
    import safetensors.torch

    code = way.replace('"adapter_model', f'"{place}/adapter_model')
    eval(code, {"torch": torch, "safetensors": safetensors})
    assert safetensors.torch.load_file(place / "adapter_model.safetensors").keys() == tensors.keys()


def as_mlx_keeps_them(tensors):
    """A turned around under the name lora_a, B under lora_b, as mlx-lm's keys are."""
    ends = {".lora_A.weight": ".lora_a", ".lora_B.weight": ".lora_b"}
    return {key[len("base_model.model.") : -14] + ends[key[-14:]]: one.T for key, one in tensors.items()}


IS_MLX = "is an adapter of mlx-lm: .*mlx_lm.fuse .*lora_alpha = scale × rank"
# as mlx_lm.lora writes it: adapter_config.json, other tensors than A and B, and what is said
MLX = {
    "whole": (
        *({"num_layers": 2, "lora_parameters": {"rank": 4, "scale": 2.0, "dropout": 0.0}}, {}),
        IS_MLX,
    ),
    # keys that name no layer of the file leave all of it out (mlx_lm/tuner/utils.py, linear_to_lora_layers)
    "no layer": ({"lora_parameters": {"keys": ["auto"]}}, {}, "set keys to"),
    "its layers": ({"lora_parameters": {"keys": ["self_attn.q_proj", "self_attn.v_proj"]}}, {}, "On the machine"),
    "no configuration": ({}, {}, "is an adapter of mlx-lm"),
    "DoRA": (
        *({}, {"q_proj.lora_a": torch.ones(4, 4), "q_proj.m": torch.ones(4)}),
        "is a DoRA adapter of mlx-lm.*puts it into the base's weights.$",
    ),
    "another program's": ({}, {"language_model.q_proj.A": torch.ones(4, 4)}, "not as mlx-lm's LoRA.*such as mlx-vlm"),
}


@pytest.mark.parametrize("what", MLX)
def test_mlxs_layout_is_refused_with_the_way_into_pefts(zoo, tmp_path, what):
    """Its folder, as mlx_lm.lora writes it, and its tensors under PEFT's names of the files (llama.cpp#10551)."""
    config, tensors, said = MLX[what]
    place = edited(zoo["plain"], tmp_path / "it", as_mlx_keeps_them)
    with pytest.raises(ValueError, match=IS_MLX):
        inspection.inspect(place)
    (place / "adapter_model.safetensors").rename(place / "adapters.safetensors")
    (place / "adapter_config.json").unlink()
    if config:
        (place / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora"} | config))
    if tensors:
        save_file(tensors, place / "adapters.safetensors")
    with pytest.raises(ValueError, match=said):
        inspection.inspect(place)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: (p / "adapter_config.json").unlink(), "no adapter_config.json.*lora_alpha stands in it alone"),
        (lambda p: save_file({}, p / "adapter_model.safetensors"), "no numbers at all.*ZeRO-3"),
        (lambda p: (p / "adapter_model.safetensors").unlink(), "no adapter_model.safetensors"),
        (lambda p: (p / "adapter_config.json").write_text("{"), "is damaged"),
        (lambda p: (p / "adapter_config.json").write_text('{"peft_type": 3}'), "names no peft_type"),
        (lambda p: (p / "adapter_model.safetensors").write_bytes(b"\0" * 40), "cut short or damaged"),
        (lambda p: (p / "adapter_model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n"),
         "git lfs pull"),
        (lambda p: (p / "adapter_model.safetensors").write_bytes((p / "adapter_model.safetensors").read_bytes()[:-9]),
         "cut short"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_sentence(zoo, tmp_path, damage, sentence):
    place = edited(zoo["plain"], tmp_path / "it")
    damage(place)
    with pytest.raises((OSError, ValueError), match=sentence) as raised:
        inspection.inspect(place)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": "8"},
        {"r": 0},
        {"lora_alpha": None},
        {"lora_alpha": 1e300},
        {"use_rslora": "yes"},
        {"target_modules": [3]},
        {"rank_pattern": {"q_proj": 2.5}},
        {"alpha_pattern": {"(": 2}},
        {"alpha_pattern": {"(a+)+": 2}},
        {"alpha_pattern": ["q_proj"]},
        {"init_lora_weights": 3},
        {"base_model_name_or_path": []},
        {"peft_type": "lora"},
        {"task_type": "causal_lm"},
    ],
)
def test_a_setting_that_cannot_be_is_one_sentence(zoo, tmp_path, settings):
    place = edited(zoo["plain"], tmp_path / "it", **settings)
    with pytest.raises(ValueError, match=f"(is damaged|PEFT does not know) .*{next(iter(settings))}"):
        inspection.inspect(place)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/models/x", "x" * 5000, "a\0b"])
def test_a_base_whose_name_means_nothing_here_keeps_nobody_from_looking(zoo, tmp_path, name):
    xray = inspection.inspect(edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=name))
    assert xray.settings.base_name == name and xray.runtimes


SHAPES = {
    "of two adapters": ((4, 32), (32, 3), "A is 4×32 and B 32×3"),
    "of one dimension": ((32,), (32,), "A is 32 and B 32"),
    "of none": ((), (), "A is one number and B one number"),
}


@pytest.mark.parametrize("shapes", SHAPES)
def test_a_and_b_that_cannot_be_multiplied_are_named_and_the_rest_is_inspected(zoo, tmp_path, shapes):
    wide, tall, words = SHAPES[shapes]
    tensors = {ONE.replace("lora_B", "lora_A"): torch.ones(wide), ONE: torch.ones(tall)}
    place = edited(zoo["plain"], tmp_path / "it", lambda found: found | tensors)
    xray = inspection.inspect(place)
    assert xray.codes == ("shapes_do_not_fit",) and words in xray.findings[0].sentence
    assert len(xray.matrices) == 3 and {one.loads for one in xray.runtimes} == {"no"}
    with pytest.raises(RuntimeError, match="size mismatch"):
        put_on(place)


EMBEDDING = "base_model.model.model.embed_tokens.weight"


@pytest.mark.parametrize("shapes", [((0,), (0,)), ((0, 32), (32, 0)), ((4, 0), (0, 4))], ids=str)
@pytest.mark.parametrize(
    "keys", [(ONE.replace("lora_B", "lora_A"), ONE), (EMBEDDING, "base_model.model.lm_head.weight")]
)
def test_what_zero_3_left_empty_is_named_and_pefts_stop_is_real(zoo, base_folder, tmp_path, shapes, keys):
    """DeepSpeed's ZeRO-3 keeps the numbers elsewhere (peft#2450, trl#4416)."""
    tensors = {key: torch.empty(shape) for key, shape in zip(keys, shapes, strict=True)}
    kept = zoo["plain" if ONE in keys else "modules_to_save"]
    place = edited(kept, tmp_path / "it", lambda found: found | tensors)
    for base in (None, str(base_folder)):
        xray = inspection.inspect(place, base)
        assert xray.findings[0].code == "empty_tensors" and "2 of the file's" in xray.findings[0].sentence
        assert "ZeRO-3" in xray.findings[0].sentence and {one.loads for one in xray.runtimes} == {"no"}
        assert not {"shapes_do_not_fit", "base_mismatch", "embeddings_saved"} & set(xray.codes)
    with pytest.raises(RuntimeError, match="size mismatch"):
        put_on(place)


def test_a_folder_that_holds_no_adapter_says_what_to_give_in_its_place(zoo, tmp_path):
    for step in (1000, 200):
        edited(zoo["plain"], tmp_path / "out" / f"checkpoint-{step}")
    whole = edited(zoo["plain"], tmp_path / "whole")
    (whole / "adapter_config.json").rename(whole / "config.json")
    (tmp_path / "it.gguf").write_bytes(b"GGUF")
    words = {"out": r"\(checkpoint-200, checkpoint-1000\)", "whole": "a whole model's", "it.gguf": "it was made from"}
    for name, said in words.items():
        with pytest.raises(FileNotFoundError, match=said):
            inspection.inspect(tmp_path / name)
    (tmp_path / "pictures").mkdir()
    file = tmp_path / "pictures" / "pytorch_lora_weights.safetensors"
    save_file({"unet.mid_block.to_q.lora_A.weight": torch.ones(4, 4)}, file)
    for place, error in ((file.parent, FileNotFoundError), (file, ValueError)):
        with pytest.raises(error, match="load_lora_weights"):
            inspection.inspect(place)


def test_a_hub_id_is_fetched_aloud_and_through_the_hubs_door(monkeypatch, capsys):
    asked = {}

    def refuse(hub_id, **how):
        asked.update(how, hub_id=hub_id)
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ModelError, match="could not be fetched"):
        inspection.inspect("owner/adapter")
    assert asked["hub_id"] == "owner/adapter" and "Fetching the adapter owner/adapter" in capsys.readouterr().err
    assert not any(".bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])


def test_a_file_that_is_cut_while_it_is_inspected_is_damaged_and_ends_no_process(zoo, tmp_path):
    opened = reading.open_adapter(edited(zoo["plain"], tmp_path / "it"))
    os.truncate(opened.file, 1000)
    with pytest.raises(ValueError, match="cut short or damaged"):
        opened.is_finite(opened.tensors[-1])


@pytest.mark.parametrize("targets", [[f"q_porj{n}" for n in range(2_000)], "q_proj|" * 2_000])
def test_targets_without_end_make_no_report_without_end(zoo, tmp_path, targets):
    found = inspection.inspect(edited(zoo["plain"], tmp_path / "it", target_modules=targets))
    assert len(inspection.in_words(found)) < 9_000


def test_a_configuration_without_alpha_gets_pefts_default_and_stops_the_servers(zoo, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    config = json.loads((place / "adapter_config.json").read_text())
    del config["lora_alpha"]
    (place / "adapter_config.json").write_text(json.dumps(config))
    assert peft.LoraConfig.from_pretrained(str(place)).lora_alpha == 8, "what the sentence says PEFT takes"
    xray = inspection.inspect(place)
    assert xray.codes == ("setting_missing",) and "does not say lora_alpha" in xray.findings[0].sentence
    assert [loads(place)[name] for name in ("PEFT", "vLLM", "SGLang", "llama.cpp")] == ["yes", "no", "no", "no"]


def test_a_setting_of_a_later_peft_is_named_and_peft_indeed_leaves_it_out(zoo, tmp_path):
    of_lora, of_all = ({one.name for one in dataclasses.fields(kind)} for kind in (peft.LoraConfig, peft.PeftConfig))
    assert of_lora - of_all <= peft_config.KNOWN
    place = edited(zoo["plain"], tmp_path / "it", use_spectral_gate=True, of_later=None, peft_version="0.24.0")
    with pytest.warns(UserWarning, match="use_spectral_gate"):
        peft.LoraConfig.from_pretrained(str(place))
    xray = inspection.inspect(place)
    assert xray.codes == ("setting_unknown",) and "use_spectral_gate" in xray.findings[0].sentence
    assert "of_later" not in xray.findings[0].sentence and "0.24.0" in xray.findings[0].sentence
    assert {one.name: one.loads for one in xray.runtimes}["PEFT"] == "care"
