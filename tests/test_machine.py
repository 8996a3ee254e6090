"""What every recording says of itself: the machine in words, the day, the versions; nothing of who ran it."""

import json
import platform
import re
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from lora_lessons import machine
from lora_lessons.models import precision
from lora_lessons.paths import measurements, package

# Run where this package is not installed: in Colab before it is, or in a tool's own environment.
BY_THEMSELVES = re.compile(r"colab\.py|\w+_worker\.py")


def test_a_stamp_says_machine_day_and_versions_and_nothing_more():
    stamp = machine.stamp()
    assert list(stamp) == ["machine", "date", "versions"]
    assert stamp["machine"].endswith(" cores") and date.fromisoformat(stamp["date"])
    assert stamp["versions"]["torch"] and stamp["versions"]["python"] == platform.python_version()
    assert str(Path.home()) not in json.dumps(stamp)


def test_a_builds_suffix_changes_no_version(monkeypatch):
    listed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.15.0" if name == "torch" else listed(name))
    keys = set()
    for says in ("2.15.0", "2.15.0+cu132"):
        monkeypatch.setattr(torch, "__version__", says)
        assert machine.versions()["torch"] == "2.15.0"
        keys.add(precision._machine_key())
    assert len(keys) == 1


def test_one_helper_says_which_version():
    asks = re.compile(
        r"(torch|transformers|peft|numpy|gguf)\.__version__|importlib\.metadata|from importlib import metadata"
    )
    doors = package(), package().with_name("lora_tools")
    others = [p for door in doors for p in door.rglob("*.py") if asks.search(p.read_text(encoding="utf-8"))]
    assert [p.name for p in others if not BY_THEMSELVES.fullmatch(p.name)] == ["machine.py"]


def test_every_measurement_that_ships_says_where_and_when_it_was_made():
    for path in measurements().glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        assert found["machine"] and found["date"] and found["versions"], path.name


LENGTHS = """
import torch
from lora_lessons.machine import let_go, resident_bytes
W, held = torch.randn(512, 512, dtype=torch.bfloat16), []
for lengths in (range(33, 233), range(233, 433)):
    for tokens in lengths:
        torch.randn(tokens, 512, dtype=torch.bfloat16) @ W.T
    let_go()
    held.append(resident_bytes())
print(held[1] - held[0])
"""


def test_a_kernel_keeps_the_products_of_few_lengths():
    """oneDNN makes one for each length, and by itself keeps a thousand."""

    def grows(**chosen):
        env = machine.kernel_environment() | chosen
        done = subprocess.run([sys.executable, "-c", LENGTHS], env=env, capture_output=True, text=True, check=True)
        return int(done.stdout)

    by_itself = grows(**dict.fromkeys(machine.KERNEL_CACHES, "1024"))
    if by_itself < 20e6:
        pytest.skip("NOT TESTED HERE: products in bf16 are not oneDNN's")
    assert grows() < by_itself / 3


def test_what_the_user_says_of_a_kernels_environment_stays(monkeypatch):
    monkeypatch.setenv(machine.KERNEL_CACHES[0], "7")
    assert machine.kernel_environment()[machine.KERNEL_CACHES[0]] == "7"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_what_was_freed_between_what_stays_is_let_go():
    freed, stays = zip(*((bytearray(100_000), bytearray(1_000)) for _ in range(500)), strict=True)
    before = machine.resident_bytes()
    del freed
    machine.let_go()
    assert before - machine.resident_bytes() > 0.8 * 500 * 100_000 and len(stays) == 500


def test_without_glibc_nothing_is_let_go_and_nothing_fails(monkeypatch):
    for error in (OSError, AttributeError, TypeError):
        monkeypatch.setattr(machine.ctypes, "CDLL", Mock(side_effect=error))
        machine.let_go()
