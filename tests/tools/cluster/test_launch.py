"""What ended a job is found among what the launcher saw, and comes back as the error that it was."""

from __future__ import annotations

import json
import signal
from types import SimpleNamespace

import pytest
import torch
from short_cluster import SETTINGS, make_examples
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from lora_lessons import tasks
from lora_lessons.errors import ModelError
from lora_lessons.training.losses import share
from lora_lessons.training.settings import TrainingStopped
from lora_tools import cluster
from lora_tools.cluster import launch, launcher
from lora_tools.cluster.launcher import what_failed


def failed(tmp_path, *ranks):
    """What torch's launcher raises: of each rank its exit code, and what it had recorded."""
    failures = {}
    for rank, (code, said) in enumerate(ranks):
        file = tmp_path / f"{rank}.json"
        if said:
            file.write_text(json.dumps({"message": {"message": said, "extraInfo": {"timestamp": "1"}}}))
        failures[rank] = ProcessFailure(local_rank=rank, pid=1000 + rank, exitcode=code, error_file=str(file))
    return ChildFailedError("worker", failures)


def test_the_rank_that_was_killed_is_named_not_the_one_that_lost_its_connection(tmp_path):
    error = failed(tmp_path, (1, "RuntimeError: Connection closed by peer"), (-signal.SIGKILL, ""))
    said = what_failed(error, tmp_path)
    assert said.startswith("Lost: rank 1 was killed (SIGKILL, most likely because memory ran out)")
    assert said.endswith("the same command starts from the beginning.")
    assert isinstance(launch.what_was_said(f"noise\n{said}\n", tmp_path), cluster.RankLost)


def test_a_rank_that_broke_down_has_the_file_with_what_it_said_named(tmp_path):
    said = what_failed(failed(tmp_path, (-signal.SIGTERM, ""), (-signal.SIGABRT, "")), tmp_path)
    assert said.startswith(
        f"Lost: rank 1 was killed (SIGABRT; {tmp_path / launch.LOG} has what it said), so the others"
    )


@pytest.mark.parametrize("kind", [ValueError, ModelError, TrainingStopped])
def test_what_a_rank_had_to_say_comes_back_as_its_error(tmp_path, kind):
    error = failed(tmp_path, (1, f"{kind.__name__}: lower the rate: now."), (-signal.SIGTERM, ""))
    back = launch.what_was_said(what_failed(error, tmp_path), tmp_path)
    assert type(back) is kind and str(back) == "lower the rate: now."


def test_what_has_no_sentence_names_the_file_with_everything(tmp_path):
    error = failed(tmp_path, (1, "RuntimeError: address in use"))
    back = launch.what_was_said(what_failed(error, tmp_path), tmp_path)
    assert isinstance(back, ModelError) and "address in use" in str(back) and "log.txt" in str(back)
    assert "no message" in str(launch.what_was_said("", tmp_path))


@pytest.mark.parametrize("processes", [0, 65, True, 2.0])
def test_processes_are_a_whole_number(tmp_path, processes):
    with pytest.raises(ValueError, match="from 1 to 64"):
        cluster.run(processes, tmp_path)


def test_what_cannot_be_trained_is_refused_before_anything_starts(base, tmp_path):
    with pytest.raises(ValueError, match="dtype 'int3' is not known: choose from fp32, bf16, nf4"):
        cluster.run(2, tmp_path, base=base, dtype="int3")
    eight_bits = type(SETTINGS)(optimizer="adamw_8bit")
    with pytest.raises(ValueError, match="cannot be divided among ranks: choose adamw or adamw_fused"):
        cluster.run(2, tmp_path, base=base, settings=eight_bits)
    assert not list(tmp_path.iterdir())
    launcher.ClusterJob(str(base), "persona", 4, 8.0, "fp32", SETTINGS).write(tmp_path)
    with pytest.raises(ValueError, match="belongs to another training"):
        cluster.run(2, tmp_path, base=base, r=8, settings=SETTINGS)


def test_a_job_and_its_examples_are_read_as_they_were_written(base, tmp_path):
    written = launcher.ClusterJob(str(base), "persona", 4, 8.0, "fp32", SETTINGS)
    written.write(tmp_path)
    assert launcher.read_job(tmp_path) == written
    examples = [*make_examples(), tasks.Encoded(torch.arange(3), torch.arange(3), torch.tensor([0, 1, 0]))]
    launcher.write_examples(examples, tmp_path / launcher.EXAMPLES)
    read = launcher.read_examples(tmp_path / launcher.EXAMPLES)
    assert [str(one) for one in read] == [str(one) for one in examples]
    for text in ("{}", '{"r": ' + "9" * 5000 + "}"):
        (tmp_path / launcher.JOB).write_text(text)
        with pytest.raises(ValueError, match="is no job"):
            launcher.read_job(tmp_path)
    with pytest.raises(FileNotFoundError, match="`lora-lessons cluster config` writes one"):
        launcher.read_job(tmp_path / "nowhere")


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_shares_of_the_ranks_add_up_to_the_loss_of_the_batch(tiny_model, count):
    """A mean of means would not (transformers#34191): the answers here have 1 to 9 tokens."""
    tiny_model.lm_head.weight.requires_grad_(True)
    batch = make_examples()[:5]
    whole = tiny_model(**tasks.collate(batch, pad_id=0)).loss
    parts, means = [], []
    for rank in range(count):
        mine = batch[rank::count]
        ranks = SimpleNamespace(part=lambda _, mine=mine: mine)
        parts.append(share(tiny_model, ranks)(batch))
        means += [tiny_model(**tasks.collate(mine, pad_id=0)).loss] if mine else []
    torch.testing.assert_close(sum(parts), whole)
    assert count > 5 or abs(sum(means) / len(means) - whole) > 1e-3
