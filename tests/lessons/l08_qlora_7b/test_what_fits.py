"""What lesson 08 trains without a card: what is chosen and said beforehand, its story, and what is said when memory runs out."""

import re
import sys

import pytest
import torch

from lora_lessons import lora, memory, models, training
from lora_lessons.adapter import ADAPTER_WEIGHTS, save_adapter
from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings
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


def test_without_a_card_the_learners_layers_pack_the_embedded_base(capsys):
    chosen = what_fits.choose()
    assert chosen.weights == "real" and chosen.name == models.EMBEDDED_NAME and chosen.says.startswith("No card here")
    q_proj = "model.layers.0.self_attn.q_proj"
    what_fits.attach(chosen.model, 8, 16, [q_proj.removeprefix("model.")], seed=0)
    assert type(chosen.model.get_submodule(q_proj)).__name__ == "MyQLoRA"
    assert "to train your own, solve exercise 07.5" in capsys.readouterr().out
    what_fits.unpack(chosen.model)
    assert [name for name, _ in lora.lora_layers(chosen.model)] == [q_proj]


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
    assert chosen.says.endswith("its real weights, on the processor.")


def test_a_download_memory_and_minutes_are_said_beforehand(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["lora_lessons.models.named"], "cache_dir", lambda: tmp_path)
    job = what_fits.job(16, 256, 1)
    small, large, longer = (
        what_fits.beforehand(*asked)
        for asked in (("", job, 0), ("qwen2.5-coder-1.5b", job, 0), ("qwen2.5-coder-1.5b", job, 160))
    )
    assert "1.1 GB to fetch, once" in large and "fetch" not in small
    assert "8 steps take about 1 min" in small and "24 steps" in large
    gb, minutes = (
        [float(re.search(rf"([\d.]+) {unit}", said.partition("By plan")[2])[1]) for said in (small, large, longer)]
        for unit in ("GB", "min")
    )
    assert gb[0] < gb[1] == gb[2] and minutes[0] < minutes[1] < minutes[2]


def test_a_runs_story_is_what_the_lesson_replays(tiny_model, tmp_path, monkeypatch):
    lora.attach(tiny_model, r=4)
    run = training.Training(steps=2, losses=[5.0, 3.0], seconds=9.0)
    chosen = what_fits.Chosen(tiny_model, None, "Tiny", "random", "")
    said = "How?", "Boil it.", "Keep the lamp lit."
    what_fits.keep_story(tmp_path, chosen, what_fits.job(4, 64, 1), run, said, (4.5, 2.5), 1.26, 3_000_000_000)
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    (tmp_path / what_fits.STORY).rename(tmp_path / "lesson_08_by_hand.json")
    real, kept = what_fits.real_base(), {}
    monkeypatch.setattr(what_fits, "record", lambda name, value, _: kept.update({name: value}))
    what_fits.record_real(real | {"seconds_whole": 600})
    assert (kept["real.step"], kept["real.before"], kept["real.after"], kept["real.held"]) == (4.5, 4.5, 2.5, 3.0)
    words = what_fits.in_words(real)
    assert "Tiny, 2 steps" in words and "before: Boil it." in words and "after:  Keep the lamp lit." in words
    assert list(what_fits.curve(real).axes[0].lines[0].get_ydata()) == [5.0, 3.0]


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
        model = models.shape("Llama-2-7B")
        what_fits.train(model, [], what_fits.settings_for(model, 1, 1, 0), job)
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
