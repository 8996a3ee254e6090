"""The adapter beside its base: ratios, what is left out, misfits, the chat, and what general text says."""

from __future__ import annotations

import json
import shutil
import warnings
from itertools import product

import peft
import pytest
import torch
from chat_templates import CHATML, ZEPHYR, tokenizer_of
from peft_zoo import TOKENIZER, edited, llama, logits, lora, mixtral
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from lora_lessons import lowrank
from lora_lessons.paths import course_root
from lora_tools import inspection
from lora_tools.inspection.with_base import intruders


def saved(model, place):
    """A base in a folder, with the zoo's tokenizer."""
    model.save_pretrained(place)
    TOKENIZER.save_pretrained(place)
    return str(place)


def test_a_good_adapter_beside_its_base_has_no_finding(zoo, base_folder):
    xray = inspection.inspect(zoo["plain"].place, str(base_folder))
    assert xray.codes == () and not xray.base.lacking and not xray.base.other_shapes
    assert xray.base.not_adapted == dict.fromkeys(["k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], 2) | {
        "lm_head": 1
    }
    weights = dict(LlamaForCausalLM.from_pretrained(base_folder).named_parameters())
    for matrix in xray.matrices:
        assert matrix.ratio == pytest.approx(
            matrix.norm / float(weights[f"{matrix.module}.weight"].detach().norm()), rel=1e-5
        )


@pytest.mark.parametrize(("times", "severity"), [(20, "wrong"), (9, "look")])
def test_an_update_that_is_too_large_is_named(zoo, base_folder, tmp_path, times, severity):
    place = edited(zoo["plain"], tmp_path / "it", lambda t: {k: times ** ("lora_B" in k) * v for k, v in t.items()})
    xray = inspection.inspect(place, str(base_folder))
    (found,) = (one for one in xray.findings if one.code == "update_too_large")
    assert found.severity == severity and (0.5 < xray.base.ratio < 1) == (severity == "look")


def test_a_base_in_8_bits_has_no_size_to_be_held_against(zoo, base_folder, tmp_path):
    shutil.copytree(base_folder, tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    save_file({name: one.to(torch.float8_e4m3fn) for name, one in load_file(file).items()}, file)
    assert inspection.inspect(zoo["plain"].place, str(tmp_path / "base")).base.ratio is None


def test_numbers_that_are_none_cost_one_sentence_and_not_the_report(zoo, base_folder, tmp_path):
    module = "model.layers.0.self_attn.v_proj"
    shutil.copytree(base_folder, tmp_path / "base")
    tensors = load_file(base_folder / "model.safetensors")
    save_file(tensors | {f"{module}.weight": tensors[f"{module}.weight"] / 0}, tmp_path / "base" / "model.safetensors")
    xray = inspection.inspect(zoo["plain"].place, str(tmp_path / "base"), forgetting=True)
    assert xray.codes == ("base_not_finite",) and f"such as {module}.weight" in xray.findings[0].sentence
    assert [one.ratio is None for one in xray.matrices] == [one.module == module for one in xray.matrices]
    assert xray.base.intruders[1] == 10 * 3 and xray.base.perplexity is None

    place = edited(zoo["plain"], tmp_path / "it", lambda t: t | {k: 0 * v + 1e30 for k, v in t.items() if module in k})
    xray = inspection.inspect(place, str(base_folder), forgetting=True)
    assert "not_finite" in xray.codes and xray.base.intruders[1] == 10 * 3 and xray.base.perplexity is None
    assert {one.name: one.loads for one in xray.runtimes}["Ollama (merged)"] == "no"


def test_a_convolutions_a_and_b_beside_a_base_are_read_as_matrices(zoo, base_folder, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it", lambda t: {name: one[..., None, None] for name, one in t.items()})
    assert inspection.inspect(place, str(base_folder)).base.ratio


def test_gpt_2_keeps_w_turned_around(tmp_path):
    """PEFT adapts its Conv1D, whose weight is k×d: an update along W's own directions brings no new one."""
    base = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=len(TOKENIZER), n_positions=16))
    base.save_pretrained(tmp_path / "gpt2")
    square = "transformer.h.0.attn.c_proj"
    parts = lowrank.svd(base.get_submodule(square).weight.detach().T)
    kept = lora(tmp_path / "it", model=base, target_modules=["attn.c_proj"], fan_in_fan_out=True, r=1, lora_alpha=1)
    along = {"lora_A": parts.Vh[:1], "lora_B": 0.1 * parts.U[:, :1]}
    place = edited(kept, tmp_path / "along", lambda t: {k: along[k.split(".")[-2]].contiguous() for k in t})
    found = inspection.inspect(place, str(tmp_path / "gpt2")).base
    assert found.intruders == (0, 10) and found.not_adapted == {"c_attn": 1, "c_fc": 1, "c_proj": 1, "lm_head": 1}


def test_a_direction_that_w_has_not_is_an_intruder():
    torch.manual_seed(0)
    W = torch.randn(64, 48)
    u, v = torch.randn(64, 1), torch.randn(1, 48)
    assert intruders(W, torch.zeros_like(W)) == 0
    assert intruders(W, 20 * u @ v / (u.norm() * v.norm())) == 1
    parts = lowrank.svd(W)
    assert intruders(W, 5 * parts.U[:, :1] @ parts.Vh[:1]) == 0  # larger, and in a direction that W has


def test_another_base_is_named(zoo, tmp_path):
    other = llama()
    other.config.hidden_size = 48
    base = saved(LlamaForCausalLM(other.config), tmp_path / "base")
    xray = inspection.inspect(zoo["plain"].place, base)
    assert "base_mismatch" in xray.codes and xray.findings[0].severity == "wrong"
    assert {one.loads for one in xray.runtimes} == {"no"}
    unseen = inspection.inspect(zoo["loha"].place, base).runtimes[0]
    assert unseen.reason.endswith("whether this kind fits the base was not looked at")


def test_a_vocabulary_of_another_size_is_named(base_folder, tmp_path):
    resized = llama()
    resized.resize_token_embeddings(len(TOKENIZER) + 2)
    kept = lora(tmp_path / "it", model=resized, modules_to_save=["embed_tokens", "lm_head"])
    with pytest.raises(RuntimeError, match="size mismatch"):
        peft.PeftModel.from_pretrained(llama(), str(kept.place))
    xray = inspection.inspect(kept.place, str(base_folder))
    assert "in 2 of 6 matrices" in xray.findings[0].sentence
    assert f"call resize_token_embeddings({len(TOKENIZER) + 2}) before" in xray.findings[0].sentence
    assert {one.loads for one in xray.runtimes} == {"no"}


# How a base is packed, a name that says so, and whether llama.cpp's converter, too, wants the one in 16 bits.
PACKED = {
    "bitsandbytes": ("unsloth/Mine-8B-unsloth-bnb-4bit", True),
    "awq": ("Qwen/Qwen2.5-14B-Instruct-AWQ", True),
    "gptq": ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", False),
    "fp8": ("Qwen/Qwen3-8B-FP8", False),
    "compressed-tensors": ("RedHatAI/Qwen3-8B-quantized.w4a16", False),
    "mlx": ("mlx-community/Qwen3-8B-4bit", True),
    "modelopt": ("nvidia/Qwen3-8B-NVFP4", False),
    "gguf": ("unsloth/Qwen3-8B-GGUF", False),
    "mxfp4": ("Qwen/Qwen3-8B", None),
}


@pytest.mark.parametrize("packed", PACKED)
def test_a_base_that_is_packed_is_not_the_one_to_convert_or_merge(zoo, base_folder, tmp_path, packed):
    name, converter_stops = PACKED[packed]
    shutil.copytree(base_folder, tmp_path / "base")
    config = json.loads((base_folder / "config.json").read_text())
    # MLX names no method
    config["quantization_config"] = {"group_size": 64} if packed == "mlx" else {"quant_method": packed}
    (tmp_path / "base" / "config.json").write_text(json.dumps(config))
    named = edited(zoo["plain"], tmp_path / "it", base_model_name_or_path=name)
    for xray in (inspection.inspect(zoo["plain"].place, str(tmp_path / "base")), inspection.inspect(named)):
        rows = {one.name: one for one in xray.runtimes}
        for runtime, stops in (("llama.cpp", bool(converter_stops)), ("Ollama (merged)", converter_stops is not None)):
            assert (rows[runtime].loads == "care" and "16-bit one" in rows[runtime].reason) == stops


def test_keys_of_another_models_layers_are_named(zoo, base_folder, tmp_path):
    place = edited(
        zoo["plain"],
        tmp_path / "it",
        lambda t: {k.replace("model.model.", "model."): v for k, v in t.items()},
        task_type="CAUSAL_LM",
    )
    xray = inspection.inspect(place, str(base_folder))
    assert xray.codes == ("keys_do_not_match",) and "no module for all 4 matrices" in xray.findings[0].sentence
    assert [one.loads for one in xray.runtimes] == ["care", "no", "unknown", "unknown", "no", "care"]


def test_experts_left_out_are_named_and_those_adapted_are_not(zoo, tmp_path):
    base = saved(mixtral(), tmp_path / "base")
    attention = lora(tmp_path / "it", model=mixtral(), target_modules=["q_proj"])
    found = inspection.inspect(attention.place, base)
    assert [one.severity for one in found.findings] == ["note"]  # attention alone: on purpose
    assert found.codes == ("experts_left_out",) and sum(found.base.left_out.values()) == 2 * 4 * 3 * 32 * 64
    assert inspection.inspect(zoo["experts"].place, base).codes == ("experts_stacked",)


def test_experts_that_were_saved_one_by_one_are_those_that_peft_stacks(zoo, tmp_path):
    """As transformers before 5 named them: PEFT puts w1 and w3 of every expert into one stack, and w2 into another."""

    def one_by_one(tensors):
        generator, found = torch.Generator().manual_seed(0), {}
        for layer, expert, (leaf, d, k) in product((0, 1), range(4), (("w1", 64, 32), ("w2", 32, 64), ("w3", 64, 32))):
            name = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{leaf}.lora_"
            found[f"{name}A.weight"] = 0.1 * torch.randn(4, k, generator=generator)
            found[f"{name}B.weight"] = 0.1 * torch.randn(d, 4, generator=generator)
        return found

    place = edited(zoo["plain"], tmp_path / "it", one_by_one, target_modules=["w1", "w2", "w3"])
    worn = peft.PeftModel.from_pretrained(mixtral(), str(place))
    assert all(one.any() for name, one in worn.named_parameters() if "lora_B" in name and "experts" in name)
    xray = inspection.inspect(place, saved(mixtral(), tmp_path / "base"))
    assert not {"keys_do_not_match", "experts_left_out"} & {*xray.codes} and xray.runtimes[0].loads == "yes"


def test_tied_embeddings_are_named_where_they_are_tied(zoo, base_folder, tmp_path):
    assert "tied_embeddings" not in inspection.inspect(zoo["modules_to_save"].place, str(base_folder)).codes
    tied = saved(llama(tied=True), tmp_path / "base")
    xray = inspection.inspect(zoo["modules_to_save"].place, tied)
    assert "tied_embeddings" in xray.codes
    assert {one.name: one.loads for one in xray.runtimes}["Ollama (merged)"] == "care"
    assert inspection.inspect(zoo["plain"].place, tied).codes == ()
    # what is saved whole stays apart through a merge; A and B do not, unless the head has a copy first
    said = {one.code: one for one in xray.findings}["tied_embeddings"]
    assert said.severity == "note" and "unties the two as it merges" in said.sentence
    head = lora(tmp_path / "head", model=llama(tied=True), target_modules=["lm_head"])
    (said,) = (one for one in inspection.inspect(head.place, tied).findings if one.code == "tied_embeddings")
    assert said.severity == "look" and "give the head a copy" in said.sentence
    for place, copy, kept in (
        (zoo["modules_to_save"].place, False, True),
        (head.place, False, False),
        (head.place, True, True),
    ):
        base = LlamaForCausalLM.from_pretrained(tied)
        if copy:
            base.lm_head.weight = torch.nn.Parameter(base.lm_head.weight.detach().clone())
            base.config.tie_word_embeddings = False
        worn = peft.PeftModel.from_pretrained(base, str(place))
        before = logits(worn)
        worn.merge_and_unload().save_pretrained(tmp_path / "merged")
        again = logits(LlamaForCausalLM.from_pretrained(tmp_path / "merged"))
        assert torch.allclose(before, again, atol=1e-4) == kept


def test_a_base_of_config_alone_says_what_its_config_says(zoo, base_folder, tmp_path):
    (tmp_path / "base").mkdir()
    shutil.copy(base_folder / "config.json", tmp_path / "base")
    for kind in ("plain", "modules_to_save"):
        whole = inspection.inspect(zoo[kind].place, str(base_folder))
        xray = inspection.inspect(zoo[kind].place, str(tmp_path / "base"))
        assert {*xray.codes} - {*whole.codes} == {"base_without_weights"} and xray.base.ratio is None
        assert xray.base.not_adapted == whole.base.not_adapted and not xray.base.lacking
        assert [one.loads for one in xray.runtimes] == [one.loads for one in whole.runtimes]


def test_another_template_and_one_without_an_end_are_named(zoo, base_folder, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    TOKENIZER.save_pretrained(place)
    assert inspection.inspect(place, str(base_folder)).codes == ()
    tokenizer_of(ZEPHYR.replace("eos_token", "'\\n'"), begin=False).save_pretrained(place)
    xray = inspection.inspect(place, str(base_folder))
    assert {one.code: one.severity for one in xray.findings} == dict.fromkeys(
        ["eos_missing", "template_differs"], "look"
    )
    assert "eos_missing" in inspection.inspect(place).codes  # the adapter's own template needs no base
    tokenizer_of("{# another #}" + TOKENIZER.chat_template, begin=False).save_pretrained(place)
    (alike,) = inspection.inspect(place, str(base_folder)).findings
    assert alike.severity == "note" and "both write a plain question and answer alike" in alike.sentence
    tokenizer_of(CHATML, begin=False).save_pretrained(place)
    (found,) = inspection.inspect(place).findings  # as Gemma's, whose generation_config.json lies beside the base
    assert found.severity == "note" and "ends an answer with <|im_end|>" in found.sentence
    shutil.copytree(base_folder, tmp_path / "base")
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4]}))
    assert "eos_missing" not in inspection.inspect(place, str(tmp_path / "base")).codes
    (place / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4]}))  # <|im_end|> stops, too
    assert inspection.inspect(place).codes == ()


def test_a_template_with_tools_is_said_to_need_more_in_ollama(zoo, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    tokenizer_of("{% if tools %}{{ tools | tojson }}{% endif %}" + ZEPHYR, begin=False).save_pretrained(place)
    (found,) = inspection.inspect(place).findings
    assert (found.code, found.severity) == ("ollama_tools", "note") and "RENDERER and PARSER" in found.sentence
    tokenizer_of(ZEPHYR, begin=False).save_pretrained(place)
    assert inspection.inspect(place).codes == ()


def test_added_tokens_without_a_row_are_named(zoo, base_folder, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    more = tokenizer_of(ZEPHYR, begin=False)
    more.add_tokens(["<call>", "</call>"])
    more.save_pretrained(place)
    xray = inspection.inspect(place, str(base_folder))
    assert (
        xray.codes == ("added_tokens",)
        and "2 tokens that the base has no row for, such as <call>" in xray.findings[0].sentence
    )
    shutil.copytree(base_folder, tmp_path / "base")
    more.save_pretrained(tmp_path / "base")  # Gemma 3's own has one more than its small models have rows
    assert inspection.inspect(place, str(tmp_path / "base")).codes == ()


def test_another_tokenizer_is_named(zoo, base_folder, tmp_path):
    place = edited(zoo["plain"], tmp_path / "it")
    TOKENIZER.save_pretrained(place)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (place / name).write_text((place / name).read_text().replace("<|eot_id|>", "<|call|>"))
    xray = inspection.inspect(place, str(base_folder))
    assert xray.codes == ("tokenizer_differs",) and "token 5 is '<|call|>' in one" in xray.findings[0].sentence


def test_general_text_is_read_with_and_without(zoo, base_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("lora_lessons.tasks.general_text", lambda: "The tide came in. " * 8)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        before, after = inspection.inspect(zoo["plain"].place, str(base_folder), forgetting=True).base.perplexity
    assert not said, "what PEFT warns of is no news to the user"
    assert before > 1 and after > 1 and before != after
    fresh = lora(tmp_path / "fresh", moved=False)
    before, after = inspection.inspect(fresh.place, str(base_folder), forgetting=True).base.perplexity
    assert after == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("task", ["persona", "plain_language", "code_style", "strict_json"])
def test_nothing_stands_out_in_the_courses_own_adapters(task):
    xray = inspection.inspect(course_root() / "data" / "adapters" / task)
    assert xray.codes == () and len(xray.matrices) == 210 and xray.scales == (2.0,)
    assert {runtime.name for runtime in xray.runtimes if runtime.loads != "yes"} == {"MLX"}
    assert "nothing stands out" in inspection.in_words(xray)


def test_one_of_them_beside_the_courses_base(base_fp32):
    xray = inspection.inspect(course_root() / "data" / "adapters" / "persona", "embedded")
    assert xray.codes == () and xray.base.not_adapted == {"lm_head": 1}
    assert 0.005 < xray.base.ratio < 0.05
