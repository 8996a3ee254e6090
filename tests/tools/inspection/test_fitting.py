"""An adapter whose base has been renamed since, or that is of the model without a head: PEFT says what it applies."""

from __future__ import annotations

import re

import pytest
from families import SIZES, adapter, applied, built, moved
from peft_zoo import Kept, edited
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText

from lora_tools import inspection

IN_LANGUAGE_MODEL = r".*language_model.*\.(q|v)_proj"

# what: the family, what the keys were called before transformers renamed them, and whether PEFT knows the old name
RENAMED = {
    "LLaVA": ("llava", "language_model.model.layers", True),
    "Gemma 3": ("gemma3", "language_model.model.layers", True),
    "Qwen2-VL": ("qwen2_vl", "model.layers", False),
}


def peft_of(xray):
    return next(one for one in xray.runtimes if one.name == "PEFT")


@pytest.mark.parametrize("what", RENAMED)
def test_keys_of_an_older_transformers_fit_where_peft_applies_them(tmp_path, what):
    model_type, once, known = RENAMED[what]
    built(model_type).save_pretrained(tmp_path / "base")
    made = Kept(adapter(tmp_path / "new", model_type, target_modules=IN_LANGUAGE_MODEL), None)
    old = edited(
        made,
        tmp_path / "old",
        lambda tensors: {re.sub(r"model\.language_model\.layers", once, key): one for key, one in tensors.items()},
        target_modules=["q_proj", "v_proj"],
        exclude_modules=".*vision.*",
    )
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "base")
    assert (applied(model, old) == 1.0) == known, "what the verdict rests on"
    xray = inspection.inspect(old, str(tmp_path / "base"))
    assert bool(xray.base.lacking) != known
    assert not known or all(one.ratio for one in xray.matrices)


def test_an_adapter_of_the_model_without_its_head_fits_that_and_not_the_one_with_it(tmp_path):
    """As embedding models are trained: PEFT finds no place for it in the model that generates."""
    base = tmp_path / "base"
    built("gemma3_text").save_pretrained(base)
    place = moved(tmp_path / "it", AutoModel.from_pretrained(base), target_modules=["q_proj", "v_proj"])
    assert applied(AutoModel.from_pretrained(base), place) == 1.0
    assert applied(AutoModelForCausalLM.from_pretrained(base), place) == 0.0
    xray = inspection.inspect(place, str(base))
    assert xray.base.built_by == "AutoModel" and not xray.base.lacking and "keys_do_not_match" not in xray.codes
    assert "on that of AutoModel" in peft_of(xray).reason
    alone = peft_of(inspection.inspect(place))
    assert alone.loads == "care" and "on AutoModelForCausalLM it warns" in alone.reason
    assert SIZES["num_hidden_layers"] * 2 == sum(bool(one.ratio) for one in xray.matrices)
