"""An export that is killed: the same command goes on with what was finished, another one removes it,
and both say so."""

import json
import os
import signal
import time

import pytest

from lora_lessons import llamacpp
from lora_tools import cli
from lora_tools.exporting import gguf
from lora_tools.exporting.gguf import file, model, vocabulary

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture
def mine(mine, monkeypatch):
    """The same; its tokenizer is taken to be proven, and the command is typed there."""
    monkeypatch.setattr(vocabulary, "check", lambda *_: [])
    monkeypatch.chdir(mine)
    return mine


COMMAND = ["export", "gguf", "mine", "--out", "out", "--base", "base", "--types", "f16,Q4_K_M"]


def killed(run, at):
    """Run `run` in a process of its own, and kill it when the file `at` is there: no clean-up, as in a power cut."""
    child = os.fork()
    if child == 0:
        try:
            run()
        finally:
            os._exit(1)
    deadline = time.monotonic() + 600
    while not at.exists():
        assert time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.fixture
def killed_while_quantizing(mine, monkeypatch):
    """What is left when the second of two types was half written."""

    def half(source, out, file_type, importance):
        out.write_bytes(b"half of it" * 100_000)
        (mine / "begun").touch()
        time.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(llamacpp, "quantize", half)
        killed(lambda: cli.main(COMMAND), mine / "begun")
    (left,) = (mine / "out").iterdir()
    assert left.name.startswith(".") and (left / "base-f16.gguf").is_file()
    return left


def test_the_same_command_goes_on_with_the_finished_files(killed_while_quantizing, mine, capsys):
    finished = {name: (killed_while_quantizing / name).stat().st_ino for name in ("base-f16.gguf", "mine-lora.gguf")}
    assert cli.main(COMMAND) == 0
    said = capsys.readouterr().err
    assert "2 files were finished" in said
    assert "1.0 MB that a killed process left" in said
    assert sorted(path.name for path in (mine / "out").iterdir()) == ["base-Q4_K_M.gguf", *finished]
    for name, number in finished.items():
        assert (mine / "out" / name).stat().st_ino == number, "not written again"
    assert len(gguf.file.read(mine / "out" / "base-Q4_K_M.gguf").tensors) > 10


def test_another_adapters_export_takes_nothing_over(killed_while_quantizing, mine, capsys):
    weights = mine / "mine" / "adapter_config.json"
    weights.write_text(json.dumps(json.loads(weights.read_text()) | {"lora_alpha": 3}))
    before = (killed_while_quantizing / "mine-lora.gguf").read_bytes()
    assert cli.main([*COMMAND[:-1], "f16"]) == 0
    said = capsys.readouterr().err
    assert "Going on" not in said and "that a killed process left in" in said
    assert sorted(path.name for path in (mine / "out").iterdir()) == ["base-f16.gguf", "mine-lora.gguf"]
    assert (mine / "out" / "mine-lora.gguf").read_bytes() != before


def test_killed_between_the_moves_the_same_command_moves_the_rest(mine, monkeypatch, capsys):
    moved, real = mine / "moved", os.replace

    def first_alone(source, target):
        real(source, target)
        if str(target).endswith("out/mine-lora.gguf"):
            moved.touch()
            time.sleep(600)

    with monkeypatch.context() as patch:
        patch.setattr(file.os, "replace", first_alone)
        killed(lambda: cli.main([*COMMAND[:-1], "f16"]), moved)
    assert [path.name for path in (mine / "out").glob("[!.]*")] == ["mine-lora.gguf"]
    with monkeypatch.context() as patch:
        patch.setattr(model, "new_file", None)  # nothing is written again
        assert cli.main([*COMMAND[:-1], "f16"]) == 0
    assert sorted(path.name for path in (mine / "out").iterdir()) == ["base-f16.gguf", "mine-lora.gguf"]
    assert "Moved the last files" in capsys.readouterr().err
