"""A rank that is killed ends the whole job, with one sentence; the run goes on with any number of ranks."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from contextlib import suppress

import held_back
import psutil
import pytest
from short_cluster import SETTINGS, in_this_process, make_examples, same
from short_run import Killed

from lora_lessons import training
from lora_lessons.training.settings import TrainingStopped
from lora_tools import cluster
from lora_tools.cluster.launcher import read_job

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9"),
]


def until(found):
    """What `found` finds, as soon as it finds something."""
    deadline = time.monotonic() + 300
    while not (result := found()):
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
    return result


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
    out, caught = tmp_path_factory.mktemp("lost") / "run", []
    with pytest.MonkeyPatch.context() as patch:
        held_back.after(4, training.CHECKPOINT, out.parent, patch)
        return _lost(train_in, out, caught)


def _lost(train_in, out, caught):
    def train():
        try:
            caught.append(train_in(2, out))
        except TrainingStopped as error:
            caught.append(error)

    run = threading.Thread(target=train, daemon=True)
    run.start()
    until((out / "run" / training.CHECKPOINT).is_file)
    processes = psutil.Process().children(recursive=True)
    heard = set().union(*map(heard_at, processes))
    next(one for one in processes if of(one, lambda it: it.environ().get("RANK")) == "1").kill()
    run.join(timeout=300)
    assert not run.is_alive(), "the other rank was not stopped"
    return out, caught[0], processes, heard


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
