"""The bases that are fetched by name, whole (`pytest -m big`: 1.6 GB to fetch where they are not here,
some minutes)."""

import pytest

from lora_lessons import models


@pytest.mark.big
@pytest.mark.parametrize("name", models.NAMED)
def test_a_named_base_is_what_its_table_says_and_answers(name):
    one = models.NAMED[name]
    config = models.config_in_gguf(models.named_file(one))
    assert one.config == {key: config[key] for key in one.config}
    base = models.load(name, "bf16", "cpu")
    assert 2 * base.model.num_parameters() == one.unpacked
    assert "Paris" in models.chat(base, "What is the capital of France?", 12)
