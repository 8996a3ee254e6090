"""Every causal language model that transformers has: planned, or refused in one sentence, in seconds."""

import json
import signal
import warnings
from contextlib import contextmanager

import pytest
from tiny_configs import tiny
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lora_lessons import memory, planning
from lora_lessons.errors import ModelError
from lora_lessons.memory import Job

# A drafter that reads another model's states, and a model whose ear must be as wide as the whole: their config classes
# refuse the small sizes. (The latter's language half, dots3_note_text, is planned below.)
NOT_TINY = {"gemma4_assistant", "dots3_note"}


@contextmanager
def twenty_seconds():
    """No model takes longer, in the processor's time: a busy machine makes none fail."""

    def late(*_):
        raise TimeoutError("longer than 20 seconds")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, 20)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def planned_or_refused(model, job):
    """The ledger, or the sentence that refuses the model."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ledger = memory.predict(model, job)
    except (ModelError, ValueError) as error:
        said = str(error)
        assert len(said) < 400 and "\n" not in said and said.endswith(".")
        return said
    assert ledger.bill.total > ledger.bill.fixed > 0
    return ledger


@pytest.mark.reliability
def test_every_model_is_planned_or_refused_in_a_sentence():
    kinds, failed = sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - NOT_TINY), {}
    assert len(kinds) > 150
    for kind in kinds:
        try:
            with twenty_seconds():
                planned_or_refused(tiny(kind), Job("lora", r=1, seq=64))
        except Exception as error:
            failed[kind] = repr(error)
    assert failed == {}


@pytest.mark.parametrize(
    "kind",
    [
        "llama",
        "mistral",
        "mixtral",
        "qwen2",
        "qwen2_moe",
        "qwen3",
        "qwen3_moe",
        "gemma",
        "gemma2",
        "gemma3_text",
        "phi3",
        "olmo2",
        "granite",
        "cohere2",
        "gpt_oss",
        "deepseek_v2",
        "deepseek_v3",
        "glm4_moe",
        "smollm3",
    ],
)
def test_the_models_that_people_train_are_planned(kind):
    assert isinstance(planned_or_refused(tiny(kind), Job("qlora", r=1, seq=64)), memory.Ledger)


@pytest.mark.parametrize(
    "kind",
    [
        "mamba",
        "mamba2",
        "falcon_mamba",
        "jamba",
        "bamba",
        "falcon_h1",
        "recurrent_gemma",
        "zamba2",
        "nemotron_h",
        "granitemoehybrid",
        "rwkv",
        "qwen3_next",
    ],
)
def test_a_model_that_carries_a_state_is_refused_by_that_name(kind):
    with twenty_seconds():
        said = planned_or_refused(tiny(kind), Job("qlora", r=1, seq=64))
    assert "carries a state" in said and kind in said


def test_an_encoder_and_decoder_is_refused_shortly():
    said = planned_or_refused(AutoConfig.for_model("t5"), Job())
    assert "cannot build a t5 language model" in said and len(said) < 250


def test_a_config_that_contradicts_itself_is_refused(tmp_path):
    said = {"model_type": "llama", "hidden_size": 100, "num_attention_heads": 7, "num_hidden_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="llama"):
        memory.predict(tmp_path, Job())


def test_a_rank_that_one_layer_is_too_small_for_names_the_layer():
    with pytest.raises(
        ValueError, match=r"r = 4 does not fit a 1×64 weight.*layers\.0\.mlp\.shared_expert_gate: or name"
    ):
        memory.predict(tiny("qwen2_moe"), Job("lora", r=4))


def test_a_model_that_also_sees_says_that_half_of_it_is_counted():
    whole = tiny("gemma3")
    ledger, text = memory.predict(whole, Job(r=4)), memory.predict(whole.get_text_config(), Job(r=4))
    assert ledger.bill == text.bill and ledger.half_of == "gemma3" and text.half_of is None
    assert "only the language half of the gemma3 model" in planning.bill_table(ledger)
    assert "language half" not in planning.bill_table(text)
