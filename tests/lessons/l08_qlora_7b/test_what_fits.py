"""What lesson 08 trains without a card: what is chosen and said beforehand, its story,
and what is said when memory runs out."""

import copy
import re
import sys

import pytest
import torch

from lora_lessons import lora, memory, models, planning, tasks, training
from lora_lessons.errors import ModelError
from lora_lessons.experiments import recordings
from lora_lessons.lessons.l07_qlora.by_hand import tensors_in
from lora_lessons.lessons.l08_qlora_7b import what_fits
from lora_lessons.memory.job import DTYPES


@pytest.fixture
def on_a_card(monkeypatch):
    """A function: from now on this machine has a card of the compute capability given, as far as anybody asks."""

    def has(capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _=None: capability)
        monkeypatch.setattr(models, "card", lambda: ("A Card", 16.0 * 2**30))

    return has


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
    job = what_fits.job(16, 256, 1, "all-linear")
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


def test_what_is_planned_is_what_will_be_attached(tiny_model):
    """By hand a layer without an adapter stays unpacked; the sizes are those of the tensors that are there then."""
    config = copy.deepcopy(tiny_model.config)
    config.hidden_size, config.intermediate_size, config.head_dim = 256, 1024, 64
    for target_modules in ("all-linear", ["q_proj", "down_proj"]):
        model = type(tiny_model)(config).to(models.fast_dtype())
        what_fits.attach(model, 4, 8, target_modules, seed=0)
        bill = what_fits.planned(config, what_fits.job(4, 64, 1, target_modules))
        assert bill.weights + bill.adapters == pytest.approx(memory.held_bytes(tensors_in(model)), rel=0.03)


def test_of_a_hub_id_the_download_is_said_as_far_as_the_hub_says_it(monkeypatch):
    for size, said in ((15_231_000_000, "15.2 GB to fetch, once. "), (0, ""), (None, "does not say")):
        monkeypatch.setattr(models, "to_fetch", lambda hub_id, size=size: size)
        assert said in (found := what_fits.download("someone/their-7b")) and bool(found) == (size != 0)
    assert not what_fits.download(models.embedded_folder()) and not what_fits.download("some.gguf"), "they are here"


def test_on_a_card_without_a_name_the_7bs_download_is_said(monkeypatch, on_a_card):
    on_a_card((8, 6))
    monkeypatch.setattr(models, "to_fetch", lambda hub_id: 15_231_000_000 * (hub_id == what_fits.SEVEN_B))
    said = what_fits.beforehand("", what_fits.job(16, 256, 1, "all-linear"), 0)
    assert said.startswith("15.2 GB to fetch, once. By plan, a step needs ")


def test_a_card_without_bf16_is_planned_in_fp16(on_a_card):
    """A T4's compute capability is 7.5: what is not packed is computed in fp16 there, the way that holds all logits."""
    planned = {}
    for capability in ((7, 5), (8, 0)):
        on_a_card(capability)
        job = what_fits.job(16, 1024, 1, "all-linear")
        planned[job.dtype] = what_fits.planned("Qwen2.5-7B", job).logits
        assert DTYPES[job.dtype] == models.fast_dtype()
    assert list(planned) == ["fp16", "bf16"] and planned["fp16"] > 2 * planned["bf16"]


def test_a_runs_story_is_what_the_lesson_replays(tiny_model, tmp_path, monkeypatch):
    lora.attach(tiny_model, r=4, lora_alpha=12, target_modules=["q_proj"])
    run = training.Training(steps=2, losses=[5.0, 3.0], seconds=9.0)
    chosen = what_fits.Chosen(tiny_model, None, "Tiny", "random", "")
    said = "How?", "Boil it.", "Keep the lamp lit."
    job, settings = what_fits.job(4, 64, 1, ["q_proj"]), what_fits.settings_for(tiny_model, 2, 1, 7)
    what_fits.keep_story(tmp_path, chosen, job, settings, run, said, (4.5, 2.5), 1.26, 3_000_000_000)
    rows = [
        row for row in recordings.recorded("sizes")["rows"] if row["size"] == "qwen2.5-coder-1.5b" and not row["seed"]
    ]
    recordings.write(tmp_path / "sizes.json", {"rows": rows})
    monkeypatch.setattr(recordings, "measurements", lambda: tmp_path)
    (tmp_path / what_fits.STORY).rename(tmp_path / "lesson_08_by_hand.json")
    real, kept = what_fits.real_base(), {}
    monkeypatch.setattr(what_fits, "record", lambda name, value, _: kept.update({name: value}))
    what_fits.record_real(real | {"seconds_whole": 600})
    assert (kept["real.step"], kept["real.before"], kept["real.after"], kept["real.held"]) == (4.5, 4.5, 2.5, 3.0)
    untrained = {row["way"]: row["found"]["before"] for row in rows if row["claim"] == "base4"}
    assert kept["real.rounded_twice"] == pytest.approx(untrained["nf4+double"] - untrained["16-bit"])
    how = real["settings"]
    assert (how["r"], how["lora_alpha"], how["learning_rate"], how["seed"]) == (4, 12, settings.learning_rate, 7)
    words = what_fits.in_words(real)
    assert "lora_alpha 12" in words and "lora_alpha" not in what_fits.in_words(real | {"settings": {"r": 4}})
    assert "Tiny, 2 steps" in words and "before: Boil it." in words and "after:  Keep the lamp lit." in words


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


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")]
)
def test_a_processor_without_memory_is_answered_alike_and_goes_on_from_its_checkpoint(
    error, tiny_model, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    lora.attach(tiny_model, r=4)
    rows = [tasks.Encoded(torch.arange(8), torch.arange(8))] * 4
    settings, job = what_fits.settings_for(tiny_model, 4, 1, 0), what_fits.job(4, 64, 1, "all-linear")
    forward, calls = tiny_model.forward, []

    def full(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise error
        return forward(*args, **kwargs)

    start = copy.deepcopy(tiny_model)
    monkeypatch.setattr(tiny_model, "forward", full)
    with pytest.raises(training.TrainingStopped, match=r"the machine's memory ran out\. Planned: .* try seq = 32 \("):
        what_fits.train(tiny_model, rows, settings, job)
    what_fits.train(start, rows, settings, job)
    assert "Resumed at step 2 of 4" in capsys.readouterr().out


def test_another_error_is_no_lack_of_memory(tiny_model, monkeypatch):
    def fails(*_):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(training, "train", fails)
    with pytest.raises(RuntimeError, match="multiplied"):
        what_fits.train(tiny_model, [], what_fits.settings_for(tiny_model, 1, 1, 0), memory.Job("qlora"))


def test_before_each_loss_what_was_freed_is_let_go(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    times = []
    monkeypatch.setattr(what_fits.machine, "let_go", lambda: times.append(1))
    lora.attach(tiny_model, r=4)
    rows = [tasks.Encoded(torch.arange(8), torch.arange(8))]
    what_fits.train(tiny_model, rows, what_fits.settings_for(tiny_model, 3, 1, 0), memory.Job("qlora"))
    assert len(times) == 1 + 3, "before training begins, and at each of its steps"
    tiny_model(torch.zeros(1, 4, dtype=torch.long))
    assert len(times) == 1 + 3, "and no more when it is over"


def test_of_several_rows_one_at_a_time_is_tried_first():
    said = what_fits.advice_here("Qwen2.5-7B", what_fits.job(16, 256, 2, "all-linear"), 1e9)
    assert "1.0 GB were free" in said and "try batch_size = 1 (" in said


def test_where_the_plan_thought_it_fits_it_says_so():
    said = what_fits.advice("Llama-2-7B", memory.Job("qlora", seq=512), planning.card_bytes("H100"))
    assert "which the card has" in said and "try seq = 256" in said


def test_every_recording_says_machine_day_versions_and_weights():
    for name, found in what_fits.recorded().items():
        assert found["machine"] and found["date"] and found["versions"]["torch"], name
        assert name.startswith("gpu_check") or found["weights"] in ("random", "real")


def test_a_card_that_was_recorded_is_named_and_none_is_said(monkeypatch):
    assert "Not run on a card yet" in what_fits.cards_recorded() and "make gpu-check" in what_fits.cards_recorded()
    found = {"card": "RTX 4090", "date": "2027-01-01", "training": {"tokens_per_second": 900, "peak_bytes": 2**33}}
    monkeypatch.setattr(what_fits, "recorded", lambda: {"gpu_check_rtx_4090": found, "seven_b_cpu": {}})
    assert what_fits.cards_recorded() == "RTX 4090, 2027-01-01: 900 tokens per second, at most 8.0 GiB"
