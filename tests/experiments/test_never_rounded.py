"""The control base: its grids are llama.cpp's, its weights come back, its task is drawn by the seed, its recording is whole."""

import json

import gguf
import numpy as np
import pytest
import torch

from lora_lessons import cli, models, quant, tasks
from lora_lessons.experiments import never_rounded, sweep


@pytest.fixture(scope="module")
def encoder():
    return models.load_encoder()


@pytest.fixture(scope="module")
def kept(encoder):
    return never_rounded.weights(encoder)


@pytest.mark.parametrize("offset, name", [(False, "Q4_0"), (True, "Q4_1")])
def test_even_marks_in_blocks_of_32_are_llama_cpps(offset, name):
    W = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    W[0, :32] = 0
    kind = gguf.GGMLQuantizationType[name]
    theirs = gguf.quants.dequantize(gguf.quants.quantize(W.numpy(), kind), kind)
    ours = never_rounded.even_marks(W, 32, offset).numpy()
    np.testing.assert_array_equal(ours, theirs)
    assert never_rounded.WAYS[name].bits == 8 * gguf.GGML_QUANT_SIZES[kind][1] / 32
    assert not np.array_equal(never_rounded.even_marks(W, 64, offset).numpy(), theirs)


def test_after_rounding_the_weights_are_what_they_were(encoder, kept):
    before = encoder.embed(["A lamp."])
    with (
        pytest.raises(KeyError, match="stopped"),
        never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["int4"]),
    ):
        name, W = next(iter(kept.items()))
        assert not torch.equal(encoder.model.get_submodule(name).weight, W)
        raise KeyError("stopped")
    assert all(torch.equal(encoder.model.get_submodule(name).weight, W) for name, W in kept.items())
    assert torch.equal(encoder.embed(["A lamp."]), before)


def test_rounded_and_back_is_what_the_4_bit_layer_computes(kept):
    encoder, texts = models.load_encoder(), ["Two jars of honey for Monday, please.", "A lamp."]
    with never_rounded.rounded(encoder.model, kept, never_rounded.WAYS["NF4 + double"]):
        by_value = encoder.embed(texts)
    quant.quantize_linears(encoder.model, encoder.linears, "nf4", double=True)
    torch.testing.assert_close(encoder.embed(texts), by_value, atol=1e-5, rtol=1e-4)


def test_a_dose_is_as_large_as_what_rounding_adds_and_fills_a_low_rank():
    W = torch.randn(256, 8, generator=torch.Generator().manual_seed(0)) @ torch.ones(8, 128)
    W += torch.randn(256, 128, generator=torch.Generator().manual_seed(1))
    lost = W - never_rounded.even_marks(W, 32, offset=True)
    assert float(never_rounded.dose(W, 1).norm() / lost.norm()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(never_rounded.dose(W, 3), 3 * never_rounded.dose(W, 1))
    thin = torch.outer(torch.linspace(1, 2, 128), torch.linspace(-1, 1, 64))
    assert never_rounded.directions(thin, [0]) == [1] < never_rounded.directions(thin, [64])


def test_the_ranking_is_of_all_ways_and_coarser_marks_move_more(encoder):
    two = {name: never_rounded.WAYS[name] for name in ("NF4", "FP4")}
    found = never_rounded.rank(encoder, never_rounded.sentences(3), two)
    assert list(found) == ["NF4", "FP4"] and all(len(row["moved"]) == 3 for row in found.values())
    assert found["NF4"]["error"] < found["FP4"]["error"] and min(found["NF4"]["moved"]) > 0


def test_sentences_are_those_of_the_general_text():
    found = never_rounded.sentences()
    assert len(found) > 100 and all(one[-1] in ".!?”\"'" for one in found)
    assert " ".join(found) == " ".join(tasks.general_text().split())


def test_every_order_has_the_day_that_it_names():
    found = never_rounded.messages()
    assert len(found) == 280 and {one.day for one in found} == set(range(len(never_rounded.DAYS)))
    for one in found:
        day = never_rounded.DAYS[one.day]
        assert "JSON" not in one.text and (day is None or day.lower() in one.text.lower()), one.text


def test_a_seed_draws_whole_topics_and_no_two_seeds_the_same():
    splits = [never_rounded.split(never_rounded.messages(), seed) for seed in range(4)]
    for learn, held_out in splits:
        assert len(learn) + len(held_out) == 280 and len({one.topic for one in held_out}) == 8
        assert not {one.topic for one in learn} & {one.topic for one in held_out}
    assert len({tuple(one.text for one in held_out) for _, held_out in splits}) == 4


def test_training_repeats_by_seed_and_leaves_the_base_alone(encoder, kept):
    one, again = (never_rounded.train(encoder, kept, "nf4+double", seed=3, steps=2) for _ in range(2))
    assert one == again and len(one["train_losses"]) == 2
    other = never_rounded.train(encoder, kept, "16-bit", seed=3, steps=2)
    assert (
        other["loss_held_out"] != one["loss_held_out"] and abs(other["train_losses"][0] - one["train_losses"][0]) < 0.2
    )
    assert not any("lora" in name for name, _ in encoder.model.named_parameters())
    assert all(torch.equal(encoder.model.get_submodule(name).weight, W) for name, W in kept.items())


def test_the_learning_rate_is_the_one_that_is_best_on_average():
    runs = [(1e-3, 1.0), (1e-3, 3.0), (2e-3, 1.5), (2e-3, 1.7)]
    assert never_rounded.best_rate([{"learning_rate": rate, "loss_held_out": loss} for rate, loss in runs]) == 2e-3


def test_the_recording_is_whole_and_says_where_it_was_made():
    found = never_rounded.recorded()
    assert found["machine"] and found["date"] and found["versions"]["torch"]
    assert set(found["ranking"]) == set(never_rounded.WAYS) and found["as_bf16"] < 0.001
    seeds = {run["seed"] for run in found["runs"]}
    assert len(seeds) >= 8 and not seeds & set(never_rounded.TUNED_ON)
    rate = never_rounded.best_rate(found["tuning"])
    for base in never_rounded.BASES:
        runs = [run for run in found["runs"] if run["base"] == base]
        assert {run["seed"] for run in runs} == seeds and {run["learning_rate"] for run in runs} == {rate}
    assert sweep.summary([run["accuracy"] for run in found["runs"]]).mean > 0.5


def test_the_command_writes_the_recording(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(never_rounded, "rank", lambda *_: {"NF4": {"bits": 4.5, "error": 0.1, "moved": [0.1, 0.2]}})
    monkeypatch.setattr(never_rounded, "spectra", lambda *_: {"share": 0.4, "noise": 0.6})

    def quick(encoder, weights, base, seed, learning_rate):
        return {
            "base": base,
            "seed": seed,
            "learning_rate": learning_rate,
            "loss_held_out": 0.5 + seed / 1000,
        }

    monkeypatch.setattr(never_rounded, "train", quick)
    assert cli.main(["bench", "encoder", "--out", str(tmp_path / "found.json")]) == cli.EXIT_OK
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert len(found["runs"]) == never_rounded.SEEDS * 4 and found["date"]
    assert "NF4" in (said := capsys.readouterr().out) and "int4         above 16-bit by" in said
