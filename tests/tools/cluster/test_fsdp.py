"""Two and four ranks give what one process gives; each of four holds its part, and sends what FSDP must send."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from short_cluster import SETTINGS, in_this_process, learned, make_examples, same
from tiny_folders import make_folder

from lora_tools.cluster import worker
from lora_tools.cluster.launch import Machines
from lora_tools.cluster.launcher import ClusterJob

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def four(train_in, tmp_path_factory):
    """What came of four ranks."""
    return train_in(4, tmp_path_factory.mktemp("four") / "run")


def test_ranks_give_the_losses_and_the_adapter_of_one_process(alone, four):
    """With three examples a step, so that one of the four has none."""
    one, adapter = alone
    assert four.losses == pytest.approx(one["losses"], abs=1e-5)
    assert one["losses"][-1] < 0.95 * one["losses"][0], "something was learned"
    same(four.adapter, adapter)


def test_each_rank_holds_its_part_of_every_parameter(alone, four):
    one, _ = alone
    assert len(four.held) == len(four.peak) == len(four.sent) == 4
    # r=4 rows divide among 4 ranks, and so do all other matrices here
    assert set(four.held) == {one["held"][0] // 4}
    assert min(four.peak) > four.held[0]


def test_all_gather_carries_the_base_twice_and_reduce_scatter_the_adapter_once(alone, four):
    """A block is gathered for forward and for backward; the head and the norm before it once, as they stay between."""
    one, _ = alone
    adapter = sum(tensor.nbytes for tensor in learned(four.adapter).values())
    head_and_norm = 128 * 32 * 4 + 32 * 4
    # of what is gathered, each rank has a part of its own, which travels to all others
    travels = (2 * one["held"][0] - head_and_norm + adapter) * 3 // 4
    assert one["sent"] == [0]
    assert four.sent == [len(four.losses) * travels] * 4


SEES_PYTHON_TAKEN_DOWN = """
import atexit, os, pathlib
atexit.register(pathlib.Path(__file__).with_name("down-" + os.environ.get("RANK", "launcher")).touch)
"""


@pytest.fixture
def taken_down(tmp_path, monkeypatch):
    """Which processes saw Python taken down: no rank may, or now and then a thread of gloo that is late aborts it,
    though all is done (`meeting.to_the_end`)."""
    (tmp_path / "sitecustomize.py").write_text(SEES_PYTHON_TAKEN_DOWN)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda: [file.name for file in tmp_path.glob("down-*")]


def test_ranks_sum_over_several_batches_and_shorten_the_gradient_of_all(train_in, tmp_path, taken_down):
    """Each of two ranks has a part of every matrix, so neither knows how long the gradient is. Of the base, too: in
    bitsandbytes' NF4, as far as a CPU goes, its codes kept as fp32 and sharded, computed in fp32."""
    settings = replace(SETTINGS, steps=6, batch_size=2, gradient_accumulation_steps=2, max_grad_norm=0.05)
    how = {"base": make_folder(tmp_path / "base"), "settings": settings, "dtype": "nf4"}
    one = in_this_process(tmp_path / "one", examples=make_examples(), **how)
    outcome = train_in(2, tmp_path / "two", **how)
    assert outcome.losses == pytest.approx(one["losses"], abs=1e-5)
    same(outcome.adapter, tmp_path / "one" / "adapter")
    assert outcome.held[0] < 0.7 * one["held"][0], "its scales stay whole on each rank"
    assert taken_down() == ["down-launcher"]


def test_a_rank_that_fails_says_why_and_ends_as_the_others_do(train_in, tmp_path, taken_down):
    """Of rows of broken blocks bitsandbytes' own product, which FSDP needs, is far off:
    they are refused in four bits."""
    with pytest.raises(ValueError, match="rows of 32, no whole blocks of 64"):
        train_in(2, tmp_path / "run", dtype="nf4")
    assert taken_down() == ["down-launcher"]


def test_one_process_is_the_plain_training(base, train_in, tmp_path):
    """To the last bit: it has every core, and some processors round otherwise with another number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    one = in_this_process(tmp_path / "one", base, make_examples())
    torch.set_num_threads(threads)
    outcome = train_in(1, tmp_path / "run")
    assert outcome.losses == one["losses"] and outcome.sent == [0] and outcome.begun == 0
    same(outcome.adapter, tmp_path / "one" / "adapter", within=0)


@pytest.mark.parametrize(("cards", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_four_bits_are_computed_in_bf16_on_cards_and_kept_as_what_they_are_computed_in(
    cards, dtype, tmp_path, monkeypatch
):
    """No card is needed: the base is loaded as it would be for cards, and looked at."""
    monkeypatch.setattr(worker, "on_cards", lambda: cards)
    job = ClusterJob(str(make_folder(tmp_path / "base")), "persona", 4, 16.0, "nf4", SETTINGS)
    packed = [module for module in worker.load(job).modules() if isinstance(module, Linear4bit)]
    assert packed and all(m.weight.dtype == m.quant_storage == m.quant_state.dtype == dtype for m in packed)
    assert str(worker.four_bit_dtype(True)) == "torch.bfloat16" and Machines(cards=2, card_gb=24).storage == "bf16"
