"""The layer bench: four ways of writing one layer are one layer, and all are timed in turn beside the bare one."""

import json

import pytest
import torch

from lora_lessons.experiments import layer_speed as bench


@pytest.mark.parametrize("dtype, close", [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_every_way_gives_the_same_output_and_the_same_gradients(dtype, close):
    torch.manual_seed(0)
    every = bench.ways(48, 4, dtype, "cpu")
    x = torch.randn(10, 48, dtype=dtype, requires_grad=True)
    gradient, found = torch.randn(10, 48, dtype=dtype), {}
    for name, way in every.items():
        assert bench.there_and_back(way, x, gradient) > 0
        found[name] = [t.detach().float() for t in (way.layer(x), x.grad, *(p.grad for p in way.learned))]
    for name in (bench.PEFT, bench.LORALIB, bench.FAST):
        for mine, theirs in zip(found[bench.COURSE], found[name], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=close, atol=close * float(mine.abs().max()))
    assert len(found[bench.BARE]) == 2 and not torch.equal(found[bench.BARE][0], found[bench.COURSE][0])


def test_the_ways_are_timed_in_turn_and_each_median_is_its_own(monkeypatch, tmp_path, capsys):
    asked, layers = [], {}
    made = bench.ways

    def ways(*sizes):
        every = made(*sizes)
        layers.update({id(way.layer): name for name, way in every.items()})
        return every

    def timed(way, x, gradient):
        asked.append(layers[id(way.layer)])
        return 0.001 if asked[-1] == bench.BARE else 0.002 if asked[-1] == bench.FAST else 0.003

    monkeypatch.setattr(bench, "ways", ways)
    monkeypatch.setattr(bench, "there_and_back", timed)
    bench.measure((32,), (2,), (5,), repeats=2, out=tmp_path / "layer.json")
    assert asked == 3 * [bench.BARE, bench.COURSE, bench.PEFT, bench.LORALIB, bench.FAST]
    row = json.loads((tmp_path / "layer.json").read_text(encoding="utf-8"))["rows"][0]
    assert (row["d"], row["r"], row["tokens"]) == (32, 2, 5)
    assert row["ratio"] == pytest.approx(dict.fromkeys(row["ratio"], 3) | {bench.BARE: 1, bench.FAST: 2})
    assert "2.00 ms  2.00×" in capsys.readouterr().out
