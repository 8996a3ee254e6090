"""What the hub's list says of a download, before anything is fetched."""

from types import SimpleNamespace
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

from lora_lessons import models
from lora_lessons.errors import ModelError, Unavailable
from lora_lessons.models import hub

SIZES = {"a.safetensors": 5_000, "b.safetensors": 3_000, "model.safetensors": 7_000, "pytorch_model.bin": 90_000}


@pytest.fixture
def a_hub(monkeypatch, tmp_path):
    """A function: a hub that answers or not, and holds one model, in one file or by an index;
    `cached` are here already."""
    index = tmp_path / hub.INDEX
    index.write_text('{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}')

    def made(indexed, cached, answers=True):
        def get(hub_id, name):
            if not indexed:
                raise EntryNotFoundError("no index")
            return str(index)

        def listed(hub_id, files_metadata):
            if not files_metadata:
                raise AssertionError("without it no file has a size")
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=n, size=s) for n, s in SIZES.items()])

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", get)
        monkeypatch.setattr(huggingface_hub, "model_info", listed)
        monkeypatch.setattr(
            huggingface_hub, "try_to_load_from_cache", lambda _, name: f"/{name}" if name in cached else None
        )
        monkeypatch.setattr(hub, "_answers", lambda url: answers)

    return made


@pytest.mark.parametrize(
    "indexed, cached, answers, size",
    [
        (False, [], True, 7_000),
        (True, [hub.INDEX], True, 8_000),
        (True, [hub.INDEX, "a.safetensors"], True, 3_000),
        (False, ["model.safetensors"], False, 0),
        (False, [], False, None),
    ],
)
def test_what_is_still_to_come_is_counted_by_the_hubs_list(a_hub, indexed, cached, answers, size):
    a_hub(indexed, cached, answers)
    assert models.to_fetch("someone/their-7b") == size


def test_a_model_that_the_hub_does_not_list_is_of_unknown_size(a_hub, monkeypatch):
    a_hub(False, [])
    unknown = RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None))
    monkeypatch.setattr(huggingface_hub, "model_info", Mock(side_effect=unknown))
    assert models.to_fetch("someone/misspelled") is None


def test_a_hub_that_cannot_be_reached_is_told_which_known_models_are_near_by_name(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", Mock(side_effect=LocalEntryNotFoundError("no connection")))
    for tuned, base in (
        ("Llama-3.2-3B-Instruct-bnb-4bit", r"Llama-3\.2-3B"),
        # a tuning's own words stand between the name and the size
        ("DeepSeek-R1-0528-Qwen3-8B", "Qwen3-8B"),
        ("Qwen3-Embedding-8B", "Qwen3-8B"),
    ):
        with pytest.raises(Unavailable, match=f"near it by name: {base}"):
            models.fetch_config(f"someone/{tuned}")
    with pytest.raises(ModelError) as raised:
        models.fetch_config("someone/zebra")
    assert "near it by name" not in str(raised.value)
