"""The layer bench: four ways of writing one layer are one layer, and all are timed in turn beside the bare one."""

import pytest
import torch

from workshop.record import layer as bench


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
