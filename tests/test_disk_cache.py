"""What was worked out once is read from disk; what is damaged, or was made by other code, is made anew."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from tiny_configs import tiny

from lora_lessons import disk_cache, memory, paths
from lora_lessons.memory import Job, parts_of, trace
from lora_tools.cli.plan import ANSWERED_BY

JOB = Job("lora", r=4, seq=64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nothing remembered by this process."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path))
    forget()
    yield tmp_path / "worked_out"
    forget()


def forget():
    parts_of.cache_clear()
    trace.cache_clear()


def test_the_second_time_nothing_is_traced(cache, monkeypatch):
    first = memory.predict(tiny("llama"), JOB)
    assert list(cache.glob("parts-*")) and list(cache.glob("trace-*"))
    forget()
    for builds in ("prediction.build", "parts.skeleton"):
        monkeypatch.setattr(f"lora_lessons.memory.{builds}", lambda *_, **__: pytest.fail("a model was built"))
    assert memory.predict(tiny("llama"), JOB) == first
    longer = memory.predict(tiny("llama"), Job("lora", r=4, seq=999, batch_size=3))
    assert longer.bill.activations > first.bill.activations, "one trace answers for every batch and length"


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda b: b"",
        lambda b: b[:40] + b"x" + b[41:],
        lambda _: gzip.compress(b"[1, 2]"),
        lambda _: gzip.compress(b"{}"),
    ],
)
def test_a_damaged_file_is_made_anew(cache, damage):
    first = memory.predict(tiny("llama"), JOB)
    whole = {file: file.read_bytes() for file in cache.iterdir()}
    for file, data in whole.items():
        file.write_bytes(damage(data))
    forget()
    assert memory.predict(tiny("llama"), JOB) == first
    for file, data in whole.items():
        assert gzip.decompress(file.read_bytes()) == gzip.decompress(data)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_a_pipe_in_the_place_of_what_was_kept_is_not_read(cache):
    """Nobody writes to it, and reading would wait for ever; what a device gives would fill the memory."""
    disk_cache.once("it", 1, ["n"], lambda: {"n": 2})
    (file,) = cache.glob("it-*")
    file.unlink()
    os.mkfifo(file)
    assert disk_cache.once("it", 1, ["n"], lambda: {"n": 3}) == {"n": 3}


def test_other_code_or_other_versions_make_it_anew(cache, monkeypatch):
    made = []
    for by in (["torch 1", "a"], ["torch 2", "a"], ["torch 2", "b"], ["torch 2", "b"]):
        monkeypatch.setattr(disk_cache, "_made_by", lambda _, by=by: by)
        disk_cache.once("parts", ["same"], ["by"], lambda by=by: made.append(by) or {"by": by})
    assert made == [["torch 1", "a"], ["torch 2", "a"], ["torch 2", "b"]]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "file"))
    assert disk_cache.once("parts", [1], ["n"], lambda: {"n": 1}) == {"n": 1}


WARM = """
import sys
from lora_lessons import memory
print(memory.predict(sys.argv[1], memory.Job("qlora", r=4)).bill.total)
print([name for name in ("transformers", "peft", "bitsandbytes") if name in sys.modules])
"""


def test_a_shape_seen_before_imports_no_model_library(cache, tmp_path):
    """A plan is an answer in a second or two only without transformers, PEFT and bitsandbytes."""
    folder = tmp_path / "model"
    tiny("llama").save_pretrained(folder)
    cold, warm = (
        subprocess.run([sys.executable, "-c", WARM, str(folder)], capture_output=True, text=True, check=True)
        .stdout.strip()
        .splitlines()
        for _ in range(2)
    )
    assert cold[0] == warm[0] and warm[1] == "[]"


def test_a_plan_given_before_is_answered_without_torch_and_follows_its_folder(cache, tmp_path):
    """The command's own process: what it imports the second time, and that another config gives another answer."""
    folder = tmp_path / "model"
    command = "import sys; from lora_tools import cli; cli.main(sys.argv[1:]); print('torch' in sys.modules)"

    def plan(config):
        config.save_pretrained(folder)
        words = [sys.executable, "-c", command, "plan", str(folder), "--gpu", "T4", "--r", "2"]
        *said, torch = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        return said, torch

    (first, cold), (again, warm), (other, _) = plan(tiny("llama")), plan(tiny("llama")), plan(tiny("mistral"))
    assert first == again != other and (cold, warm) == ("True", "False") and any("it fits" in line for line in first)


def test_whatever_a_plan_rests_on_makes_it_anew():
    graph = grimp.build_graph("lora_lessons", cache_dir=None)
    named = {path.relative_to(paths.package().parent) for path in paths.sources((*disk_cache.LEDGER, *ANSWERED_BY))}
    plans = "lora_lessons.planning"
    reached = graph.find_upstream_modules(plans, as_package=True) | graph.find_descendants(plans)
    files_of = {name: Path(*name.split(".")) for name in reached}
    packages = {
        name: place / "__init__.py" for name, place in files_of.items() if (paths.package().parent / place).is_dir()
    }
    needed = {packages.get(name, place.with_suffix(".py")) for name, place in files_of.items()}
    assert needed and needed <= named
