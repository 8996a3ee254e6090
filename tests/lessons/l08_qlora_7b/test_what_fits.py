"""Lesson 08's hands without a card: what is chosen, what is said when memory runs out, and the card's check on a small shape."""

import json

import pytest
import torch

from lora_lessons import lora, memory, models, training
from lora_lessons.adapter import ADAPTER_WEIGHTS, save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.experiments import gpu_check, ledger, speed
from lora_lessons.lessons.l08_qlora_7b import what_fits

SMALL = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}


@pytest.fixture
def no_hub(monkeypatch):
    """A machine with a card (as far as anybody asks) and no hub."""
    real = models.load

    def load(model=models.EMBEDDED, *args, **kwargs):
        if model == "owner/seven-b":
            raise ModelError("'owner/seven-b' could not be fetched from the model hub (no network).")
        return real(model, *args, **kwargs)

    monkeypatch.setattr(models, "card", lambda: ("A Card", 24.0 * 2**30))
    monkeypatch.setattr(models, "load", load)
    monkeypatch.setattr(models, "random_base", lambda name: f"random {name}")


def test_without_a_card_it_is_the_embedded_base_in_nf4():
    chosen = what_fits.choose("owner/seven-b")
    assert chosen.weights == "real" and chosen.name == models.EMBEDDED_NAME and chosen.says.startswith("No card here")
    assert lora.resolve_targets(chosen.model, "all-linear") and chosen.model.is_loaded_in_4bit


def test_with_a_card_and_no_hub_random_weights_are_said_to_be_random(no_hub, tmp_path):
    chosen = what_fits.choose("owner/seven-b")
    assert (chosen.model, chosen.weights) == ("random Qwen2.5-7B", "random")
    assert "could not be fetched" in chosen.says and "random weights" in chosen.says and chosen.tokenizer.eos_token
    with pytest.raises(ModelError, match=r"has no config\.json"):
        what_fits.choose(tmp_path)  # a folder that was named is not passed over


def test_it_trains_in_pages_of_8_bit_moments_on_a_card_alone():
    here, there = (what_fits.settings_for(card, 0, 1, 7) for card in (False, True))
    assert (here.optimizer, there.optimizer) == ("adamw", "paged_adamw_8bit")
    assert here.gradient_checkpointing and there.gradient_checkpointing and here.seed == 7
    assert what_fits.settings_for(True, 3, 2, 0).steps == 3


def test_out_of_memory_is_answered_with_the_bill_and_the_next_setting(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(training, "train", full)
    monkeypatch.setattr(models, "card", lambda: ("A Card", 8.0 * 2**30))
    job = memory.Job("qlora", seq=4096, gradient_checkpointing=False)
    with pytest.raises(training.TrainingStopped) as stopped:
        what_fits.train(None, [], what_fits.settings_for(True, 1, 1, 0), "Llama-2-7B", job)
    said = str(stopped.value)
    assert said.startswith("the card's memory ran out. Planned: ") and "activations" in said
    assert "it does not fit" in said and "Change first: checkpointing" in said


def test_where_the_plan_thought_it_fits_it_says_so():
    said = what_fits.advice("Llama-2-7B", memory.Job("qlora", seq=512), memory.card_bytes("H100"))
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


# ---- what `make gpu-check` does, where it can be tried ----


def test_without_a_card_the_check_says_so(capsys):
    if models.card() is not None:
        pytest.skip("there is a card here")
    assert gpu_check.main() == 2
    assert "there is nothing to check here" in capsys.readouterr().err


def test_the_cards_equality_check_holds_on_a_processor():
    found = gpu_check.equality("cpu")
    assert found["same"] == found["tried"] == 168 and found["scale_codes"] > 1000
    assert found["scale_codes_that_differ"] <= 20, "only blocks of which there is one differ: their codes say nothing"


def test_the_cards_training_runs_on_a_small_shape():
    found = gpu_check.steps("cpu", count=4, seq=32, **SMALL)
    assert len(found["losses"]) == 4 and found["losses"][-1] < found["losses"][0]
    assert found["weights"] == "random" and found["tokens_per_second"] > 0 and found["peak_bytes"] > 0
    json.dumps(found)


def test_the_check_writes_after_each_part_and_stops_in_time(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(ledger, "course_root", lambda: tmp_path)
    monkeypatch.setattr(models, "card", lambda: ("NVIDIA Card 9000", 24.0 * 2**30))
    monkeypatch.setattr(gpu_check, "equality", lambda device: {"tried": 2, "same": 2})
    monkeypatch.setattr(
        gpu_check, "steps", lambda device: {"losses": [9.0, 8.0], "tokens_per_second": 1.0, "peak_bytes": 2**30}
    )
    asked = []
    monkeypatch.setattr(
        ledger, "measure_all", lambda seconds: asked.append(seconds) or [{"status": ledger.OK, "error": 0.01}]
    )
    assert gpu_check.main() == 0
    written = json.loads((tmp_path / "data" / "measurements" / "gpu_check_nvidia_card_9000.json").read_text())
    assert written["ledger"] == {"settings": 1, "within_5_percent": 1} and 500 < asked[0] <= gpu_check.SECONDS
    monkeypatch.setattr(
        gpu_check, "steps", lambda device: {"losses": [8.0, 9.0], "tokens_per_second": 1.0, "peak_bytes": 1}
    )
    assert gpu_check.main() == 1, "a loss that does not fall is a failure"


def test_time_that_is_up_begins_no_setting(capsys, tmp_path):
    assert ledger.measure_all(out=tmp_path / "ledger.json", jobs=ledger.ON_A_PROCESSOR[:2], seconds=-1) == []
    assert "Time is up after 0 of 2 settings" in capsys.readouterr().out


def test_the_quantization_bench_runs_both_sides(capsys):
    found = speed.quantize(numbers=4096 * 64, rounds=1)
    assert set(found) == {"quantize", "dequantize", "peak"}
    assert all(set(row) == {"ours", "bitsandbytes"} and row["ours"] >= 0 for row in found.values())
    assert "ratio" in capsys.readouterr().out
