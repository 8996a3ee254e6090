"""The rate of each adapter: the best of those that were tried."""

from lora_lessons.experiments import recordings
from workshop.record import adapter_rates, shipped_adapters


def test_the_rate_in_use_is_one_of_those_tried_and_as_good_as_the_best():
    found = adapter_rates.losses(recordings.recorded(adapter_rates.NAME))
    assert "persona" in found and set(found) <= set(shipped_adapters.ABOUT) == set(adapter_rates.RATES)
    for name, losses in found.items():
        assert sorted(losses) == sorted(adapter_rates.RATES[name])
        assert losses[shipped_adapters.RATE[name]] <= min(losses.values()) + 0.02, name
