"""Lesson 13's two runs are held side by side, and a difference is a difference;
its launch line is the command's own."""

import pytest
import torch
from safetensors.torch import save_file

from lora_lessons.adapter import ADAPTER_WEIGHTS
from lora_lessons.lessons.l13_beyond_one_gpu import plans, ranks
from lora_tools import cli, cluster


def outcome(folder, losses, held, **tensors):
    folder.mkdir()
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    return cluster.Outcome(losses, folder, held, [3 * n for n in held], [0] * len(held), 0, False, 1.0)


def matrices(a, b):
    return {"x.lora_A.weight": torch.tensor([[a, 0.0]]), "x.lora_B.weight": torch.tensor([[b], [0.0]])}


def test_what_is_apart_is_measured(tmp_path):
    one = outcome(tmp_path / "one", [4.0, 2.0], [100_000_000], **matrices(2.0, 1.0))
    two = outcome(tmp_path / "two", [4.0, 2.1], [50_000_000] * 2, **matrices(2.0, 0.9))
    assert ranks.losses_apart(one, two) == pytest.approx(0.05)
    assert ranks.updates_apart(one, two) == pytest.approx(0.1)
    assert ranks.losses_apart(one, one) == ranks.updates_apart(one, one) == 0
    other = outcome(tmp_path / "other", [4.0, 2.0], [100_000_000], y=torch.ones(2))
    assert ranks.updates_apart(one, other) == float("inf")
    said = ranks.side_by_side(one, two)
    assert "4.00000" in said and "2.10000" in said and "100 MB" in said and "50 MB" in said


def test_the_settings_are_small_and_go_to_the_cluster(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(cluster, "run", lambda processes, out, **more: asked.update(more, processes=processes, out=out))
    ranks.train(2, tmp_path, seed=3)
    settings = asked.pop("settings")
    assert asked == {"processes": 2, "out": tmp_path} and settings.seed == 3
    assert settings.steps * settings.batch_size <= 16 and not settings.fast


def test_the_launch_line_is_that_of_the_command(tmp_path, capsys):
    words = ["cluster", "config", "Llama-3-70B", "--cards", "2x24", "--offload", "--out", str(tmp_path / "there")]
    assert cli.main(words) == 0
    said = capsys.readouterr().out.replace(str(tmp_path / "there"), "cluster").split("Start it with:\n    ")[1].strip()
    assert plans.line("Llama-3-70B", "2x24").replace(" \\\n    ", " ") == said
