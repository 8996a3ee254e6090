"""What `cluster config` writes is what accelerate reads, its line trains,
and what would fail is refused in a sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from schemas import faults
from short_cluster import SETTINGS, make_examples, same

from lora_lessons.errors import ModelError
from lora_lessons.memory.bill import CONTEXT_BYTES, GIB
from lora_tools import cli
from lora_tools.cluster import launch
from lora_tools.cluster.launch import Machines, Sizes
from lora_tools.cluster.launcher import ACCELERATE, EXAMPLES, ClusterJob, read_job, write_examples

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
    launch.check(Machines(cards=2, card_gb=12, offload=True, host_ram_gb=128), "qlora", LARGE)


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
