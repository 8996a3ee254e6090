"""The heat map of an adapter: every matrix has its square, marked where it adds nothing,
and words that say what is seen."""

from __future__ import annotations

import math

import pytest
from safetensors.torch import load_file, save_file
from tiny import make_adapter, make_tiny_model

from lora_lessons.adapter import ADAPTER_WEIGHTS, attach_adapter, save_adapter
from lora_tools import inspection
from lora_tools.inspection import picture

STRONG_K, STILL_Q, BROKEN_V = ("1.self_attn.k_proj", 50), ("0.self_attn.q_proj", 0), ("1.self_attn.v_proj", math.nan)


def xray_of(tmp_path, layer="1.self_attn.k_proj", times=1.0):
    """Of an adapter, one B of whose file is `times` what it was: none of ours is saved with NaN in it."""
    model = make_tiny_model()
    attach_adapter(model, make_adapter(model))
    file = save_adapter(model, tmp_path / "adapter") / ADAPTER_WEIGHTS
    tensors = load_file(file)
    tensors[f"base_model.model.model.layers.{layer}.lora_B.weight"] *= times
    save_file(tensors, file)
    return inspection.inspect(file.parent)


def test_every_matrix_has_a_square_of_its_own_size(tmp_path):
    xray = xray_of(tmp_path)
    found = picture.cells(xray)
    assert len(found) == len(xray.matrices) == 14
    assert {cell.value for cell in found.values()} == {matrix.norm for matrix in xray.matrices}
    image = picture.heat_map(xray).axes[0].images[0]
    assert image.get_array().shape == (7, 2) and image.get_cmap().name == "cividis"


def test_the_words_say_where_it_is_largest(tmp_path):
    said = picture.summary(xray_of(tmp_path, *STRONG_K))
    assert "largest in layer 1's k_proj" in said and "k_proj changes most on average" in said and "crossed" not in said


@pytest.mark.parametrize(("how", "mark", "words"), [(STILL_Q, "×", "1 add nothing"), (BROKEN_V, "!", "")])
def test_what_adds_nothing_and_what_is_not_finite_is_marked(tmp_path, how, mark, words):
    xray = xray_of(tmp_path, *how)
    marks = [text.get_text() for text in picture.heat_map(xray).axes[0].texts]
    assert marks.count(mark) == 1 and marks.count("") == 13
    assert words in picture.summary(xray)


def test_an_adapter_without_a_and_b_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="no ΔW to draw"):
        picture.heat_map(xray_of(tmp_path)._replace(matrices=()))
