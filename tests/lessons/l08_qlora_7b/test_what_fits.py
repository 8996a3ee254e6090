"""What lesson 08 trains without a card: what is chosen, and what is said when memory runs out."""

import pytest
import torch

from lora_lessons import lora, memory, models, training
from lora_lessons.adapter import ADAPTER_WEIGHTS, save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.lessons.l08_qlora_7b import what_fits
from lora_lessons.tools import planning


@pytest.fixture
def no_hub(monkeypatch):
    """A machine with a card (as far as anybody asks) and no hub."""
    real = models.load

    def load(model=models.EMBEDDED, *args, **kwargs):
        if model == what_fits.SEVEN_B:
            raise ModelError(f"{model!r} could not be fetched from the model hub (no network).")
        return real(model, *args, **kwargs)

    monkeypatch.setattr(models, "card", lambda: ("A Card", 24.0 * 2**30))
    monkeypatch.setattr(models, "load", load)
    monkeypatch.setattr(models, "random_base", lambda name: f"random {name}")


def test_without_a_card_it_is_the_embedded_base_in_nf4():
    chosen = what_fits.choose()
    assert chosen.weights == "real" and chosen.name == models.EMBEDDED_NAME and chosen.says.startswith("No card here")
    assert lora.resolve_targets(chosen.model, "all-linear") and chosen.model.is_loaded_in_4bit


def test_with_a_card_and_no_hub_random_weights_are_said_to_be_random(no_hub, tmp_path):
    chosen = what_fits.choose()
    assert (chosen.model, chosen.weights) == ("random Qwen2.5-7B", "random")
    assert "could not be fetched" in chosen.says and "random weights" in chosen.says and chosen.tokenizer.eos_token
    with pytest.raises(ModelError, match=r"has no config\.json"):
        what_fits.choose(tmp_path)  # a folder that was named is not passed over
    with pytest.raises(ModelError, match="could not be fetched"):
        what_fits.choose(what_fits.SEVEN_B)


def test_without_a_card_a_base_that_is_named_is_trained():
    chosen = what_fits.choose(models.embedded_folder())
    assert chosen.model.is_loaded_in_4bit and chosen.says.endswith("its real weights, in NF4 on the processor.")


def test_it_trains_in_pages_of_8_bit_moments_on_a_card_alone(tiny_model, monkeypatch):
    here = what_fits.settings_for(tiny_model, 0, 1, 7)
    monkeypatch.setattr(models, "card", lambda: ("A Card", 24.0 * 2**30))
    there = what_fits.settings_for(tiny_model, 0, 1, 7)
    assert (here.optimizer, there.optimizer) == ("adamw", "paged_adamw_8bit")
    assert here.gradient_checkpointing and there.gradient_checkpointing and here.seed == 7
    assert what_fits.settings_for(tiny_model, 3, 2, 0).steps == 3


def test_a_larger_base_learns_more_slowly(tiny_model):
    both = tiny_model, models.shape("Qwen2.5-7B")
    assert [what_fits.settings_for(model, 1, 1, 0).learning_rate for model in both] == [4e-3, 1e-3]


def test_out_of_memory_is_answered_with_the_bill_and_the_next_setting(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(training, "train", full)
    monkeypatch.setattr(models, "card", lambda: ("A Card", 8.0 * 2**30))
    job = memory.Job("qlora", seq=4096, gradient_checkpointing=False)
    with pytest.raises(training.TrainingStopped) as stopped:
        what_fits.train(None, [], what_fits.settings_for(models.shape("Llama-2-7B"), 1, 1, 0), "Llama-2-7B", job)
    said = str(stopped.value)
    assert said.startswith("the card's memory ran out. Planned: ") and "activations" in said
    assert "It does not fit" in said and "Change first: checkpointing" in said


def test_where_the_plan_thought_it_fits_it_says_so():
    said = what_fits.advice("Llama-2-7B", memory.Job("qlora", seq=512), planning.card_bytes("H100"))
    assert "which the card has" in said and "try seq = 256" in said


def test_the_adapters_file_has_the_promised_size(tiny_model, tmp_path):
    lora.attach(tiny_model, r=4)
    folder = save_adapter(tiny_model, tmp_path / "adapter")
    trains = lora.trainable_parameters(tiny_model)
    written = sum(t.nbytes for t in map(torch.Tensor.detach, (p for p in tiny_model.parameters() if p.requires_grad)))
    assert written == what_fits.adapter_bytes(trains) <= (folder / ADAPTER_WEIGHTS).stat().st_size


def test_every_recording_says_machine_day_versions_and_weights():
    for name, found in what_fits.recorded().items():
        assert found["machine"] and found["date"] and found["versions"]["torch"], name
        assert name.startswith("gpu_check") or found["weights"] in ("random", "real")


def test_what_is_kept_of_a_7b_on_a_processor_follows_from_its_recording(monkeypatch):
    run, facts, slower = what_fits.recorded()["seven_b_cpu"], {}, {}
    for kept, of_it in ((facts, run), (slower, run | {"seconds_a_step": 27.52})):
        monkeypatch.setattr(what_fits, "record", lambda name, value, _, kept=kept: kept.update({name[7:]: value}))
        what_fits.record_seven_b(of_it)
    assert facts["hours_per_million"] == pytest.approx(1e6 / 64 * run["seconds_a_step"] / 3600)
    assert facts["planned"] * 1e9 < run["peak_bytes"] and facts["last"] == run["losses"][-1] < facts["first"]
    assert slower["hours_per_million"] == pytest.approx(2 * facts["hours_per_million"], rel=1e-3)


def test_a_card_that_was_recorded_is_named_and_none_is_said(monkeypatch):
    assert "Not run on a card yet" in what_fits.cards_recorded() and "make gpu-check" in what_fits.cards_recorded()
    found = {"card": "RTX 4090", "date": "2027-01-01", "training": {"tokens_per_second": 900, "peak_bytes": 2**33}}
    monkeypatch.setattr(what_fits, "recorded", lambda: {"gpu_check_rtx_4090": found, "seven_b_cpu": {}})
    assert what_fits.cards_recorded() == "RTX 4090, 2027-01-01: 900 tokens per second, at most 8.0 GiB"
