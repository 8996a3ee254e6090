"""A job of several ranks: what ended it comes back as the error that it was; what `cluster config` writes is what
accelerate reads; and who may go on at ASHA's rungs."""

import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from schemas import faults
from short_cluster import SETTINGS, make_examples, same
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from lora_lessons import tasks
from lora_lessons.errors import ModelError
from lora_lessons.memory.bill import CONTEXT_BYTES, GIB
from lora_lessons.training.losses import share
from lora_lessons.training.settings import TrainingStopped
from lora_tools import cli, cluster
from lora_tools.cluster import launch, launcher
from lora_tools.cluster.launch import Machines, Sizes
from lora_tools.cluster.launcher import ACCELERATE, EXAMPLES, ClusterJob, read_job, what_failed, write_examples
from lora_tools.cluster.ray import Referee, rungs


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


def test_what_cannot_be_trained_is_refused_before_anything_starts(base, tmp_path):
    for processes in (0, 65, True, 2.0):
        with pytest.raises(ValueError, match="from 1 to 64"):
            cluster.run(processes, tmp_path)
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


TWO = Machines(cards=2, card_gb=24)
# Llama-3-70B in NF4, roughly: 36 GB, a block of 0.5 GB, embeddings of 2.1 GB
LARGE = Sizes(base=39e9, unit=2.1e9)


def words_of(line):
    """(environment variables, arguments) of a launch line."""
    words = shlex.split(line)
    start = words.index("accelerate")
    return dict(word.split("=", 1) for word in words[:start]), words[start:]


def as_accelerate_reads(line):
    """The arguments with which accelerate's launcher would start the ranks."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    _, words = words_of(line)
    assert words[:2] == ["accelerate", "launch"]
    return _validate_launch_command(launch_command_parser().parse_args(words[2:]))[0]


def write(folder, cluster, base="embedded", task="persona", dtype="nf4", settings=SETTINGS):
    return launch.write_launch_files(folder, cluster, ClusterJob(str(base), task, 4, 16.0, dtype, settings))


def test_accelerate_reads_what_was_written_for_one_machine(tmp_path):
    from accelerate.commands.config.config_args import load_config_from_file

    (line,) = write(tmp_path, TWO)
    config = load_config_from_file(str(tmp_path / ACCELERATE))
    assert config.distributed_type == "FSDP" and config.mixed_precision == "no" and config.num_processes == 2
    read = as_accelerate_reads(line)
    assert read.use_fsdp and read.fsdp_version == 2 and read.fsdp_reshard_after_forward is True
    assert read.num_processes == 2 and read.num_machines == 1
    assert read.rdzv_backend == "c10d" and read.rdzv_conf == "store_type=file", "no port is opened"
    assert read.module and read.training_script == "lora_tools.cluster.worker"
    assert read.training_script_args == [str(tmp_path)]
    assert line in (tmp_path / ACCELERATE).read_text()


def test_two_machines_have_a_line_each(tmp_path):
    lines = write(tmp_path, Machines(cards=2, card_gb=24, nodes=2, offload=True))
    read = [as_accelerate_reads(line) for line in lines]
    assert [one.machine_rank for one in read] == [0, 1]
    assert {(one.num_processes, one.num_machines, one.main_process_port) for one in read} == {(4, 2, 29500)}
    assert {one.main_process_ip for one in read} == {launch.ADDRESS} and read[0].fsdp_offload_params is True


@pytest.mark.parametrize(
    ("changed", "method", "sizes", "sentence"),
    [
        ({"storage": "uint8"}, "qlora", None, "would stay whole on each card"),
        ({"storage": "fp32"}, "qlora", None, "must be kept as the dtype that is computed in"),
        ({"fsdp": 1}, "lora", None, "FSDP1 makes one flat parameter of each block"),
        ({"cards": 1}, "lora", None, "one card has nobody to share with"),
        ({"nodes": 99_999_999_999}, "qlora", None, "199,999,999,998 cards are more than any cluster has"),
        (
            {"card_gb": (LARGE.unit + CONTEXT_BYTES) / GIB},
            "qlora",
            LARGE,
            "cannot hold the driver's [0-9.]+ GB and the largest",
        ),
        ({"card_gb": 2.0}, "qlora", LARGE, "the largest part that is gathered at once, 2.1 GB"),
        ({"card_gb": 12.0}, "qlora", LARGE, "use at least 4 cards"),
        ({"offload": True, "host_ram_gb": 64.0}, "qlora", LARGE, "78 GB in all, and the machine has 64"),
    ],
)
def test_what_would_train_nothing_or_fail_is_refused(changed, method, sizes, sentence):
    cluster = Machines(**{"cards": 2, "card_gb": 24.0} | changed)
    with pytest.raises(ValueError, match=sentence):
        launch.check(cluster, method, sizes)


def test_what_fits_is_not_refused():
    launch.check(TWO, "qlora", LARGE)
    launch.check(Machines(cards=2, nodes=2, card_gb=12, offload=True, host_ram_gb=128), "qlora", LARGE)


def test_a_shape_says_what_a_rank_meets(tmp_path):
    """Of a 7B in NF4 half a byte a weight, and the head's 32,000 × 4,096 numbers in 16 bits, gathered at once."""
    sizes = launch.sizes_of("Llama-2-7B", "qlora", 8)
    assert sizes.base == pytest.approx(6.476e9 * 4.127 / 8 + 0.262e9 * 2, rel=0.01)
    assert sizes.unit == 32_000 * 4_096 * 2
    assert launch.sizes_of("no/such-model-anywhere", "qlora", 8) is None
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="config.json"):
        launch.sizes_of(str(tmp_path), "qlora", 8)


def test_the_command_writes_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launch, "sizes_of", lambda *_: None)
    words = ["cluster", "config", "--cards", "2X24", "--out", str(tmp_path / "c"), "some-model"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "accelerate launch --config_file" in said and "was not checked" in said
    assert read_job(tmp_path / "c").dtype == "nf4"
    before = (tmp_path / "c" / ACCELERATE).read_bytes()
    assert cli.main([*words, "--steps", "9"]) == 2
    assert "add --overwrite" in capsys.readouterr().err and (tmp_path / "c" / ACCELERATE).read_bytes() == before
    assert cli.main([*words, "--steps", "9", "--overwrite", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert faults("cluster", document) == [] and str(tmp_path / "c" / ACCELERATE) in [
        f["path"] for f in document["files"]
    ]
    assert "accelerate launch" in document["commands"][0] and read_job(tmp_path / "c").settings.steps == 9


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--cards", "two"],
            "--cards 'two': give how many cards a machine has, and the GB or the name of each, such as 2x24",
        ),
        (["--cards", "2x24", "--method", "full"], "--method 'full' is not known: choose from qlora, lora."),
        (["--cards", "2x24", "--storage", "uint8"], "--storage uint8:"),
    ],
)
def test_words_that_cannot_be_are_one_sentence(tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.setattr(launch, "sizes_of", lambda *_: None)
    assert cli.main(["cluster", "config", "--out", str(tmp_path / "c"), *words, "some-model"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "c").exists()


def test_the_line_for_one_machine_trains(base, alone, tmp_path):
    """As it is printed, but for where `accelerate` lies: without cards the ranks take the CPU and gloo by themselves.

    With checkpointing, as the command sets it: each block is gathered once more, to be computed again.
    """
    settings = dataclasses.replace(SETTINGS, gradient_checkpointing=True)
    (line,) = write(tmp_path, TWO, base, EXAMPLES, "fp32", settings)
    write_examples(make_examples(), tmp_path / EXAMPLES)
    variables, words = words_of(line)
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    environment = os.environ | variables | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run([accelerate, *words[1:]], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, adapter = alone
    assert json.loads((tmp_path / "account.json").read_text())["losses"] == pytest.approx(one["losses"], abs=1e-5)
    same(tmp_path / "adapter", adapter)


@pytest.mark.parametrize(
    "steps, at", [(1, []), (2, [1]), (3, [1, 2]), (24, [6, 12]), (100, [25, 50]), (30, [7, 14, 28])]
)
def test_the_rungs_are_a_quarter_and_its_doubles(steps, at):
    assert rungs(steps) == at


def test_a_run_goes_on_while_it_is_within_the_better_half_of_those_before():
    referee = Referee(24)
    assert [referee.may_take("first", 0, [3.0] * taken) for taken in (0, 3, 6, 12, 24)] == [6, 6, 12, 24, 24]
    assert referee.may_take("worse", 0, [4.0] * 6) == 0
    assert referee.may_take("better", 0, [2.0] * 6) == 12
    assert referee.may_take("worse", 0, [4.0] * 6) == 0, "asked again, as by a run whose worker was killed"
    assert referee.may_take("late", 0, [2.0] * 6 + [3.5] * 6) == 0, "good at one rung, bad at the next"
    assert referee.may_take("another seed", 1, [9.0] * 6) == 12, "its examples are others"
    assert referee.may_take("trained already", 0, [9.0] * 24) == 24
