"""The benches run both sides and print their ratio."""

from workshop.record import quantize


def test_the_quantization_bench_runs_both_sides(capsys):
    found = quantize.record(numbers=4096 * 64, rounds=1)
    assert set(found) == {"quantize", "dequantize", "peak"}
    assert all(set(row) == {"ours", "bitsandbytes"} and row["ours"] >= 0 for row in found.values())
    assert "ratio" in capsys.readouterr().out
