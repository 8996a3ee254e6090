"""`make gpu-check`, where it can be tried without a card: on a processor, on a small shape, and its clock."""

import json

import pytest
from tiny_configs import SMALL_7B

from lora_lessons import models
from lora_tools.bench import ledger
from workshop.bench import card_speed, gpu_check


def test_without_a_card_the_check_says_so(capsys):
    if models.card() is not None:
        pytest.skip("there is a card here")
    assert gpu_check.main() == 2
    assert "there is nothing to check here" in capsys.readouterr().err


def test_the_cards_equality_check_holds_on_a_processor():
    found = gpu_check.equality("cpu")
    assert found["same"] == found["tried"] == 168 and found["scale_codes"] > 1000
    assert found["scale_codes_that_differ"] <= 20, "only blocks of which there is one differ: their codes say nothing"


def test_the_cards_training_runs_on_a_small_shape():
    found = gpu_check.steps("cpu", count=4, seq=32, **SMALL_7B)
    assert len(found["losses"]) == 4 and found["losses"][-1] < found["losses"][0]
    assert found["weights"] == "random" and found["tokens_per_second"] > 0 and found["peak_bytes"] > 0
    json.dumps(found)


def test_the_check_writes_after_each_part_and_stops_in_time(monkeypatch, course, capsys):
    monkeypatch.setattr(models, "card", lambda: ("NVIDIA Card 9000", 24.0 * 2**30))
    monkeypatch.setattr(gpu_check, "equality", lambda device: {"tried": 2, "same": 2})
    monkeypatch.setattr(
        gpu_check, "steps", lambda device: {"losses": [9.0, 8.0], "tokens_per_second": 1.0, "peak_bytes": 2**30}
    )
    asked, compared = [], []
    monkeypatch.setattr(card_speed, "compare", lambda seconds: compared.append(seconds) or [{"side": "this course"}])
    monkeypatch.setattr(
        ledger, "measure_all", lambda seconds: asked.append(seconds) or [{"status": ledger.OK, "error": 0.01}]
    )
    assert gpu_check.main() == 0
    written = json.loads((course / "data" / "measurements" / "gpu_check_nvidia_card_9000.json").read_text())
    assert written["ledger"] == {"settings": 1, "within_5_percent": 1} and 500 < asked[0] <= gpu_check.SECONDS
    assert written["sides"] == [{"side": "this course"}] and compared == [gpu_check.SIDES]
    monkeypatch.setattr(
        gpu_check, "steps", lambda device: {"losses": [8.0, 9.0], "tokens_per_second": 1.0, "peak_bytes": 1}
    )
    assert gpu_check.main() == 1, "a loss that does not fall is a failure"


def test_a_slow_card_leaves_the_comparison_what_the_ledger_does_not_need(monkeypatch, course):
    monkeypatch.setattr(models, "card", lambda: ("NVIDIA Card 9000", 24.0 * 2**30))
    monkeypatch.setattr(gpu_check, "equality", lambda device: {"tried": 2, "same": 2})
    now = [0.0]
    monkeypatch.setattr(gpu_check.time, "perf_counter", lambda: now[0])

    def slow(device):
        now[0] += 400
        return {"losses": [9.0, 8.0], "tokens_per_second": 1.0, "peak_bytes": 2**30}

    monkeypatch.setattr(gpu_check, "steps", slow)
    given = {}
    monkeypatch.setattr(card_speed, "compare", lambda seconds: given.update(sides=seconds) or [])
    monkeypatch.setattr(ledger, "measure_all", lambda seconds: given.update(ledger=seconds) or [])
    gpu_check.main()
    assert given == {"sides": gpu_check.SECONDS - gpu_check.LEDGER - 400, "ledger": gpu_check.SECONDS - 400}


def test_time_that_is_up_begins_no_setting(capsys, tmp_path):
    assert ledger.measure_all(out=tmp_path / "ledger.json", jobs=ledger.ON_A_PROCESSOR[:2], seconds=-1) == []
    assert "Time is up after 0 of 2 settings" in capsys.readouterr().out
