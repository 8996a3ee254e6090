"""Two and four ranks give what one process gives; each holds its part, and sends what FSDP must send."""

from __future__ import annotations

import pytest
from short_cluster import learned, same


@pytest.fixture(scope="module", params=[2, 4])
def several(request, train_in, tmp_path_factory):
    """(ranks, what came of it)."""
    return request.param, train_in(request.param, tmp_path_factory.mktemp("several") / "run")


def test_ranks_give_the_losses_and_the_adapter_of_one_process(alone, several):
    """With three examples a step, so that each rank has another number of them, and one of four has none."""
    _, outcome = several
    assert outcome.losses == pytest.approx(alone.losses, abs=1e-5)
    assert alone.losses[-1] < 0.9 * alone.losses[0], "something was learned"
    same(outcome.adapter, alone.adapter)


def test_each_rank_holds_its_part_of_every_parameter(alone, several):
    ranks, outcome = several
    assert len(outcome.held) == len(outcome.peak) == len(outcome.sent) == ranks
    # r=4 rows divide among 2 and 4 ranks, and so do all other matrices here
    assert sum(outcome.held) == alone.held[0] and set(outcome.held) == {alone.held[0] // ranks}
    assert min(outcome.peak) > outcome.held[0]


def test_all_gather_carries_the_base_twice_and_reduce_scatter_the_adapter(alone, several):
    """A block is gathered for forward and for backward; embeddings, head and last norm only once, as they stay."""
    ranks, outcome = several
    adapter = sum(t.nbytes for t in learned(outcome.adapter).values())
    per_step = outcome.sent[0] / len(outcome.losses) / (ranks - 1) * ranks
    assert alone.sent == [0]
    assert alone.held[0] + adapter < per_step <= 2 * alone.held[0] + adapter
