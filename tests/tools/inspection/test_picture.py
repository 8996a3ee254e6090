"""The heat map of an adapter: every matrix has its square, marked where it adds nothing, and words that say what is seen."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import make_adapter, make_tiny_model

from lora_lessons import lora
from lora_lessons.adapter import ADAPTER_WEIGHTS, attach_adapter, save_adapter
from lora_tools import inspection
from lora_tools.inspection import picture


def xray_of(tmp_path, change=None, spoil=None):
    model = make_tiny_model()
    attach_adapter(model, make_adapter(model))
    with torch.no_grad():
        for name, layer in lora.lora_layers(model):
            if change:
                change(name, layer)
    folder = save_adapter(model, tmp_path / "adapter")
    if spoil:
        spoil(folder)
    return inspection.inspect(folder)


def strong_k(name, layer):
    layer.lora_B *= 50 if name == "model.layers.1.self_attn.k_proj" else 1


def still_q(name, layer):
    layer.lora_B *= 0 if name == "model.layers.0.self_attn.q_proj" else 1


def broken_v(folder):
    """NaN in a B of the file: no adapter of ours is saved like that."""
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    tensors["base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"][0, 0] = math.nan
    save_file(tensors, folder / ADAPTER_WEIGHTS)


def test_every_matrix_has_a_square_of_its_own_size(tmp_path):
    xray = xray_of(tmp_path)
    found = picture.cells(xray)
    assert len(found) == len(xray.matrices) == 14
    assert {cell.value for cell in found.values()} == {matrix.norm for matrix in xray.matrices}
    image = picture.heat_map(xray).axes[0].images[0]
    assert image.get_array().shape == (7, 2) and image.get_cmap().name == "cividis"


def test_the_words_say_where_it_is_largest(tmp_path):
    said = picture.summary(xray_of(tmp_path, strong_k))
    assert "largest in layer 1's k_proj" in said and "k_proj changes most on average" in said and "crossed" not in said


@pytest.mark.parametrize(
    ("how", "mark", "words"), [({"change": still_q}, "×", "1 add nothing"), ({"spoil": broken_v}, "!", "")]
)
def test_what_adds_nothing_and_what_is_not_finite_is_marked(tmp_path, how, mark, words):
    xray = xray_of(tmp_path, **how)
    marks = [text.get_text() for text in picture.heat_map(xray).axes[0].texts]
    assert marks.count(mark) == 1 and marks.count("") == 13
    assert words in picture.summary(xray)


def test_an_adapter_without_a_and_b_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="no ΔW to draw"):
        picture.heat_map(xray_of(tmp_path)._replace(matrices=()))
