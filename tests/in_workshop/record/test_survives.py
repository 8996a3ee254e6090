"""Does the adapter survive: the recorded table has every way through 4 bits."""

import json

from lora_lessons.experiments import shipped_adapters
from workshop.record import survives


def test_what_is_recorded_is_a_table_of_every_way():
    found = survives.recorded()
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == list(survives.TITLES)
    assert {"date", "machine", "versions", "calibration"} < set(found)
    measured = {way: row for way, row in rows.items() if "failed" not in row}
    assert all(row["failed"] for way, row in rows.items() if way not in measured)
    assert {"unmerged", "base", "merged", "nf4_apart", "into_nf4", "then_nf4"} <= set(measured)
    assert measured["unmerged"]["kl"] == 0
    for row in measured.values():
        assert row["low"] <= row["kept"] <= row["high"] and row["of"] == shipped_adapters.DRAWN
        assert row["kl"] >= 0 and 4 < row["bits"] <= 17
    json.dumps(found)
