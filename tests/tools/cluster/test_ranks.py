"""Two and four ranks give what one process gives, each holding its part; one that is killed ends the job with a
sentence, and the run goes on with any number of ranks."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import held_back
import psutil
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from short_cluster import SETTINGS, in_this_process, learned, make_examples, same
from short_run import Killed, until
from tiny_folders import make_folder

from lora_lessons import training
from lora_tools import cluster
from lora_tools.cluster import worker
from lora_tools.cluster.launch import Machines
from lora_tools.cluster.launcher import ClusterJob, read_job

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


LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def of(process, look):
    """What `look` sees of a process; None of one that has ended."""
    with suppress(psutil.Error):
        return look(process)


def at_work(process):
    return of(process, lambda one: one.is_running() and one.status() != psutil.STATUS_ZOMBIE)


def heard_at(process):
    """The addresses that a process listens at."""
    sockets = of(process, lambda one: one.net_connections("inet")) or ()
    return {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def lost(train_in, tmp_path_factory):
    """A run of two ranks, the second of which is killed after the first checkpoint: what was seen of it."""
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("this system has no kill -9")
    out = tmp_path_factory.mktemp("lost") / "run"
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        held_back.after(4, training.CHECKPOINT, out.parent, patch)
        run = pool.submit(train_in, 2, out)
        until((out / "run" / training.CHECKPOINT).is_file)
        processes = psutil.Process().children(recursive=True)
        heard = set().union(*map(heard_at, processes))
        next(one for one in processes if of(one, lambda it: it.environ().get("RANK")) == "1").kill()
        return out, run.exception(timeout=300), processes, heard


def test_a_killed_rank_ends_the_job_with_one_sentence(lost):
    out, error, _, _ = lost
    done = training.steps_done(out / "run" / training.CHECKPOINT)
    assert isinstance(error, cluster.RankLost) and done >= 2
    assert str(error) == (
        "rank 1 was killed (SIGKILL, most likely because memory ran out), so the others were stopped: "
        f"the same command goes on from step {done}."
    )


def test_no_process_is_left(lost):
    _, _, processes, _ = lost
    assert len(processes) >= 3, "the launcher and two ranks"
    until(lambda: not any(map(at_work, processes)))


def test_nothing_was_heard_beyond_this_machine(lost):
    _, _, _, heard = lost
    assert heard and heard <= LOOPBACK, "gloo's sockets, on the loopback"


def test_the_checkpoint_of_two_ranks_is_resumed_by_one_process(lost, alone, tmp_path):
    (one, adapter), (out, *_) = alone, lost
    done = training.steps_done(out / "run" / training.CHECKPOINT)
    shutil.copytree(out, tmp_path / "run")
    resumed = in_this_process(tmp_path / "run", read_job(out).base, make_examples())
    assert resumed["begun"] == done and resumed["losses"] == pytest.approx(one["losses"], abs=1e-5)
    same(tmp_path / "run" / "adapter", adapter)


class Killing(list):
    """The examples; whoever asks for the first of step 6 is stopped."""

    left = 5 * SETTINGS.batch_size

    def __getitem__(self, index):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().__getitem__(index)


def test_the_checkpoint_of_one_process_is_resumed_by_two_ranks(base, alone, train_in, tmp_path):
    one, adapter = alone
    with pytest.raises(Killed):
        in_this_process(tmp_path / "run", base, Killing(make_examples()))
    outcome = train_in(2, tmp_path / "run")
    assert outcome.begun == 4 and not outcome.reused
    assert outcome.losses == pytest.approx(one["losses"], abs=1e-5)
    same(outcome.adapter, adapter)
