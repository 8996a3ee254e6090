"""Models that are known by name: their sizes give the published counts,
and every way to write a name means the same model."""

import warnings

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from lora_lessons import memory, models
from lora_lessons.errors import ModelError
from lora_lessons.memory import Job


@pytest.mark.parametrize("name", models.PUBLISHED)
def test_what_transformers_builds_of_the_sizes_has_as_many_numbers_as_were_published(name):
    config = AutoConfig.for_model(**models.PUBLISHED[name].config)
    of_text = config.get_text_config() is config
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = (AutoModelForCausalLM if of_text else AutoModelForImageTextToText).from_config(config)
    published = models.PUBLISHED[name]
    assert sum(p.numel() for p in model.parameters()) == published.parameters - published.besides


def test_every_name_says_who_states_its_sizes():
    assert len(models.PUBLISHED) >= 60
    for name, one in models.PUBLISHED.items():
        assert one.source and all(len(source) > 20 for source in one.source), name
        assert models.is_hub_id(one.hub) and one.config["model_type"]


@pytest.mark.parametrize("name", models.PUBLISHED)
def test_a_name_and_its_id_on_the_hub_mean_one_model_and_no_other(name):
    """Two names with one meaning would make the second one unreachable."""
    hub = models.PUBLISHED[name].hub
    assert models.known(name) == models.known(hub) == models.known(name.lower().replace("-", " ")) == name


@pytest.mark.parametrize(
    "said, means",
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
        ("meta-llama/Llama-2-7b-chat-hf", "Llama-2-7B"),
        ("google/gemma-3-4b-it", "Gemma-3-4B"),
        ("Qwen/Qwen3-8B-Base", "Qwen3-8B"),
        ("Qwen/Qwen3-4B-Thinking-2507", "Qwen3-4B-2507"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "Mistral-7B-v0.3"),
        ("qwen 2.5 7b instruct", "Qwen2.5-7B"),
        ("Qwen2.5-Coder-1.5B-Instruct", "qwen2.5-coder-1.5b"),
        ("someone/Llama-3.1-8B", ""),  # another owner's may have other sizes
        ("Qwen/Qwen3-4B-SafeRL", ""),
        ("Qwen/Qwen3-Embedding-8B", ""),
        ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "Qwen3-8B"),
        ("unsloth/gemma-3-4b-it", "Gemma-3-4B"),
        ("Llama-9", ""),
        ("instruct", ""),
    ],
)
def test_a_spelling_a_tuning_and_a_hub_id_mean_the_model(said, means):
    assert models.known(said) == means


def test_a_hub_id_that_is_known_is_planned_without_the_hub(monkeypatch):
    monkeypatch.setattr(models, "fetch_config", lambda _: pytest.fail("it asked the hub"))
    assert memory.shape_of("Qwen/Qwen3-8B") == memory.shape_of("Qwen3-8B")
    with pytest.raises(pytest.fail.Exception):
        memory.shape_of("someone/Qwen3-8B")


def test_what_a_config_says_is_null_is_not_the_default_of_transformers():
    assert AutoConfig.for_model("mistral").sliding_window and AutoConfig.for_model("deepseek_v2").q_lora_rank
    assert memory.shape_of("Mistral-Nemo").config().sliding_window is None
    assert memory.shape_of("DeepSeek-V2-Lite").config().q_lora_rank is None


@pytest.mark.parametrize(
    "name", ["Qwen3-30B-A3B", "gpt-oss-20b", "DeepSeek-V2-Lite", "Mixtral-8x7B", "Gemma-4-26B-A4B"]
)
def test_the_experts_of_a_mixture_stay_in_16_bits_in_its_plan(name):
    """More than nine in ten numbers of these are experts, but for Gemma's:
    QLoRA of them takes more than half of 16 bits."""
    ledger, whole = memory.predict(name, Job("qlora", r=8, seq=512)), models.PUBLISHED[name].parameters
    assert ledger.experts > 0.8 * 2 * whole and ledger.bill.base > ledger.experts
    assert ledger.bill.weights < ledger.loading < 1.001 * 2 * whole


def test_a_model_whose_first_blocks_are_none_by_themselves_is_counted_whole():
    """Gemma 4's small ones: the last 18 of 42 blocks use the keys and values of earlier ones,
    which one block has not."""
    config = memory.shape_of("google/gemma-4-E4B-it").config().to_dict() | {
        "vocab_size": 256,
        "vocab_size_per_layer_input": 256,
    }
    small = AutoConfig.for_model(
        **config | {"hidden_size": 64, "intermediate_size": 128, "hidden_size_per_layer_input": 16}
    )
    parts = memory.parts_of(memory.shape_of(small), "all-linear")
    assert parts.before == parts.blocks == 42
    assert memory.predict(small, Job("lora", r=1, seq=64)).bill.total > 0


def test_a_model_that_cannot_be_counted_is_refused_by_what_it_is():
    with pytest.raises(ModelError, match=r"^Qwen3.5-9B: this qwen3_5_text carries a state from token to token"):
        memory.predict("Qwen/Qwen3.5-9B", Job())
