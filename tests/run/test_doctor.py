"""The doctor answers for every probe, and a probe that fails becomes a sentence."""

import http.server
import json
import threading
from unittest.mock import Mock

import pytest

from lora_lessons import models
from lora_lessons.course import learner
from lora_lessons.course.records import Record
from lora_lessons.run import doctor
from lora_lessons.run.baselines import update
from lora_tools import cli


@pytest.fixture(autouse=True)
def _quiet_hub(monkeypatch):
    monkeypatch.setattr(doctor, "_answers", lambda url, seconds: False)
    monkeypatch.setattr(doctor.fetching, "index_answers", lambda: True)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a precision measured before (so that no test measures)."""
    monkeypatch.setenv("LORA_LESSONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "best_precision", lambda: models.Precision("bf16", 20.0, 10.0))
    return tmp_path / "cache"


def test_the_table_answers_every_question(course, cache, make_lesson):
    make_lesson("03_train_lora")
    update("03_train_lora", "quick", [{"x": Record("x", 1)}], seconds=150, peak_ram_bytes=2_000_000_000)
    found = doctor.examine()
    assert not [name for name, about in found.items() if about.get("failed")]
    assert found["memory"]["total_bytes"] >= found["memory"]["available_bytes"] > 0
    assert found["16 bit"]["precision"] == "bf16" and "ratio 2.00" in found["16 bit"]["says"]
    assert found["base model"] == {
        "says": f"{models.EMBEDDED_NAME} will be fetched (93 MB) at first use.",
        "present": False,
    }
    assert found["lessons"]["03_train_lora"]["says"].startswith("about 2.5 minutes on ")
    assert f"{learner.progress_file()} will remember" in found["your work"]["says"], "also where the cache is elsewhere"
    text = doctor.table(found)
    assert all(about["says"] in text for name, about in found.items() if name != "lessons")
    assert "03_train_lora  about 2.5 minutes" in text
    json.dumps(found)


def test_a_base_that_was_cut_short_is_not_called_here(cache):
    import torch
    from safetensors.torch import save_file

    file = models.embedded_place() / "model.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"a": torch.ones(1000), "b": torch.ones(3, 2)}, file, metadata={"format": "pt"})
    whole = file.read_bytes()
    assert doctor._base() == {"says": f"{models.EMBEDDED_NAME} is here.", "present": True}
    for damaged in (whole[:-1], whole[:5], b"", b"\xff" * 100, whole + b"x"):
        file.write_bytes(damaged)
        assert doctor._base() == {
            "says": f"{models.EMBEDDED_NAME} is here, but cut short or damaged: the next use fetches it again (93 MB).",
            "present": False,
        }


def test_a_lesson_too_big_for_the_free_memory_says_so(course, cache):
    update("08_big", "quick", [{"x": Record("x", 1)}], seconds=30, peak_ram_bytes=8_000_000_000)
    assert doctor._lesson("08_big", 9_000_000_000)["fits"] is True
    tight = doctor._lesson("08_big", 7_000_000_000)
    assert (
        tight["fits"] is False and "peak 8.0 GB of RAM, more than is free here: close other programs" in tight["says"]
    )
    assert doctor._lesson("09_none", None)["says"] == "no baseline yet: it has not been timed."


@pytest.mark.parametrize("probe", list(doctor._PROBES))
def test_a_probe_that_fails_is_a_sentence(course, cache, monkeypatch, capsys, probe):
    monkeypatch.setitem(doctor._PROBES, probe, Mock(side_effect=OSError("the wire is cut")))
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "(OSError: the wire is cut)" in said
    assert said.count("could not be found out") == 1


def test_an_offline_hub_is_not_asked(monkeypatch):
    from huggingface_hub import constants

    asked = []
    monkeypatch.setattr(doctor, "_answers", lambda url, seconds: asked.append((url, seconds)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert doctor._hub()["reachable"] is None and asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    doctor._hub()
    assert asked == [(constants.ENDPOINT, 3)]


def test_any_answer_counts_as_reachable(monkeypatch):
    monkeypatch.undo()  # the real _answers
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Refuses(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(403)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        assert doctor._answers(url, 120) is True
    finally:
        server.shutdown()
        server.server_close()
    assert doctor._answers(url, 0.5) is False
